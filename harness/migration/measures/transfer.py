"""How much a migration moved, as the hypervisor says it and as the wire counted it.

The two are never merged: their ratio is a check of both. libvirt's statistics mean different things while a
job runs and after it completed, so that figures of the whole are taken from completed statistics only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.evidence.attempt import Migration, number
from harness.evidence.events import JobCompleted, JobSampled, QemuCompleted
from harness.evidence.metric import NotMeasured, Value
from harness.json_types import Json

TOLERANCE = 0.05
"""Wire bytes and hypervisor bytes of a plain TCP migration agree within this; more needs an explanation."""

WRAPPED = 2.0**63
"""A figure from here on is a negative one that was stored without its sign."""

POSITIVE = frozenset({"time_elapsed", "total_time_ms", "data_processed", "memory_total", "memory_processed"})
"""What a completed migration cannot have none of: it took time, and moved at least the devices."""

PARTS = frozenset({"downtime", "downtime_net", "setup_time", "downtime_ms", "setup_time_ms"})
"""Times that are a part of the migration's whole time."""

Agreement = Literal["agree", "differ", "unknown"]


def plausible(stats: Mapping[str, Json], key: str) -> float | None:
    """The figure under `key`, or None where there is none or one that cannot be.

    Nothing that is counted or timed is negative; a counter that ran below 0 shows as nearly 2^64.
    """
    value = number(stats, key)
    return value if value is not None and 0 <= value < WRAPPED else None


def completed(migration: Migration) -> Mapping[str, Json]:
    """The completed job's statistics: those of the JOB_COMPLETED event, else those read afterwards.

    Statistics that were kept are destroyed by being read and lost with the daemon; the event's are not. Where
    both hosts sent one, the source's counts: it is the side that sends. Statistics that were not filled say
    nothing: the next ones count.

    Raises:
        NotMeasured: Neither was seen, or none was filled.
    """
    found: dict[str, Mapping[str, Json]] = {}
    for _, said in migration.told(JobCompleted):
        elsewhere = said.host not in (None, migration.source)
        found[f"{said.origin} elsewhere" if elsewhere else said.origin] = said.stats
    for origin in ("event", "event elsewhere", "kept", "kept elsewhere"):
        if origin in found and _filled(found[origin]):
            return found[origin]
    if found:
        raise NotMeasured("libvirt's statistics of the completed job were not filled: they are 0 throughout")
    raise NotMeasured("libvirt's statistics of the completed job were not seen")


def _filled(stats: Mapping[str, Json]) -> bool:
    """Whether anything that a completed migration always has is not 0; True where nothing of it is given."""
    known = [value for key in POSITIVE if (value := number(stats, key)) is not None]
    return not known or any(value != 0 for value in known)


def completed_field(migration: Migration, key: str) -> float:
    """The field `key` of the completed job's statistics.

    Raises:
        NotMeasured: It is absent, or cannot be.
    """
    return _field(completed(migration), key, "libvirt's statistics of the completed job", "time_elapsed")


def qemu_field(migration: Migration, key: str) -> float:
    """The field `key` of what QEMU said when it had completed; as :func:`completed_field`."""
    said = migration.last(QemuCompleted)
    if said is None:
        raise NotMeasured("QEMU's own statistics were not read: it had gone, or the monitor was not open")
    return _field(said.to_data(), key, "QEMU's statistics", "total_time_ms")


def _field(stats: Mapping[str, Json], key: str, whose: str, whole: str) -> float:
    """The field `key`, which is not more than the `whole` where it is one of `PARTS`."""
    given, value = number(stats, key), plausible(stats, key)
    if given is None:
        raise NotMeasured(f"{whose} have no {key}")
    if value is None or (value == 0 and key in POSITIVE):
        raise NotMeasured(f"{whose} give {key} as {given:.0f}, which cannot be")
    most = plausible(stats, whole)
    if key in PARTS and most and value > most:
        raise NotMeasured(f"{whose} give {key} as {value:.0f} ms of {most:.0f} ms, which cannot be")
    return value


def milliseconds(value_ms: float) -> Value:
    """A figure that libvirt or QEMU gives in whole milliseconds, in seconds."""
    return Value(value=value_ms / 1000, resolution=0.001)


def samples(migration: Migration) -> list[tuple[int, Mapping[str, Json]]]:
    """The job's statistics while it ran: (controller's ns, statistics), by time.

    Before QEMU has begun, libvirt fills its fields with zeros; those samples say nothing and are left out.
    """
    return [
        (event.t_ns, said.stats)
        for event, said in migration.told(JobSampled)
        if number(said.stats, "memory_total") != 0
    ]


