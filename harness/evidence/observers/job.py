"""Records libvirt's job statistics: the pre-copy curve while a migration runs, and its final counts.

Completed statistics are destroyed on read unless kept, and lost when the daemon restarts; so they are taken
from the JOB_COMPLETED event as well as read, and both are recorded. What a reading of a vanished domain
raises is expected: the guest has moved on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from harness.evidence.events import JobCompleted, JobSampled, QemuCompleted
from harness.evidence.observers.contract import Scene
from harness.evidence.record import Record
from harness.json_types import Json
from harness.rig.contract import HypervisorError, Job, Unsubscribe

PERIOD_S = 0.2
"""A reading costs the host 10 to 20 ms; five a second draw the curve and stay below the noise."""

_EVENT_GRACE_S = 2.0


_NAME = "libvirt-job"


class JobStatistics:
    """Job statistics of each migration: sampled on the source, and from the completion."""

    name = _NAME

    def __init__(self) -> None:
        self._begun: tuple[Scene, Record] | None = None
        self._subscriptions: list[Unsubscribe] = []
        self._current: _Sampled | None = None

    def start(self, scene: Scene, record: Record) -> None:
        """Subscribe to completions on both hosts."""
        self._begun = scene, record.of(scene.guest.name)
        for role, connection in scene.connections.items():
            self._subscriptions.append(connection.on_completed(partial(self._on_completed, role)))

    def on_qemu_event(self, role: str, event: str, details: Mapping[str, Json]) -> None:
        """Ask the source's QEMU for its final counts the moment it has them: libvirt ends it right after."""
        current, done = self._current, event == "MIGRATION" and details.get("status") == "completed"
        if current is None or not done or role != current.source:
            return
        # Not from here: the event loop that calls this also brings the answer.
        threading.Thread(target=current.ask_qemu, daemon=True).start()

    def _on_completed(self, role: str, domain: str, stats: Mapping[str, Json]) -> None:
        current = self._current
        if current is not None and domain == current.scene.guest.domain:
            current.complete(role, stats)

    @contextmanager
    def watch(self, n: int, source: str, destination: str) -> Iterator[None]:
        """Sample migration `n` for the length of the block, then take its final counts."""
        if self._begun is None:  # it failed to start, which is recorded; the migration goes on unsampled
            yield
            return
        scene, record = self._begun
        current = _Sampled(scene=scene, record=record, n=n, source=source, completed=threading.Event())
        self._current = current
        stop = threading.Event()
        thread = threading.Thread(target=current.sample, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            # The completion's event may come after the call's return.
            record.clock.wait(_EVENT_GRACE_S, current.completed)
            current.read_kept(destination)
            self._current = None

    def stop(self) -> None:
        """Unsubscribe."""
        for unsubscribe in self._subscriptions:
            unsubscribe()
        self._subscriptions.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sampled:
    """One migration whose statistics are taken.

    Attributes:
        scene: The hypervisors and the guest.
        record: Where the guest's events go.
        n: The migration's number.
        source: The host that it leaves.
        completed: Set when the completion's event has come.
        told: The hosts whose completion was recorded; a hostile host could send events without an end.
    """

    scene: Scene
    record: Record
    n: int
    source: str
    completed: threading.Event
    told: set[str] = field(default_factory=set)

    def _job(self, role: str) -> Job:
        """Raises HypervisorError where the guest is not on that host."""
        return self.scene.connections[role].domain(self.scene.guest.domain).job

    def sample(self, stop: threading.Event) -> None:
        """Record the source's statistics every :data:`PERIOD_S` until `stop`, or until the guest has left."""
        try:
            job = self._job(self.source)
        except HypervisorError as error:
            self.record.failed(_NAME, f"migration {self.n}: {error}")
            return
        while not self.record.clock.wait(PERIOD_S, stop):
            try:
                self.record.add(JobSampled(n=self.n, stats=dict(job.statistics())))
            except HypervisorError:
                return

    def complete(self, role: str, stats: Mapping[str, Json]) -> None:
        """Record what came with a host's first completion event."""
        if role in self.told:
            return
        self.told.add(role)
        self.record.add(JobCompleted(n=self.n, origin="event", host=role, stats=dict(stats)))
        self.completed.set()

    def ask_qemu(self) -> None:
        """Record QEMU's own final counts while its process still lives; too late is a missing value."""
        try:
            status = self._job(self.source).qemu("query-migrate")
        except HypervisorError:  # libvirt was faster
            return
        if not isinstance(status, Mapping) or "total-time" not in status:
            return
        counts = QemuCompleted.read(
            {
                "n": self.n,
                "total_time_ms": status["total-time"],
                "downtime_ms": status.get("downtime"),
                "setup_time_ms": status.get("setup-time"),
                "ram": status.get("ram", {}),
            }
        )
        if counts is not None:  # an answer of another shape is a missing value
            self.record.add(counts)

    def read_kept(self, destination: str) -> None:
        """Record the completed statistics that the destination keeps."""
        try:
            stats = self._job(destination).statistics(completed=True)
        except HypervisorError:  # the migration failed: there is no domain there, or no completed job
            return
        self.record.add(JobCompleted(n=self.n, origin="kept", host=destination, stats=dict(stats)))
