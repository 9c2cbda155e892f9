"""What the people who use the service notice, from the workload's own reports: stalls, failures, waits.

Each is taken over an interval, of a migration or of a control trial, and is as fine as the tool's reports:
where a tool knows every single completion, the longest stall is exact; where it only reports once a period,
the period is the resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from harness.clock import NS_PER_S
from harness.metric import NotMeasured, Value
from harness.migration.brownout import baseline_of, timeline_of
from harness.migration.evidence import Attempt, seconds
from harness.migration.intervals import Interval
from harness.workloads.contract import Sample, Timeline

PERIODS_OF_SILENCE = 3
"""After so many periods without progress at the end of an interval, nothing can be said of its length."""
EXACT = "between single completions"
BY_REPORT = "between reports of progress"


def application_outage(interval: Interval) -> Value:
    """The longest the workload completed nothing.

    Where the tool knows each completion, it is the longest time between two consecutive ones; the resolution
    is their mean distance in the baseline. Else it is the longest distance of two consecutive reports that
    carry progress, minus one nominal period, not below 0; the resolution is the period. The note says which.

    A tool inside the guest does not see a freeze by its own clock, which stands still with it: it reports
    after one period of *its* time, as if nothing had been. But its line arrives late by exactly what its
    clock missed, and arrivals are stamped at the controller. A tool outside the guest keeps reporting,
    without progress, and those reports do not count. The lines of a guest travel through the network, whose
    own recovery is therefore part of the value.
    """
    timeline = timeline_of(interval.attempt)
    if any(sample.stall_s is not None for sample in timeline.samples):
        return _by_completion(timeline, interval)
    progress = [sample.t_ns for sample in timeline.samples if sample.work > 0]
    period_ns = round(timeline.period_s * NS_PER_S)
    return Value(
        value=max(0.0, seconds(_longest_span(progress, period_ns, interval) - period_ns)),
        resolution=timeline.period_s,
        note=BY_REPORT,
    )


def _by_completion(timeline: Timeline, interval: Interval) -> Value:
    """A stall belongs to the interval in which it began, by the latest it can have begun."""
    first_ns, last_ns = interval.started_ns, interval.until_ns
    known = [(sample.t_ns, sample.stall_s) for sample in timeline.samples if sample.stall_s is not None]
    own = [stall_s for t_ns, stall_s in known if first_ns <= t_ns - round(stall_s * NS_PER_S) < last_ns]
    silent_ns = last_ns - known[-1][0]
    if silent_ns > PERIODS_OF_SILENCE * timeline.period_s * NS_PER_S:
        raise NotMeasured(f"nothing was completed any more: for at least {seconds(silent_ns):.3f} s")
    if not own:
        raise NotMeasured("nothing was completed around this interval's start")
    return Value(value=max(own), resolution=_distance_s(interval.attempt), note=EXACT)


def _distance_s(attempt: Attempt) -> float | None:
    """The mean distance of two completions in the baseline; None where there is no baseline."""
    try:
        return 1 / baseline_of(attempt)
    except NotMeasured:
        return None


def _longest_span(progress_ns: Sequence[int], period_ns: int, interval: Interval) -> int:
    """A distance belongs to the interval in which the first missing report was due."""
    first_ns, last_ns = interval.started_ns, interval.until_ns
    inside = [
        (start, end)
        for start, end in zip(progress_ns, [*progress_ns[1:], None], strict=True)
        if first_ns <= start + period_ns < last_ns
    ]
    if not inside:
        raise NotMeasured("no report with progress arrived in this interval")
    spans = [end - start for start, end in inside if end is not None]
    if inside[-1][1] is None:
        # The tool stops with the window: a report due later than that is missing for no fault of the guest.
        if last_ns - inside[-1][0] > PERIODS_OF_SILENCE * period_ns:
            least_s = seconds(last_ns - inside[-1][0] - period_ns)
            raise NotMeasured(f"no progress was reported any more: nothing for at least {least_s:.3f} s")
        if not spans:
            raise NotMeasured("only one report with progress arrived in this interval")
    return max(spans)


def _reports(timeline: Timeline, first_ns: int, last_ns: int) -> list[Sample]:
    """The reports that arrived after `first_ns` and until `last_ns`; raises NotMeasured without any."""
    found = [sample for sample in timeline.samples if first_ns < sample.t_ns <= last_ns]
    if not found:
        raise NotMeasured("no report of the workload arrived in this stretch")
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
    found = [sample.latency_s for sample in reports if sample.latency_s is not None]
    if not found:
        raise NotMeasured("no report of this stretch shows a latency")
    return found
