"""What an observer is: one source of evidence, started last and stopped first, that never judges.

An observer writes events to the attempt's record and, where there is much of it, rows to a CSV file of its
own. When it fails it says so once; its metrics become null with that reason, and the trial goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from harness.evidence.record import Record
from harness.rig.contract import Hypervisor, Machine
from harness.rig.guest.guest import Guest


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What there is to observe in an attempt.

    Attributes:
        hosts: SSH to a and b.
        client: SSH to the client.
        guest: The guest that is observed.
        connections: The hypervisors of a and b.
        heartbeat_hz: Rate of the heartbeat.
    """

    hosts: Mapping[str, Machine]
    client: Machine
    guest: Guest
    connections: Mapping[str, Hypervisor]
    heartbeat_hz: int


class Observer(Protocol):
    """One source of evidence."""

    name: str

    def start(self, scene: Scene, record: Record) -> None:
        """Begin; may raise, which makes the observer a failed one."""
        ...

    def stop(self) -> None:
        """End, and write what is still due."""
        ...