def bytes_of(stats: Mapping[str, Json], pages_key: str) -> float | None:
    """A figure that libvirt gives in pages (or pages a second), in bytes; None when absent or impossible."""
    pages, page_bytes = plausible(stats, pages_key), plausible(stats, "memory_page_size")
    return None if pages is None or page_bytes is None else pages * page_bytes


def dirty_rates(migration: Migration) -> list[float]:
    """The dirty rates in bytes/s that the job's samples carry, by time.

    The rate is known only once a pass has ended, and is reset when the last one has: QEMU then says 0, which
    means that it has none. Zeros are left out.

    Raises:
        NotMeasured: No sample carries one.
    """
    rates = [bytes_of(stats, "memory_dirty_rate") for _, stats in samples(migration)]
    known = [rate for rate in rates if rate]
    if not known:
        why = "the passes after its first were too short"
        raise NotMeasured(f"no sample of the job carries a dirty rate: {why}")
    return known


def iterations(migration: Migration) -> Value:
    """Passes over memory, from the completed statistics, else the highest that a sample showed."""
    try:
        return Value(value=completed_field(migration, "memory_iteration"))
    except NotMeasured:
        return Value(value=max(_sampled(migration, "memory_iteration")))


def throttle(migration: Migration) -> Value:
    """The highest percentage by which auto-converge slowed the guest."""
    return Value(value=max(_sampled(migration, "auto_converge_throttle")))


def _sampled(migration: Migration, key: str) -> list[float]:
    values = [value for _, stats in samples(migration) if (value := plausible(stats, key)) is not None]
    if not values:
        raise NotMeasured(f"no statistics of the job carry {key}")
    return values


def zero_bytes(migration: Migration) -> Value:
    """Bytes of pages that held one byte throughout and were not sent."""
    pages = completed_field(migration, "memory_constant")
    return Value(value=pages * completed_field(migration, "memory_page_size"))


def wire_bytes(migration: Migration) -> Value:
    """Bytes of the migration's connections that left the source.

    The difference of two readings of a cumulative counter: the last at or before the call, the first at or
    after its return. Nothing is interpolated: outside the migration these counters stand still.

    Raises:
        NotMeasured: A reading is missing, or the counter was reset in between.
    """
    host = migration.source
    frame = migration.attempt.table(f"wire-{host}.csv")
    whole = (frame["t_ns"].notna() & frame["out_bytes"].notna()).to_numpy()
    stamps = frame["t_ns"].to_numpy(dtype=np.int64, na_value=0)[whole]
    times = migration.attempt.clocks.from_monotonic(host, stamps)
    counts = frame["out_bytes"].to_numpy(dtype=np.int64, na_value=0)[whole]
    first, last = around(times, migration.started_ns, migration.returned_ns, f"byte counter of {host}")
    if np.any(np.diff(counts[first : last + 1]) < 0):
        raise NotMeasured(f"the byte counter of {host} was reset during the migration")
    return Value(value=float(counts[last] - counts[first]))


def around(times_ns: NDArray[np.int64], first_ns: int, last_ns: int, what: str) -> tuple[int, int]:
    """The indices of the last reading at or before `first_ns` and the first at or after `last_ns`.

    Raises:
        NotMeasured: There is none on one side.
    """
    before = int(np.searchsorted(times_ns, first_ns, side="right")) - 1
    after = int(np.searchsorted(times_ns, last_ns, side="left"))
    if before < 0 or after >= len(times_ns):
        side = "before" if before < 0 else "after"
        raise NotMeasured(f"the {what} has no reading {side} this stretch")
    return before, after


def data_sent(migration: Migration) -> Value:
    """Bytes the hypervisor says it transferred."""
    return Value(value=completed_field(migration, "data_processed"))


def wire_ratio(migration: Migration) -> Value:
    """Bytes on the wire for each byte the hypervisor says it sent."""
    wire, sent = wire_bytes(migration).value, data_sent(migration).value
    if not sent or wire is None:
        raise NotMeasured("the hypervisor says that it sent nothing")
    return Value(value=wire / sent)


def wire_agreement(ratio: Value) -> Agreement:
    """Whether wire and hypervisor agree within 5 %; unknown without a ratio, never agreement by default."""
    if ratio.value is None:
        return "unknown"
    return "agree" if abs(ratio.value - 1) <= TOLERANCE else "differ"


def wire_agrees(migration: Migration) -> Value:
    """The same as a metric: 1 for agreement, 0 for none."""
    return Value(value=1.0 if wire_agreement(wire_ratio(migration)) == "agree" else 0.0)
