"""Job statistics of libvirt statistics: the pre-copy curve while a migration runs, and its final counts.

Completed statistics are destroyed on read unless kept, and lost when the daemon restarts; so they are taken
from the JOB_COMPLETED event as well as read, and both are recorded. What a reading of a vanished domain
raises is expected: the guest has moved on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from harness.evidence.observers.contract import Scene
from harness.evidence.record import Record
from harness.json_types import Json
from harness.rig.contract import HypervisorError, Unsubscribe

PERIOD_S = 0.2
"""A reading costs the host 10 to 20 ms; five a second draw the curve and stay below the noise."""

_EVENT_GRACE_S = 2.0


class JobStatistics:
    """Job statistics of each migration: sampled on the source, and from the completion."""

    name = "libvirt-job"

    def __init__(self) -> None:
        self._scene: Scene | None = None
        self._record: Record | None = None
        self._subscriptions: list[Unsubscribe] = []
        self._current: int | None = None
        self._source = ""
        self._completed = threading.Event()

    def start(self, scene: Scene, record: Record) -> None:
        """Subscribe to completions on both hosts."""
        self._scene, self._record = scene, record.of(scene.guest.name)
        for role, connection in scene.connections.items():
            self._subscriptions.append(connection.on_completed(partial(self._on_completed, role)))

    def on_qemu_event(self, role: str, event: str, details: Mapping[str, Json]) -> None:
        """Ask the source's QEMU for its final counts the moment it has them: libvirt ends it right after."""
        n, done = self._current, event == "MIGRATION" and details.get("status") == "completed"
        if n is None or not done or role != self._source:
            return
        # Not from here: the event loop that calls this also brings the answer.
        threading.Thread(target=self._ask_qemu, args=(n, role), daemon=True).start()

    def _on_completed(self, role: str, domain: str, stats: Mapping[str, Json]) -> None:
        if self._scene is None or self._record is None or self._current is None:
            return
        if domain != self._scene.guest.domain:
            return
        data: dict[str, Json] = {"n": self._current, "origin": "event", "host": role, "stats": dict(stats)}
        self._record.add(self.name, "job.completed", data)
        self._completed.set()

    @contextmanager
    def watch(self, n: int, source: str, destination: str) -> Iterator[None]:
        """Sample migration `n` for the length of the block, then take its final counts."""
        if self._scene is None:  # it failed to start, which is recorded; the migration goes on unsampled
            yield
            return
        self._current, self._source = n, source
        self._completed.clear()
        stop = threading.Event()
        thread = threading.Thread(target=self._sample, args=(n, source, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self._await_completion()
            self._read_kept(n, destination)
            self._current = None

    def _await_completion(self) -> None:
        """Give the completion's event some time: it may come after the call's return."""
        assert self._record is not None
        self._record.clock.wait(_EVENT_GRACE_S, self._completed)

    def _sample(self, n: int, source: str, stop: threading.Event) -> None:
        assert self._scene is not None and self._record is not None
        record = self._record
        try:
            job = self._scene.connections[source].domain(self._scene.guest.domain).job
        except HypervisorError as error:
            record.failed(self.name, f"migration {n}: {error}")
            return
        while not record.clock.wait(PERIOD_S, stop):
            try:
                record.add(self.name, "job.sampled", {"n": n, "stats": dict(job.statistics())})
            except HypervisorError:
                return

    def _ask_qemu(self, n: int, role: str) -> None:
        """Record QEMU's own final counts while its process still lives; too late is a missing value."""
        assert self._scene is not None and self._record is not None
        try:
            status = self._scene.connections[role].domain(self._scene.guest.domain).job.qemu("query-migrate")
        except HypervisorError:  # libvirt was faster
            return
        if not isinstance(status, Mapping) or "total-time" not in status:
            return
        data: dict[str, Json] = {
            "n": n,
            "total_time_ms": status["total-time"],
            "downtime_ms": status.get("downtime"),
            "setup_time_ms": status.get("setup-time"),
            "ram": status.get("ram", {}),
        }
        self._record.add(self.name, "qemu.completed", data)

    def _read_kept(self, n: int, destination: str) -> None:
        assert self._scene is not None and self._record is not None
        try:
            stats = (
                self._scene.connections[destination]
                .domain(self._scene.guest.domain)
                .job.statistics(completed=True)
            )
        except HypervisorError:  # the migration failed: there is no domain there, or no completed job
            return
        data: dict[str, Json] = {"n": n, "origin": "kept", "host": destination, "stats": dict(stats)}
        self._record.add(self.name, "job.completed", data)

    def stop(self) -> None:
        """Unsubscribe."""
        for unsubscribe in self._subscriptions:
            unsubscribe()
        self._subscriptions.clear()
