"""What `make reference` does to a data set: nothing, unless it is told to."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from harness import report
from harness.analysis import table as results
from harness.evidence import archive, seal
from tests import reference
from tests.synthetic import evidence


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one small data set."""
    data = tmp_path_factory.mktemp("data")
    run = evidence.build(tmp_path_factory.mktemp("work") / "run", evidence.Truths(attempts=()))
    results.write(run)
    seal.close(run)
    seal.keep_derived(run)
    archive.pack(run, data / "small/run")
    report.build(run, data / "small/report", ("html", "md"))
    return data


@pytest.fixture
def data(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "data")
    return tmp_path / "data"


def test_the_same_bytes_are_said_to_be_the_same(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = bytes_of(data)
    assert reference.main([], data) == 0
    assert "the same bytes" in capsys.readouterr().out
    assert bytes_of(data) == before


def test_what_differs_is_named_and_left_until_it_is_accepted(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = bytes_of(data)
    (data / "small/report/report.md").write_text("another\n")
    (data / "small/report/more.md").write_text("")
    next((data / "small/report/figures").glob("*"), data / "small/report/report.html").unlink()
    before = bytes_of(data)
    assert reference.main([], data) == 1
    said = capsys.readouterr().out
    assert f"{data}/small/report/report.md: changed" in said
    assert f"{data}/small/report/more.md: missing" in said
    assert ": added" in said
    assert bytes_of(data) == before
    assert reference.main(["--accept"], data) == 0
    assert bytes_of(data) == right


@pytest.mark.parametrize("accept", [[], ["--accept"]])
def test_nothing_is_lost_where_a_step_fails(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], accept: list[str]
) -> None:
    shutil.copytree(data / "small", data / "altered")
    (data / "altered/run/manifest.json").write_text("{}\n")
    (data / "small/report/report.md").write_text("another\n")
    before = bytes_of(data)
    assert reference.main(accept, data) == 21
    assert "changed: manifest.json" in capsys.readouterr().err
    assert bytes_of(data) == before


def test_an_acceptance_that_was_killed_is_made_good(data: Path) -> None:
    before = bytes_of(data)
    (data / "small/run").rename(data / "small/.run.old")
    (data / "small/.run.new").mkdir()
    assert reference.main([], data) == 0
    assert bytes_of(data) == before


def test_make_reference_removes_nothing_itself() -> None:
    root = Path(__file__).parent.parent
    told = subprocess.run(
        ["make", "--dry-run", "reference"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    assert "reference" in told
    assert "rm -rf results" not in told.replace("$kept", "results")
