"""One attempt as the journal tells it: the only place where its events are put together.

Everything that reads a journal reads it through the values made here: the schedule, a run's standing, metrics
and reports. Reading never judges: what is missing or damaged is kept as the reason why, and becomes a null
with that reason where a reader asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from harness.clock import NS_PER_S
from harness.evidence.events import (
    AttemptFinished,
    AttemptStarted,
    BaselineOpened,
    FaultInjected,
    GuestStarted,
    MigrationAborted,
    MigrationDelayed,
    MigrationReturned,
    MigrationSkipped,
    MigrationStarted,
    ObserverFailed,
    OfMigration,
    Value,
    WindowClosed,
    WindowOpened,
    WorkloadStarted,
    WorkloadUnsteady,
)
from harness.evidence.journal import Event
from harness.evidence.metric import NotMeasured
from harness.evidence.verdict import bounded

V = TypeVar("V", bound=Value)
M = TypeVar("M", bound=OfMigration)


@dataclass(frozen=True, kw_only=True, eq=False)
class Account:
    """What the journal says of one attempt, whether it is finished or not.

    Attributes:
        trial: The trial's id.
        attempt: The attempt's number from 1.
        events: Its events in order of arrival.
    """

    trial: str
    attempt: int
    events: tuple[Event, ...]

    @cached_property
    def _by_kind(self) -> Mapping[str, list[Event]]:
        found: dict[str, list[Event]] = {}
        for event in self.events:
            found.setdefault(event.kind, []).append(event)
        return found

    def all(self, kind: type[Value]) -> Sequence[Event]:
        """The events of that kind in order, those whose data cannot be read too."""
        return self._by_kind.get(kind.KIND, ())

    def told(self, kind: type[V]) -> Iterator[tuple[Event, V]]:
        """The events of that kind in order, each with what it says."""
        for event in self.all(kind):
            if (value := event.says(kind)) is not None:
                yield event, value

    def first(self, kind: type[Value]) -> Event:
        """The first event of that kind; raises NotMeasured when there is none."""
        for event in self.all(kind):
            return event
        raise NotMeasured(f"the journal has no {kind.KIND} of this attempt")

    def value(self, kind: type[V]) -> V | None:
        """What the first event of that kind says; None where there is none, or it cannot be read."""
        return next((event.says(kind) for event in self.all(kind)), None)

    # -- what was run

    @property
    def workload(self) -> str:
        """The workload's name; empty where the journal does not say."""
        started = self.value(AttemptStarted)
        return "" if started is None else started.workload

    @property
    def kind(self) -> str:
        """``migrations`` or ``control``; empty where the journal does not say."""
        started = self.value(AttemptStarted)
        return "" if started is None else started.kind

    @property
    def scenario(self) -> str | None:
        """Which response the trial demonstrates, or None."""
        started = self.value(AttemptStarted)
        return None if started is None else started.scenario or None

    @property
    def variant(self) -> str | None:
        """Under which of the campaign's variants, or None."""
        started = self.value(AttemptStarted)
        return None if started is None else started.variant or None

    @property
    def load(self) -> WorkloadStarted | None:
        """The load that ran, or None where none was started."""
        return self.value(WorkloadStarted)

    @property
    def guest(self) -> GuestStarted | None:
        """The guest that was started, or None."""
        return self.value(GuestStarted)

    # -- when

    @property
    def window_ns(self) -> int:
        """When the window opened: the trial's t = 0, the controller's ns."""
        return self.first(WindowOpened).t_ns

    @property
    def baseline_ns(self) -> int:
        """When the baseline before the window began, the controller's ns."""
        return self.first(BaselineOpened).t_ns

    @property
    def closed_ns(self) -> int:
        """When the window closed, the controller's ns."""
        return self.first(WindowClosed).t_ns

    def offset_s(self, t_ns: int) -> float | None:
        """Seconds from t = 0 of a stamp of the controller's clock; None where the window never opened."""
        opened = next(iter(self.all(WindowOpened)), None)
        return None if opened is None else (t_ns - opened.t_ns) / NS_PER_S

    # -- how it ended

    @property
    def verdict(self) -> str:
        """As it was recorded; ``unfinished`` for an attempt without one."""
        found = [value.verdict for _, value in self.told(AttemptFinished)]
        return found[-1] if found else "unfinished"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not valid; equal ones counted, and of many only the first."""
        found = [value.reasons for _, value in self.told(AttemptFinished)]
        return bounded(found[-1]) if found else ()

    @property
    def counts(self) -> bool:
        """Whether its numbers enter the tables: valid, and not a control trial."""
        return self.verdict == "valid" and self.kind != "control"

    @property
    def failures(self) -> tuple[tuple[str, str], ...]:
        """Observers that failed, with the reason."""
        return tuple((value.observer, value.reason) for _, value in self.told(ObserverFailed))

    def failed(self, observer: str, until_ns: int) -> str | None:
        """Why `observer` has nothing to say about what happened until `until_ns`, or None.

        A clock that could not be read takes nothing away from the samples of others, nor from its own
        earlier ones: a machine without any sample says so where one is needed.
        """
        if observer == "clocks":
            return None
        for event, failure in self.told(ObserverFailed):
            if failure.observer == observer and event.t_ns <= until_ns:
                return f"the observer {observer} failed: {failure.reason or 'no reason given'}"
        return None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What else a reader must know, in words."""
        return tuple(remark for event in self.events if (remark := _remark(event.value)))

    @cached_property
    def moves(self) -> tuple[Move, ...]:
        """Every migration that the runner spoke of, by number."""
        return tuple(Move(attempt=self, n=n) for n in self._numbers)

    @cached_property
    def _numbers(self) -> Sequence[int]:
        kinds = (MigrationStarted, MigrationReturned, MigrationSkipped, MigrationDelayed, MigrationAborted)
        return sorted(
            {n for kind in kinds for one in self.all(kind) if (n := migration_number(one)) is not None}
        )


