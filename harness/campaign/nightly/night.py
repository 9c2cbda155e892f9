"""The order of a night's steps: what is done when one fails, and with which exit code it ends.

A step that needs what an earlier one did not do is skipped with the reason. Hosts that were tuned are
restored right after the run, whatever happened, so that they are tuned for no longer than something is
measured. The record of the night is on the disk before the hosts are tuned and before a run begins; where it
cannot be written, neither is done. The later steps go on without it, because a full disk must not keep hosts
tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from harness.campaign.nightly import ledger as ledgers
from harness.campaign.nightly.ledger import Ledger, Step
from harness.errors import (
    IncompleteRunError,
    InterruptedRunError,
    RigLockedError,
    SodbenchError,
    StorageError,
)
from harness.evidence.folder import RunFolder

Begun = Callable[[RunFolder], None]
Result = TypeVar("Result")
_POLL_S = 5.0
_INTERRUPTED = InterruptedRunError("interrupted", remedy="the next night begins from the beginning")


class Steps(Protocol):
    """What is done in a night; each says what it did, and raises a SodbenchError where it could not."""

    def restore(self) -> str:
        """Put back every value of the hosts; on hosts that are not tuned this changes nothing."""
        ...

    def preflight(self) -> str:
        """Find what would make the night fail, before a host is touched."""
        ...

    def tune(self) -> str:
        """Set the hosts for the measurement."""
        ...

    def run(self, begun: Begun) -> str:
        """Carry the campaign out; `begun` is told of the run's folder."""
        ...

    def gate(self, run: RunFolder) -> str:
        """Judge the run against the baseline."""
        ...

    def publish(self, run: RunFolder) -> str:
        """Put the run's report into the published folder."""
        ...

    def keep(self, nights: Sequence[Ledger]) -> str:
        """Remove the runs and reports of these nights, and their records."""
        ...

    def trend(self) -> str:
        """Make the page of all runs."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What this night is to do of what a night can do."""

    tune: bool
    gate: bool
    keep: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The clocks of a night: the wall's, one that never steps, and how to wait."""

    now: Callable[[], datetime]
    monotonic_s: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass(slots=True, kw_only=True)
