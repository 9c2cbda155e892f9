"""`sodbench reproduce`: the page of verdicts from the reference data set, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness import resources
from harness.campaign import todo
from harness.campaign.todo import Step
from harness.cli import reproducing
from harness.errors import IncompleteRunError
from tests.cli.command import Sodbench

SHORT = "lab/paper-short/run"


@pytest.fixture
def sodbench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sodbench:
    return Sodbench(monkeypatch, capsys)


def test_stored_runs_must_be_named(sodbench: Sodbench) -> None:
    said = sodbench("reproduce")
    assert said.code == 2
    assert "--from results/reference" in said.err


def test_an_unknown_claim_is_refused_with_the_nearest(sodbench: Sodbench, tmp_path: Path) -> None:
    said = sodbench("reproduce", "total-time-ap", "--from", tmp_path)
    assert said.code == 2
    assert "did you mean 'total-time-app'?" in said.err


def test_a_folder_that_is_not_there_is_refused(sodbench: Sodbench, tmp_path: Path) -> None:
    assert sodbench("reproduce", "--from", tmp_path / "none").code == 12


def test_without_runs_experiments_are_not_tested_and_checks_are(sodbench: Sodbench, tmp_path: Path) -> None:
    said = sodbench(
        "reproduce", "total-time-app", "request-matrix", "--from", tmp_path, "--out", tmp_path / "o"
    )
    assert said.code == 0
    assert said.line("total-time-app")[1:3] == ["not", "tested"]
    assert said.line("request-matrix")[1] == "reproduced"


def test_an_archive_needs_a_key_or_unsigned(
    sodbench: Sodbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    said = sodbench(
        "reproduce", "total-time-app", "--from", resources.reference() / SHORT, "--out", tmp_path / "o"
    )
    assert said.code == 4
    assert not (tmp_path / "o").exists()


def test_the_page_has_a_row_with_verdict_value_and_command(sodbench: Sodbench, tmp_path: Path) -> None:
    out = tmp_path / "o"
    said = sodbench(
        "reproduce", "total-time-app", "--from", resources.reference() / SHORT, "--unsigned", "--out", out
    )
    assert said.code == 0
    assert said.line("total-time-app")[1:5] == ["reproduced", "in", "relation", "only"]
    page = (out / "report.md").read_text(encoding="utf-8")
    (row,) = (line for line in page.splitlines() if "<sub>total-time-app</sub>" in line)
    assert "5.07" in row
    assert "7.50" in row
    assert "verdicts, row 1" in row
    assert "sodbench run paper-short" in row
    assert "signature not checked" in page
    assert (out / "figures/verdicts.svg").is_file()
    assert (out / "report.html").is_file()


def test_altered_evidence_is_refused_and_nothing_is_written(sodbench: Sodbench, tmp_path: Path) -> None:
    kept = tmp_path / "runs/paper-short"
    shutil.copytree(resources.reference() / SHORT, kept)
    journal = next(kept.glob("journal.jsonl*"))
    journal.write_bytes(journal.read_bytes()[:-40] + b"x" * 40)
    said = sodbench(
        "reproduce", "total-time-app", "--from", tmp_path / "runs", "--unsigned", "--out", tmp_path / "o"
    )
    assert said.code == 21
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("given", [("--smoke", "--full"), ("--full", "--from", "results")])
def test_only_one_source_of_runs_can_be_named(sodbench: Sodbench, given: tuple[str, ...]) -> None:
    said = sodbench("reproduce", *given)
    assert said.code == 2
    assert "exclude each other" in said.err


def test_a_claim_that_needs_no_machine_has_nothing_to_run(sodbench: Sodbench) -> None:
    said = sodbench("reproduce", "request-matrix", "--smoke")
    assert said.code == 2
    assert "no campaign to run for --smoke" in said.err


def test_what_is_left_is_carried_out_and_then_judged(
    sodbench: Sodbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    done: list[tuple[str, ...]] = []

    def carry(_text: bytes, name: str, _inventory: Path | None, *_rest: object, **_named: object) -> None:
        done.append(("run", name))
        raise IncompleteRunError("1 trial is not valid")

    monkeypatch.setattr(reproducing, "up", lambda: done.append(("up",)))
    monkeypatch.setattr(reproducing, "provision", lambda _inventory: done.append(("provision",)))
    monkeypatch.setattr(reproducing, "carry", carry)
    asked = ("reproduce", "total-time-app", "--smoke", "--results", results, "--out", tmp_path / "o")
    results.mkdir()
    said = sodbench(*asked)
    assert said.code == 0
    assert done == [("up",), ("provision",), ("run", "paper-smoke.yml")]
    assert "paper-smoke: is to be run" in said.out
    assert "does not count: paper-smoke: 1 trial is not valid" in said.out
    assert said.line("total-time-app")[1:3] == ["not", "tested"]


def test_a_cut_run_goes_on_and_a_finished_one_is_kept(
    sodbench: Sodbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results").mkdir()
    done: list[str] = []
    steps = [Step(campaign="paper-smoke", action="resume", folder=tmp_path / "one")]
    monkeypatch.setattr(todo, "steps", lambda *_: steps)
    monkeypatch.setattr(reproducing, "up", lambda: done.append("up"))
    monkeypatch.setattr(reproducing, "provision", lambda _inventory: done.append("provision"))
    monkeypatch.setattr(reproducing, "resume", lambda folder, _inventory: done.append(folder.name))
    asked = (
        "reproduce",
        "total-time-app",
        "--smoke",
        "--results",
        tmp_path / "results",
        "--out",
        tmp_path / "o",
    )
    assert sodbench(*asked).code == 0
    assert done == ["up", "provision", "one"]
    steps[:] = [Step(campaign="paper-smoke", action="keep", folder=tmp_path / "one")]
    assert sodbench(*asked).code == 0
    assert done == ["up", "provision", "one"]
