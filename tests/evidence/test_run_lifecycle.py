"""When a run has sums of its evidence: from its end to its next beginning, whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.analysis import table as results
from harness.campaign.plan import expand
from harness.campaign.run import runner
from harness.clock import MonotonicClock
from harness.errors import InterruptedRunError, SodbenchError, UnreachableError
from harness.evidence import folder as store
from harness.evidence import journal, seal
from harness.evidence.events import AttemptFinished, AttemptStarted
from harness.evidence.folder import RunFolder
from harness.files import write_atomic, write_json
from harness.interrupt import Interrupt
from harness.json_types import Json
from tests.synthetic.campaigns import campaign

PLAN = expand(campaign("repetitions: 2\n"))


Step = Callable[[str], None]


@dataclass
class Trials:
    """Attempts that measure nothing: each writes a series, takes the `step`, and writes its verdict."""

    step: Step = lambda _trial: None

    def attempt(self, _rig: object, _plan: object, trial: Any, record: Any, *_rest: object) -> Any:
        return SimpleNamespace(perform=lambda: self._perform(trial, record))

    def _perform(self, trial: Any, record: Any) -> None:
        record.add(AttemptStarted(workload=trial.workload, repetition=trial.repetition, kind=trial.kind))
        (record.folder / "controller.csv").write_text(f"t_ns\n{trial.id}\n")
        self.step(trial.id)
        record.add(AttemptFinished(verdict="valid", reasons=[]), durable=True)


class StandInRig:
    """A rig that is never asked for anything but whether it is there."""

    pair = None
    played = False

    def facts(self) -> dict[str, dict[str, Json]]:
        return {"a": {"kernel": "x"}}

    def check(self) -> None:
        return


@pytest.fixture
def trials() -> Trials:
    return Trials()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trials: Trials) -> RunFolder:
    made = store.create(tmp_path, "small")
    write_json(made.plan, PLAN.to_json())
    write_json(made.manifest, {"schema": 1, "started_utc": "2026-01-01T00:00:00+00:00"})
    monkeypatch.setattr(runner, "AttemptRun", trials.attempt)
    monkeypatch.setattr(results, "write", lambda of: write_atomic(of.metrics_csv, b"metric\n"))
    return made


def carry_out(run: RunFolder) -> None:
    runner.carry_out(run, cast("Any", StandInRig()), MonotonicClock(), Interrupt())


def in_child(run: RunFolder, do: Callable[[], None]) -> int:
    """How a process ended that did `do`: its wait status."""
    child = os.fork()
    if child == 0:
        try:
            do()
        except SodbenchError:
            os._exit(1)
        finally:  # whatever it was, the parent's pytest must not go on in the child
            os._exit(0)
    return os.waitpid(child, 0)[1]


def kill(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()


def whole(run: RunFolder, *names: str) -> None:
    """The lists are there, they hold, and together they name every file of the run."""
    listed = set()
    for name in names:
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", name], cwd=run.root, check=True)
        listed |= {line.split("  ")[1] for line in (run.root / name).read_text().splitlines()}
    there = {str(one.relative_to(run.root)) for one in run.root.rglob("*") if one.is_file()}
    assert there - set(names) == listed


def sums(run: RunFolder) -> Path:
    return run.root / "SHA256SUMS"


def kinds(run: RunFolder) -> list[str]:
    return [event.kind for event in journal.read(run.journal) if event.kind.startswith("run.")]


def test_a_finished_run_has_its_sums_and_the_tables_have_theirs(run: RunFolder, trials: Trials) -> None:
    carry_out(run)
    whole(run, "SHA256SUMS", "SHA256SUMS.derived")
    assert "metrics.csv" not in sums(run).read_text()


def test_other_tables_leave_the_list_of_the_evidence_untouched(run: RunFolder, trials: Trials) -> None:
    """Whoever computes tables while a resume begins must not bring back the list that it has removed."""
    carry_out(run)
    before = sums(run).stat()
    run.metrics_csv.write_text("another\n")
    seal.keep_derived(run)
    assert (sums(run).stat().st_ino, sums(run).stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    whole(run, "SHA256SUMS", "SHA256SUMS.derived")


@pytest.mark.parametrize("error", [InterruptedRunError("interrupted"), UnreachableError("gone")])
def test_a_run_that_was_interrupted_or_failed_has_its_sums_and_loses_them_when_it_goes_on(
    run: RunFolder, trials: Trials, error: Exception
) -> None:
    seen: list[bool] = []

    def fail(trial: str) -> None:
        seen.append(sums(run).exists())
        if len(seen) == 2:
            raise error

    trials.step = fail
    with pytest.raises(type(error)):
        carry_out(run)
    assert kinds(run)[-1] == "run.aborted"
    whole(run, "SHA256SUMS")
    carry_out(run)
    assert seen == [False] * (len(PLAN.trials) + 1)
    whole(run, "SHA256SUMS", "SHA256SUMS.derived")


def test_evidence_that_was_changed_between_interrupt_and_resume_stays_refused(
    run: RunFolder, trials: Trials
) -> None:
    def fail(_trial: str) -> None:
        raise InterruptedRunError("interrupted")

    trials.step = fail
    with pytest.raises(InterruptedRunError):
        carry_out(run)
    series = next(run.root.glob("trials/*/*/controller.csv"))
    series.write_text("t_ns\n1\n")
    before, told = sums(run).read_bytes(), run.journal.read_bytes()
    with pytest.raises(Exception, match="changed: trials/") as caught:
        carry_out(run)
    assert getattr(caught.value, "exit_code", None) == 21
    assert (sums(run).read_bytes(), run.journal.read_bytes()) == (before, told)


def test_a_run_killed_in_a_trial_has_no_sums_until_its_resume_ended(run: RunFolder, trials: Trials) -> None:
    trials.step = lambda trial: kill() if trial == PLAN.trials[1].id else None
    assert os.WTERMSIG(in_child(run, lambda: carry_out(run))) == signal.SIGKILL
    assert not sums(run).exists()
    trials.step = lambda _trial: None
    carry_out(run)
    assert kinds(run) == ["run.started", "run.resumed", "run.finished"]
    whole(run, "SHA256SUMS", "SHA256SUMS.derived")


def test_a_resume_that_is_killed_leaves_no_sums_of_what_was_before_it(run: RunFolder, trials: Trials) -> None:
    def fail(_trial: str) -> None:
        raise UnreachableError("gone")

    trials.step = fail
    with pytest.raises(UnreachableError):
        carry_out(run)
    trials.step = kill
    assert os.WTERMSIG(in_child(run, lambda: carry_out(run))) == signal.SIGKILL
    assert not sums(run).exists()


@pytest.mark.parametrize("where", ["close", "keep_derived"])
def test_a_controller_killed_while_it_concludes_is_made_up_for_by_a_resume(
    run: RunFolder, trials: Trials, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def concluded() -> None:
        monkeypatch.setattr(seal, where, kill)
        carry_out(run)

    assert os.WTERMSIG(in_child(run, concluded)) == signal.SIGKILL
    assert sums(run).exists() == (where == "keep_derived")
    run.metrics_csv.unlink(missing_ok=True)
    runner.end(run, MonotonicClock())
    whole(run, "SHA256SUMS", "SHA256SUMS.derived")
    late = ["run.resumed", "run.finished"] if where == "close" else []
    assert kinds(run) == ["run.started", "run.finished", *late]
    before = sums(run).read_bytes()
    runner.end(run, MonotonicClock())
    assert sums(run).read_bytes() == before


def resumed(run: RunFolder) -> list[Json]:
    """What each resume says of the sums that it found."""
    return [event.data["sums"] for event in journal.read(run.journal) if event.kind == "run.resumed"]


@pytest.mark.parametrize("removed", [False, True])
def test_a_run_that_goes_on_without_the_sums_of_its_end_is_told_from_one_that_was_checked(
    run: RunFolder, trials: Trials, removed: bool
) -> None:
    def fail(_trial: str) -> None:
        raise InterruptedRunError("interrupted")

    trials.step = fail
    with pytest.raises(InterruptedRunError):
        carry_out(run)
    if removed:
        sums(run).unlink()
    trials.step = lambda _trial: None
    carry_out(run)
    assert resumed(run) == [not removed]
    assert seal.went_on_unchecked(journal.read(run.journal)) == removed


def test_a_run_whose_controller_was_killed_goes_on_without_a_reproach(run: RunFolder, trials: Trials) -> None:
    trials.step = kill
    assert os.WTERMSIG(in_child(run, lambda: carry_out(run))) == signal.SIGKILL
    trials.step = lambda _trial: None
    carry_out(run)
    assert resumed(run) == [False]
    assert not seal.went_on_unchecked(journal.read(run.journal))


def test_two_processes_do_not_carry_out_one_run(
    run: RunFolder, trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(_trial: str) -> None:
        trials.step = lambda _trial: None
        status = in_child(run, lambda: carry_out(run))
        assert os.waitstatus_to_exitcode(status) == 1

    trials.step = again
    carry_out(run)
    assert kinds(run) == ["run.started", "run.finished"]
