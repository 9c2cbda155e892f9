"""Guests that run twice, and guests that were set back, as a series of sightings shows them.

A vTPM's state can be copied and put back. A copy on another host shows by the epoch, which two hosts cannot
share and which never goes back; a state that was put back shows by counters, clock or measured log that are
lower than before; two copies that take turns show by doing so more than once, faster than one clock can run.

What the clock shows depends on the vTPM. One made with libtpms adds the time that passed since its state was
saved when it is loaded again, so that a restored snapshot is not behind; there the log of measurements and
the epoch are what is left to tell. What is seen here proves an attack; that nothing is seen proves nothing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Literal, TypeAlias

from harness.attest.guest.continuity import Sighting
from harness.attest.reasons import Reason

NS_PER_MS = 1_000_000

MAX_CLOCK_RATE = 1.15**2
"""How fast a TPM's clock may run: 15 % off by itself and 15 % by adjustment (TPM 2.0 Part 3, 29.3.1)."""

CLOCK_STEP_MS = 2
"""Moments further apart than this have different clock values: steps of 1 ms, at the slowest rate."""

Twist: TypeAlias = Literal[Reason.GUEST_CLONED, Reason.GUEST_ROLLED_BACK]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Two sightings that cannot both be of one guest that simply ran on.

    Attributes:
        reason: ``guest-cloned`` or ``guest-rolled-back``.
        vak_name: Whose key it was.
        first: The earlier sighting, or either where the order cannot be told.
        second: The one that contradicts it.
        why: How, in words.
    """

    reason: Twist
    vak_name: bytes
    first: Sighting
    second: Sighting
    why: str


def review(sightings: Iterable[Sighting]) -> tuple[Contradiction, ...]:
    """Everything in the history that contradicts one guest a key, in the order in which it was seen.

    Sightings may come in any order; their uncertainty counts against no guest: where the order of two cannot
    be told, only what holds in either order is reported.
    """
    by_key = sorted(sightings, key=lambda one: (one.vak_name, one.generated_ns, one.uncertainty_ns, one.host))
    found: list[Contradiction] = []
    for _name, group in groupby(by_key, key=lambda one: one.vak_name):
        seen = tuple(group)
        found += [
            *_two_places(seen),
            *_epoch_back(seen),
            *_two_clocks(seen),
            *_state_back(seen),
            *_log_back(seen),
        ]
    return tuple(sorted(found, key=lambda one: (one.second.generated_ns, one.reason, one.vak_name)))


def _contradiction(reason: Twist, first: Sighting, second: Sighting, why: str) -> Contradiction:
    return Contradiction(reason=reason, vak_name=first.vak_name, first=first, second=second, why=why)


def _two_places(seen: Sequence[Sighting]) -> Iterator[Contradiction]:
    """One finding for each further host in an epoch."""
    homes: dict[int, Sighting] = {}
    told: set[tuple[int, str]] = set()
    for one in seen:
        home = homes.setdefault(one.epoch, one)
        if one.host != home.host and (one.epoch, one.host) not in told:
            told.add((one.epoch, one.host))
            why = f"in epoch {one.epoch} on {home.host} and on {one.host}"
            yield _contradiction(Reason.GUEST_CLONED, home, one, why)


def _epoch_back(seen: Sequence[Sighting]) -> Iterator[Contradiction]:
    """One finding for each older epoch that goes on after a newer one has begun: a copy stayed behind."""
    told: set[int] = set()
    for newest, one in _against_highest(seen, lambda sighting: (sighting.epoch,)):
        if one.epoch < newest.epoch and one.epoch not in told:
            told.add(one.epoch)
            why = f"still in epoch {one.epoch} on {one.host} after epoch {newest.epoch} on {newest.host}"
            yield _contradiction(Reason.GUEST_CLONED, newest, one, why)


def _two_clocks(seen: Sequence[Sighting]) -> Iterator[Contradiction]:
    """The first two sightings whose clocks are further apart than their uncertain order can explain."""
    for one, other in pairwise(seen):
        close = one.latest_ns >= other.earliest_ns
        same_boot = _counters(one) == _counters(other)
        span_ns = max(other.latest_ns - one.earliest_ns, one.latest_ns - other.earliest_ns)
        apart_ms = abs(one.clock.clock_ms - other.clock.clock_ms)
        if close and same_boot and apart_ms > _most_ms(span_ns):
            why = f"clocks {apart_ms} ms apart within {span_ns / NS_PER_MS:.3f} ms"
            yield _contradiction(Reason.GUEST_CLONED, one, other, why)
            return


def _state_back(seen: Sequence[Sighting]) -> Iterator[Contradiction]:
    """One finding for each time that counters or clock went back, until two clocks are seen to take turns."""
    back: list[Contradiction] = []
    low: Sighting | None = None
    for peak, one in _against_highest(seen, _state):
        if _is_back(peak, one):
            if low is None or _is_back(low, one):
                why = f"from {_told(peak)} back to {_told(one)}"
                back.append(_contradiction(Reason.GUEST_ROLLED_BACK, peak, one, why))
            low = one
        elif low is not None and _state(one) > _state(peak):
            advanced_ms = one.clock.clock_ms - low.clock.clock_ms
            most_ms = _most_ms(one.latest_ns - low.earliest_ns)
            if advanced_ms > most_ms:
                why = f"from {_told(low)} to {_told(one)} in a time for {most_ms} ms at most: two take turns"
                yield from back[:-1]
                yield _contradiction(Reason.GUEST_CLONED, low, one, why)
                return
            low = None
    yield from back


def _log_back(seen: Sequence[Sighting]) -> Iterator[Contradiction]:
    """One finding for each boot whose measured log became shorter; it only ever grows between two resets."""
    told: set[int] = set()
    measured = [one for one in seen if one.ima_entries is not None]
    for peak, one in _against_highest(measured, lambda sighting: (_resets(sighting), _entries(sighting))):
        if _resets(one) == _resets(peak) and _entries(one) < _entries(peak) and _resets(one) not in told:
            told.add(_resets(one))
            why = f"its IMA list went from {_entries(peak)} to {_entries(one)} entries"
            yield _contradiction(Reason.GUEST_ROLLED_BACK, peak, one, why)


def _against_highest(
    seen: Sequence[Sighting], rank: Callable[[Sighting], tuple[int, ...]]
) -> Iterator[tuple[Sighting, Sighting]]:
    """Each sighting after the highest by `rank` of those that were certainly before it; in order of time."""
    past = deque(sorted(seen, key=lambda one: one.latest_ns))
    highest: Sighting | None = None
    for one in sorted(seen, key=lambda one: one.earliest_ns):
        while past and past[0].latest_ns < one.earliest_ns:
            candidate = past.popleft()
            if highest is None or rank(candidate) >= rank(highest):
                highest = candidate
        if highest is not None:
            yield highest, one


def _is_back(peak: Sighting, one: Sighting) -> bool:
    if _state(one) != _state(peak):
        return _state(one) < _state(peak)
    return one.earliest_ns - peak.latest_ns > CLOCK_STEP_MS * NS_PER_MS


def _most_ms(span_ns: int) -> int:
    """What a clock may go on in `span_ns` at most."""
    return math.ceil(span_ns / NS_PER_MS * MAX_CLOCK_RATE) + CLOCK_STEP_MS


def _resets(one: Sighting) -> int:
    return one.clock.reset_count


def _entries(one: Sighting) -> int:
    return one.ima_entries or 0


def _counters(one: Sighting) -> tuple[int, int]:
    return one.clock.reset_count, one.clock.restart_count


def _state(one: Sighting) -> tuple[int, int, int]:
    return *_counters(one), one.clock.clock_ms


def _told(one: Sighting) -> str:
    resets, restarts, clock_ms = _state(one)
    return f"{resets} resets, {restarts} restarts, {clock_ms} ms"
