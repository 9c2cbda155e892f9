"""The metrics of one migration: an explicit tuple of declarations, each with its pure function.

This module states what is measured, in words that reports and ``results/README.md`` repeat; the other modules
of this room state how. Measures of an interval, also of a control trial, are in ``interval_metrics.py``. A
migration that failed or was skipped has no metrics, and an observer that failed says nothing: both
give nulls with the reason, never a zero and never a number from half of the evidence.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from harness.evidence.attempt import Attempt, Migration, seconds
from harness.evidence.events import MigrationReturned
from harness.evidence.metric import Metric, NotMeasured, Value
from harness.migration.measures import brownout, outage, service, transfer
from harness.migration.measures.intervals import OtherGap
from harness.migration.measures.load import cores
from harness.migration.measures.switchover import resume_of, switchover, told_apart

PAPER = (
    "Jamkhedkar et al., A Framework for Realizing Security on Demand in Cloud Computing, section VI, Table V"
)
LIBVIRT = "libvirt, virDomainGetJobStats and the JOB_COMPLETED event"
QEMU = "QEMU QMP reference, query-migrate"
QMP = "QEMU QMP reference, events STOP and RESUME"
OWN = "this project"


def total_time(migration: Migration) -> Value:
    """RESUME on the destination, by its own stamp, minus the call; s."""
    resume = resume_of(migration)
    return told_apart(
        resume.t_ns - migration.started_ns, resume.uncertainty_ns, "the call and RESUME on the destination"
    )


def command_time(migration: Migration) -> Value:
    """How long the call to migrate took; s."""
    return Value(
        value=seconds(migration.returned_ns - migration.started_ns), resolution=1e-9, uncertainty=0.0
    )


def blackout(migration: Migration) -> Value:
    """STOP on the source to RESUME on the destination, each by its own stamp; s.

    The uncertainty is the sum of both machines' clock uncertainties, 0 on one kernel. Null where the time is
    not longer than that.
    """
    pair = switchover(migration)
    return told_apart(
        pair.resume.t_ns - pair.stop.t_ns,
        pair.resume.uncertainty_ns + pair.stop.uncertainty_ns,
        "STOP on the source and RESUME on the destination",
    )


def start_lateness(migration: Migration) -> Value:
    """How much later than planned the call was made; s."""
    planned_s = migration.planned_s
    if planned_s is None:
        raise NotMeasured("the journal does not say when it was planned")
    return Value(value=seconds(migration.started_ns - migration.attempt.window_ns) - planned_s)


def before_ns(migration: Migration) -> int:
    """Where the stretch before a migration begins: the last one's return, else the baseline's opening."""
    started_ns = migration.started_ns
    ends = [event.t_ns for event in migration.attempt.all(MigrationReturned) if event.t_ns <= started_ns]
    return max(ends, default=migration.attempt.baseline_ns)


def _libvirt_ms(key: str, migration: Migration) -> Value:
    return transfer.milliseconds(transfer.completed_field(migration, key))


def _libvirt_wall_ms(key: str, migration: Migration) -> Value:
    """A time for which libvirt subtracts one host's wall clock from the other's: off by their difference."""
    found = transfer.milliseconds(transfer.completed_field(migration, key))
    clocks, started_ns = migration.attempt.clocks, migration.started_ns
    try:
        apart_ns = clocks.apart_ns(migration.source, migration.destination, started_ns)
    except NotMeasured:
        return found  # the value stands; how far it can be trusted is not known
    return replace(found, uncertainty=seconds(apart_ns))


def _qemu_ms(key: str, migration: Migration) -> Value:
    return transfer.milliseconds(transfer.qemu_field(migration, key))


def _completed(key: str, migration: Migration) -> Value:
    return Value(value=transfer.completed_field(migration, key))


def _dirty_mean(migration: Migration) -> Value:
    rates = transfer.dirty_rates(migration)
    return Value(value=sum(rates) / len(rates))


def _dirty_last(migration: Migration) -> Value:
    return Value(value=transfer.dirty_rates(migration)[-1])


def _cores(side: str, column: str, migration: Migration) -> Value:
    machine = {"source": lambda: migration.source, "destination": lambda: migration.destination}
    name = machine[side]() if side in machine else side
    return cores(migration.attempt, name, column, migration.started_ns, migration.returned_ns)


def _before(migration: Migration) -> Value:
    return brownout.throughput(migration.attempt, before_ns(migration), migration.started_ns)


def _during(migration: Migration) -> Value:
    return brownout.throughput(migration.attempt, migration.started_ns, migration.returned_ns)


def _after(migration: Migration) -> Value:
    return brownout.throughput(migration.attempt, migration.returned_ns, migration.until_ns)


def other_network_gap(migration: Migration) -> Value:
    """The longest heartbeat gap of its interval in which no migration has a part; s."""
    return outage.own_gap(OtherGap(migration=migration))


def other_application_gap(migration: Migration) -> Value:
    """The same of the workload's stalls; s."""
    return service.application_outage(OtherGap(migration=migration))


