"""QEMU's own events from both hosts: the only source that stamps STOP and RESUME where they happen.

libvirt's events carry no time; QMP events do, in microseconds of the host's wall clock. They are recorded as
they are; the mapping to the controller's clock is in the clock samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.evidence.events import QmpEvent
from harness.evidence.observers.contract import Scene
from harness.evidence.record import Record
from harness.json_types import Json
from harness.rig.contract import Hypervisor, Unsubscribe
from harness.rig.guest.guest import Guest

MOST_EVENTS = 20_000
"""Of one host in an attempt; a migration has some twenty."""

Listener = Callable[[str, str, Mapping[str, Json]], None]
"""Told the host, the event's name and its details, on the hypervisor's thread: it must not call back."""


class Qmp:
    """Every QMP event of the guest on either host (libvirt-qemu, qemuMonitorEventRegister)."""

    name = "qmp"

    def __init__(self, listener: Listener, others: Mapping[Guest, Listener] | None = None) -> None:
        """Tell listeners of each event too: libvirt allows one subscription a connection.

        Args:
            listener: The scene's guest's.
            others: Those of further guests, whose events are recorded likewise.
        """
        self._listener = listener
        self._others = dict(others or {})
        self._subscriptions: list[Unsubscribe] = []

    def start(self, scene: Scene, record: Record) -> None:
        """Subscribe on both hosts."""
        listeners = {guest.domain: (guest, told) for guest, told in self._others.items()}
        listeners[scene.guest.domain] = (scene.guest, self._listener)
        for role, connection in scene.connections.items():
            self._subscriptions.append(_subscribe(role, connection, listeners, record))

    def stop(self) -> None:
        """Unsubscribe; a connection that has died has nothing left to unsubscribe."""
        for unsubscribe in self._subscriptions:
            unsubscribe()
        self._subscriptions.clear()


def _subscribe(
    role: str, connection: Hypervisor, listeners: Mapping[str, tuple[Guest, Listener]], record: Record
) -> Unsubscribe:
    left = MOST_EVENTS

    def on_event(domain: str, event: str, realtime_us: int, details: Mapping[str, Json]) -> None:
        nonlocal left
        now = record.clock.now_ns()
        if domain not in listeners or left < 0:
            return
        left -= 1
        if left < 0:  # the journal is not this host's to fill
            record.failed(Qmp.name, f"{role}: more than {MOST_EVENTS} events in one attempt")
            return
        guest, listener = listeners[domain]
        said = QmpEvent(host=role, event=event, realtime_us=realtime_us, details=dict(details))
        record.of(guest.name).add(said, t_ns=now)
        listener(role, event, details)

    return connection.on_qemu_event(on_event)
