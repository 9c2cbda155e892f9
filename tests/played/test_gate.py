"""`sodbench gate` on played runs: the three outcomes with their exit codes, and all that is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer
from junitparser import JUnitXml
from typer.testing import CliRunner

from harness.campaign.run import runner
from harness.cli import rigs
from harness.cli.gate import gate as command
from harness.cli.selftest import selftest
from harness.errors import (
    AlteredError,
    CampaignError,
    IncomparableError,
    InconclusiveError,
    InterruptedRunError,
    RecordError,
    RegressedError,
    SodbenchError,
    UsageError,
)
from harness.evidence import archive, journal, played, seal
from harness.evidence.folder import RunFolder
from harness.files import read_json, write_json
from harness.interrupt import Interrupt
from tests.played import campaigns

GATE = """\
gate:
  primary:
    - {metric: total_time, better: lower, smallest_effect_percent: 10}
    - {metric: blackout, better: lower, smallest_effect: 0.05}
"""
VARIANTS = "variants:\n  plain: {}\n  narrow: {migration: {bandwidth_mib_s: 32}}\n"
PLAIN = """\
name: small
workloads: [idle]
repetitions: 3
schedule: {window_s: 8, baseline_s: 2, points_s: [0, 4]}
heartbeat: {rate_hz: 10}
"""
TEXT = PLAIN + GATE
SLOW = campaigns.BRIEF.replace("migration_s: 0.7", "migration_s: 1.4")


def made(root: Path, text: str = TEXT, script: str = campaigns.BRIEF) -> RunFolder:
    root.mkdir()
    run = campaigns.begin(root, text, script)
    assert campaigns.carry_out(run, text) is not None
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    root = tmp_path_factory.mktemp("played")
    return {
        "base": made(root / "base"),
        "again": made(root / "again"),
        "slow": made(root / "slow", script=SLOW),
        "few": made(root / "few", TEXT.replace("repetitions: 3", "repetitions: 2")),
        "seed": made(root / "seed", f"seed: 7\n{TEXT}"),
        "longer": made(root / "longer", TEXT.replace("window_s: 8", "window_s: 9")),
        "none": made(root / "none", PLAIN),
        "stricter": made(root / "stricter", TEXT.replace("percent: 10", "percent: 5")),
    }


def judged(*words: object) -> tuple[str, SodbenchError | None]:
    """What is printed, and how it ends."""
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, [str(one) for one in words], env={"COLUMNS": "200"})
    assert done.exception is None or isinstance(done.exception, SodbenchError), done.output
    return done.output, done.exception


def refused(kind: type[SodbenchError], *words: object) -> SodbenchError:
    _, error = judged(*words)
    assert type(error) is kind, error
    return error


def of(run: RunFolder, baseline: RunFolder) -> tuple[object, ...]:
    return run.root, "--against", baseline.root


def test_a_run_like_its_baseline_passes(runs: dict[str, RunFolder]) -> None:
    text, error = judged(*of(runs["again"], runs["base"]))
    assert error is None
    assert text.splitlines()[-1] == "outcome: passed"
    assert "PLAYED, not measured" in text


def test_a_regression_has_its_exit_code_and_files(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    place = tmp_path / "gate.xml"
    text, error = judged(*of(runs["slow"], runs["base"]), "--json", "--junit", place)
    assert isinstance(error, RegressedError) and error.exit_code == 23
    assert "idle total_time: worse by +" in str(error)
    found = json.loads(text)
    assert found["outcome"] == "regressed"
    assert {row["metric"]: row["outcome"] for row in found["rows"]}["total_time"] == "regressed"
    assert JUnitXml.fromfile(str(place)).failures >= 1
    assert judged(*of(runs["slow"], runs["base"]), "--json")[0] == text


def test_too_few_trials_are_inconclusive(runs: dict[str, RunFolder]) -> None:
    text, error = judged(*of(runs["few"], runs["base"]))
    assert isinstance(error, InconclusiveError) and error.exit_code == 24
    assert "needs about 1 more trial" in error.what
    assert "too few trials: the baseline has 3 and the run 2" in text
    _, error = judged(*of(runs["base"], runs["few"]))
    assert isinstance(error, InconclusiveError) and "more trial" not in error.what


def test_a_known_regression_is_excused_until_its_day(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    place = tmp_path / "known.yml"
    entry = "  - {{metric: {}, reason: a bug, owner: kim, expires: '{}'}}\n"
    place.write_text("known_bad:\n" + entry.format("total_time", "2999-01-01"))
    text, error = judged(*of(runs["slow"], runs["base"]), "--known-bad", place)
    assert error is None, error
    assert "regressed, known bad" in text and "known bad until 2999-01-01: total_time (kim): a bug" in text
    text, _ = judged(*of(runs["again"], runs["base"]), "--known-bad", place)
    assert "known-bad entry not used: total_time (kim)" in text
    place.write_text("known_bad:\n" + entry.format("total_time", "2020-01-01"))
    _, error = judged(*of(runs["slow"], runs["base"]), "--known-bad", place)
    assert error is not None and error.exit_code == 3
    assert "total_time (kim) expired on 2020-01-01" in str(error)


@pytest.mark.parametrize(
    ("run", "key"), [("longer", "plan.trials"), ("seed", "plan.seed"), ("stricter", "plan.gate")]
)
def test_another_plan_is_refused_until_it_is_accepted(runs: dict[str, RunFolder], run: str, key: str) -> None:
    error = refused(IncomparableError, *of(runs[run], runs["base"]))
    assert error.exit_code == 22
    assert f"--accept {key}" in error.remedy
    text, error_ = judged(*of(runs[run], runs["base"]), "--accept", key)
    assert f"accepted: {key}: " in text and error_ is None


def test_another_machine_is_refused(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    moved = copied(runs["again"], tmp_path)
    write_json(moved.manifest, {**read_json(moved.manifest), "accelerator": "kvm"})
    resealed(moved)
    assert "accelerator: " in refused(IncomparableError, *of(moved, runs["base"])).why


def copied(run: RunFolder, root: Path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(run.root, root / run.root.name)))


def resealed(run: RunFolder) -> None:
    (run.root / seal.EVIDENCE_SUMS).unlink()
    seal.close(run)


def test_another_schema_is_refused(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    later = copied(runs["again"], tmp_path)
    write_json(later.manifest, {**read_json(later.manifest), "schema": 99})
    assert "schema 99" in refused(RecordError, *of(runs["base"], later)).what


def test_a_campaign_without_a_gate_is_refused(runs: dict[str, RunFolder]) -> None:
    error = refused(CampaignError, *of(runs["none"], runs["base"]))
    assert error.exit_code == 3
    assert "declares no metrics" in error.what and "gate" in error.remedy


def test_a_metric_that_is_measured_nowhere_is_refused(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    text = TEXT.replace("metric: blackout", "metric: outage_application")
    pair = [made(tmp_path / name, text) for name in ("one", "two")]
    error = refused(CampaignError, *of(pair[0], pair[1]))
    assert "outage_application has no value in any workload" in error.what


def test_a_run_that_has_not_finished_is_refused(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    open_ = copied(runs["again"], tmp_path)
    (open_.root / "SHA256SUMS").unlink()
    assert "the baseline has not finished" in refused(RecordError, *of(runs["base"], open_)).what
    assert "the run has not finished" in refused(RecordError, *of(open_, runs["base"])).what


def test_an_interrupted_baseline_is_refused(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    run, interrupt = campaigns.begin(tmp_path, TEXT), Interrupt()
    rig, clock, _ = rigs.played(campaigns.plan_of(TEXT), None, run)

    def stop(event: journal.Event) -> None:
        if event.kind == "attempt.finished":
            interrupt.ask()

    with pytest.raises(InterruptedRunError):
        runner.carry_out(run, rig, clock, interrupt, listener=stop)
    assert (run.root / "SHA256SUMS").is_file()
    error = refused(RecordError, *of(runs["base"], run))
    assert error.exit_code == 12 and "sodbench resume" in error.remedy


def test_altered_evidence_missing_runs_and_a_run_against_itself_are_refused(
    runs: dict[str, RunFolder], tmp_path: Path
) -> None:
    altered = copied(runs["again"], tmp_path)
    with altered.journal.open("ab") as file:
        file.write(b"\n")
    refused(AlteredError, *of(altered, runs["base"]))
    refused(AlteredError, *of(runs["base"], altered))
    refused(RecordError, runs["base"].root, "--against", tmp_path / "nowhere")
    refused(UsageError, *of(runs["base"], runs["base"]))
    refused(UsageError, *of(runs["again"], runs["base"]), "--accept", "nonsense")


def test_an_archive_is_a_baseline(
    runs: dict[str, RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(played, "refuse", lambda _run: None)  # a played run is packed for this test alone
    packed = tmp_path / "kept"
    archive.pack(runs["base"], packed)
    _, error = judged(runs["again"].root, "--against", packed)
    assert error is not None and error.exit_code in {4, 21}, "it is not signed"
    text, error = judged(runs["again"].root, "--against", packed, "--unsigned")
    assert error is None and f"{runs['again'].root.name} against kept" in text
    (packed / "plan.json.gz").write_bytes(b"")
    refused(AlteredError, runs["again"].root, "--against", packed, "--unsigned")


def test_variants_are_judged_each_against_its_own(tmp_path: Path) -> None:
    text = PLAIN + VARIANTS + GATE
    pair = [made(tmp_path / name, text) for name in ("one", "two")]
    said, error = judged(*of(pair[0], pair[1]))
    assert error is None
    assert {line.split()[0] for line in said.splitlines() if line.startswith("idle")} == {
        "idle+plain", "idle+narrow",
    }  # fmt: skip
    other = made(tmp_path / "other", text.replace("narrow: {migration", "slender: {migration"))
    assert "no variant 'slender'" in refused(UsageError, *of(other, pair[0])).what


def test_a_run_against_itself_bounds_the_rate_of_false_alarms(tmp_path: Path) -> None:
    run = made(tmp_path / "six", TEXT.replace("repetitions: 3", "repetitions: 6"))
    done = CliRunner().invoke(selftest, ["aa", str(run.root), "--json"])
    found = json.loads(done.output)
    assert (found["trials_a_side"], found["outcomes"], found["rate_at_most"]) == (3, ["passed"], 0.95)
    text = CliRunner().invoke(selftest, ["aa", str(run.root)]).output
    assert "1 gate of disjoint sets of trials" in text and "95 %" in text and "PLAYED" in text


def test_a_run_of_few_trials_is_not_put_against_itself(runs: dict[str, RunFolder]) -> None:
    done = CliRunner().invoke(selftest, ["aa", str(runs["base"].root)])
    assert isinstance(done.exception, InconclusiveError)
    done = CliRunner().invoke(selftest, ["aa", str(runs["none"].root)])
    assert isinstance(done.exception, CampaignError)
