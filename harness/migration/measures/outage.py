"""Outages as the network saw them: every gap, with where it began and how long it was.

A gap is the distance of two consecutive replies, never a count of lost ones: a frozen guest may
lose nothing and still be silent. Lengths are taken within one clock, so that no clock offset enters them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.clock import NS_PER_S
from harness.evidence.attempt import Attempt, Migration, seconds
from harness.evidence.events import MigrationStarted
from harness.evidence.metric import NotMeasured, Value
from harness.migration.measures.intervals import Interval, Slot
from harness.pair_name import CLIENT

PERIODS_OF_A_GAP = 3
"""A gap is listed when it is longer than so many periods: one lost or late reply is not an outage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A stretch without a reply.

    Attributes:
        start_ns: When the last reply before it arrived, controller's ns.
        length_s: The distance of the replies around it; nothing is subtracted. A heartbeat without any
            outage thus has gaps of one period, and a silence of length L shows as a gap longer than L by
            less than two periods: what was left of one before it, and of one after.
        migration: The migration that it overlaps, from the call to its return; else the one in whose interval
            the first missing reply was due, or None.
        during: Whether it overlaps that migration. Else it is another gap, whatever made it.
        requests: Requests sent within it.
        sender_s: The longest the sender itself was silent around it: where that is more than a period, the
            gap is in part the observer's.
        closed: False when no reply came any more: then `length_s` is only what was seen of it.
    """

    start_ns: int
    length_s: float
    migration: int | None
    requests: int
    sender_s: float
    during: bool = False
    closed: bool = True


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The replies of an attempt in order of arrival, and the requests; the controller's ns."""

    period_ns: int
    replies_ns: NDArray[np.int64]
    spans_ns: NDArray[np.int64]
    sent_ns: NDArray[np.int64]


def heartbeat(attempt: Attempt) -> Heartbeat:
    """The heartbeat's series in the controller's clock.

    `spans_ns` are the distances of consecutive replies, in the client's own clock.

    Raises:
        NotMeasured: There is no series, no rate, or no clock mapping of the client.
    """
    frame = attempt.table("heartbeat.csv")
    received = np.sort(frame["received_ns"].dropna().to_numpy(dtype=np.int64))
    sent = np.sort(frame["sent_ns"].dropna().to_numpy(dtype=np.int64))
    if not len(received):
        raise NotMeasured("the heartbeat got no reply at all")
    return Heartbeat(
        period_ns=round(NS_PER_S / attempt.heartbeat_hz),
        replies_ns=attempt.clocks.from_monotonic(CLIENT, received),
        spans_ns=np.diff(received),
        sent_ns=attempt.clocks.from_monotonic(CLIENT, sent),
    )


def gaps(attempt: Attempt) -> list[Gap]:
    """Every gap longer than three periods, by start, one that never ended last.

    Raises:
        NotMeasured: As :func:`heartbeat`.
    """
    beat = heartbeat(attempt)
    called = [migration for migration in attempt.migrations if migration.about(MigrationStarted)]
    longer = np.flatnonzero(beat.spans_ns > PERIODS_OF_A_GAP * beat.period_ns)
    found = [_owned(_gap(beat, int(index)), beat, called) for index in longer]
    open_ns = _open_ns(beat)
    if open_ns > PERIODS_OF_A_GAP * beat.period_ns:
        start_ns = int(beat.replies_ns[-1])
        last = Gap(
            start_ns=start_ns,
            length_s=seconds(open_ns),
            migration=None,
            requests=int(np.count_nonzero(beat.sent_ns > start_ns)),
            sender_s=seconds(beat.period_ns),
            closed=False,
        )
        found.append(_owned(last, beat, called))
    return found


