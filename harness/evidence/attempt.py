"""The evidence of one attempt, read whole: events, clocks, series, and which migration is which.

Metrics are functions of the values made here and touch no file themselves. Reading never judges: what is
missing or damaged is kept as the reason why, and becomes a null with that reason where it is asked for.
Stamps stay in the clock they were taken in until :class:`Clocks` maps them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from harness.clock import NS_PER_S
from harness.errors import RecordError
from harness.evidence.clocks import Clocks
from harness.evidence.journal import Event
from harness.evidence.metric import NotMeasured
from harness.json_types import Json
from harness.workloads.contract import Timeline


@dataclass(frozen=True, kw_only=True, eq=False)
class Attempt:
    """One finished attempt.

    Attributes:
        trial: The trial's id.
        attempt: The attempt's number from 1.
        events: Its events in order of arrival.
        clocks: How the machines' stamps map to the controller's clock.
        series: The series that could be read, by file name.
        unread: Why the others could not.
        timeline: The workload's own view, or the reason why there is none.
    """

    trial: str
    attempt: int
    events: tuple[Event, ...]
    clocks: Clocks
    series: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    timeline: Timeline | NotMeasured = field(default_factory=lambda: NotMeasured("the output was not read"))

    @cached_property
    def _by_kind(self) -> Mapping[str, list[Event]]:
        found: dict[str, list[Event]] = {}
        for event in self.events:
            found.setdefault(event.kind, []).append(event)
        return found

    def all(self, kind: str) -> Sequence[Event]:
        """The events of that kind, in order."""
        return self._by_kind.get(kind, ())

    def first(self, kind: str) -> Event:
        """The first event of that kind; raises NotMeasured when there is none."""
        for event in self.all(kind):
            return event
        raise NotMeasured(f"the journal has no {kind} of this attempt")

    def fact(self, kind: str, key: str) -> Json:
        """What the first event of that kind says under `key`, or None."""
        return next((event.data.get(key) for event in self.all(kind)), None)

    def table(self, name: str) -> pd.DataFrame:
        """The series stored in the file `name`; raises NotMeasured with the reason when it was not read."""
        if name not in self.series:
            raise NotMeasured(self.unread.get(name, f"there is no {name}"))
        return self.series[name]

    @property
    def window_ns(self) -> int:
        """When the window opened: the trial's t = 0, the controller's ns."""
        return self.first("window.opened").t_ns

    @property
    def baseline_ns(self) -> int:
        """When the baseline before the window began, the controller's ns."""
        return self.first("baseline.opened").t_ns

    @property
    def closed_ns(self) -> int:
        """When the window closed, the controller's ns."""
        return self.first("window.closed").t_ns

    @property
    def heartbeat_hz(self) -> float:
        """The heartbeat's nominal rate."""
        rate = number(self.first("heartbeat.started").data, "rate_hz")
        if rate is None or rate <= 0:
            raise NotMeasured("the heartbeat's rate was not recorded")
        return rate

    def failed(self, observer: str, until_ns: int) -> str | None:
        """Why `observer` has nothing to say about what happened until `until_ns`, or None.

        A clock that could not be read takes nothing away from the samples of others, nor from its own
        earlier ones: a machine without any sample says so where one is needed.
        """
        if observer == "clocks":
            return None
        for event in self.all("observer.failed"):
            if event.data.get("observer") == observer and event.t_ns <= until_ns:
                return f"the observer {observer} failed: {event.data.get('reason') or 'no reason given'}"
        return None

    @cached_property
    def migrations(self) -> tuple[Migration, ...]:
        """Every planned migration that was started or skipped, by number."""
        numbers = {n for event in self.events if (n := migration_number(event)) is not None}
        return tuple(Migration(attempt=self, n=n) for n in sorted(numbers) if Migration.known(self, n))


