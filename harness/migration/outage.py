"""Outages as the network and the workload saw them: every gap, with where it began and how long it was.

A gap is the distance of two consecutive replies (or reports), never a count of lost ones: a frozen guest may
lose nothing and still be silent. Lengths are taken within one clock, so that no clock offset enters them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.clock import NS_PER_S
from harness.metric import NotApplicable, NotMeasured, Value
from harness.migration.evidence import Attempt, Migration, seconds
from harness.workloads.contract import Timeline

Interval: TypeAlias = tuple[int, int, int]
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


def _gap(intervals: Sequence[Interval], beat: Heartbeat, index: int) -> Gap:
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


def _intervals(attempt: Attempt) -> list[Interval]:
    started = (migration for migration in attempt.migrations if migration.all("migration.started"))
    return [(migration.started_ns, migration.until_ns, migration.n) for migration in started]


def _owner(intervals: Sequence[Interval], due_ns: int) -> int | None:
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


def timeline_of(attempt: Attempt) -> Timeline:
    """The workload's timeline; raises NotMeasured where there is none."""
    timeline = attempt.timeline
    if isinstance(timeline, NotMeasured):
        raise timeline
    if not timeline.work_unit:
        raise NotApplicable("this workload does nothing that could be counted")
    if not timeline.samples:
        problems = "; ".join(timeline.problems)
        raise NotMeasured(f"the workload's output has no report of work{': ' if problems else ''}{problems}")
    return timeline


def application_outage(migration: Migration) -> Value:
    """The longest the workload completed nothing, from when its reports of progress arrived.

    The value is the longest distance of two consecutive reports that carry progress, minus one nominal
    period, not below 0; the resolution is the period. A tool inside the guest does not see a freeze by its
    own clock, which stands still with it: it reports after one period of *its* time, as if nothing had been.
    But its line arrives late by exactly what its clock missed, and arrivals are stamped at the controller.
    A tool outside the guest keeps reporting, without progress, and those reports do not count. The lines of
    a guest travel through the network, whose own recovery is therefore part of the value.

    A distance belongs to the migration in whose interval the first missing report was due.
    """
    timeline = timeline_of(migration.attempt)
    progress = [sample.t_ns for sample in timeline.samples if sample.work > 0]
    period_ns = round(timeline.period_s * NS_PER_S)
    return Value(
        value=max(0.0, seconds(_longest_span(progress, period_ns, migration) - period_ns)),
        resolution=timeline.period_s,
    )


def _longest_span(progress_ns: Sequence[int], period_ns: int, migration: Migration) -> int:
    first_ns, last_ns = migration.started_ns, migration.until_ns
    inside = [
        (start, end)
        for start, end in zip(progress_ns, [*progress_ns[1:], None], strict=True)
        if first_ns <= start + period_ns < last_ns
    ]
    if not inside:
        raise NotMeasured("no report with progress arrived around this migration")
    spans = [end - start for start, end in inside if end is not None]
    if inside[-1][1] is None:
        # The tool stops with the window: a report due later than that is missing for no fault of the guest.
        if last_ns - inside[-1][0] > PERIODS_OF_A_GAP * period_ns:
            least_s = seconds(last_ns - inside[-1][0] - period_ns)
            raise NotMeasured(f"no progress was reported any more: nothing for at least {least_s:.3f} s")
        if not spans:
            raise NotMeasured("only one report with progress arrived around this migration")
    return max(spans)
