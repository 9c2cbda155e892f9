"""Evidence that was changed after its run had ended, and what each verb says of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.analysis import table as results
from harness.campaign.plan import expand
from harness.clock import MonotonicClock
from harness.evidence import folder as store
from harness.evidence import journal
from harness.evidence.events import RunFinished
from harness.evidence.folder import RunFolder
from harness.evidence.journal import Journal
from harness.files import read_json, write_json
from harness.json_types import Json
from tests import tables
from tests.campaign.test_state import Story
from tests.cli.command import Sodbench
from tests.synthetic.campaigns import campaign
from tests.synthetic.evidence import build
from tests.synthetic.vocabulary import said

ALTERED = 21


@pytest.fixture
def sodbench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sodbench:
    return Sodbench(monkeypatch, capsys)


def write_sums(run: RunFolder) -> None:
    """One list of everything, as an older version wrote it when a run ended."""
    files = sorted(one for one in run.root.rglob("*") if one.is_file() and one.name != "SHA256SUMS")
    lines = [
        f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.relative_to(run.root)}\n" for one in files
    ]
    (run.root / "SHA256SUMS").write_text("".join(lines))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its tables and its sums, of which each test takes a copy."""
    made = build(tmp_path_factory.mktemp("small") / "run")
    results.write(made)
    write_sums(made)
    return made.root


@pytest.fixture
def run(small: Path, tmp_path: Path) -> RunFolder:
    root = tmp_path / "results/small/run"
    shutil.copytree(small, root)
    return RunFolder(root)


def edit(run: RunFolder) -> None:
    text = run.journal.read_text()
    assert '"downtime":' in text
    run.journal.write_text(text.replace('"downtime":', '"downtime": 1', 1))


def remove(run: RunFolder) -> None:
    next(run.root.glob("trials/*/*/heartbeat.csv")).unlink()


def add(run: RunFolder) -> None:
    (run.root / "environment" / "a.during.json").write_text("{}")


def link(run: RunFolder) -> None:
    (run.root / "environment" / "c.before.json").symlink_to(run.manifest)


