"""`sodbench nightly` on a played rig: whole nights, two at once, a full disk, and what is published."""

from __future__ import annotations

import json
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml
from typer.main import get_command
from typer.testing import CliRunner

from harness import report
from harness.campaign.nightly import lock, night
from harness.cli import nightly as verb
from harness.errors import SodbenchError, StorageError
from harness.evidence import seal
from harness.evidence.folder import RunFolder
from tests.played import campaigns, nights
from tests.played.test_gate import SLOW, TEXT, made
from tests.report import unpainted

NIGHT = "campaign: small.yml\nrig: played\nscript: script.yml\npublish: public\n"


def place(folder: Path, text: str = NIGHT, script: str = campaigns.BRIEF, campaign: str = TEXT) -> Path:
    """A folder with a night's file, its campaign and what is played; the night's file."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "small.yml").write_text(campaign)
    (folder / "script.yml").write_text(script)
    (folder / "night.yml").write_text(text)
    return folder / "night.yml"


def told(*words: object) -> tuple[int, str, BaseException | None]:
    """The exit code, all that is said, and the error where it is no exit code."""
    done = CliRunner().invoke(verb.nightly, [str(one) for one in words], env={"COLUMNS": "200"})
    error = done.exception
    if isinstance(error, SodbenchError):
        return error.exit_code, done.output, error
    return done.exit_code, done.output, error


def records(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(one.read_text()) for one in (folder / "public/nights").glob("*.json")]
    return sorted(found, key=lambda one: one["number"])


@pytest.fixture(autouse=True)
def blank() -> Iterator[None]:
    """What is published is looked at here, not what its figures show."""
    with unpainted.figures():
        yield


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return made(tmp_path_factory.mktemp("played") / "base")


def test_a_night_is_judged_published_and_recorded(baseline: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "public").mkdir(mode=0o755)
    file = place(tmp_path, f"{NIGHT}baseline: {baseline.root}\n")
    code, text, error = told(file)
    assert code == 0, (text, error)
    assert "PLAYED, not measured" in text and "outcome: passed" in text
    (record,) = records(tmp_path)
    assert record["exit_code"] == 0
    assert [one["name"] for one in record["steps"] if one["outcome"] == "done"] == [
        *("preflight", "run", "gate", "publish", "trend")
    ]
    run = RunFolder(Path(record["run"]))
    assert seal.require(run)
    public = tmp_path / "public"
    assert (public / run.root.name / "report.html").is_file()
    assert f'href="{run.root.name}/report.html"' in (public / "index.html").read_text()
    assert JUnitXml.fromfile(str(public / "gate.xml")).failures == 0
    for shown in (public / "index.html", public / run.root.name / "report.html", public / "feed.atom"):
        assert stat.S_IMODE(shown.stat().st_mode) == 0o644
    assert stat.S_IMODE((public / run.root.name).stat().st_mode) == 0o755


def test_a_regression_is_the_exit_code_and_is_published(baseline: RunFolder, tmp_path: Path) -> None:
    file = place(tmp_path, f"{NIGHT}baseline: {baseline.root}\n", SLOW)
    code, text, _ = told("run", file)
    assert code == 23, text
    (record,) = records(tmp_path)
    assert {one["name"]: one["outcome"] for one in record["steps"]}["gate"] == "failed"
    assert JUnitXml.fromfile(str(tmp_path / "public/gate.xml")).failures >= 1
    assert (tmp_path / "public" / Path(record["run"]).name / "report.html").is_file()


@pytest.mark.long
def test_n_nights_are_kept_and_the_baseline_always(tmp_path: Path) -> None:
    file = place(tmp_path, f"{NIGHT}keep: 2\n")
    assert told(file)[0] == 0
    first = Path(records(tmp_path)[0]["run"])
    (tmp_path / "results/small/of-mine").mkdir()
    file.write_text(f"{NIGHT}keep: 2\nbaseline: {first}\n")
    for _ in range(3):
        assert told(file)[0] == 0
    assert len(records(tmp_path)) == 2
    runs = {one.name for one in (tmp_path / "results/small").iterdir()}
    assert runs == {first.name, "of-mine", *(Path(one["run"]).name for one in records(tmp_path))}
    reports = {one.parent.name for one in (tmp_path / "public").glob("*/report.html")}
    assert reports == runs - {"of-mine"}


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (f"{NIGHT}baseline: results\n", 12, "no run here"),
        (NIGHT.replace("small.yml", "broken.yml"), 3, "schedule"),
    ],
)
def test_what_would_make_the_night_fail_is_found_before_the_run(
    text: str, code: int, said: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.yml").write_text("name: small\nworkloads: [idle]\n")
    found, output, _ = told(place(tmp_path, text))
    assert (found, said in output) == (code, True), output
    (record,) = records(tmp_path)
    assert record["run"] is None and not (tmp_path / "results").exists()


def test_a_folder_of_runs_and_a_campaign_without_a_gate_make_no_gate(
    baseline: RunFolder, tmp_path: Path
) -> None:
    code, output, _ = told(place(tmp_path / "one", f"{NIGHT}baseline: {baseline.root.parent}\n"))
    assert code == 2 and "a folder above runs is no baseline" in output
    plain = TEXT.partition("gate:")[0]
    file = place(tmp_path / "two", f"{NIGHT}baseline: {baseline.root}\n", campaign=plain)
    code, output, _ = told(file)
    assert code == 3 and "declares no metrics for a gate" in output
    assert not (tmp_path / "two/results").exists()


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (("window_s: 8", "window_s: 9"), "plan.trials"),
        (("name: small", "name: small\nseed: 7"), "plan.seed"),
        (("smallest_effect_percent: 10", "smallest_effect_percent: 20"), "plan.gate"),
    ],
)
def test_a_campaign_that_is_not_the_baselines_is_refused_before_the_run(
    change: tuple[str, str], key: str, baseline: RunFolder, tmp_path: Path
) -> None:
    file = place(tmp_path, f"{NIGHT}baseline: {baseline.root}\n", campaign=TEXT.replace(*change))
    code, output, _ = told(file)
    assert code == 22 and f"    {key}: " in output and f"accept: [{key}]" in output, output
    assert not (tmp_path / "results").exists()


def test_a_kernel_that_is_not_the_baselines_is_refused_before_the_run_and_may_be_accepted(
    baseline: RunFolder, tmp_path: Path
) -> None:
    older = nights.night(baseline, tmp_path / "older", 0, facts={"kernel": "6.0"})
    file = place(tmp_path, f"{NIGHT}baseline: {older.root}\n")
    code, output, _ = told(file)
    assert code == 22 and "kernel.a: 6.0 against " in output and "accept: [kernel.a]" in output, output
    assert not (tmp_path / "results").exists()
    file.write_text(f"{NIGHT}baseline: {older.root}\naccept: [kernel]\n")
    code, output, _ = told(file)
    assert code == 2 and "--accept kernel: no such key" in output
    file.write_text(f"{NIGHT}baseline: {older.root}\naccept: [kernel.a]\n")
    code, output, _ = told(file)
    assert code == 0 and "accepted: kernel.a: 6.0 against " in output, output


def test_an_archived_baseline_that_nobody_signed_is_refused_before_the_run(
    baseline: RunFolder, tmp_path: Path
) -> None:
    packed = shutil.copytree(baseline.root, tmp_path / "packed")
    (packed / "manifest.json").rename(packed / "manifest.json.gz")
    code, _, _ = told(place(tmp_path / "night", f"{NIGHT}baseline: {packed}\n"))
    assert code in (4, 12, 21)
    assert not (tmp_path / "night/results").exists()


def test_of_two_nights_at_once_the_second_waits_or_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = place(tmp_path, f"{NIGHT}wait_s: 0\n")
    with lock.held(tmp_path / "public/nights", "kim: another night"):
        code, _, error = told(file)
        assert code == 7 and "held by kim: another night" in str(error)
        assert not records(tmp_path)
    file.write_text(f"{NIGHT}wait_s: 60\n")
    monkeypatch.setattr(night, "_POLL_S", 0.05)
    with ThreadPoolExecutor() as pool:
        held = threading.Event()
        other = pool.submit(hold, tmp_path / "public/nights", held)
        assert held.wait(60)
        code, output, _ = told(file)
        other.result()
    assert code == 0 and "Waiting: " in output and "held by kim: another night" in output


def hold(folder: Path, held: threading.Event) -> None:
    """Hold the lock of the nights for a moment."""
    with lock.held(folder, "kim: another night"):
        held.set()
        time.sleep(0.5)


def test_a_disk_that_is_full_once_the_run_is_over_is_said_and_the_page_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = place(tmp_path)

    def full(*_words: object, **_given: object) -> None:
        raise StorageError("cannot write", where="journal.jsonl", why="No space left on device")

    monkeypatch.setattr(report, "build", full)
    code, output, error = told(file)
    assert (code, "No space left on device" in output) == (11, True), (output, error)
    (last,) = records(tmp_path)
    assert {one["name"]: one["outcome"] for one in last["steps"]}["trend"] == "done"
    assert not (tmp_path / "public" / Path(last["run"]).name).exists()


def test_a_report_that_a_killed_night_left_half_made_goes(tmp_path: Path) -> None:
    file = place(tmp_path)
    left = tmp_path / "public/.partial-20260101T000000Z-000000"
    left.mkdir(parents=True)
    (left / "report.html").write_text("half")
    assert told(file)[0] == 0
    assert not left.exists() and not list((tmp_path / "public").glob(".partial-*"))


def test_help_names_both_verbs_and_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, text, _ = told("--help")
    assert code == 0 and "install" in text and "run" in text
    code, _, error = told(tmp_path / "none.yml")
    assert code == 3 and "none.yml" in str(error)
    assert set(get_command(verb.nightly).commands) == {"run", "install"}  # type: ignore[attr-defined]
