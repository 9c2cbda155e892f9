"""QEMU's own events from both hosts: the only source that stamps STOP and RESUME where they happen.

libvirt's events carry no time; QMP events do, in microseconds of the host's wall clock. They are recorded as
they are; the mapping to the controller's clock is in the clock samples beside them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import libvirt
import libvirt_qemu

from harness.evidence.observers.contract import Scene
from harness.evidence.record import Record
from harness.json_types import Json
from harness.rig.guest.domain import DOMAIN

Listener = Callable[[str, str, Mapping[str, Json]], None]
"""Told the host, the event's name and its details, on libvirt's event thread: it must not call back."""


@dataclass(frozen=True, slots=True)
class _Subscription:
    role: str
    connection: libvirt.virConnect
    callback_id: int


class Qmp:
    """Every QMP event of the guest on either host (libvirt-qemu, qemuMonitorEventRegister)."""

    name = "qmp"

    def __init__(self, listener: Listener) -> None:
        """`listener` is told of each event too: libvirt allows one subscription a connection."""
        self._listener = listener
        self._subscriptions: list[_Subscription] = []

    def start(self, scene: Scene, record: Record) -> None:
        """Subscribe on both hosts."""
        for role, connection in scene.connections.items():
            callback = _subscribe(role, connection, record, self._listener)
            self._subscriptions.append(_Subscription(role, connection, callback))

    def stop(self) -> None:
        """Unsubscribe; a connection that has died has nothing left to unsubscribe."""
        for one in self._subscriptions:
            try:
                libvirt_qemu.qemuMonitorEventDeregister(one.connection, one.callback_id)
            except libvirt.libvirtError:
                continue
        self._subscriptions.clear()


def _subscribe(role: str, connection: libvirt.virConnect, record: Record, listener: Listener) -> int:
    def on_event(
        _connection: libvirt.virConnect,
        domain: libvirt.virDomain,
        event: str,
        seconds: int,
        micros: int,
        details: str | None,
        _opaque: object,
    ) -> None:
        now = record.clock.now_ns()
        if domain.name() != DOMAIN:
            return
        data = {
            "host": role,
            "event": event,
            "realtime_us": seconds * 1_000_000 + micros,
            "details": json.loads(details) if details else {},
        }
        record.add(Qmp.name, "qmp.event", data, t_ns=now)
        listener(role, event, data["details"])

    callback: int = libvirt_qemu.qemuMonitorEventRegister(connection, None, None, on_event, None, 0)
    return callback