CHANGES: dict[str, tuple[Callable[[RunFolder], None], str]] = {
    "edited": (edit, "changed: journal.jsonl"),
    "removed": (remove, "missing: trials/"),
    "added": (add, "added: environment/a.during.json"),
    "linked": (link, "added: environment/c.before.json"),
}
VERBS: dict[str, tuple[str, ...]] = {
    "metrics": ("metrics", "RUN"),
    "report": ("report", "RUN", "--out", "OUT", "--format", "md"),
    "status": ("status", "RUN"),
    "resume": ("resume", "RUN"),
    "pack": ("archive", "pack", "RUN", "OUT"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_refuses_changed_evidence_and_names_it(
    sodbench: Sodbench, run: RunFolder, tmp_path: Path, verb: str, change: str
) -> None:
    alter, words = CHANGES[change]
    alter(run)
    before = {one: one.read_bytes() for one in run.root.rglob("*") if one.is_file()}
    places = {"RUN": str(run.root), "OUT": str(tmp_path / "out")}
    said = sodbench(*(places.get(word, word) for word in VERBS[verb]))
    assert said.code == ALTERED, said
    assert words in said.err
    assert str(run.root) in said.err
    assert not (tmp_path / "out").exists()
    assert {one: one.read_bytes() for one in run.root.rglob("*") if one.is_file()} == before


def test_changed_evidence_does_not_pass_after_its_metrics_were_computed(
    sodbench: Sodbench, run: RunFolder
) -> None:
    edit(run)
    sodbench("metrics", run.root)
    checked = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"], cwd=run.root, capture_output=True, check=False
    )
    assert checked.returncode == 1
    assert sodbench("metrics", run.root).code == ALTERED


def test_metrics_of_an_older_run_leave_its_sums_as_they_are(sodbench: Sodbench, run: RunFolder) -> None:
    before = (run.root / "SHA256SUMS").read_bytes()
    run.metrics_csv.unlink()
    assert sodbench("metrics", run.root).code == 0
    assert (run.root / "SHA256SUMS").read_bytes() == before
    assert not (run.root / "SHA256SUMS.derived").exists()


def test_other_tables_get_sums_of_their_own_and_the_evidence_keeps_its(
    sodbench: Sodbench, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = [line for line in (run.root / "SHA256SUMS").read_text().splitlines() if "metrics." not in line]
    columns = dict(results.COLUMNS)
    del columns["note"]
    monkeypatch.setattr(results, "COLUMNS", columns)  # as another version of the program would
    assert sodbench("metrics", run.root).code == 0
    assert (run.root / "SHA256SUMS").read_text().splitlines() == evidence
    for name in ("SHA256SUMS", "SHA256SUMS.derived"):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", name], cwd=run.root, check=True)
    assert "metrics.parquet" in (run.root / "SHA256SUMS.derived").read_text()


def test_a_table_that_was_changed_is_packed_only_after_it_was_computed_again(
    sodbench: Sodbench, run: RunFolder, tmp_path: Path
) -> None:
    run.metrics_csv.write_text("nothing\n")
    said = sodbench("archive", "pack", run.root, tmp_path / "packed")
    assert (said.code, "changed: metrics.csv" in said.err, "sodbench metrics" in said.err) == (12, True, True)
    assert sodbench("metrics", run.root).code == 0
    assert sodbench("archive", "pack", run.root, tmp_path / "packed").code == 0
    assert sodbench("archive", "unpack", tmp_path / "packed", tmp_path / "again").code == 0
    assert (tmp_path / "again/metrics.csv").read_bytes() == run.metrics_csv.read_bytes()


@pytest.mark.parametrize("change", ["changed", "missing", "added"])
def test_a_changed_archive_is_not_unpacked(
    sodbench: Sodbench, run: RunFolder, tmp_path: Path, change: str
) -> None:
    assert sodbench("archive", "pack", run.root, tmp_path / "packed").code == 0
    file = tmp_path / "packed/manifest.json"
    if change == "missing":
        file.unlink()
    elif change == "added":
        file.with_name("more.json").write_text("{}")
    else:
        file.write_text(file.read_text().replace("lab", "pair"))
    said = sodbench("archive", "unpack", tmp_path / "packed", tmp_path / "again")
    assert said.code == ALTERED
    assert f"{change}: m" in said.err
    assert not (tmp_path / "again").exists()


def test_a_report_is_not_written_among_the_evidence(sodbench: Sodbench, run: RunFolder) -> None:
    said = sodbench("report", run.root, "--out", run.root / "report")
    assert said.code == 2
    assert not (run.root / "report").exists()


@pytest.mark.usefixtures("without_figures")
def test_a_report_of_a_run_without_sums_says_so(sodbench: Sodbench, run: RunFolder, tmp_path: Path) -> None:
    words = "has no sums"
    arguments = ("report", run.root, "--format", "md", "--out", tmp_path / "out")
    assert sodbench(*arguments).code == 0
    assert words not in (tmp_path / "out/report.md").read_text()
    (run.root / "SHA256SUMS").unlink()
    assert sodbench(*arguments).code == 0
    assert words in (tmp_path / "out/report.md").read_text()
    assert "no sums" in sodbench("metrics", run.root).err
    assert not (run.root / "SHA256SUMS").exists()
    assert sodbench("archive", "pack", run.root, tmp_path / "packed").code == 12


def resume_without_sums(run: RunFolder) -> None:
    """What a resume of an ended run without sums writes: that it found none, another end, and sums."""
    with Journal(run.journal, MonotonicClock(), next_seq=len(journal.read(run.journal))) as writer:
        writer.add(said("run.resumed", sums=False))
        writer.add(RunFinished())
    write_sums(run)


@pytest.mark.usefixtures("without_figures")
def test_a_report_of_a_run_that_was_given_sums_later_says_so(
    sodbench: Sodbench, run: RunFolder, tmp_path: Path
) -> None:
    resume_without_sums(run)
    assert sodbench("report", run.root, "--format", "md", "--out", tmp_path / "out").code == 0
    assert "not known to be what it was" in (tmp_path / "out/report.md").read_text()


# -- files that are not what they should be


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize("verb", [one for one in VERBS if one not in {"status", "resume"}])
def test_a_name_that_is_not_utf_8_is_a_name_like_any_other(
    sodbench: Sodbench, run: RunFolder, tmp_path: Path, verb: str
) -> None:
    places = {"RUN": str(run.root), "OUT": str(tmp_path / "out")}
    arguments = [places.get(word, word) for word in VERBS[verb]]
    (run.root / "trials" / os.fsdecode(b"caf\xe9")).write_text("x")
    said = sodbench(*arguments)
    assert (said.code, "added: trials/caf\\xe9" in said.err) == (ALTERED, True)
    (run.root / "SHA256SUMS").unlink()
    told = subprocess.run(
        ["find", ".", "-type", "f", "-printf", "%P\\0"], cwd=run.root, capture_output=True, check=True
    )
    names = [name for name in told.stdout.split(b"\0") if name]
    listed = subprocess.run(["sha256sum", *names], cwd=run.root, capture_output=True, check=True).stdout
    (run.root / "SHA256SUMS").write_bytes(listed)
    said = sodbench(*arguments)
    assert said.code == 0, said


@pytest.mark.usefixtures("without_figures")
def test_a_name_that_is_not_utf_8_in_what_is_told_is_told_as_an_escape(
    sodbench: Sodbench, tmp_path: Path
) -> None:
    run = build(tmp_path / os.fsdecode(b"caf\xe9") / os.fsdecode(b"r\xe9sultat"))
    manifest = read_json(run.manifest)
    write_json(run.manifest, {**manifest, "campaign": None})
    (run.root / "environment" / os.fsdecode(b"\xe9.before.json")).write_text("{}")
    assert sodbench("metrics", run.root).code == 0
    assert set(tables.read(run)["run"]) == {"r\\udce9sultat"}
    said = sodbench("report", run.root, "--format", "md", "--format", "html", "--out", tmp_path / "out")
    assert said.code == 0, said


def test_a_campaign_that_is_not_utf_8_is_named(sodbench: Sodbench, run: RunFolder, tmp_path: Path) -> None:
    (run.root / "SHA256SUMS").unlink()
    run.campaign.write_bytes(b"name: caf\xe9\n")
    said = sodbench("report", run.root, "--out", tmp_path / "out")
    assert (said.code, "campaign.yml" in said.err, "UTF-8" in said.err) == (12, True, True)


@pytest.mark.parametrize("place", ["SHA256SUMS", "SHA256SUMS.derived", "manifest.json"])
def test_a_fifo_is_refused_and_not_waited_for(sodbench: Sodbench, run: RunFolder, place: str) -> None:
    (run.root / place).unlink(missing_ok=True)
    os.mkfifo(run.root / place)
    said = sodbench("metrics", run.root)
    assert said.code in {12, ALTERED}, said
    assert "Traceback" not in said.err


@pytest.mark.parametrize("verb", VERBS)
def test_a_run_of_another_schema_is_refused_by_every_verb(
    sodbench: Sodbench, run: RunFolder, tmp_path: Path, verb: str
) -> None:
    unknown = store.SCHEMA_VERSION + 1
    manifest: dict[str, Json] = {**read_json(run.manifest), "schema": unknown}
    write_json(run.manifest, manifest)
    write_sums(run)
    places = {"RUN": str(run.root), "OUT": str(tmp_path / "out")}
    said = sodbench(*(places.get(word, word) for word in VERBS[verb]))
    assert said.code == 12, said
    assert f"schema {unknown}" in said.err
    assert "manifest.json" in said.err


# -- where a run stands


def unfinished(root: Path, *, ended: str | None) -> RunFolder:
    """A run of which one trial is done; its last word is `ended`."""
    plan = expand(campaign("repetitions: 2\n"))
    run = RunFolder(root)
    root.mkdir(parents=True)
    write_json(run.manifest, {"schema": 1, "started_utc": "2026-01-01T00:00:00+00:00"})
    write_json(run.plan, plan.to_json())
    story = Story().started().attempt(plan.trials[0].id, 1, "valid")
    if ended is not None:
        story.add(ended)
    lines = (
        {"seq": one.seq, "t_ns": one.t_ns, "observer": one.observer, "kind": one.kind, "trial": one.trial}
        | {"attempt": one.attempt, "data": dict(one.data)}
        for one in story.events
    )
    run.journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


@pytest.mark.parametrize(
    ("ended", "sealed", "words"),
    [
        (None, False, "no sums yet"),
        ("run.aborted", True, "as it was when the run ended"),
        ("run.aborted", False, "not known to be what was recorded"),
        ("run.finished", False, "not known to be what was recorded"),
    ],
)
def test_status_says_what_is_known_of_the_evidence(
    sodbench: Sodbench, tmp_path: Path, ended: str | None, sealed: bool, words: str
) -> None:
    run = unfinished(tmp_path / "run", ended=ended)
    if sealed:
        write_sums(run)
    said = sodbench("status", run.root)
    assert said.code == 0, said
    assert words in said.out


def test_status_of_a_run_that_was_given_sums_later_says_so(sodbench: Sodbench, tmp_path: Path) -> None:
    run = unfinished(tmp_path / "run", ended="run.aborted")
    assert "not known to be what it was" not in sodbench("status", run.root).out
    resume_without_sums(run)
    assert "not known to be what it was" in sodbench("status", run.root).out


def test_in_a_clone_without_runs_of_ones_own_a_packed_run_is_not_taken_for_one(
    sodbench: Sodbench, run: RunFolder, tmp_path: Path
) -> None:
    archive = tmp_path / "clone/results/reference/lab/small/run"
    assert sodbench("archive", "pack", run.root, archive).code == 0
    for verb in ("status", "resume", "metrics", "report"):
        said = sodbench(verb, tmp_path / "clone/results")
        assert said.code == 12, said
        assert f"sodbench archive unpack {archive}" in said.err