def _gap(beat: Heartbeat, index: int) -> Gap:
    start_ns, end_ns = int(beat.replies_ns[index]), int(beat.replies_ns[index + 1])
    first, last = np.searchsorted(beat.sent_ns, (start_ns, end_ns))
    # One request more on either side: the sender may have been silent across the gap's edge.
    around = beat.sent_ns[max(0, int(first) - 1) : int(last) + 1]
    return Gap(
        start_ns=start_ns,
        length_s=seconds(int(beat.spans_ns[index])),
        migration=None,
        requests=int(last - first),
        sender_s=seconds(int(np.max(np.diff(around)))) if len(around) > 1 else 0.0,
    )


def _owned(gap: Gap, beat: Heartbeat, called: Sequence[Migration]) -> Gap:
    """The gap with the migration it belongs to."""
    end_ns = gap.start_ns + round(gap.length_s * NS_PER_S)
    for migration in called:
        if migration.overlaps(gap.start_ns, end_ns):
            return replace(gap, migration=migration.n, during=True)
    due_ns = gap.start_ns + beat.period_ns
    for migration in called:
        if migration.started_ns <= due_ns < migration.until_ns:
            return replace(gap, migration=migration.n)
    return gap


def _open_ns(beat: Heartbeat) -> int:
    """How long requests went out after the last reply."""
    return max(0, int(beat.sent_ns[-1] - beat.replies_ns[-1])) if len(beat.sent_ns) else 0


def own_gap(interval: Interval) -> Value:
    """The longest gap that is the interval's own, in seconds: one period and jitter without an outage.

    The resolution is the period; the uncertainty is by how much the sender itself exceeded its period around
    the gap.

    Raises:
        NotMeasured: No reply came in that time, or none came any more: an unended outage has no length.
    """
    beat = heartbeat(interval.attempt)
    last_ns = int(beat.replies_ns[-1])
    # Whenever replies end for good, it is not known for how long the guest was to be silent.
    if interval.started_ns <= last_ns + beat.period_ns < interval.until_ns:
        _require_end(beat)
    # Longest first: one of the first is the interval's own.
    for index in np.argsort(-beat.spans_ns, kind="stable"):
        start_ns, end_ns = int(beat.replies_ns[index]), int(beat.replies_ns[index + 1])
        if interval.owns(start_ns, end_ns, start_ns + beat.period_ns):
            return _length(beat, int(index))
    raise NotMeasured("no two heartbeat replies arrived in this stretch")


def longest_gap(attempt: Attempt, first_ns: int, last_ns: int) -> Value:
    """The longest gap whose first missing reply was due from `first_ns` to `last_ns`; as :func:`own_gap`.

    Raises:
        NotMeasured: As :func:`own_gap`.
    """
    return own_gap(Slot(attempt=attempt, n=0, planned_s=0.0, started_ns=first_ns, until_ns=last_ns))


def _require_end(beat: Heartbeat) -> None:
    open_ns = _open_ns(beat)
    if open_ns > PERIODS_OF_A_GAP * beat.period_ns:
        raise NotMeasured(f"no reply came any more: the outage was at least {seconds(open_ns):.3f} s")


def _length(beat: Heartbeat, index: int) -> Value:
    gap, period_s = _gap(beat, index), seconds(beat.period_ns)
    return Value(value=gap.length_s, resolution=period_s, uncertainty=max(0.0, gap.sender_s - period_s))


def loss(attempt: Attempt, first_ns: int, last_ns: int) -> Value:
    """The share of the requests sent from `first_ns` to `last_ns` that never got a reply."""
    frame = attempt.table("heartbeat.csv")
    sent = attempt.clocks.from_monotonic(CLIENT, frame["sent_ns"].to_numpy(dtype=np.int64, na_value=0))
    inside = (sent >= first_ns) & (sent < last_ns)
    count = int(np.count_nonzero(inside))
    if not count:
        raise NotMeasured("no heartbeat request was sent in this stretch")
    lost = int(np.count_nonzero(inside & frame["received_ns"].isna().to_numpy()))
    return Value(value=lost / count, resolution=1 / count)
