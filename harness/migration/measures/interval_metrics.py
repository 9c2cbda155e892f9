"""The metrics of an interval: what a migration costs the service, and the same where nothing is migrated.

They are read of every migration's interval and of every slot of a control trial alike, so that the second is
the noise floor of the first. Nothing here may depend on what a migration alone has, such as its RESUME.
"""

from __future__ import annotations

from functools import partial

from harness.evidence.metric import Metric, Value
from harness.migration.measures import brownout, outage, service
from harness.migration.measures.intervals import Interval, Slot
from harness.migration.measures.metrics import OWN, unobserved


def outage_network(interval: Interval) -> Value:
    """The longest heartbeat gap that is the interval's own; s."""
    return outage.own_gap(interval)


def _below(share: float, interval: Interval) -> Value:
    return brownout.seconds_below(interval, share)


# fmt: off
METRICS: tuple[Metric[Interval], ...] = (
    Metric(
        name="outage_network", title="Network outage", unit="s", better="lower", observer="heartbeat",
        measure=outage_network,
        definition="The longest distance of two consecutive heartbeat replies, in the client's own clock "
        "and with nothing subtracted, that overlaps the migration, from the call to its return. A silence "
        "shows longer than it was by less than two periods. Resolution: the heartbeat's period. "
        "Uncertainty: by how much the sender itself exceeded its period around the gap. In a control slot, "
        "where nothing is called, the longest whose first missing reply was due in it: a noise floor that is "
        "rather too high than too low.",
        source=OWN, scope="interval", over="interval",
    ),
    Metric(
        name="outage_application", title="Application outage", unit="s", better="lower",
        observer="workload", measure=service.application_outage,
        definition="The longest the workload completed nothing, of the stalls that overlap the migration, "
        "from the call to its return, as far as the tool's reports tell. Where the tool knows each "
        "completion: the longest time between two consecutive ones; resolution: their mean distance in the "
        "baseline. Else the longest distance of two consecutive reports of progress as they arrived at the "
        "controller, minus one nominal period, not below 0; resolution: the period. The note says which. "
        "Null where a report that the tool does not print, or that could not be read, may hide a longer one. "
        "In a control slot the longest that began in it: a noise floor that is rather too high than too low.",
        source=OWN, scope="interval", over="interval",
    ),
    Metric(
        name="work_lost", title="Work lost", unit="work", better="lower", observer="workload", signed=True,
        measure=brownout.work_lost,
        definition="The baseline's rate times the interval's length, minus the work done in it, in the "
        "workload's unit; negative when more was done than the baseline promised.",
        source=OWN, scope="interval", over="interval",
    ),
    Metric(
        name="work_lost_time", title="Work lost, as time", unit="s", better="lower", observer="workload",
        signed=True, measure=brownout.work_lost_time,
        definition="The work lost divided by the baseline's rate: how long the undisturbed service would "
        "need for it.",
        source=OWN, scope="interval", over="interval",
    ),
    Metric(
        name="below_90", title="Time below 90 %", unit="s", better="lower", observer="workload",
        measure=partial(_below, 0.9),
        definition="Seconds of the interval with the workload's rate below 90 % of the baseline.",
        source=OWN, scope="interval", over="interval",
    ),
    Metric(
        name="below_50", title="Time below 50 %", unit="s", better="lower", observer="workload",
        measure=partial(_below, 0.5),
        definition="Seconds of the interval with the workload's rate below 50 % of the baseline.",
        source=OWN, scope="interval", over="interval",
    ),
    Metric(
        name="below_10", title="Time below 10 %", unit="s", better="lower", observer="workload",
        measure=partial(_below, 0.1),
        definition="Seconds of the interval with the workload's rate below 10 % of the baseline.",
        source=OWN, scope="interval", over="interval",
    ),
    Metric(
        name="work_failed", title="Failed or lost", unit="work", better="lower", observer="workload",
        measure=service.work_failed,
        definition="Requests that failed and packets that never came, by the reports that arrived in the "
        "interval, in the workload's unit; null where the tool cannot know.",
        source=OWN, scope="interval", over="interval",
    ),
    Metric(
        name="latency_worst", title="Worst latency", unit="s", better="lower", observer="workload",
        measure=service.latency_worst,
        definition="The highest latency that a report of the interval shows, as the tool defines it; the "
        "note has that definition.",
        source=OWN, scope="interval", over="interval",
    ),
)
# fmt: on


def measure(metric: Metric[Interval], slot: Slot) -> Value:
    """The reading of a control trial's slot: null with the reason when an observer it needs failed."""
    return unobserved(metric.observer, slot.attempt, slot.until_ns) or metric.of(slot)
