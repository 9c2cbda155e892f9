"""How long several guests took to leave a host, and what each of them paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.clock import NS_PER_S
from harness.evidence.attempt import Attempt, Migration
from harness.evidence.events import ResponseDetected
from harness.evidence.metric import NotMeasured, Value
from harness.migration.measures import metrics
from harness.migration.measures.switchover import resume_of

OF_EACH = ("blackout", "total_time", "data_sent", "cpu_source", "cpu_destination")
"""The metrics of a migration that stand next to each guest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """One guest's move within an evacuation.

    Attributes:
        n: The migration's number.
        guest: Its name.
        resumed: Seconds from the evacuation's begin to the guest's RESUME at its destination.
        readings: The metrics of :data:`OF_EACH`, by name.
    """

    n: int
    guest: str
    resumed: Value
    readings: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evacuation:
    """All guests of a trial leave their host: at a point of the schedule, or because it was violated.

    Attributes:
        trial: The trial's id.
        attempt: The attempt's number.
        planned_s: Seconds after t = 0: the point at which all of them were to leave, or the provocation.
        departures: In the order in which they left; a guest that failed to is there once for each try.
        total: Seconds from that point, or from the detection of the violation, to the last guest's RESUME at
            its destination.
        sent_bytes: What the hypervisor sent for all of them.
    """

    trial: str
    attempt: int
    planned_s: float
    departures: tuple[Departure, ...]
    total: Value
    sent_bytes: Value

    def link_share(self, link_bit_s: float | None) -> Value:
        """What was sent, as a share of what the link could have carried over the whole evacuation."""
        if link_bit_s is None:
            return Value.missing("the inventory does not state the link's speed (sodbench_link_bit_s)")
        total_s, sent_bytes = self.total.value, self.sent_bytes.value
        if total_s is None:
            return Value.missing(str(self.total.reason))
        if sent_bytes is None:
            return Value.missing(str(self.sent_bytes.reason))
        if total_s <= 0:
            return Value.missing(f"the evacuation took {total_s:g} s by the hosts' clocks")
        return Value(value=8 * sent_bytes / (link_bit_s * total_s))


def evacuations(attempt: Attempt) -> tuple[Evacuation, ...]:
    """The evacuations of an attempt by their points; none where it had one guest.

    A migration whose point cannot be read may belong to any of them: no evacuation has a total.
    """
    if len(attempt.guests) < 2:
        return ()
    points: dict[float, list[Migration]] = {}
    unknown: Value | None = None
    for migration in attempt.migrations:
        if migration.planned_s is not None:
            points.setdefault(migration.planned_s, []).append(migration)
            continue
        whose = f"migration {migration.n}, of guest {migration.attempt.guests[0]},"
        unknown = unknown or Value.missing(f"the journal does not say when {whose} was to start")
    return tuple(
        _evacuation(attempt, planned_s, moved, unknown) for planned_s, moved in sorted(points.items())
    )


def _evacuation(
    attempt: Attempt, planned_s: float, moved: Sequence[Migration], unknown: Value | None
) -> Evacuation:
    begin_ns = _begin_ns(attempt, planned_s, moved)
    found = [_departure(migration, begin_ns) for migration in sorted(moved, key=_started_ns)]
    sent = [one.readings["data_sent"] for one in found]
    last = {one.guest: one.resumed for one in found}
    stayed = [name for name in attempt.guests if name not in last]
    if stayed and attempt.scenario is not None:
        last |= {name: Value.missing(f"{name} was not moved") for name in stayed}
    return Evacuation(
        trial=attempt.trial,
        attempt=attempt.attempt,
        planned_s=planned_s,
        departures=tuple(found),
        total=unknown or last_of(list(last.values())),
        sent_bytes=unknown or sum_of(sent),
    )


def _begin_ns(attempt: Attempt, planned_s: float, moved: Sequence[Migration]) -> int | None:
    """When the evacuation began: at its point, or when the loop was told of the violation; else None."""
    if attempt.scenario is None:
        return attempt.window_ns + round(planned_s * NS_PER_S)
    numbers = {migration.n for migration in moved}
    told = [event.t_ns for event, value in attempt.told(ResponseDetected) if value.n in numbers]
    return min(told, default=None)


def _started_ns(migration: Migration) -> tuple[int, int]:
    try:
        return migration.started_ns, migration.n
    except NotMeasured:
        return 2**63, migration.n


def _departure(migration: Migration, begin_ns: int | None) -> Departure:
    known = {metric.name: metric for metric in metrics.METRICS}
    return Departure(
        n=migration.n,
        guest=migration.attempt.guests[0],
        resumed=_resumed(migration, begin_ns),
        readings={name: metrics.measure(known[name], migration) for name in OF_EACH},
    )


def _resumed(migration: Migration, begin_ns: int | None) -> Value:
    if begin_ns is None:
        return Value.missing("the journal does not say when the violation was detected")
    if migration.failure is not None:
        return Value.missing(migration.failure)
    try:
        resume = resume_of(migration)
    except NotMeasured as why:
        return Value.missing(str(why))
    uncertainty_s = resume.uncertainty_ns / NS_PER_S
    return Value(value=(resume.t_ns - begin_ns) / NS_PER_S, uncertainty=uncertainty_s)


def last_of(moments: Sequence[Value]) -> Value:
    """The last of them, missing where one of them is, for its reason.

    Its uncertainty covers every moment that may have been the last, each within its own; None where that of
    one of them is not known.
    """
    if (lacking := _lacking(moments)) is not None:
        return lacking
    known = [(one.value, one.uncertainty) for one in moments if one.value is not None]
    last = max(value for value, _ in known)
    bounds = [(value - off, value + off) for value, off in known if off is not None]
    if len(bounds) < len(known):
        return Value(value=last)
    earliest, latest = max(low for low, _ in bounds), max(high for _, high in bounds)
    return Value(value=last, uncertainty=max(latest - last, last - earliest))


def sum_of(values: Sequence[Value]) -> Value:
    """Their sum, missing where one of them is, for its reason."""
    lacking = _lacking(values)
    return lacking or Value(value=sum(one.value for one in values if one.value is not None))


def _lacking(values: Sequence[Value]) -> Value | None:
    missing = next((one for one in values if one.value is None), None)
    return None if missing is None else Value.missing(str(missing.reason))
