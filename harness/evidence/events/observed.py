"""What the observers of an attempt say: clocks, libvirt, QEMU, heartbeat, wire, samplers, output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from harness.evidence.events.value import Facts, Number, OfGuest, OfMigration, Value


class ClockSampled(Value):
    """How the clocks of one machine map to the controller's: ``controller = machine + offset``."""

    OBSERVER: ClassVar[str] = "clocks"
    KIND: ClassVar[str] = "clock.sampled"
    machine: str
    monotonic_offset_ns: int
    realtime_offset_ns: int
    uncertainty_ns: int
    same_kernel: bool
    boot_id: str | None = None


class HostStateSampled(Value):
    """What decides how fast a host runs, `when` the trial had not begun or was over; null has its reason."""

    OBSERVER: ClassVar[str] = "host-state"
    KIND: ClassVar[str] = "host.state"
    machine: str
    when: Literal["before", "after"]
    facts: Facts
    reasons: Mapping[str, str]


class JobSampled(OfMigration):
    """libvirt's job statistics on the source while the migration is under way, under its own names."""

    OBSERVER: ClassVar[str] = "libvirt-job"
    KIND: ClassVar[str] = "job.sampled"
    stats: Facts


class JobCompleted(OfMigration):
    """libvirt's final statistics; `origin`: ``event`` of the source, ``kept`` on the destination."""

    OBSERVER: ClassVar[str] = "libvirt-job"
    KIND: ClassVar[str] = "job.completed"
    origin: str
    host: str | None
    stats: Facts


class QemuCompleted(OfMigration):
    """What QEMU's ``query-migrate`` said on the source."""

    OBSERVER: ClassVar[str] = "libvirt-job"
    KIND: ClassVar[str] = "qemu.completed"
    total_time_ms: Number
    downtime_ms: Number | None
    setup_time_ms: Number | None
    ram: Facts


class QmpEvent(OfGuest):
    """An event of QEMU, stamped by it with its host's wall clock."""

    OBSERVER: ClassVar[str] = "qmp"
    KIND: ClassVar[str] = "qmp.event"
    host: str
    event: str
    realtime_us: int
    details: Facts


class HeartbeatStarted(OfGuest):
    """Echo requests to the guest began, `rate_hz` a second."""

    OBSERVER: ClassVar[str] = "heartbeat"
    KIND: ClassVar[str] = "heartbeat.started"
    rate_hz: Number
    file: str


class HeartbeatStopped(OfGuest):
    """Echo requests ended."""

    OBSERVER: ClassVar[str] = "heartbeat"
    KIND: ClassVar[str] = "heartbeat.stopped"
    rows: int
    file: str


class WireStarted(Value):
    """The bytes of the migration ports are counted on `host`."""

    OBSERVER: ClassVar[str] = "wire"
    KIND: ClassVar[str] = "wire.started"
    host: str
    file: str


class WireStopped(Value):
    """They are counted no longer."""

    OBSERVER: ClassVar[str] = "wire"
    KIND: ClassVar[str] = "wire.stopped"
    host: str
    file: str


class SamplerStarted(Value):
    """CPU, memory and network of `machine` are sampled."""

    OBSERVER: ClassVar[str] = "host-sampler"
    KIND: ClassVar[str] = "sampler.started"
    machine: str
    file: str


class SamplerStopped(Value):
    """They are sampled no longer."""

    OBSERVER: ClassVar[str] = "host-sampler"
    KIND: ClassVar[str] = "sampler.stopped"
    machine: str


class OutputStarted(OfGuest):
    """A standing command of the load is about to run; its output is kept in `file`."""

    OBSERVER: ClassVar[str] = "workload"
    KIND: ClassVar[str] = "output.started"
    file: str
    source: str
    machine: str
    command: str


class OutputStopped(OfGuest):
    """The load's output is kept no longer."""

    OBSERVER: ClassVar[str] = "workload"
    KIND: ClassVar[str] = "output.stopped"
    file: str
    lines: int
