"""The evidence of one finished attempt, read whole: its account, clocks and series.

Metrics are functions of the values made here and touch no file themselves. Stamps stay in the clock they were
taken in until :class:`Clocks` maps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd

from harness.clock import NS_PER_S
from harness.evidence.account import Account, Move, migration_number
from harness.evidence.clocks import Clocks
from harness.evidence.events import (
    GuestStarted,
    HeartbeatStarted,
    MigrationSkipped,
    MigrationStarted,
)
from harness.evidence.folder import OF_GUESTS, of_guest
from harness.evidence.metric import NotMeasured
from harness.json_types import Json
from harness.pair_name import ONLY_GUEST
from harness.workloads.contract import Timeline


@dataclass(frozen=True, kw_only=True, eq=False)
class Attempt(Account):
    """One finished attempt with its series.

    Attributes:
        clocks: How the machines' stamps map to the controller's clock.
        series: The series that could be read, by file name.
        unread: Why the others could not.
        timeline: The workload's own view, or the reason why there is none; of several guests, that of each is
            in `timelines`.
        timelines: By guest, where there are several.
    """

    clocks: Clocks
    series: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    timeline: Timeline | NotMeasured = field(default_factory=lambda: NotMeasured("the output was not read"))
    timelines: Mapping[str, Timeline | NotMeasured] = field(default_factory=dict)

    def table(self, name: str) -> pd.DataFrame:
        """The series stored in the file `name`; raises NotMeasured with the reason when it was not read."""
        if name not in self.series:
            raise NotMeasured(self.unread.get(name, f"there is no {name}"))
        return self.series[name]

    @property
    def heartbeat_hz(self) -> float:
        """The heartbeat's nominal rate."""
        self.first(HeartbeatStarted)
        started = self.value(HeartbeatStarted)
        if started is None or started.rate_hz <= 0:
            raise NotMeasured("the heartbeat's rate was not recorded")
        return float(started.rate_hz)

    @cached_property
    def migrations(self) -> tuple[Migration, ...]:
        """Every planned migration that was started or skipped, by number."""
        views = [self.of(name) for name in self.guests] if len(self.guests) > 1 else [self]
        found = (Migration(attempt=view, n=n) for view in views for n in view._numbers)
        known = (one for one in found if one.about(MigrationStarted) or one.about(MigrationSkipped))
        return tuple(sorted(known, key=lambda one: one.n))

    @cached_property
    def guests(self) -> tuple[str, ...]:
        """The guests by name, in the order in which they were started."""
        return tuple(value.guest or ONLY_GUEST for _, value in self.told(GuestStarted))

    def of(self, guest: str) -> Attempt:
        """The attempt as one of several guests saw it: without the others' events and series."""
        own = tuple(event for event in self.events if event.data.get("guest", guest) == guest)
        renamed = {of_guest(file, guest): file for file in OF_GUESTS}
        return replace(
            self,
            events=own,
            series={renamed.get(name, name): table for name, table in self.series.items()},
            unread={renamed.get(name, name): why for name, why in self.unread.items()},
            timeline=self.timelines.get(guest, self.timeline),
            timelines={},
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Migration(Move):
    """One migration of a finished attempt, as metrics see it."""

    attempt: Attempt

    def overlaps(self, start_ns: int, end_ns: int) -> bool:
        """Whether a stretch and the call, from right before it to its return, have a moment in common.

        False for a migration that was never called; a call that was not seen to return has no end.
        """
        started_ns, returned_ns = self.call_ns
        if started_ns is None:
            return False
        return start_ns < (end_ns if returned_ns is None else returned_ns) and end_ns > started_ns

    def owns(self, start_ns: int, end_ns: int, due_ns: int) -> bool:  # noqa: ARG002
        """Whether a gap is this migration's own, as :meth:`.Interval.owns` says."""
        return self.overlaps(start_ns, end_ns)

    @cached_property
    def until_ns(self) -> int:
        """The end of its interval: the next migration's start, else the window's end."""
        started_ns = self.started_ns
        later = [event.t_ns for event in self.attempt.all(MigrationStarted) if event.t_ns > started_ns]
        return min(later) if later else max(self.attempt.closed_ns, self.returned_ns)

    @property
    def first_after_boot(self) -> bool:
        """Whether the guest was started and not moved since: its pages and the switches are cold."""
        return next((migration_number(one) == self.n for one in self.attempt.all(MigrationStarted)), False)


def number(data: Mapping[str, Json], key: str) -> float | None:
    """The number under `key`, or None where there is none."""
    value = data.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def seconds(span_ns: float) -> float:
    """Nanoseconds as seconds."""
    return span_ns / NS_PER_S