def migration_number(event: Event) -> int | None:
    """The migration that an event is about, even where the rest of what it says cannot be read."""
    if isinstance(event.value, OfMigration):
        return event.value.n
    n = event.data.get("n")
    return n if isinstance(n, int) and not isinstance(n, bool) else None


def _remark(value: Value | None) -> str:
    match value:
        case WorkloadUnsteady(test=test, reason=reason):
            return f"not steady before the window ({test}): {reason}"
        case WindowClosed(late_s=late_s) if late_s > 0:
            return f"a migration was still under way at the end and was awaited for {late_s:.1f} s"
        case FaultInjected(fault=fault, seconds=lasted_s):
            return f"a fault was injected: {fault}, {lasted_s} s"
        case _:
            return ""


def accounts(events: Sequence[Event]) -> list[Account]:
    """The attempts of a journal, in the order they began."""
    of: dict[tuple[str, int], list[Event]] = {}
    for event in events:
        if event.trial is not None and event.attempt is not None:
            of.setdefault((event.trial, event.attempt), []).append(event)
    return [Account(trial=trial, attempt=n, events=tuple(mine)) for (trial, n), mine in of.items()]


@dataclass(frozen=True, kw_only=True, eq=False)
class Move:
    """One migration of an attempt: what the journal says about the number `n`."""

    attempt: Account
    n: int

    def told(self, kind: type[M]) -> Iterator[tuple[Event, M]]:
        """The events of that kind about this migration, each with what it says."""
        return ((event, value) for event, value in self.attempt.told(kind) if value.n == self.n)

    def about(self, kind: type[OfMigration]) -> Sequence[Event]:
        """The events of that kind about this migration, those whose data cannot be read too."""
        return [event for event in self.attempt.all(kind) if migration_number(event) == self.n]

    def _without(self, kind: type[OfMigration], reason: str) -> str:
        """Why it is not known what such an event says: `reason`, unless there is one that cannot be read."""
        return f"the journal's {kind.KIND} cannot be read" if self.about(kind) else reason

    def last(self, kind: type[M]) -> M | None:
        """What the last event of that kind says about this migration, or None."""
        return next((value for _, value in reversed([*self.told(kind)])), None)

    def last_ns(self, kind: type[OfMigration]) -> int | None:
        """When the last event of that kind about this migration was, the controller's ns; or None."""
        return next((event.t_ns for event in reversed(self.about(kind))), None)

    @property
    def planned_s(self) -> float | None:
        """When it was to start, seconds after t = 0."""
        said = self.last(MigrationStarted) or self.last(MigrationSkipped) or self.last(MigrationDelayed)
        return None if said is None else float(said.planned_s)

    @cached_property
    def call_ns(self) -> tuple[int | None, int | None]:
        """When it was called and when the call returned, the controller's ns; None for what was not seen."""
        return self.last_ns(MigrationStarted), self.last_ns(MigrationReturned)

    @property
    def started_s(self) -> float | None:
        """When it was called, seconds after t = 0; None for one that never was."""
        t_ns, _ = self.call_ns
        return None if t_ns is None else self.attempt.offset_s(t_ns)

    @property
    def returned_s(self) -> float | None:
        """When the call returned, seconds after t = 0; None where that was not seen."""
        _, t_ns = self.call_ns
        return None if t_ns is None else self.attempt.offset_s(t_ns)

    @property
    def started_ns(self) -> int:
        """Right before the call; raises NotMeasured for one that never was called."""
        t_ns, _ = self.call_ns
        if t_ns is None:
            raise NotMeasured("the migration was never started")
        return t_ns

    @property
    def returned_ns(self) -> int:
        """Right after the call returned; raises NotMeasured when that was not seen."""
        _, t_ns = self.call_ns
        if t_ns is None:
            raise NotMeasured(
                self._without(MigrationReturned, "the journal does not say that the call returned")
            )
        return t_ns

    @property
    def source(self) -> str:
        """The host it left; raises NotMeasured for one that never was called."""
        return self._started("source").source

    @property
    def destination(self) -> str:
        """The host it went to; raises NotMeasured for one that never was called."""
        return self._started("destination").destination

    def _started(self, key: str) -> MigrationStarted:
        started = self.last(MigrationStarted)
        if started is None:
            raise NotMeasured(self._without(MigrationStarted, f"the journal does not name the {key}"))
        return started

    @property
    def direction(self) -> str | None:
        """``a->b`` or ``b->a``; None for one that never started."""
        started = self.last(MigrationStarted)
        return None if started is None else f"{started.source}->{started.destination}"

    @property
    def outcome(self) -> str:
        """``completed``, ``failed``, ``aborted``, ``skipped`` or ``not returned``."""
        returned, aborted = self.last(MigrationReturned), self.last(MigrationAborted)
        if returned is not None and returned.ok:
            return "completed"
        if aborted is not None:
            return "aborted"
        if returned is not None:
            return "failed"
        return "not returned" if self.last(MigrationSkipped) is None else "skipped"

    @property
    def detail(self) -> str:
        """The runner's last word on why it went otherwise than planned; empty where there is none."""
        detail = ""
        for event in self.attempt.events:
            value = event.value
            if isinstance(value, OfMigration) and value.n == self.n:
                detail = _detail(value) or detail
        return detail

    @property
    def failure(self) -> str | None:
        """Why it has no metrics, or None for one that succeeded."""
        skipped, returned = self.last(MigrationSkipped), self.last(MigrationReturned)
        if self.last(MigrationStarted) is None and skipped is not None:
            return f"skipped: {skipped.reason or 'no reason given'}"
        if returned is None:
            return self._without(MigrationReturned, "the journal does not say that the call returned")
        if returned.ok:
            return None
        aborted = self.last(MigrationAborted)
        why = returned.error or (aborted and aborted.reason)
        return f"{'aborted' if aborted else 'failed'}: {why or 'no reason given'}"


def _detail(value: OfMigration) -> str:
    match value:
        case MigrationDelayed(reason=reason):
            return f"delayed: {reason}"
        case MigrationSkipped(reason=reason) | MigrationAborted(reason=reason):
            return reason
        case MigrationReturned(error=error):
            return error or ""
        case _:
            return ""
