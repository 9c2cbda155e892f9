"""When to look at whom: a pure function of what is due, who is being looked at and how many may be at once.

Every attester has its own grid of moments, start + k * interval, from which nothing drifts: what is late is
looked at once, the moments that have passed meanwhile are counted and given up, and the next one is on the
grid again. The grids start at different phases, so that a thousand attesters with one interval do not all
come at one moment.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, replace
from typing import Final

LIFE_IN_INTERVALS: Final = 3.0
"""How many intervals a result lives unless the caller says otherwise: one look may be missed and the
next late.

The one value for all that watch: `sodbench attest monitor`, a guard, and a trial that responds.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The grid of one watch and how far it has come.

    Attributes:
        key: Names the watch; no two have the same.
        subject: The machine that it looks at; no machine is looked at twice at once.
        first_ns: The grid's first moment, controller's CLOCK_MONOTONIC.
        interval_ns: The distance of its moments, more than 0.
        turn: The number of the next moment, from 0.
    """

    key: str
    subject: str
    first_ns: int
    interval_ns: int
    turn: int = 0

    def __post_init__(self) -> None:
        if self.interval_ns <= 0:
            raise ValueError("an interval is more than 0 ns")

    @property
    def due_ns(self) -> int:
        """The next moment."""
        return self.first_ns + self.turn * self.interval_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A look that is to be taken now.

    Attributes:
        slot: The watch's slot after it.
        due_ns: The grid's moment that it serves: the last one that has come.
        missed: Moments before that one that were not served; they are given up.
    """

    slot: Slot
    due_ns: int
    missed: int


def slot(key: str, subject: str, *, start_ns: int, interval_ns: int, phase: float | None = None) -> Slot:
    """A watch's slot: its grid begins within one interval of `start_ns`.

    Args:
        key: Names the watch.
        subject: Whom it looks at.
        start_ns: The earliest moment.
        interval_ns: The distance of its moments.
        phase: The part of the interval after which the grid begins; None for one drawn from the key.
    """
    later_ns = phase_ns(key, interval_ns) if phase is None else round(phase * interval_ns)
    return Slot(key=key, subject=subject, first_ns=start_ns + later_ns, interval_ns=interval_ns)


def phase_ns(key: str, interval_ns: int) -> int:
    """A moment within the interval that is always the same for `key`, and evenly spread over keys."""
    digest = hashlib.sha256(key.encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:16], "big") % interval_ns


def choose(slots: Iterable[Slot], now_ns: int, *, busy: Set[str], free: int) -> tuple[Turn, ...]:
    """Which machines to look at now: at most `free`, the longest due first, none twice and none of `busy`."""
    ordered = [
        (one.due_ns, one.key, one) for one in slots if one.due_ns <= now_ns and one.subject not in busy
    ]
    heapq.heapify(ordered)
    chosen: list[Turn] = []
    taken: set[str] = set()
    while ordered and len(chosen) < free:
        one = heapq.heappop(ordered)[2]
        if one.subject not in taken:
            taken.add(one.subject)
            chosen.append(_turn(one, now_ns))
    return tuple(chosen)


def wait_ns(slots: Iterable[Slot], now_ns: int, *, busy: Set[str]) -> int | None:
    """How long until a machine is due that is not being looked at: 0 for now, None where none is left.

    What is due and cannot be served waits for a look to end, which the caller is told of otherwise.
    """
    return min((max(0, due_ns - now_ns) for due_ns in _open(slots, busy)), default=None)


def passed(one: Slot, now_ns: int) -> int:
    """How many moments have come by `now_ns` that no look has served yet."""
    return 0 if now_ns < one.due_ns else (now_ns - one.first_ns) // one.interval_ns - one.turn + 1


def _open(slots: Iterable[Slot], busy: Set[str]) -> Iterator[int]:
    return (one.due_ns for one in slots if one.subject not in busy)


def _turn(one: Slot, now_ns: int) -> Turn:
    last = (now_ns - one.first_ns) // one.interval_ns
    return Turn(
        slot=replace(one, turn=last + 1),
        due_ns=one.first_ns + last * one.interval_ns,
        missed=last - one.turn,
    )
