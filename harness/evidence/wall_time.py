"""Where a run's wall time went: how much of it was measured, and how much was boot, warm-up and collection.

Purely from the journal's stamps. The ratio of the whole to its windows is what a campaign costs beyond what
it measures; ``sodbench plan`` estimates it beforehand, this says what it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from harness.clock import NS_PER_S
from harness.evidence.account import Account, accounts
from harness.evidence.events import (
    AttemptFinished,
    BaselineOpened,
    GuestStarted,
    RunFinished,
    RunResumed,
    RunStarted,
    Value,
    WindowClosed,
    WindowOpened,
)
from harness.evidence.journal import Event

_MARKS: tuple[tuple[str, type[Value]], ...] = (
    ("boot_s", GuestStarted),
    ("warm_up_s", BaselineOpened),
    ("baseline_s", WindowOpened),
    ("window_s", WindowClosed),
    ("collection_s", AttemptFinished),
)
"""The parts of an attempt in their order, and the event each ends with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WallTime:
    """Seconds by part, summed over the finished attempts.

    Attributes:
        boot_s: From an attempt's start until the guest answers; what an earlier guest left is cleared first.
        warm_up_s: Starting servers, observers and load, until the load is steady.
        baseline_s: Baselines.
        window_s: Windows: the measurement itself.
        collection_s: From a window's end to the verdict: results awaited, guest and load taken away.
        between_s: Between attempts and around them: facts of the machines, metrics.
    """

    boot_s: float = 0.0
    warm_up_s: float = 0.0
    baseline_s: float = 0.0
    window_s: float = 0.0
    collection_s: float = 0.0
    between_s: float = 0.0

    @property
    def total_s(self) -> float:
        """The sum of all parts."""
        return float(sum(getattr(self, part.name) for part in fields(self)))

    @property
    def ratio(self) -> float | None:
        """The whole over its windows, or None where no window was finished."""
        return self.total_s / self.window_s if self.window_s > 0 else None


def of(events: Sequence[Event]) -> WallTime | None:
    """Where the time of a finished run went; None for one that was resumed or never finished.

    A resumed run's clock may be another boot's, and its pause is no cost.
    """
    stamps = {event.kind: event.t_ns for event in reversed(events)}
    begin_ns, end_ns = stamps.get(RunStarted.KIND), stamps.get(RunFinished.KIND)
    if RunResumed.KIND in stamps or begin_ns is None or end_ns is None:
        return None
    parts = dict.fromkeys((name for name, _ in _MARKS), 0.0)
    for account in accounts(events):
        if account.events[-1].kind == AttemptFinished.KIND:
            for name, seconds in _parts(account):
                parts[name] += seconds
    return WallTime(**parts, between_s=(end_ns - begin_ns) / NS_PER_S - sum(parts.values()))


def _parts(account: Account) -> Iterator[tuple[str, float]]:
    """Each part's seconds; an attempt that was cut short spends the rest on its collection."""
    last_ns = account.events[0].t_ns
    for name, mark in _MARKS:
        mine = next((event.t_ns for event in account.all(mark) if event.t_ns >= last_ns), None)
        if mine is not None:
            yield name, (mine - last_ns) / NS_PER_S
            last_ns = mine
