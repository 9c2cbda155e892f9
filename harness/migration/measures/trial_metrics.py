"""The metrics of a whole trial: was it steady, how much noise is there without any migration, how it went.

They judge nothing: a verdict is in the journal. They say what the trial's other numbers are worth.
"""

from __future__ import annotations

from harness.evidence.attempt import Attempt, seconds
from harness.evidence.events import QmpEvent, WindowOpened, WorkloadSteady, WorkloadUnsteady
from harness.evidence.metric import Metric, NotApplicable, NotMeasured, Value
from harness.migration.measures import brownout, outage, service
from harness.migration.measures.load import cores
from harness.migration.measures.metrics import OWN, QMP, unobserved
from harness.migration.measures.switchover import pauses
from harness.pair_name import MACHINES


def steady(attempt: Attempt) -> Value:
    """1 when the load was steady before the window, 0 when it was seen not to be."""
    if attempt.all(WorkloadUnsteady):
        return Value(value=0.0)
    attempt.first(WorkloadSteady)
    return Value(value=1.0)


def baseline_rate(attempt: Attempt) -> Value:
    """The workload's rate before the window opened."""
    return Value(value=brownout.baseline_of(attempt), unit=f"{brownout.rate_of(attempt).unit}/s")


def window_rate(attempt: Attempt) -> Value:
    """The workload's rate over the window."""
    return brownout.throughput(attempt, attempt.window_ns, attempt.closed_ns)


def heartbeat_loss(attempt: Attempt) -> Value:
    """The share of heartbeat requests of baseline and window without a reply."""
    return outage.loss(attempt, attempt.baseline_ns, attempt.closed_ns)


def background_gap(attempt: Attempt) -> Value:
    """The longest heartbeat gap of the baseline: what a gap is without any migration."""
    return outage.longest_gap(attempt, attempt.baseline_ns, attempt.window_ns)


def window_gap(attempt: Attempt) -> Value:
    """The longest heartbeat gap of the window."""
    return outage.longest_gap(attempt, attempt.window_ns, attempt.closed_ns)


def clock_uncertainty(attempt: Attempt) -> Value:
    """The largest uncertainty with which a machine's stamps map to the controller's clock; s."""
    near_ns = attempt.window_ns
    return Value(value=seconds(max(attempt.clocks.uncertainty_ns(one, near_ns) for one in MACHINES)))


def controller_cpu(attempt: Attempt) -> Value:
    """Cores the controller and its observers kept busy over the window."""
    return cores(attempt, "controller", "cpu_self_s", attempt.window_ns, attempt.closed_ns)


def completed_migrations(attempt: Attempt) -> Value:
    """How many migrations succeeded."""
    return Value(value=float(sum(1 for migration in attempt.migrations if migration.failure is None)))


def paused(attempt: Attempt) -> Value:
    """Seconds the guest was stopped and resumed on one host, switch-overs left out."""
    if not attempt.all(QmpEvent):
        raise NotMeasured("no QMP event was seen in this attempt: none happened, or none was heard")
    return Value(value=sum(pause.length_s for pause in pauses(attempt)), resolution=1e-6, uncertainty=0.0)


def late_close(attempt: Attempt) -> Value:
    """How long the window was kept open for a migration that was still under way."""
    if attempt.kind == "control":
        raise NotApplicable("a control trial has no migrations")
    attempt.first(WindowOpened)
    window = attempt.value(WindowOpened)
    if window is None:
        raise NotMeasured("the window's length was not recorded")
    return Value(value=max(0.0, seconds(attempt.closed_ns - attempt.window_ns) - window.window_s))


# fmt: off
METRICS: tuple[Metric[Attempt], ...] = (
    Metric(
        name="steady", title="Steady before the window", unit="", better="higher", observer="runner",
        definition="1 when the workload passed its stated test before the window opened, 0 when it did "
        "not.",
        source=OWN, scope="trial", over="baseline", measure=steady,
    ),
    Metric(
        name="baseline_rate", title="Baseline rate", unit="work/s", better="higher", observer="workload",
        definition="Work a second from the baseline's opening to the window's.",
        source=OWN, scope="trial", over="baseline", measure=baseline_rate,
    ),
    Metric(
        name="latency_baseline", title="Baseline latency", unit="s", better="lower", observer="workload",
        definition="The median of the latencies that the baseline's reports show, as the tool defines them; "
        "the note has that definition.",
        source=OWN, scope="trial", over="baseline", measure=service.latency_baseline,
    ),
    Metric(
        name="window_rate", title="Rate over the window", unit="work/s", better="higher",
        observer="workload",
        definition="Work a second over the whole window, migrations included.",
        source=OWN, scope="trial", over="window", measure=window_rate,
    ),
    Metric(
        name="heartbeat_loss", title="Heartbeat loss", unit="ratio", better="lower", observer="heartbeat",
        definition="Requests without a reply, of all sent from the baseline's opening to the window's "
        "end.",
        source=OWN, scope="trial", over="window", measure=heartbeat_loss,
    ),
    Metric(
        name="heartbeat_background_gap", title="Background gap", unit="s", better="lower",
        observer="heartbeat",
        definition="The longest heartbeat gap of the baseline, before any migration: the noise floor of "
        "the network outage.",
        source=OWN, scope="trial", over="baseline", measure=background_gap,
    ),
    Metric(
        name="heartbeat_window_gap", title="Longest gap of the window", unit="s", better="lower",
        observer="heartbeat",
        definition="The longest heartbeat gap of the window; in a control trial the noise floor over its "
        "length.",
        source=OWN, scope="trial", over="window", measure=window_gap,
    ),
    Metric(
        name="clock_uncertainty", title="Clock uncertainty", unit="s", better="lower", observer="clocks",
        definition="The largest uncertainty with which stamps of host a, host b or the client map to the "
        "controller's clock; 0 where all share one kernel.",
        source="RFC 5905, on-wire protocol: half the best round trip", scope="trial", over="window",
        measure=clock_uncertainty,
    ),
    Metric(
        name="controller_cpu", title="Controller CPU", unit="cores", better="lower",
        observer="host-sampler",
        definition="Core-seconds a second of the controller's processes, observers included, over the "
        "window.",
        source=OWN, scope="trial", over="window", measure=controller_cpu,
    ),
    Metric(
        name="completed_migrations", title="Completed migrations", unit="count", better="higher",
        observer="runner",
        definition="How many of the trial's migrations succeeded.",
        source=OWN, scope="trial", over="window", measure=completed_migrations,
    ),
    Metric(
        name="paused", title="Paused otherwise", unit="s", better="lower", observer="qmp",
        definition="The sum of STOP to RESUME on one and the same host: suspensions, injected pauses and "
        "failed switch-overs. Never part of a blackout.",
        source=QMP, scope="trial", over="window", measure=paused,
    ),
    Metric(
        name="late_close", title="Window kept open", unit="s", better="lower", observer="runner",
        definition="By how much the window outlasted its planned length because a migration was under "
        "way.",
        source=OWN, scope="trial", over="window", measure=late_close,
    ),
)
# fmt: on


def measure(metric: Metric[Attempt], attempt: Attempt) -> Value:
    """The reading of an attempt: null with the reason when an observer it needs failed."""
    try:
        until_ns = attempt.window_ns if metric.over == "baseline" else attempt.closed_ns
    except NotMeasured as why:
        return Value.missing(str(why))
    return unobserved(metric.observer, attempt, until_ns) or metric.of(attempt)
