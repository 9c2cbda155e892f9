from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import report
from harness.errors import RecordError, UsageError
from harness.evidence.folder import RunFolder
from harness.report import Report
from tests.report import page, unpainted
from tests.synthetic.evidence import AttemptTruth, MigrationTruth, Truths, build

ROOT = Path(__file__).resolve().parents[2]
REBUILD = """
import sys
from pathlib import Path
from harness import report
from harness.evidence import folder
slow = {"scipy.stats", "seaborn"}  # their import takes a second, which only what draws waits for
unwanted = list(slow & sys.modules.keys())
report.build(folder.find(Path(sys.argv[1])), Path(sys.argv[2]))
unwanted += [one for one in sys.modules if one.split(".")[0] == "libvirt" or one.startswith("harness.rig")]
sys.exit(f"imported: {unwanted}" if unwanted else 0)
"""


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_says_where_everything_lies(made: Report) -> None:
    assert [path.name for path in made.documents] == ["report.html", "report.md", "report.tex"]
    assert all(path.is_file() for path in (*made.documents, *made.figures))
    names = {path.name for path in made.figures}
    for key in (
        "table-v",
        "timeline-file",
        "migrations",
        "outage-blackout",
        "precopy",
        "data-dirty-rate",
        "gaps",
    ):
        assert {f"{key}.svg", f"{key}.pdf"} <= names


def test_rebuilding_gives_the_same_bytes_in_another_process_and_setting(
    run: RunFolder, made: Report, out: Path, tmp_path: Path
) -> None:
    """Also: from a process that never imports the rig or libvirt, with another user's matplotlib settings."""
    (tmp_path / "matplotlibrc").write_text("font.size: 20\naxes.facecolor: red\nsvg.fonttype: path\n")
    setting = {
        "MATPLOTLIBRC": str(tmp_path),
        "PYTHONHASHSEED": "7",
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C",
        "MPLBACKEND": "pdf",
    }
    command = [sys.executable, "-c", REBUILD, str(run.root), str(out)]
    done = subprocess.run(
        command,
        env={**os.environ, **setting, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert tree(out) == tree(made.documents[0].parent)


def test_the_run_is_not_touched(tmp_path: Path, out: Path) -> None:
    folder = build(tmp_path / "run", Truths(attempts=(AttemptTruth(migrations=()),)))
    before = tree(folder.root)
    report.build(folder, out, ["md"])
    assert tree(folder.root) == before


def test_only_the_formats_asked_for_are_written(tmp_path: Path, out: Path) -> None:
    folder = build(tmp_path / "run", Truths(attempts=()))
    made = report.build(folder, out, ["md", "md"])
    assert [path.name for path in out.iterdir()] == ["report.md"]
    assert len(made.documents) == 1


def test_an_unknown_format_is_refused_before_anything_is_written(run: RunFolder, out: Path) -> None:
    with pytest.raises(UsageError, match="docx"):
        report.build(run, out, ["html", "docx"])
    assert not out.exists()


def test_a_run_without_a_journal_is_an_error_that_names_it(tmp_path: Path, out: Path) -> None:
    folder = build(tmp_path / "run", Truths(attempts=()))
    folder.journal.unlink()
    with pytest.raises(RecordError, match=r"journal\.jsonl"):
        report.build(folder, out)


OBSERVERS = ("qmp", "libvirt-job", "heartbeat", "wire", "workload", "host-sampler")
ODD: dict[str, tuple[Truths, str]] = {
    "no attempt": (Truths(attempts=()), "No trial was begun."),
    "no valid trial": (
        Truths(attempts=(AttemptTruth(verdict="invalid", reasons=("the guest was found on b",)),)),
        "There is no valid measurement of a migration in this run",
    ),
    "one migration": (
        Truths(attempts=(AttemptTruth(migrations=(MigrationTruth(planned_s=0.0),)),)),
        "(one migration)",
    ),
    "only control trials": (
        Truths(attempts=(AttemptTruth(workload="file", kind="control", migrations=()),)),
        "No migration was begun in this run.",
    ),
    "every observer failed": (
        Truths(
            attempts=(AttemptTruth(failures=tuple((name, -20.0, "the disk was full") for name in OBSERVERS)),)
        ),
        "Observers failed.",
    ),
    "never finished": (
        Truths(attempts=(AttemptTruth(finished=False),)),
        "Of 1 attempts these are in no mean: 1 unfinished.",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_a_report_is_made_of_every_odd_run_and_says_so(name: str, tmp_path: Path, out: Path) -> None:
    truths, said = ODD[name]
    with unpainted.pdfs():
        made = report.build(build(tmp_path / "run", truths), out)
    found = page.read(made.documents[0].read_text(encoding="utf-8"))
    assert said in found.text
    for path in made.documents[1:]:
        assert "TCG" in path.read_text(encoding="utf-8")
