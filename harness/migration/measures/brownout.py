"""What a migration cost the workload: work lost, time spent slow, time until it was itself again.

The workload's reports are read as a rate that is constant from one arrival to the next. The yardstick is the
trial's own baseline, taken before the window opened: the stretch before a later migration may still suffer
from the one before.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.clock import NS_PER_S
from harness.evidence.attempt import Attempt, Migration, seconds
from harness.evidence.metric import NotApplicable, NotMeasured, Value
from harness.migration.measures.intervals import Interval
from harness.migration.measures.switchover import resume_of
from harness.workloads.contract import Timeline

RECOVERED = 0.9
"""The workload is itself again at this share of its baseline."""


@dataclass(frozen=True, slots=True)
class Step:
    """Work done at one rate, units of work a second, from `start_ns` to `end_ns` (controller's)."""

    start_ns: int
    end_ns: int
    rate: float


@dataclass(frozen=True, slots=True)
class Rate:
    """A workload's rate over time. `unit` is that of work; `period_s` the reports' nominal distance."""

    unit: str
    period_s: float
    steps: tuple[Step, ...]

    def work(self, first_ns: int, last_ns: int) -> tuple[float, float]:
        """The work done from `first_ns` to `last_ns`, and how many seconds of that the reports cover."""
        work = covered_ns = 0.0
        for step in self.steps:
            overlap = min(step.end_ns, last_ns) - max(step.start_ns, first_ns)
            if overlap > 0:
                work += step.rate * overlap / NS_PER_S
                covered_ns += overlap
        return work, seconds(covered_ns)

    def mean(self, first_ns: int, last_ns: int) -> float:
        """Work a second from `first_ns` to `last_ns`.

        Raises:
            NotMeasured: The reports leave more than two periods, or more than half of it, uncovered.
        """
        work, covered_s = self.work(first_ns, last_ns)
        self._require(covered_s, seconds(last_ns - first_ns))
        return work / covered_s

    def _require(self, covered_s: float, wanted_s: float) -> None:
        if covered_s <= 0 or covered_s < max(wanted_s - 2 * self.period_s, wanted_s / 2):
            raise NotMeasured(f"the workload's reports cover {covered_s:.1f} s of {wanted_s:.1f} s")

    def lost(self, baseline: float, first_ns: int, last_ns: int) -> float:
        """What the baseline would have done more from `first_ns` to `last_ns`, negative when less."""
        work, covered_s = self.work(first_ns, last_ns)
        self._require(covered_s, seconds(last_ns - first_ns))
        return baseline * covered_s - work

    def below(self, rate: float, first_ns: int, last_ns: int) -> float:
        """Seconds from `first_ns` to `last_ns` at less than `rate`."""
        _, covered_s = self.work(first_ns, last_ns)
        self._require(covered_s, seconds(last_ns - first_ns))
        slow = (
            min(step.end_ns, last_ns) - max(step.start_ns, first_ns)
            for step in self.steps
            if step.rate < rate
        )
        return seconds(sum(overlap for overlap in slow if overlap > 0))


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


def rate_of(attempt: Attempt) -> Rate:
    """The workload's rate from its timeline; reports that arrive at the same instant are taken as one.

    A stretch that was not observed has no rate, unless the report at its end has the work of all of it.

    Raises:
        NotMeasured: There is no timeline.
    """
    timeline = timeline_of(attempt)
    steps: list[Step] = []
    start_ns = timeline.samples[0].t_ns - round(timeline.period_s * NS_PER_S)
    pending = 0.0
    skipped = iter([*timeline.unobserved, (0, timeline.samples[-1].t_ns)])
    _, read_ns = next(skipped)
    for sample in timeline.samples:
        while read_ns < sample.t_ns:
            start_ns = max(start_ns, read_ns)
            _, read_ns = next(skipped)
        pending += sample.work
        if sample.t_ns > start_ns:
            rate = pending * NS_PER_S / (sample.t_ns - start_ns)
            steps.append(Step(start_ns, sample.t_ns, rate))
            start_ns, pending = sample.t_ns, 0.0
    return Rate(timeline.work_unit, timeline.period_s, tuple(steps))


def baseline_of(attempt: Attempt) -> float:
    """The workload's rate before the window opened, units of work a second.

    Raises:
        NotMeasured: No baseline was taken, it has no reports, or nothing was done in it.
    """
    rate = rate_of(attempt).mean(attempt.baseline_ns, attempt.window_ns)
    if rate <= 0:
        raise NotMeasured("the workload did nothing in the baseline")
    return rate


def work_lost(interval: Interval) -> Value:
    """Baseline rate times the interval's length, minus the work done in it, in the workload's unit."""
    rate, baseline = rate_of(interval.attempt), baseline_of(interval.attempt)
    lost = rate.lost(baseline, interval.started_ns, interval.until_ns)
    return Value(value=lost, unit=rate.unit, resolution=baseline * rate.period_s)


def work_lost_time(interval: Interval) -> Value:
    """The same as the time in which the baseline does so much work; s."""
    rate, baseline = rate_of(interval.attempt), baseline_of(interval.attempt)
    lost = rate.lost(baseline, interval.started_ns, interval.until_ns)
    return Value(value=lost / baseline, resolution=rate.period_s)


def seconds_below(interval: Interval, share: float) -> Value:
    """Seconds of the interval at less than `share` of the baseline."""
    rate, baseline = rate_of(interval.attempt), baseline_of(interval.attempt)
    value = rate.below(share * baseline, interval.started_ns, interval.until_ns)
    return Value(value=value, resolution=rate.period_s)


def time_to_recover(migration: Migration) -> Value:
    """From RESUME on the destination to the first report period at 90 % of the baseline or more.

    The period's start counts, and only periods that lie wholly after RESUME do; the resolution is a period.

    Raises:
        NotMeasured: It was not so again before the migration's interval ended.
    """
    rate, baseline = rate_of(migration.attempt), baseline_of(migration.attempt)
    resume_ns, until_ns = resume_of(migration).t_ns, migration.until_ns
    for step in rate.steps:
        if resume_ns <= step.start_ns < until_ns and step.rate >= RECOVERED * baseline:
            return Value(value=seconds(step.start_ns - resume_ns), resolution=rate.period_s)
    within_s = seconds(until_ns - resume_ns)
    raise NotMeasured(f"not back at {RECOVERED:.0%} of the baseline within {within_s:.1f} s")


def throughput(attempt: Attempt, first_ns: int, last_ns: int) -> Value:
    """Work a second from `first_ns` to `last_ns`, in the workload's unit."""
    if last_ns <= first_ns:
        raise NotMeasured("there is no time between this and the next")
    rate = rate_of(attempt)
    return Value(value=rate.mean(first_ns, last_ns), unit=f"{rate.unit}/s")
