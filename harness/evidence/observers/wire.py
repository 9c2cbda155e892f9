"""Bytes on the wire: what the migration's connections really carried, from the packet filter of each host.

The counters are in the kernel's path and cost nothing to keep; reading them costs a process, so they are read
every two seconds. They count IP bytes of the migration ports, headers, TLS and retransmissions included.
"""

from __future__ import annotations

from pathlib import Path

from harness.evidence.events import WireStarted, WireStopped
from harness.evidence.observers.contract import Scene
from harness.evidence.observers.remote import RemoteSeries
from harness.evidence.record import Record

PROGRAM = Path(__file__).with_name("wire_probe.py")
PERIOD_S = 2.0
HEADER = (
    "t_ns,out_bytes,out_packets,in_bytes,in_packets,"
    "peer_in_bytes,peer_in_packets,peer_out_bytes,peer_out_packets"
)


class Wire:
    """The migration ports' counters of both hosts."""

    name = "wire"

    def __init__(self) -> None:
        self._series: dict[str, RemoteSeries] = {}
        self._record: Record | None = None

    def start(self, scene: Scene, record: Record) -> None:
        """Begin to read on both hosts."""
        self._record = record
        for role, host in scene.hosts.items():
            series = RemoteSeries(self.name, host, PROGRAM, str(PERIOD_S), record)
            series.start(f"wire-{role}.csv", HEADER)
            self._series[role] = series
            record.add(WireStarted(host=role, file=f"wire-{role}.csv"))

    def stop(self) -> None:
        """Read once more and stop."""
        for role, series in self._series.items():
            series.stop()
            if self._record is not None:
                self._record.add(WireStopped(host=role, file=f"wire-{role}.csv"))