def number(data: Mapping[str, Json], key: str) -> float | None:
    """The number under `key`, or None where there is none."""
    value = data.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def migration_number(event: Event) -> int | None:
    """Which migration the event belongs to, or None."""
    n = event.data.get("n")
    return n if isinstance(n, int) else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Migration:
    """One migration of an attempt: what the journal says about the number `n`."""

    attempt: Attempt
    n: int

    @staticmethod
    def known(attempt: Attempt, n: int) -> bool:
        """Whether the journal says that migration `n` was started or skipped."""
        kinds = {event.kind for event in attempt.events if migration_number(event) == n}
        return bool(kinds & {"migration.started", "migration.skipped"})

    def all(self, kind: str) -> list[Event]:
        """The events of that kind about this migration."""
        return [event for event in self.attempt.all(kind) if migration_number(event) == self.n]

    def _one(self, kind: str) -> Event | None:
        found = self.all(kind)
        return found[-1] if found else None

    @property
    def planned_s(self) -> float | None:
        """When it was to start, seconds after t = 0."""
        event = self._one("migration.started") or self._one("migration.skipped")
        return None if event is None else number(event.data, "planned_s")

    @property
    def started_ns(self) -> int:
        """Right before the call; raises NotMeasured for one that never was called."""
        event = self._one("migration.started")
        if event is None:
            raise NotMeasured("the migration was never started")
        return event.t_ns

    @property
    def returned_ns(self) -> int:
        """Right after the call returned; raises NotMeasured when that was not seen."""
        event = self._one("migration.returned")
        if event is None:
            raise NotMeasured("the journal does not say that the call returned")
        return event.t_ns

    def overlaps(self, start_ns: int, end_ns: int) -> bool:
        """Whether a stretch and the call, from right before it to its return, have a moment in common.

        False for a migration that was never called; a call that was not seen to return has no end.
        """
        started, returned = self._one("migration.started"), self._one("migration.returned")
        if started is None:
            return False
        return start_ns < (end_ns if returned is None else returned.t_ns) and end_ns > started.t_ns

    def owns(self, start_ns: int, end_ns: int, due_ns: int) -> bool:  # noqa: ARG002
        """Whether a gap is this migration's own, as :meth:`.Interval.owns` says."""
        return self.overlaps(start_ns, end_ns)

    @property
    def source(self) -> str:
        """The host it left."""
        return self._side("source")

    @property
    def destination(self) -> str:
        """The host it went to."""
        return self._side("destination")

    def _side(self, key: str) -> str:
        event = self._one("migration.started")
        side = None if event is None else event.data.get(key)
        if not isinstance(side, str):
            raise NotMeasured(f"the journal does not name the {key}")
        return side

    @property
    def direction(self) -> str | None:
        """``a->b`` or ``b->a``; None where the journal does not name both hosts: it never started."""
        try:
            return f"{self.source}->{self.destination}"
        except NotMeasured:
            return None

    @property
    def until_ns(self) -> int:
        """The end of its interval: the next migration's start, else the window's end."""
        started = self.started_ns
        later = [event.t_ns for event in self.attempt.all("migration.started") if event.t_ns > started]
        return min(later) if later else max(self.attempt.closed_ns, self.returned_ns)

    @property
    def first_after_boot(self) -> bool:
        """Whether the guest was started and not moved since: its pages and the switches are cold."""
        starts = self.attempt.all("migration.started")
        return bool(starts) and migration_number(starts[0]) == self.n

    @property
    def failure(self) -> str | None:
        """Why it has no metrics, or None for one that succeeded."""
        skipped = self._one("migration.skipped")
        if self._one("migration.started") is None and skipped is not None:
            return f"skipped: {skipped.data.get('reason') or 'no reason given'}"
        returned = self._one("migration.returned")
        if returned is None:
            return "the journal does not say that the call returned"
        if returned.data.get("ok") is not True:
            aborted = self._one("migration.aborted")
            why = returned.data.get("error") or (aborted and aborted.data.get("reason"))
            return f"{'aborted' if aborted else 'failed'}: {why or 'no reason given'}"
        return None


def seconds(span_ns: float) -> float:
    """Nanoseconds as seconds."""
    return span_ns / NS_PER_S


def _require_whole_rows(path: Path, text: str) -> None:
    """Raise RecordError at the first row that has not as many fields as the header.

    pandas reads the first so many fields of a longer row, and takes what a shorter one lacks for missing:
    either is a row of which nothing is known.
    """
    rows = text.split("\n")[:-1]
    commas = rows[0].count(",") if rows else 0
    for number, row in enumerate(rows, start=1):
        if row.count(",") != commas:
            why = f"this row has {row.count(',') + 1} fields and the header has {commas + 1}"
            raise RecordError("cannot be read", where=f"{path}:{number}", why=why)
