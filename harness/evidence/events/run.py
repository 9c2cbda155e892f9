"""What the runner says: of the run, of an attempt, of its guest and load, and of its migrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, TypeAlias

from harness.evidence.events.value import Facts, Number, OfGuest, OfMigration, Value

Validity: TypeAlias = Literal["valid", "invalid", "unknown", "skipped"]
"""Whether an attempt's evidence can be used; ``skipped``: the user ended it."""


class _Runner(Value):
    OBSERVER: ClassVar[str] = "runner"


class _OfGuest(OfGuest):
    OBSERVER: ClassVar[str] = "runner"


class _OfMigration(OfMigration):
    OBSERVER: ClassVar[str] = "runner"


class Opening(_Runner):
    """How a process of the controller begins to write: its plan, its version, its boot and its wall clock.

    `played` says that no machine of the run exists; absent where they do.
    """

    plan_hash: str
    seed: int
    version: str
    boot_id: str
    realtime_ns: int
    controller: str
    played: bool = False


class RunStarted(Opening):
    """A run began."""

    KIND: ClassVar[str] = "run.started"


class RunResumed(Opening):
    """A run went on in a new process; `sums`: whether the evidence had sums that it was checked by."""

    KIND: ClassVar[str] = "run.resumed"
    sums: bool | None


class RunFinished(_Runner):
    """Every trial of the run is finished."""

    KIND: ClassVar[str] = "run.finished"


class RunAborted(_Runner):
    """The run ended early."""

    KIND: ClassVar[str] = "run.aborted"
    reason: str


class AttemptStarted(_Runner):
    """A try at a trial began; `scenario` is the response that it demonstrates, absent for none.

    So is `variant`, under which of the plan's variants the trial runs.
    """

    KIND: ClassVar[str] = "attempt.started"
    workload: str
    repetition: int
    kind: str
    scenario: str | None = None
    variant: str | None = None


class AttemptFinished(_Runner):
    """A try is over; `reasons`: the cause first, then what is known of it."""

    KIND: ClassVar[str] = "attempt.finished"
    verdict: Validity
    reasons: Sequence[str]


class CleanupFailed(_Runner):
    """The guest could not be taken away; the next attempt does so before it starts."""

    KIND: ClassVar[str] = "cleanup.failed"
    reason: str


class ObserverFailed(_OfGuest):
    """An observer can say nothing more in this attempt."""

    KIND: ClassVar[str] = "observer.failed"
    observer: str
    reason: str


class FaultInjected(_Runner):
    """A fault of known length was put in."""

    KIND: ClassVar[str] = "fault.injected"
    fault: str
    seconds: Number


class GuestStarted(_OfGuest):
    """The guest is up."""

    KIND: ClassVar[str] = "guest.started"
    host: str
    start: str
    boot_s: Number
    address: str
    uuid: str
    memory_bytes: int
    vcpus: int
    cpu_model: str
    accelerator: str
    image: str | None


class GuestAged(_OfGuest):
    """The guest was left alone until it had been up, by its own clock, for as long as was asked for."""

    KIND: ClassVar[str] = "guest.aged"
    asked_s: Number
    up_s: Number
    waited_s: Number


class PageCacheFilled(_OfGuest):
    """The guest has read its disk until its page cache held what was asked for, or could read no more."""

    KIND: ClassVar[str] = "page_cache.filled"
    asked_bytes: int
    cached_bytes: int
    read_bytes: int
    seconds: Number


class GuestMemory(_OfGuest):
    """How full the guest's memory is once its load is steady, by its own counters (/proc/meminfo).

    `up_s`: how long it has been up by then (/proc/uptime); None where it does not say.
    """

    KIND: ClassVar[str] = "guest.memory"
    total_bytes: int
    free_bytes: int
    available_bytes: int
    buffers_bytes: int
    cached_bytes: int
    up_s: Number | None = None


class DirtyRateSampled(_OfGuest):
    """The rate at which the load dirties memory, as QEMU's page sampling saw it before the baseline.

    `sample_pages`: per GiB of memory; `stated_mib_s` and `working_set_mib`: what the load states.
    """

    KIND: ClassVar[str] = "dirty_rate.sampled"
    period_s: int
    sample_pages: int
    rate_mib_s: int
    stated_mib_s: Number
    working_set_mib: Number


class LinkHeld(_Runner):
    """Each host sends at most `rate_bit_s` to the other until the attempt ends; `devices`: by host."""

    KIND: ClassVar[str] = "link.held"
    rate_bit_s: int
    devices: Mapping[str, str]


class WorkloadPrepared(_OfGuest):
    """One step before the load is done, such as a server's start."""

    KIND: ClassVar[str] = "workload.prepared"
    what: str
    machine: str
    seconds: Number


class WorkloadStarted(_OfGuest):
    """The load is about to start; `substitutes` is the paper's generator where another takes its place."""

    KIND: ClassVar[str] = "workload.started"
    workload: str
    generator: str
    version: str | None
    substitutes: str | None
    options: Facts


class WorkloadSteady(_OfGuest):
    """The load is steady by the stated `test`."""

    KIND: ClassVar[str] = "workload.steady"
    after_s: Number
    test: str


class WorkloadUnsteady(_OfGuest):
    """The load did not become steady by the stated `test`."""

    KIND: ClassVar[str] = "workload.unsteady"
    after_s: Number
    test: str
    reason: str


class WorkloadStopped(_OfGuest):
    """The load was ended; `exit_status` by source, null for a process that was ended from here."""

    KIND: ClassVar[str] = "workload.stopped"
    exit_status: Mapping[str, int | None] | None


class BaselineOpened(_Runner):
    """The stretch before the window began."""

    KIND: ClassVar[str] = "baseline.opened"
    baseline_s: Number


class WindowOpened(_Runner):
    """The trial's t = 0; `points_s` in a control trial alone: where the other trials migrate."""

    KIND: ClassVar[str] = "window.opened"
    window_s: Number
    points_s: Sequence[Number] | None = None


class WindowClosed(_Runner):
    """The window is over; a migration that was still under way was awaited for `late_s`."""

    KIND: ClassVar[str] = "window.closed"
    late_s: Number


class MigrationStarted(_OfMigration):
    """The call to migrate comes right after."""

    KIND: ClassVar[str] = "migration.started"
    planned_s: Number
    source: str
    destination: str
    options: Facts


class MigrationReturned(_OfMigration):
    """The call to migrate came back; `obstacle`: ``certificate`` or ``vtpm-secret`` where keys kept it."""

    KIND: ClassVar[str] = "migration.returned"
    ok: bool
    error: str | None
    obstacle: str | None = None


class MigrationSkipped(_OfMigration):
    """The migration is left out."""

    KIND: ClassVar[str] = "migration.skipped"
    planned_s: Number
    reason: str


class MigrationDelayed(_OfMigration):
    """The migration starts when the one under way is over, or is skipped when the window closes first."""

    KIND: ClassVar[str] = "migration.delayed"
    planned_s: Number
    reason: str


class MigrationAborted(_OfMigration):
    """The running migration was asked to stop; its failed return follows."""

    KIND: ClassVar[str] = "migration.aborted"
    reason: str
