"""Outages as the network saw them: every gap, with where it began and how long it was.

A gap is the distance of two consecutive replies, never a count of lost ones: a frozen guest may
lose nothing and still be silent. Lengths are taken within one clock, so that no clock offset enters them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.clock import NS_PER_S
from harness.metric import NotMeasured, Value
from harness.migration.evidence import Attempt, seconds

Owned: TypeAlias = tuple[int, int, int]
"""A migration's interval: start and end in the controller's ns, and its number."""

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
        migration: The migration in whose interval the first missing reply was due, or None.
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
        replies_ns=attempt.clocks.from_monotonic("client", received),
        spans_ns=np.diff(received),
        sent_ns=attempt.clocks.from_monotonic("client", sent),
    )


def gaps(attempt: Attempt) -> list[Gap]:
    """Every gap longer than three periods, by start, one that never ended last.

    Raises:
        NotMeasured: As :func:`heartbeat`.
    """
    beat = heartbeat(attempt)
    intervals = _intervals(attempt)
    longer = np.flatnonzero(beat.spans_ns > PERIODS_OF_A_GAP * beat.period_ns)
    found = [_gap(intervals, beat, int(index)) for index in longer]
    open_ns = _open_ns(beat)
    if open_ns > PERIODS_OF_A_GAP * beat.period_ns:
        start_ns = int(beat.replies_ns[-1])
        found.append(
            Gap(
                start_ns=start_ns,
                length_s=seconds(open_ns),
                migration=_owner(intervals, start_ns + beat.period_ns),
                requests=int(np.count_nonzero(beat.sent_ns > start_ns)),
                sender_s=seconds(beat.period_ns),
                closed=False,
            )
        )
    return found


def _gap(intervals: Sequence[Owned], beat: Heartbeat, index: int) -> Gap:
    start_ns, end_ns = int(beat.replies_ns[index]), int(beat.replies_ns[index + 1])
    first, last = np.searchsorted(beat.sent_ns, (start_ns, end_ns))
    # One request more on either side: the sender may have been silent across the gap's edge.
    around = beat.sent_ns[max(0, int(first) - 1) : int(last) + 1]
    return Gap(
        start_ns=start_ns,
        length_s=seconds(int(beat.spans_ns[index])),
        migration=_owner(intervals, start_ns + beat.period_ns),
        requests=int(last - first),
        sender_s=seconds(int(np.max(np.diff(around)))) if len(around) > 1 else 0.0,
    )


def _intervals(attempt: Attempt) -> list[Owned]:
    started = (migration for migration in attempt.migrations if migration.all("migration.started"))
    return [(migration.started_ns, migration.until_ns, migration.n) for migration in started]


def _owner(intervals: Sequence[Owned], due_ns: int) -> int | None:
    """The migration in whose interval the reply due at `due_ns` was missing."""
    return next((n for first_ns, last_ns, n in intervals if first_ns <= due_ns < last_ns), None)


def _open_ns(beat: Heartbeat) -> int:
    """How long requests went out after the last reply."""
    return max(0, int(beat.sent_ns[-1] - beat.replies_ns[-1])) if len(beat.sent_ns) else 0


def longest_gap(attempt: Attempt, first_ns: int, last_ns: int) -> Value:
    """The longest gap whose first missing reply was due from `first_ns` to `last_ns`, in seconds.

    Without an outage that is one period (and what the network jitters). The resolution is the period; the
    uncertainty is by how much the sender itself exceeded its period around the gap.

    Raises:
        NotMeasured: No reply came in that time, or none came any more: an unended outage has no length.
    """
    beat = heartbeat(attempt)
    due_ns = beat.replies_ns + beat.period_ns
    inside = np.flatnonzero((due_ns >= first_ns) & (due_ns < last_ns))
    if not len(inside):
        raise NotMeasured("no heartbeat reply arrived in this stretch")
    if int(inside[-1]) == len(beat.replies_ns) - 1:
        open_ns = _open_ns(beat)
        if open_ns > PERIODS_OF_A_GAP * beat.period_ns:
            raise NotMeasured(f"no reply came any more: the outage was at least {seconds(open_ns):.3f} s")
        inside = inside[:-1]
        if not len(inside):
            raise NotMeasured("only one heartbeat reply arrived in this stretch")
    index = int(inside[np.argmax(beat.spans_ns[inside])])
    gap = _gap((), beat, index)
    period_s = seconds(beat.period_ns)
    return Value(value=gap.length_s, resolution=period_s, uncertainty=max(0.0, gap.sender_s - period_s))


def loss(attempt: Attempt, first_ns: int, last_ns: int) -> Value:
    """The share of the requests sent from `first_ns` to `last_ns` that never got a reply."""
    frame = attempt.table("heartbeat.csv")
    sent = attempt.clocks.from_monotonic("client", frame["sent_ns"].to_numpy(dtype=np.int64, na_value=0))
    inside = (sent >= first_ns) & (sent < last_ns)
    count = int(np.count_nonzero(inside))
    if not count:
        raise NotMeasured("no heartbeat request was sent in this stretch")
    lost = int(np.count_nonzero(inside & frame["received_ns"].isna().to_numpy()))
    return Value(value=lost / count, resolution=1 / count)