class Night:
    """A night under way.

    Attributes:
        folder: Where its record is kept.
        ledger: Its record.
        before: The records of earlier nights, in their order.
        owed: Whether one of them may have left hosts tuned.
        asked: What it is to do.
        steps: What does it.
        times: Its clocks.
        until_s: Until when it waits for others.
        tell: Told of each step as it begins and ends.
        failed: Told of each error.
        unwritten: Why its record on the disk is not complete.
        errors: The errors of the steps that failed, by the name of the step.
    """

    folder: Path
    ledger: Ledger
    before: Sequence[Ledger]
    owed: bool
    asked: Asked
    steps: Steps
    times: Times
    until_s: float
    tell: Callable[[Step], None]
    failed: Callable[[SodbenchError], None]
    unwritten: StorageError | None = None
    errors: dict[str, SodbenchError] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """That of the first step that failed; of an incomplete run, that of the gate where it failed too."""
        found = list(self.errors.values())
        if found and isinstance(self.errors.get("run"), IncompleteRunError) and "gate" in self.errors:
            found = [self.errors["gate"]]
        if not found and self.unwritten is not None:
            found = [self.unwritten]
        return found[0].exit_code if found else 0

    @property
    def run(self) -> RunFolder | None:
        """The run, once it has begun."""
        return None if self.ledger.run is None else RunFolder(Path(self.ledger.run))

    def carry_out(self) -> int:
        """Take every step in its order; the exit code of the night."""
        self._note()
        if self.unwritten is not None:
            raise self.unwritten
        untouched = "" if self.owed or self.asked.tune else "no earlier night left hosts tuned"
        self._step("restore earlier", self.steps.restore, untouched)
        self._step("preflight", self.steps.preflight, self._failure())
        try:
            not_asked = "" if self.asked.tune else "the file does not ask for it"
            self._step(ledgers.TUNE, self.steps.tune, self._failure() or not_asked, on_record=True)
            self._step("run", lambda: self.steps.run(self._begun), self._failure(), on_record=True)
        finally:
            untuned = self.ledger.outcome(ledgers.TUNE) in ("", "skipped")
            self._step("restore", self.steps.restore, "the hosts were not tuned" if untuned else "")
        self._judge()
        self.ledger = self.ledger.model_copy(
            update={"ended_utc": ledgers.instant(self.times.now()), "exit_code": self.exit_code}
        )
        self._note()
        return self.exit_code

    def _judge(self) -> None:
        """What needs no machine; the page comes last, because it leads to the rest."""
        run, ended = self.run, self._run_ended()
        unjudged = ended or ("" if self.asked.gate else "the file names no baseline")
        self._step("gate", lambda: self.steps.gate(_there(run)), unjudged)
        self._step("publish", lambda: self.steps.publish(_there(run)), ended)
        going = ledgers.to_remove([*self.before, self.ledger], self.asked.keep) if self.asked.keep else []
        self._step("keep", lambda: self.steps.keep(going), self._unkept(going))
        self._step("trend", self.steps.trend, self._interruption())

    def _failure(self) -> str:
        """Why nothing that touches a machine is begun; empty where nothing failed."""
        return f"{next(iter(self.errors))} failed" if self.errors else ""

    def _interruption(self) -> str:
        stopped = any(error.exit_code == InterruptedRunError.exit_code for error in self.errors.values())
        return "interrupted" if stopped else ""

    def _run_ended(self) -> str:
        """Why there is no finished run; empty where there is one, even if some trials are not valid."""
        if self.ledger.outcome("run") == "done" or isinstance(self.errors.get("run"), IncompleteRunError):
            return self._interruption()
        return "there is no finished run"

    def _unkept(self, going: Sequence[Ledger]) -> str:
        if self._interruption():
            return self._interruption()
        if self.asked.keep is None:
            return "the file keeps every night"
        if ledgers.RESTORES & self.errors.keys():
            return "hosts are still to be restored, and the records say so"
        return "" if going else "there are not that many nights"

    def _begun(self, run: RunFolder) -> None:
        self.ledger = self.ledger.model_copy(update={"run": str(run.root.absolute())})
        self._note()

    def _step(self, name: str, act: Callable[[], str], skipped: str, *, on_record: bool = False) -> None:
        """Take the step unless there is a reason to skip it; with `on_record` only once it is recorded."""
        if skipped:
            self._record(Step(name=name, outcome="skipped", told=skipped))
            return
        began = ledgers.instant(self.times.now())
        running = Step(name=name, outcome="running", began_utc=began)
        self._record(running)
        try:
            if on_record and self.unwritten is not None:
                raise self.unwritten
            told = ledgers.told(patiently(act, self.times, self.until_s))
            ended = running.model_copy(update={"outcome": "done", "told": told})
        except (SodbenchError, KeyboardInterrupt) as caught:
            error = caught if isinstance(caught, SodbenchError) else _INTERRUPTED
            self.errors[name] = error
            self.failed(error)
            told = ledgers.told(error.summary)
            failed = {"outcome": "failed", "exit_code": error.exit_code, "told": told}
            ended = running.model_copy(update=failed)
        now = {"ended_utc": ledgers.instant(self.times.now())}
        self._record(ended.model_copy(update=now), replacing=True)

    def _record(self, step: Step, *, replacing: bool = False) -> None:
        steps = self.ledger.steps[:-1] if replacing else self.ledger.steps
        self.ledger = self.ledger.model_copy(update={"steps": (*steps, step)})
        self.tell(step)
        self._note()

    def _note(self) -> None:
        """Write the record; where that fails, say so once and remember it until it is written again."""
        try:
            ledgers.store(self.folder, self.ledger)
        except StorageError as error:
            if self.unwritten is None:
                self.failed(error)
            self.unwritten = error
        else:
            self.unwritten = None


def _there(run: RunFolder | None) -> RunFolder:
    if run is None:
        raise AssertionError("a step that needs a run is skipped where there is none")
    return run


def patiently(
    act: Callable[[], Result],
    times: Times,
    until_s: float,
    waiting: Callable[[RigLockedError], None] = lambda _error: None,
) -> Result:
    """Do `act`; while another has what it needs, again until `until_s`. `waiting` is told once, of whom.

    Raises:
        RigLockedError: Another has it for longer.
    """
    told = False
    while True:
        try:
            return act()
        except RigLockedError as error:
            left_s = until_s - times.monotonic_s()
            if left_s <= 0:
                raise
            if not told:
                waiting(error)
            told = True
            times.sleep(min(_POLL_S, left_s))
