"""What the people who use the service notice, from the workload's own reports: stalls, failures, waits.

Each is taken over an interval, of a migration or of a control trial, and is as fine as the tool's reports:
where a tool knows every single completion, the longest stall is exact; where it only reports once a period,
the period is the resolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from harness.clock import NS_PER_S
from harness.evidence.attempt import Attempt, seconds
from harness.evidence.metric import NotMeasured, Value
from harness.migration.measures.brownout import baseline_of, timeline_of
from harness.migration.measures.intervals import Interval
from harness.workloads.contract import Sample, Timeline

PERIODS_OF_SILENCE = 3
"""After so many periods without progress at the end of an interval, nothing can be said of its length."""
EXACT = "between single completions"
BY_REPORT = "between reports of progress"


@dataclass(frozen=True, slots=True)
class _Stall:
    """A stall of `length_s`, somewhere from `start_ns` to `end_ns`; `hidden`: one of up to that length."""

    start_ns: int
    end_ns: int
    due_ns: int
    length_s: float
    hidden: bool


def application_outage(interval: Interval) -> Value:
    """The longest the workload completed nothing, of the stalls that are the interval's own.

    Where the tool knows each completion, it is the longest time between two consecutive ones; the resolution
    is their mean distance in the baseline. Else it is the longest distance of two consecutive reports that
    carry progress, minus one nominal period, not below 0; the resolution is the period. The note says which.

    A tool inside the guest does not see a freeze by its own clock, which stands still with it: it reports
    after one period of *its* time, as if nothing had been. But its line arrives late by exactly what its
    clock missed, and arrivals are stamped at the controller. A tool outside the guest keeps reporting,
    without progress, and those reports do not count. The lines of a guest travel through the network, whose
    own recovery is therefore part of the value.

    A report that the tool is known not to print, or that could not be read, is no stall. Where a longer stall
    may hide behind one, there is no value.
    """
    timeline = timeline_of(interval.attempt)
    exact = any(sample.stall_s is not None for sample in timeline.samples)
    _require_progress(timeline, interval, exact)
    stalls = _completions(timeline) if exact else _silences(timeline)
    own = [stall for stall in stalls if interval.owns(stall.start_ns, stall.end_ns, stall.due_ns)]
    seen = [stall.length_s for stall in own if not stall.hidden]
    longest_s = max(seen, default=0.0)
    hidden_s = max((stall.length_s for stall in own if stall.hidden), default=0.0)
    if hidden_s > longest_s:
        raise NotMeasured(
            f"a report is missing or could not be read, so that {hidden_s:.3f} s were not observed; the "
            f"longest stall that was seen is {longest_s:.3f} s"
        )
    if not seen:
        raise NotMeasured("no two reports with progress arrived around this stretch")
    resolution = _distance_s(interval.attempt) if exact else timeline.period_s
    return Value(value=longest_s, resolution=resolution, note=EXACT if exact else BY_REPORT)


def _completions(timeline: Timeline) -> Iterator[_Stall]:
    """The longest stall of each report, in the widest stretch that it may lie in.

    Of a control's slots it belongs to the one in which it began, by the latest it can have begun.
    """
    period_ns = round(timeline.period_s * NS_PER_S)
    for sample in timeline.samples:
        if sample.stall_s is not None:
            due_ns = sample.t_ns - round(sample.stall_s * NS_PER_S)
            yield _Stall(due_ns - period_ns, sample.t_ns, due_ns, sample.stall_s, hidden=False)
    for start_ns, end_ns in timeline.unobserved:
        yield _Stall(start_ns, end_ns, start_ns, seconds(end_ns - start_ns), hidden=True)


def _silences(timeline: Timeline) -> Iterator[_Stall]:
    """What passed between consecutive reports of progress beyond one period."""
    period_ns = round(timeline.period_s * NS_PER_S)
    progress = [sample.t_ns for sample in timeline.samples if sample.work > 0]
    for start_ns, end_ns in pairwise(progress):
        hidden = any(first_ns < end_ns and last_ns > start_ns for first_ns, last_ns in timeline.unobserved)
        length_s = max(0.0, seconds(end_ns - start_ns - period_ns))
        yield _Stall(start_ns, end_ns, start_ns + period_ns, length_s, hidden)


def _require_progress(timeline: Timeline, interval: Interval, exact: bool) -> None:
    """Raise NotMeasured where the work ended for good in the interval: that has no length.

    The tool stops with the window: a report due later than that is missing for no fault of the guest.
    """
    last_ns = max(
        (each.t_ns for each in timeline.samples if (each.stall_s is not None if exact else each.work > 0)),
        default=None,
    )
    if last_ns is None:
        raise NotMeasured("no report with progress arrived")
    period_ns = round(timeline.period_s * NS_PER_S)
    silent_ns = interval.until_ns - last_ns
    if silent_ns > PERIODS_OF_SILENCE * period_ns:
        least_s = seconds(silent_ns if exact else silent_ns - period_ns)
        raise NotMeasured(f"nothing was completed any more: for at least {least_s:.3f} s")


def _distance_s(attempt: Attempt) -> float | None:
    """The mean distance of two completions in the baseline; None where there is no baseline."""
    try:
        return 1 / baseline_of(attempt)
    except NotMeasured:
        return None


def _reports(timeline: Timeline, first_ns: int, last_ns: int) -> list[Sample]:
    """The reports that arrived after `first_ns` and until `last_ns`; raises NotMeasured without any."""
    found = [sample for sample in timeline.samples if first_ns < sample.t_ns <= last_ns]
    if not found:
        raise NotMeasured("no report of the workload arrived in this stretch")
    if any(begin_ns < last_ns and end_ns > first_ns for begin_ns, end_ns in timeline.unobserved):
        raise NotMeasured("a report of this stretch is missing or could not be read")
    return found


def work_failed(interval: Interval) -> Value:
    """Requests that failed and packets that never came, by the reports that arrived in the interval."""
    timeline = timeline_of(interval.attempt)
    lost = [sample.lost for sample in _reports(timeline, interval.started_ns, interval.until_ns)]
    known = [number for number in lost if number is not None]
    if not known:
        raise NotMeasured("the load generator does not say what failed")
    if len(known) < len(lost):
        raise NotMeasured(f"{len(lost) - len(known)} of {len(lost)} reports do not say what failed")
    return Value(value=float(sum(known)), unit=timeline.work_unit, resolution=1.0)


def latency_worst(interval: Interval) -> Value:
    """The highest latency that a report of the interval shows, as the tool defines it; s."""
    timeline = timeline_of(interval.attempt)
    worst = max(_latencies(timeline, interval.started_ns, interval.until_ns))
    return Value(value=worst, note=timeline.latency or None)


def latency_baseline(attempt: Attempt) -> Value:
    """The median of the latencies that the baseline's reports show, as the tool defines them; s."""
    timeline = timeline_of(attempt)
    usual = median(_latencies(timeline, attempt.baseline_ns, attempt.window_ns))
    return Value(value=usual, note=timeline.latency or None)


def _latencies(timeline: Timeline, first_ns: int, last_ns: int) -> list[float]:
    reports = _reports(timeline, first_ns, last_ns)
    least = [sample.latency_least_s for sample in reports if sample.latency_least_s is not None]
    if least:
        raise NotMeasured(
            f"{len(least)} of {len(reports)} reports show a latency beyond the tool's scale: at least "
            f"{max(least):.0f} s"
        )
    found = [sample.latency_s for sample in reports if sample.latency_s is not None]
    if not found:
        raise NotMeasured("no report of this stretch shows a latency")
    return found
