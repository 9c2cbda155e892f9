"""Pairs what both sides logged of a private virtual infrastructure, and names what only one of them has.

An event needs its counterpart on the other side within a time that both clocks' uncertainty widens, and each
counterpart serves one event, unless its rule says that it may be shared. As many pairs are made as can be, so
that the order of two close events accuses neither side. An event whose clock is too uncertain proves nothing:
it is not paired and is named as such, or a vague clock could hide anything.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.clock import NS_PER_S
from harness.pvi.event_log import Log, Side, Stamps

Numbers: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What has to go with what.

    Attributes:
        side: Who logs the event.
        kind: The event.
        needs: The event that the other side must have.
        before_s: How long before the event that one may be.
        after_s: How long after it.
        lacks: What it means where that one is missing.
        unused: What it means where that one has no such event; empty where it may be shared by several, or
            by none.
    """

    side: Side
    kind: str
    needs: str
    before_s: float
    after_s: float
    lacks: str
    unused: str = ""


RULES = (
    Rule(
        side=Side.OUTSIDE,
        kind="guest.started",
        needs="provisioning.begun",
        before_s=600,
        after_s=1,
        lacks="a start without a provisioning",
        unused="a provisioning without a start",
    ),
    Rule(
        side=Side.OUTSIDE,
        kind="guest.paused",
        needs="pause.ordered",
        before_s=60,
        after_s=1,
        lacks="a pause without an order",
        unused="an ordered pause that did not happen",
    ),
    Rule(
        side=Side.OUTSIDE,
        kind="guest.migrated",
        needs="migration.decided",
        before_s=900,
        after_s=1,
        lacks="a migration without a decision",
        unused="a decided migration that did not happen",
    ),
    Rule(
        side=Side.OUTSIDE,
        kind="guest.stopped",
        needs="stop.ordered",
        before_s=120,
        after_s=1,
        lacks="a stop without an order",
        unused="an ordered stop that did not happen",
    ),
    Rule(
        side=Side.INSIDE,
        kind="login",
        needs="vpn.session",
        before_s=86_400,
        after_s=0,
        lacks="a login without a VPN session",
    ),
)
"""What is paired. A VPN session serves each login of a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """An event that has no counterpart, or that cannot be placed in time.

    Attributes:
        side: Who logged it.
        kind: What was logged.
        guest: Of which guest.
        t_ns: When, on the factory's clock, ns since 1970-01-01 UTC.
        line: Its line in that side's log.
        says: What it means.
    """

    side: Side
    kind: str
    guest: str
    t_ns: int
    line: int
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What came of pairing two logs.

    Attributes:
        pairs: How many pairs were made.
        oddities: What is odd, in the order of time.
        unjudged: How many events no rule speaks of.
    """

    pairs: int
    oddities: tuple[Oddity, ...]
    unjudged: int


def reconcile(inside: Log, outside: Log, *, vague_s: float = 5.0) -> Reconciled:
    """Pair both logs by :data:`RULES`.

    Args:
        inside: The owner's log.
        outside: The provider's.
        vague_s: An event whose clock may be off by more proves nothing.
    """
    logs = {Side.INSIDE: inside, Side.OUTSIDE: outside}
    pairs, oddities = 0, []
    for rule in RULES:
        guests = {
            guest
            for side, kind in ((rule.side, rule.kind), (rule.side.other, rule.needs))
            for of, guest in logs[side].events
            if of == kind
        }
        for guest in sorted(guests):
            events = _Events(logs[rule.side], rule.kind, guest, vague_s)
            needed = _Events(logs[rule.side.other], rule.needs, guest, vague_s)
            lone, unused = _paired(events, needed, rule)
            pairs += len(events.t_ns) - len(lone)
            oddities += [*events.told(lone, rule.lacks), *events.vague()]
            if rule.unused:
                oddities += [*needed.told(unused, rule.unused), *needed.vague()]
    judged = {(rule.side, rule.kind) for rule in RULES} | {(rule.side.other, rule.needs) for rule in RULES}
    unjudged = sum(
        len(stamps.t_ns)
        for side, log in logs.items()
        for (kind, _guest), stamps in log.events.items()
        if (side, kind) not in judged
    )
    oddities.sort(key=lambda one: (one.t_ns, one.side, one.line))
    return Reconciled(pairs=pairs, oddities=tuple(oddities), unjudged=unjudged)


class _Events:
    """The events of one kind and guest whose clock is good enough, in the order of time."""

    def __init__(self, log: Log, kind: str, guest: str, vague_s: float) -> None:
        self._side, self._kind, self._guest = log.side, kind, guest
        stamps = log.events.get((kind, guest), Stamps())
        t_ns, off_ns, line = (
            np.frombuffer(column, dtype=np.int64) if column else np.empty(0, np.int64)
            for column in (stamps.t_ns, stamps.uncertainty_ns, stamps.line)
        )
        good = off_ns <= round(vague_s * NS_PER_S)
        order = np.argsort(t_ns[good], kind="stable")
        self.t_ns: Numbers = t_ns[good][order]
        self.off_ns: Numbers = off_ns[good][order]
        self._line: Numbers = line[good][order]
        self._vague = tuple(zip(t_ns[~good].tolist(), line[~good].tolist(), strict=True))

    def told(self, places: list[int], says: str) -> Iterator[Oddity]:
        """The events at these places as oddities."""
        for place in places:
            yield self._oddity(int(self.t_ns[place]), int(self._line[place]), says)

    def vague(self) -> Iterator[Oddity]:
        """The events whose clock is too uncertain."""
        for t_ns, line in self._vague:
            yield self._oddity(t_ns, line, "its clock is too uncertain for it to prove anything")

    def _oddity(self, t_ns: int, line: int, says: str) -> Oddity:
        return Oddity(side=self._side, kind=self._kind, guest=self._guest, t_ns=t_ns, line=line, says=says)


def _paired(events: _Events, needed: _Events, rule: Rule) -> tuple[list[int], list[int]]:
    """Places of the events without a counterpart, and of counterparts without an event.

    A counterpart's own uncertainty is taken to be the largest of its kind: then each event asks for one
    stretch of time, and that makes the greatest number of pairs simple to find.
    """
    widest_ns = int(needed.off_ns.max(initial=0))
    first = events.t_ns - round(rule.before_s * NS_PER_S) - events.off_ns - widest_ns
    last = events.t_ns + round(rule.after_s * NS_PER_S) + events.off_ns + widest_ns
    if rule.unused:
        return _one_to_one(first, last, needed.t_ns)
    served = np.searchsorted(needed.t_ns, first, "left") < np.searchsorted(needed.t_ns, last, "right")
    return np.flatnonzero(~served).tolist(), []


def _one_to_one(first: Numbers, last: Numbers, moments: Numbers) -> tuple[list[int], list[int]]:
    """The greatest matching of stretches with moments in them: places without a partner, of both.

    Each moment in turn serves the open stretch that ends first (Glover 1967, for convex bipartite graphs).
    """
    order = np.argsort(first, kind="stable").tolist()
    lone: list[int] = []
    unused: list[int] = []
    is_open: list[tuple[int, int]] = []
    at = 0
    for place, moment in enumerate(moments.tolist()):
        while at < len(order) and first[order[at]] <= moment:
            heapq.heappush(is_open, (int(last[order[at]]), order[at]))
            at += 1
        while is_open and is_open[0][0] < moment:
            lone.append(heapq.heappop(is_open)[1])
        if is_open:
            heapq.heappop(is_open)
        else:
            unused.append(place)
    lone += [place for _, place in is_open] + order[at:]
    return lone, unused
