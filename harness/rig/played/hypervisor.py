"""A played host's hypervisor: knows the domain that runs there, and moves it as the script says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from xml.etree import ElementTree as Xml

from harness.errors import UnreachableError
from harness.json_types import Json
from harness.pair_name import HOSTS
from harness.rig.contract import (
    CompletionHandler,
    Domain,
    DomainState,
    Hypervisor,
    HypervisorError,
    NoDomainError,
    PausedReason,
    QemuHandler,
    Unsubscribe,
    WrongStateError,
)
from harness.rig.played.script import FailingMigration
from harness.rig.played.world import PlayedGuest, Transfer, World

Told = TypeVar("Told")

VERSION = 1
_PAGE_BYTES = 4096
_MEMORY_BYTES = 1 << 30
_PASSES = 4
_SHRINK = 0.3
"""Each pass over memory sends so much of the one before."""
_RETURN_S = 0.05
"""From the guest running at its destination until the call returns."""


def statistics(sent_bytes: int, elapsed_s: float, share: float) -> dict[str, Json]:
    """Libvirt's statistics of a migration of which the `share` (0 to 1) is sent."""
    sizes = [_SHRINK**number for number in range(_PASSES)]
    position, number = share * sum(sizes), 0
    while number < _PASSES - 1 and position > sizes[number]:
        position -= sizes[number]
        number += 1
    processed = round(sent_bytes * share)
    remaining = 0 if share >= 1 else round(max(0.0, sizes[number] - position) * sent_bytes / sum(sizes))
    return {
        "time_elapsed": round(elapsed_s * 1000),
        "downtime": 300,
        "data_total": _MEMORY_BYTES,
        "data_processed": processed,
        "data_remaining": remaining,
        "memory_total": _MEMORY_BYTES,
        "memory_processed": processed,
        "memory_remaining": remaining,
        "memory_bps": round(processed / elapsed_s) if elapsed_s > 0 else 0,
        "memory_constant": 200_000,
        "memory_normal": processed // _PAGE_BYTES,
        "memory_normal_bytes": processed // _PAGE_BYTES * _PAGE_BYTES,
        "memory_dirty_rate": 1000,
        "memory_page_size": _PAGE_BYTES,
        "memory_iteration": number + 1,
    }


@dataclass(frozen=True, slots=True)
class PlayedHost:
    """One host's hypervisor: :class:`~harness.rig.contract.Hypervisor`."""

    world: World
    role: str

    def alive(self) -> None:
        """Raise where the host is gone."""
        if self.role in self.world.dead:
            raise HypervisorError("End of file while reading data: the host is gone")

    def version(self) -> int:
        """Always the same."""
        self.alive()
        return VERSION

    def domain(self, name: str) -> Domain:
        """The guest, where it is here."""
        self.alive()
        world = self.world.guests.get(name)
        guest = None if world is None else world.guest
        if world is None or guest is None or self.role not in _places(guest):
            raise NoDomainError(f"Domain not found: no domain with matching name '{name}'")
        return PlayedDomain(world, self, guest, name)

    def domains(self) -> Sequence[str]:
        """The guests that are here."""
        self.alive()
        worlds = self.world.guests.items()
        return [name for name, one in worlds if one.guest is not None and self.role in _places(one.guest)]

    def set_secret(self, secret: str, domain: str, value: bytes) -> None:
        """Taken and without effect: a played guest has no TPM."""
        del secret, domain, value
        self.alive()

    def forget_secret(self, domain: str) -> None:
        """There is none."""
        del domain
        self.alive()

    def start(self, xml: str) -> None:
        """Start the domain that `xml` describes."""
        self.alive()
        described = Xml.fromstring(xml)
        world = self.world.guests.get(described.findtext("name") or "", self.world)
        if world.guest is not None:
            raise HypervisorError("operation failed: the domain exists already")
        world.start(self.role, described.findtext("uuid") or "")

    def restore(self, path: str) -> None:
        """Bring the saved guest to life."""
        self.alive()
        if self.world.saved_uuid is None:
            raise HypervisorError(f"cannot open {path}: No such file or directory")
        self.world.start(self.role, self.world.saved_uuid)

    def on_completed(self, told: CompletionHandler) -> Unsubscribe:
        """Tell of each migration that completes here."""
        return _subscribed([one.completions[self.role] for one in self.world.guests.values()], told)

    def on_qemu_event(self, told: QemuHandler) -> Unsubscribe:
        """Tell of each event of the guest's QEMU here."""
        return _subscribed([one.qemu_events[self.role] for one in self.world.guests.values()], told)


