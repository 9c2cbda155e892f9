"""The heartbeat: what a user of the guest's network sees of a migration, from the client.

ICMP echo is answered by the guest's kernel and costs an emulated guest least; the receive stamps are the
client kernel's, so neither Python nor SSH is in the measured path. Every gap is kept, not the first alone.
"""

from __future__ import annotations

from pathlib import Path

from harness.evidence.events import HeartbeatStarted, HeartbeatStopped
from harness.evidence.folder import of_guest
from harness.evidence.observers.contract import Scene
from harness.evidence.observers.remote import RemoteSeries
from harness.evidence.record import Record

PROGRAM = Path(__file__).with_name("heartbeat_probe.py")
FILE = "heartbeat.csv"


class Heartbeat:
    """Echo requests from the client to the guest at the scene's rate."""

    name = "heartbeat"

    def __init__(self) -> None:
        self._series: RemoteSeries | None = None
        self._record: Record | None = None
        self._file = FILE

    def start(self, scene: Scene, record: Record) -> None:
        """Begin to send."""
        arguments = f"{scene.guest.address} {scene.heartbeat_hz}"
        record = record.of(scene.guest.name)
        series = RemoteSeries(self.name, scene.client, PROGRAM, arguments, record)
        self._file = of_guest(FILE, scene.guest.name)
        series.start(self._file, "seq,sent_ns,received_ns")
        self._series, self._record = series, record
        record.add(HeartbeatStarted(rate_hz=scene.heartbeat_hz, file=self._file))

    def stop(self) -> None:
        """Stop sending and wait for the last replies."""
        if self._series is None or self._record is None:
            return
        self._series.stop()
        self._record.add(HeartbeatStopped(rows=self._series.rows, file=self._file))
