"""Where a run stands, computed from its journal and from nothing else.

Resume, status and reports read only this. A trial is finished by ``attempt.finished`` with a verdict that
judges it; an attempt without that event (the controller was killed) and one the user aborted do not count,
and neither is forgotten. Nothing here looks at processes, clocks or machines: whether a run that looks
unfinished is alive is the lock's to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from harness.campaign.plan import Plan, Trial
from harness.errors import RecordError
from harness.evidence.events import (
    AttemptFinished,
    AttemptStarted,
    BaselineOpened,
    GuestStarted,
    MigrationReturned,
    MigrationStarted,
    RunAborted,
    RunFinished,
    RunStarted,
    Validity,
    WindowClosed,
    WindowOpened,
    WorkloadStarted,
    WorkloadSteady,
    WorkloadUnsteady,
)
from harness.evidence.journal import Event

RunStatus: TypeAlias = Literal["new", "running", "aborted", "finished"]

FINISHING: frozenset[str] = frozenset({"valid", "invalid", "unknown"})
"""Verdicts that finish a trial; ``skipped`` is the user's abort, and the trial is to be run again."""

_PHASES: Mapping[str, str] = MappingProxyType(
    {
        AttemptStarted.KIND: "starting the guest",
        GuestStarted.KIND: "starting the workload",
        WorkloadStarted.KIND: "waiting for a steady load",
        WorkloadSteady.KIND: "steady",
        WorkloadUnsteady.KIND: "not steady",
        BaselineOpened.KIND: "baseline",
        WindowOpened.KIND: "window",
        MigrationStarted.KIND: "migrating",
        MigrationReturned.KIND: "window",
        WindowClosed.KIND: "collecting",
    }
)

_STATUS: Mapping[str, RunStatus] = MappingProxyType(
    {RunFinished.KIND: "finished", RunAborted.KIND: "aborted"}
)
"""Where a run's last word leaves it; every other word of the run's leaves it running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptState:
    """One try at a trial.

    Attributes:
        number: From 1.
        verdict: None while it is under way, and always when it was interrupted.
        reasons: Why the verdict is not ``valid``.
    """

    number: int
    verdict: Validity | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialState:
    """A trial's attempts, and which of them counts."""

    trial: Trial
    attempts: tuple[AttemptState, ...]
    current: bool

    @property
    def counted(self) -> AttemptState | None:
        """The attempt whose evidence stands for the trial: the first finished; None while pending."""
        return next((attempt for attempt in self.attempts if attempt.verdict in FINISHING), None)

    @property
    def finished(self) -> bool:
        """Whether the trial need not be run again."""
        return self.counted is not None

    @property
    def interrupted(self) -> tuple[int, ...]:
        """Numbers of the attempts that ended without a verdict."""
        open_ = [attempt.number for attempt in self.attempts if attempt.verdict is None]
        return tuple(open_[:-1] if self.current else open_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """The attempt under way: the runner's last word on it, and when (controller's clock, ns) it was said."""

    trial: str
    attempt: int
    phase: str
    since_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A run's standing.

    Attributes:
        status: ``new`` before the first event; ``running`` also for a killed run, which no event tells apart.
        trials: In the plan's order.
        current: The attempt under way, or the one during which the controller was killed; None between them.
        reason: Why the run was aborted; empty otherwise.
    """

    status: RunStatus
    trials: tuple[TrialState, ...]
    current: Current | None
    reason: str = ""

    @property
    def remaining(self) -> tuple[Trial, ...]:
        """The trials still to run, in the plan's order."""
        return tuple(state.trial for state in self.trials if not state.finished)

    @property
    def counts(self) -> dict[str, int]:
        """Trials by verdict (valid, invalid, unknown) and those ``pending``; the sum is the plan's length."""
        counts = dict.fromkeys(("valid", "invalid", "unknown", "pending"), 0)
        for state in self.trials:
            counts[(state.counted and state.counted.verdict) or "pending"] += 1
        return counts

    def of(self, trial_id: str) -> TrialState:
        """The state of one trial.

        Raises:
            KeyError: The plan has none of that id.
        """
        for state in self.trials:
            if state.trial.id == trial_id:
                return state
        raise KeyError(trial_id)

    def next_attempt(self, trial_id: str) -> int:
        """The number of the next attempt at a trial: never one that was used, so nothing is overwritten."""
        return max((attempt.number for attempt in self.of(trial_id).attempts), default=0) + 1


def fold(events: Sequence[Event], plan: Plan) -> RunState:
    """The standing that `events` tell of, for any prefix of a journal.

    Raises:
        RecordError: The journal does not belong to `plan`, or an attempt finishes that never started.
    """
    fold_ = _Fold(plan)
    for event in events:
        if event.observer == "runner":
            fold_.take(event)
    return fold_.state()


class _Fold:
    """The accumulator: one pass, one event after another."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.attempts: dict[str, dict[int, AttemptState]] = {trial.id: {} for trial in plan.trials}
        self.status: RunStatus = "new"
        self.current: Current | None = None
        self.reason = ""

    def take(self, event: Event) -> None:
        if event.kind.startswith("run."):
            self._run(event)
        elif event.trial is not None and event.attempt is not None:
            self._attempt(event, event.trial, event.attempt)

    def _run(self, event: Event) -> None:
        started, aborted = event.says(RunStarted), event.says(RunAborted)
        if event.kind == RunStarted.KIND and (started is None or started.plan_hash != self.plan.hash):
            raise self._foreign(event, "its plan has another hash")
        self.status = _STATUS.get(event.kind, "running")
        self.reason = "" if aborted is None else aborted.reason
        self.current = None  # whatever was under way ended with the process that ran it

    def _attempt(self, event: Event, trial: str, number: int) -> None:
        if trial not in self.attempts:
            raise self._foreign(event, f"the plan has no trial {trial}")
        attempts = self.attempts[trial]
        if event.kind == AttemptStarted.KIND:
            attempts[number] = AttemptState(number=number)
        elif number not in attempts:
            raise self._foreign(event, f"attempt {number} of {trial} was never started")
        if event.kind == AttemptFinished.KIND:
            attempts[number] = self._finished(event, number)
            self.current = None
        elif event.kind in _PHASES:
            self._phase(event, trial, number)

    def _phase(self, event: Event, trial: str, number: int) -> None:
        phase = _PHASES[event.kind]
        if (started := event.says(MigrationStarted)) is not None:
            phase = f"{phase} ({started.n})"
        self.current = Current(trial=trial, attempt=number, phase=phase, since_ns=event.t_ns)

    def _finished(self, event: Event, number: int) -> AttemptState:
        said = event.says(AttemptFinished)
        if said is None:
            raise self._foreign(event, f"{event.data.get('verdict')!r} is not a verdict")
        return AttemptState(number=number, verdict=said.verdict, reasons=tuple(said.reasons))

    def _foreign(self, event: Event, why: str) -> RecordError:
        return RecordError(
            "the journal does not fit the plan",
            where=f"event {event.seq} ({event.kind})",
            why=why,
            remedy="a run's folder belongs together: restore plan.json and journal.jsonl from the same copy",
        )

    def state(self) -> RunState:
        under_way = self.current.trial if self.current else None
        return RunState(
            status=self.status,
            trials=tuple(
                TrialState(
                    trial=trial,
                    attempts=tuple(self.attempts[trial.id].values()),
                    current=trial.id == under_way,
                )
                for trial in self.plan.trials
            ),
            current=self.current,
            reason=self.reason,
        )