def _subscribed(guests: Sequence[list[Told]], told: Told) -> Unsubscribe:
    """Subscribe to every guest."""
    for subscribers in guests:
        subscribers.append(told)

    def end() -> None:
        for subscribers in guests:
            if told in subscribers:
                subscribers.remove(told)

    return end


def _places(guest: PlayedGuest) -> tuple[str, ...]:
    """The hosts that know the guest: while it moves, its destination too."""
    transfer = guest.transfer
    return (guest.host,) if transfer is None else (transfer.source, transfer.destination)


@dataclass(frozen=True, slots=True)
class PlayedDomain:
    """The guest as one host knows it, and its migration."""

    world: World
    host: PlayedHost
    guest: PlayedGuest
    name: str

    @property
    def job(self) -> PlayedDomain:
        """Its migration."""
        return self

    def uuid(self) -> str:
        """Its UUID."""
        self._here()
        return self.guest.uuid

    def state(self) -> tuple[int, int]:
        """Its state here: it waits at the destination until it has arrived."""
        self._here()
        transfer = self.guest.transfer
        if transfer is not None and self.host.role != self.guest.host:
            return DomainState.PAUSED, PausedReason.MIGRATION
        return self.guest.state, PausedReason.USER if self.guest.state == DomainState.PAUSED else 0

    def secret(self) -> str | None:
        """None: a played guest has no TPM."""
        self._here()
        return None

    def suspend(self) -> None:
        """Stop it."""
        self._here()
        self.world.stop(self.guest)
        self._tell(self.host.role, "STOP")

    def resume(self) -> None:
        """Let it run on."""
        self._here()
        self.world.resume(self.guest)
        self._tell(self.host.role, "RESUME")

    def destroy(self) -> None:
        """End it."""
        self._here()
        self.world.end()

    def save(self, path: str) -> None:
        """Keep it; it is gone afterwards. There is one saved guest, whatever its `path`."""
        del path
        self._here()
        self.world.saved_uuid = self.guest.uuid
        self.world.end()

    # -- its migration

    def limit_downtime(self, milliseconds: int) -> None:
        """Taken and without effect: the script says how long a blackout is."""
        del milliseconds
        self._here()

    def migrate(self, destination: Hypervisor, parameters: Mapping[str, str | int], flags: int) -> None:
        """Move it as the script says; blocks until it is over."""
        del parameters, flags
        self._here()
        there = next(role for role in HOSTS if role != self.host.role)
        destination.version()
        self.guest.moves += 1
        transfer = Transfer(self.host.role, there, self.world.clock.now_ns(), self._failure())
        self.guest.transfer = transfer
        try:
            self._copy(transfer)
            self._switch(transfer)
            # The source's QEMU still answers then: it ends with the call.
            self.world.clock.wait(_RETURN_S, transfer.over)
        finally:
            self.world.over(self.guest, transfer)

    def _copy(self, transfer: Transfer) -> None:
        script = self.world.script
        self._tell(transfer.source, "MIGRATION", status="active")
        length_s = script.migration_s - script.blackout_s
        fails = transfer.fails
        if fails is not None:
            length_s = min(length_s, fails.after_s)
        self.world.clock.wait(length_s, transfer.over)
        if fails is not None and not transfer.over.is_set():
            transfer.end(fails.error)
        self._require_undisturbed(transfer)

    def _switch(self, transfer: Transfer) -> None:
        world, guest, script = self.world, self.guest, self.world.script
        world.stop(guest)
        self._tell(transfer.source, "STOP")
        world.clock.wait(script.blackout_s, transfer.over)
        if transfer.over.is_set() and transfer.source not in world.dead:
            world.resume(guest)
            self._tell(transfer.source, "RESUME")
        self._require_undisturbed(transfer)
        guest.host = transfer.destination
        world.resume(guest)
        self._tell(transfer.destination, "RESUME")
        self._tell(transfer.source, "MIGRATION", status="completed")
        final = self._final()
        world.completed[transfer.destination] = transfer.began_ns
        for told in tuple(world.completions[transfer.source]):
            told(self.name, final)

    def _require_undisturbed(self, transfer: Transfer) -> None:
        if transfer.over.is_set():
            self._tell(transfer.source, "MIGRATION", status="failed")
            raise HypervisorError(transfer.why or "operation aborted: migration out job: canceled by client")

    def _failure(self) -> FailingMigration | None:
        return next(
            (
                one
                for one in self.world.script.fail
                if one.n == self.guest.moves and one.guest in (None, self.guest.number)
            ),
            None,
        )

    def _final(self) -> dict[str, Json]:
        script = self.world.script
        counted = statistics(script.sent_bytes, script.migration_s, 1.0)
        blackout_ms = round(script.blackout_s * 1000)
        return {**counted, "downtime": blackout_ms, "downtime_net": blackout_ms, "setup_time": 12}

    def switch_to_post_copy(self) -> None:
        """Taken and without effect: the script says when the guest arrives."""
        self._running()

    def cancel(self) -> None:
        """Ask the running migration to stop."""
        self._running().end("operation aborted: migration out job: canceled by client")

    def running(self) -> bool:
        """Whether a migration is under way."""
        self._here()
        return self.guest.transfer is not None

    def statistics(self, *, completed: bool = False) -> Mapping[str, Json]:
        """The running migration's statistics, or the last completed one's that came here."""
        if completed:
            self._here()
            if self.host.role not in self.world.completed:
                raise WrongStateError("Requested operation is not valid: no completed job")
            return self._final()
        transfer = self._running()
        elapsed_s = (self.world.clock.now_ns() - transfer.began_ns) / 1e9
        return statistics(self.world.script.sent_bytes, elapsed_s, self.world.share(transfer))

    def qemu(self, command: str, arguments: Mapping[str, Json] | None = None) -> Json:
        """What the guest's QEMU says of its migration, or of the rate at which the guest dirties memory."""
        self._here()
        if command == "calc-dirty-rate":
            self.guest.sampling = (self.world.clock.now_ns(), dict(arguments or {}))
            return {}
        if command == "query-dirty-rate":
            return self.guest.dirty_rate(self.world.clock.now_ns())
        if command != "query-migrate":
            raise HypervisorError(f"a played QEMU does not know {command}")
        script = self.world.script
        return {
            "status": "completed",
            "total-time": round(script.migration_s * 1000),
            "downtime": round(script.blackout_s * 1000),
            "setup-time": 11,
            "ram": {"transferred": script.sent_bytes},
        }

    def _running(self) -> Transfer:
        self._here()
        if self.guest.transfer is None:
            raise WrongStateError("Requested operation is not valid: no job is active on the domain")
        return self.guest.transfer

    def _here(self) -> None:
        """Raise where the host is gone, or the guest is not on it any more."""
        self.host.alive()
        if self.world.guest is not self.guest or self.host.role not in _places(self.guest):
            raise NoDomainError(f"Domain not found: no domain with matching name '{self.name}'")

    def _tell(self, role: str, event: str, **details: Json) -> None:
        if role not in self.world.dead:
            for told in tuple(self.world.qemu_events[role]):
                told(self.name, event, self.world.realtime_us(role), details)


@dataclass(frozen=True, slots=True)
class PlayedHosts:
    """The hypervisors of both hosts."""

    world: World

    def connect(self) -> Mapping[str, Hypervisor]:
        """Both, if both hosts live."""
        for role in HOSTS:
            if role in self.world.dead:
                raise UnreachableError(
                    "the hypervisor does not answer",
                    where=f"host {role} (played)",
                    why="it has died",
                    retry=True,
                )
        return {role: PlayedHost(self.world, role) for role in HOSTS}