# A formatter would make a page of each.
# fmt: off
METRICS: tuple[Metric[Migration], ...] = (
    Metric(
        name="total_time", title="Total time", unit="s", better="lower", observer="qmp", measure=total_time,
        definition="From right before the call to migrate to RESUME on the destination, by that event's "
        "own stamp.",
        source=PAPER,
    ),
    Metric(
        name="command_time", title="Command time", unit="s", better="lower", observer="runner",
        measure=command_time,
        definition="From right before the call to migrate to right after it returned.",
        source=OWN,
    ),
    Metric(
        name="total_time_qemu", title="Total time (QEMU)", unit="s", better="none", observer="libvirt-job",
        measure=partial(_qemu_ms, "total_time_ms"),
        definition="QEMU's total-time on the source when it had completed.",
        source=QEMU,
    ),
    Metric(
        name="total_time_libvirt", title="Total time (libvirt)", unit="s", better="none",
        observer="libvirt-job", measure=partial(_libvirt_wall_ms, "time_elapsed"),
        definition="libvirt's time_elapsed of the completed job, which follows skewed clocks as its downtime "
        "does: it ends by the destination's wall clock and began by the source's. Uncertainty: by how much "
        "the hosts' wall clocks differed.",
        source=LIBVIRT,
    ),
    Metric(
        name="blackout", title="Blackout", unit="s", better="lower", observer="qmp", measure=blackout,
        definition="STOP on the source to RESUME on the destination, by the events' own stamps mapped to "
        "one clock. The uncertainty is the sum of both machines' clock uncertainties, 0 on "
        "one kernel; null where the time is not longer than that. Table V's downtime.",
        source=f"{PAPER}; {QMP}",
    ),
    Metric(
        name="downtime_qemu", title="Downtime (QEMU)", unit="s", better="none", observer="libvirt-job",
        measure=partial(_qemu_ms, "downtime_ms"),
        definition="QEMU's downtime on the source when it had completed; it includes the return path.",
        source=QEMU,
    ),
    Metric(
        name="downtime_libvirt", title="Downtime (libvirt)", unit="s", better="none",
        observer="libvirt-job", measure=partial(_libvirt_wall_ms, "downtime"),
        definition="libvirt's downtime of the completed job: a difference of two hosts' wall clocks. "
        "Uncertainty: by how much they differed.",
        source=LIBVIRT,
    ),
    Metric(
        name="downtime_libvirt_net", title="Downtime (libvirt, net)", unit="s", better="none",
        observer="libvirt-job", measure=partial(_libvirt_ms, "downtime_net"),
        definition="libvirt's downtime without the transfer of its messages: robust against skewed "
        "clocks, and absent when it would not be positive.",
        source=LIBVIRT,
    ),
    Metric(
        name="time_to_recover", title="Time to recover", unit="s", better="lower",
        observer="workload + qmp", measure=brownout.time_to_recover,
        definition="From RESUME on the destination to the start of the first report period, wholly after "
        "it, at 90 % of the baseline or more. Resolution: the period.",
        source=OWN, over="interval",
    ),
    Metric(
        name="data_sent", title="Data sent", unit="bytes", better="lower", observer="libvirt-job",
        measure=transfer.data_sent,
        definition="Bytes the hypervisor says it transferred (RAM and devices): data_processed of the "
        "completed job.",
        source=f"{PAPER}; {LIBVIRT}",
    ),
    Metric(
        name="wire_bytes", title="Wire bytes", unit="bytes", better="lower", observer="wire",
        measure=transfer.wire_bytes,
        definition="IP bytes to the peer's migration ports, counted on the source: the counter's first "
        "reading after the call's return minus its last before the call.",
        source=OWN,
    ),
    Metric(
        name="wire_ratio", title="Wire bytes / data sent", unit="ratio", better="none",
        observer="wire + libvirt-job", measure=transfer.wire_ratio,
        definition="Framing, TLS and retransmission: bytes on the wire for each byte the hypervisor says "
        "it sent.",
        source=OWN,
    ),
    Metric(
        name="wire_agrees", title="Wire agrees with data sent", unit="", better="higher",
        observer="wire + libvirt-job", measure=transfer.wire_agrees,
        definition="1 when the ratio lies within 1 ± 0.05, else 0: then one of the two needs an "
        "explanation.",
        source=OWN,
    ),
    Metric(
        name="iterations", title="Iterations", unit="count", better="lower", observer="libvirt-job",
        measure=transfer.iterations,
        definition="Passes over memory: memory_iteration of the completed job, else the highest a sample "
        "showed.",
        source=LIBVIRT,
    ),
    Metric(
        name="dirty_rate", title="Dirty rate, mean", unit="bytes/s", better="none", observer="libvirt-job",
        measure=_dirty_mean,
        definition="Mean over the job's samples of memory_dirty_rate times the page size, from the first "
        "known one on.",
        source=LIBVIRT,
    ),
    Metric(
        name="dirty_rate_last", title="Dirty rate, last", unit="bytes/s", better="none",
        observer="libvirt-job", measure=_dirty_last,
        definition="The last sample's memory_dirty_rate times the page size.",
        source=LIBVIRT,
    ),
    Metric(
        name="bandwidth", title="Bandwidth", unit="bytes/s", better="none", observer="libvirt-job",
        measure=partial(_completed, "memory_bps"),
        definition="Memory sent a second over the whole migration: memory_bps of the completed job.",
        source=LIBVIRT,
    ),
    Metric(
        name="throttle", title="Throttling", unit="percent", better="lower", observer="libvirt-job",
        measure=transfer.throttle,
        definition="The highest percentage by which auto-converge slowed the guest; null where it was "
        "off.",
        source=LIBVIRT,
    ),
    Metric(
        name="setup_time", title="Setup time", unit="s", better="lower", observer="libvirt-job",
        measure=partial(_libvirt_ms, "setup_time"),
        definition="libvirt's setup_time of the completed job.",
        source=LIBVIRT,
    ),
    Metric(
        name="zero_bytes", title="Zero pages", unit="bytes", better="none", observer="libvirt-job",
        measure=transfer.zero_bytes,
        definition="Memory that was not sent because its pages were constant: memory_constant times the "
        "page size.",
        source=LIBVIRT,
    ),
    Metric(
        name="ram_bytes", title="Guest memory", unit="bytes", better="none", observer="libvirt-job",
        measure=partial(_completed, "memory_total"),
        definition="Memory that had to be migrated: memory_total of the completed job.",
        source=LIBVIRT,
    ),
    Metric(
        name="start_lateness", title="Start lateness", unit="s", better="lower", observer="runner",
        measure=start_lateness,
        definition="When the call was made minus when it was planned.",
        source=OWN,
    ),
    Metric(
        name="cpu_source", title="CPU of the source", unit="cores", better="lower", observer="host-sampler",
        measure=partial(_cores, "source", "cpu_busy_s"),
        definition="Core-seconds a second of the source machine over the call; in a lab that is the "
        "whole machine.",
        source=OWN,
    ),
    Metric(
        name="cpu_destination", title="CPU of the destination", unit="cores", better="lower",
        observer="host-sampler", measure=partial(_cores, "destination", "cpu_busy_s"),
        definition="Core-seconds a second of the destination machine over the call; in a lab that is the "
        "whole machine.",
        source=OWN,
    ),
    Metric(
        name="cpu_qemu_source", title="CPU of QEMU, source", unit="cores", better="lower",
        observer="host-sampler", measure=partial(_cores, "source", "qemu_cpu_s"),
        definition="Core-seconds a second of the source's QEMU over the call.",
        source=OWN,
    ),
    Metric(
        name="cpu_qemu_destination", title="CPU of QEMU, destination", unit="cores", better="lower",
        observer="host-sampler", measure=partial(_cores, "destination", "qemu_cpu_s"),
        definition="Core-seconds a second of the destination's QEMU over the call.",
        source=OWN,
    ),
    Metric(
        name="cpu_controller", title="CPU of the controller", unit="cores", better="lower",
        observer="host-sampler", measure=partial(_cores, "controller", "cpu_self_s"),
        definition="Core-seconds a second of the controller's processes over the call.",
        source=OWN,
    ),
    Metric(
        name="throughput_before", title="Throughput before", unit="work/s", better="higher",
        observer="workload", measure=_before,
        definition="Work a second from the last migration's return (or the baseline's opening) to the "
        "call.",
        source=OWN,
    ),
    Metric(
        name="throughput_during", title="Throughput during", unit="work/s", better="higher",
        observer="workload", measure=_during,
        definition="Work a second from the call to its return.",
        source=OWN,
    ),
    Metric(
        name="throughput_after", title="Throughput after", unit="work/s", better="higher",
        observer="workload", measure=_after,
        definition="Work a second from the call's return to the next migration's start or the window's "
        "end.",
        source=OWN, over="interval",
    ),
    Metric(
        name="other_gap_network", title="Other network gap", unit="s", better="none", observer="heartbeat",
        measure=other_network_gap,
        definition="The longest distance of two consecutive heartbeat replies whose first missing reply was "
        "due in the interval and that overlaps no migration: what the network outage leaves out. Resolution "
        "and uncertainty as there.",
        source=OWN, over="interval",
    ),
    Metric(
        name="other_gap_application", title="Other application gap", unit="s", better="none",
        observer="workload", measure=other_application_gap,
        definition="The longest stall of the workload that began in the interval and cannot overlap a "
        "migration: what the application outage leaves out. Measured in the same way.",
        source=OWN, over="interval",
    ),
)
# fmt: on


def measure(metric: Metric[Migration], migration: Migration) -> Value:
    """The reading of a migration: null with the reason when it failed or an observer did."""
    if migration.failure is not None:
        return Value.missing(migration.failure)
    try:
        until_ns = migration.returned_ns if metric.over == "move" else migration.until_ns
    except NotMeasured as why:
        return Value.missing(str(why))
    return unobserved(metric.observer, migration.attempt, until_ns) or metric.of(migration)


def unobserved(observers: str, attempt: Attempt, until_ns: int) -> Value | None:
    """A null with the reason when one of the `observers` failed before `until_ns`, or None."""
    reasons = (attempt.failed(observer, until_ns) for observer in observers.split(" + "))
    reason = next((reason for reason in reasons if reason is not None), None)
    return None if reason is None else Value.missing(reason)
