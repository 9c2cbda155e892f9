"""The stretches that the service is measured over: a migration's interval, and what compares with it.

A control trial has no migrations. It is cut at the same points into slots, which are exactly the intervals
that migrations would have had: what is measured over them is the noise floor of the same measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from harness.clock import NS_PER_S
from harness.evidence.attempt import Attempt, Migration
from harness.evidence.events import WindowOpened
from harness.evidence.metric import NotMeasured


class Interval(Protocol):
    """From a migration's start to the next one's, or the window's end; or a control trial's slot.

    Work that is lost and latencies that rise are of the whole of it. A gap is a migration's own only where it
    overlaps the call: the rest of the interval holds all other outages.
    """

    @property
    def attempt(self) -> Attempt:
        """The attempt it lies in."""

    @property
    def started_ns(self) -> int:
        """Its start, the controller's ns; raises NotMeasured for a migration that was never called."""

    @property
    def until_ns(self) -> int:
        """Its end, the controller's ns; raises NotMeasured where that was not recorded."""

    def owns(self, start_ns: int, end_ns: int, due_ns: int) -> bool:
        """Whether a gap is this interval's own.

        A migration's is every gap that overlaps the call, and no other: what stops later in its interval has
        another cause. In a control trial nothing is called, and a slot has every gap that began in it.

        Args:
            start_ns: The last sign of life before the gap, the controller's ns.
            end_ns: The first one after it.
            due_ns: When the first missing one was due.
        """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slot:
    """The number `n` of a control trial's slots, from its point `planned_s` (seconds from t = 0) on."""

    attempt: Attempt
    n: int
    planned_s: float
    started_ns: int
    until_ns: int

    def owns(self, start_ns: int, end_ns: int, due_ns: int) -> bool:  # noqa: ARG002
        """Whether the first sign of life that a gap lacks was due in the slot."""
        return self.started_ns <= due_ns < self.until_ns


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OtherGap:
    """The interval of `migration` as it is for gaps that no migration of its attempt has a part in."""

    migration: Migration

    @property
    def attempt(self) -> Attempt:
        """The attempt it lies in."""
        return self.migration.attempt

    @property
    def started_ns(self) -> int:
        """The migration's start, the controller's ns."""
        return self.migration.started_ns

    @property
    def until_ns(self) -> int:
        """The end of the migration's interval, the controller's ns."""
        return self.migration.until_ns

    def owns(self, start_ns: int, end_ns: int, due_ns: int) -> bool:
        """Whether it was due in the interval and overlaps no call to migrate."""
        due = self.started_ns <= due_ns < self.until_ns
        return due and not any(call.overlaps(start_ns, end_ns) for call in self.attempt.migrations)


def slots(attempt: Attempt) -> tuple[Slot, ...]:
    """The slots of a control trial by number; none in other trials, and none where no points were recorded.

    A point at or after the window's end begins no slot.
    """
    window = attempt.value(WindowOpened)
    if attempt.kind != "control" or window is None or window.points_s is None:
        return ()
    try:
        zero_ns, closed_ns = attempt.window_ns, attempt.closed_ns
    except NotMeasured:
        return ()  # the window never closed: there is no stretch of a known length
    starts = {zero_ns + round(at_s * NS_PER_S): float(at_s) for at_s in sorted(window.points_s)}
    edges = [*(start_ns for start_ns in starts if zero_ns <= start_ns < closed_ns), closed_ns]
    return tuple(
        Slot(attempt=attempt, n=n, planned_s=starts[first_ns], started_ns=first_ns, until_ns=last_ns)
        for n, (first_ns, last_ns) in enumerate(pairwise(edges), start=1)
    )
