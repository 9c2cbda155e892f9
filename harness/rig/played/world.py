"""What is true on a played rig: where the guest is, what it executes, which hosts live, what is on the wire.

Machines and hypervisors only look at this and change it; nothing is remembered elsewhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from types import MappingProxyType

from harness.clock import NS_PER_S
from harness.json_types import Json
from harness.pair_name import CLIENT, FIRST, GUEST, HOSTS, SECOND
from harness.rig.contract import CompletionHandler, DomainState, QemuHandler
from harness.rig.played.clock import PlayedClock
from harness.rig.played.script import FailingMigration, Script

REALTIME_OFFSET_NS = 1_700_000_000 * NS_PER_S
"""What a played machine's wall clock shows when its other one shows 0."""

MONOTONIC_OFFSET_NS: Mapping[str, int] = MappingProxyType(
    {FIRST: 5_000_000_000, SECOND: 70_000_000_000, CLIENT: 11_000_000_000, GUEST: 40_000_000_000}
)
"""By how much each machine's monotonic clock is behind the controller's: none shares it."""


def ns(seconds: float) -> int:
    """Seconds as nanoseconds."""
    return round(seconds * NS_PER_S)


@dataclass(slots=True)
class Transfer:
    """A migration under way.

    Attributes:
        source: Where from.
        destination: Where to.
        began_ns: When it was asked for.
        fails: How it fails, or None.
        over: Set when it is cancelled, or a host of it dies.
        why: Why it was ended early.
    """

    source: str
    destination: str
    began_ns: int
    fails: FailingMigration | None
    over: threading.Event = field(default_factory=threading.Event)
    why: str = ""

    def end(self, why: str) -> None:
        """End it early."""
        self.why = self.why or why
        self.over.set()


@dataclass(slots=True)
class PlayedGuest:
    """The guest that lives, on one host or, while it moves, on two.

    Attributes:
        number: Which of the process it is, from 1.
        uuid: The domain's.
        host: Where it runs.
        began_ns: When it was started.
        state: As libvirt has it.
        moves: How many migrations of it were asked for.
        hung: Whether it executes nothing any more without being stopped.
        stopped_ns: Since when it executes nothing; None while it runs.
        freezes: When it executed nothing, from and to.
        transfer: Its migration under way.
        read_bytes: What it was asked to read into its page cache.
        dirties_mib_s: What its load dirties.
        sampling: Since when its QEMU samples pages, and how it was asked to.
    """

    number: int
    uuid: str
    host: str
    began_ns: int
    state: DomainState = DomainState.RUNNING
    moves: int = 0
    hung: bool = False
    stopped_ns: int | None = None
    freezes: list[tuple[int, int]] = field(default_factory=list)
    transfer: Transfer | None = None
    read_bytes: int = 0
    dirties_mib_s: int = 0
    sampling: tuple[int, Mapping[str, Json]] | None = None

    def dirty_rate(self, now_ns: int) -> Json:
        """What its QEMU answers to ``query-dirty-rate``."""
        if self.sampling is None:
            return {"status": "unstarted"}
        since_ns, asked = self.sampling
        period_s = asked.get("calc-time")
        if not isinstance(period_s, int) or now_ns - since_ns < period_s * NS_PER_S:
            return {"status": "measuring"}
        return {
            "status": "measured",
            "calc-time": period_s,
            "mode": "page-sampling",
            "sample-pages": asked.get("sample-pages"),
            "dirty-rate": self.dirties_mib_s,
        }

    def uptime(self, now_ns: int) -> str:
        """What its ``/proc/uptime`` says: it counts from its start, and not while it is stopped."""
        stopped_ns = sum(until_ns - since_ns for since_ns, until_ns in self.freezes)
        seconds = (now_ns - self.began_ns - stopped_ns) / NS_PER_S
        return f"{seconds:.2f} {seconds:.2f}\n"

    @property
    def meminfo(self) -> str:
        """What its ``/proc/meminfo`` says: a guest of 1 GiB that holds what it was asked to read."""
        cached_kib = max(self.read_bytes // 1024, 98304)
        counters = {"MemTotal": 1014784, "MemFree": max(0, 917504 - cached_kib), "MemAvailable": 880640}
        counters |= {"Buffers": 8192, "Cached": cached_kib}
        return "".join(f"{name}: {kib} kB\n" for name, kib in counters.items())


class World:
    """The played rig's one truth about one guest; the guests of a rig share hosts and the wire.

    Args:
        clock: Played time.
        script: The weather.
        domain: The guest's.
        address: The guest's.
        rig: The world of another guest of the same rig; None for the first.
    """

    def __init__(
        self, clock: PlayedClock, script: Script, domain: str, address: str, rig: World | None = None
    ) -> None:
        self.clock = clock
        self.script = script
        self.domain = domain
        self.address = address
        self.guests: dict[str, World] = {} if rig is None else rig.guests
        self.guests[domain] = self
        self.dead: set[str] = set() if rig is None else rig.dead
        self.guest: PlayedGuest | None = None
        self.saved_uuid: str | None = None
        self.completed: dict[str, int] = {}
        self.sent_bytes: dict[str, int] = dict.fromkeys(HOSTS, 0) if rig is None else rig.sent_bytes
        self.completions: dict[str, list[CompletionHandler]] = {host: [] for host in HOSTS}
        self.qemu_events: dict[str, list[QemuHandler]] = {host: [] for host in HOSTS}
        self.on_death: list[Callable[[str], None]] = [] if rig is None else rig.on_death
        self.on_start: list[Callable[[World, PlayedGuest], None]] = [] if rig is None else rig.on_start
        self._numbers: Iterator[int] = count(1) if rig is None else rig._numbers

    def of(self, domain: str, address: str) -> World:
        """The world of the rig's guest with this domain, which is made where it is new."""
        known = self.guests.get(domain)
        return World(self.clock, self.script, domain, address, self) if known is None else known

    def at(self, address: str) -> World:
        """The world of the guest that lives with this address; this one where no guest does.

        A rig's one guest and the first of several have the same one, and are never there together.
        """
        living = (one for one in self.guests.values() if one.guest is not None)
        return next((one for one in living if one.address == address), self)

    # -- the guest

    def start(self, host: str, uuid: str) -> None:
        """A guest comes to life on `host`; what the script has in store for it is scheduled."""
        now_ns = self.clock.now_ns()
        guest = PlayedGuest(number=next(self._numbers), uuid=uuid, host=host, began_ns=now_ns)
        self.guest = guest
        for death in self.script.die:
            if death.guest == guest.number:
                self.clock.at(now_ns + ns(death.after_s), partial(self._die, death.host, guest))
        for hang in self.script.hang:
            if hang.guest in (None, guest.number):
                self.clock.at(now_ns + ns(hang.after_s), partial(self._hang, guest))
        for told in tuple(self.on_start):
            told(self, guest)

    def end(self) -> None:
        """The guest is gone."""
        if self.guest is not None and self.guest.transfer is not None:
            self.guest.transfer.end("operation aborted: the domain was destroyed")
        self.guest = None

    def stop(self, guest: PlayedGuest, state: DomainState = DomainState.PAUSED) -> None:
        """The guest's processors stop."""
        guest.state = state
        if guest.stopped_ns is None:
            guest.stopped_ns = self.clock.now_ns()

    def resume(self, guest: PlayedGuest) -> None:
        """The guest runs on."""
        guest.state = DomainState.RUNNING
        if guest.stopped_ns is not None and not guest.hung:
            guest.freezes.append((guest.stopped_ns, self.clock.now_ns()))
            guest.stopped_ns = None

    def up(self) -> bool:
        """Whether a guest has come up and executes something."""
        guest = self.guest
        if guest is None or guest.hung or guest.state != DomainState.RUNNING:
            return False
        return self.clock.now_ns() >= guest.began_ns + ns(self.script.boot_s)

    def answered(self, t_ns: int) -> bool:
        """Whether the guest executed something at `t_ns`, a moment that has been."""
        guest = self.guest
        if guest is None or t_ns < guest.began_ns + ns(self.script.boot_s):
            return False
        if guest.stopped_ns is not None and t_ns >= guest.stopped_ns:
            return False
        return not any(first <= t_ns < last for first, last in guest.freezes)

    def executed_s(self, since_ns: int) -> float:
        """For how long the guest has executed something since then, in s."""
        guest, now_ns = self.guest, self.clock.now_ns()
        if guest is None:
            return 0.0
        stopped = [*guest.freezes, *([(guest.stopped_ns, now_ns)] if guest.stopped_ns is not None else [])]
        lost_ns = sum(max(0, last - max(first, since_ns)) for first, last in stopped)
        return max(0.0, (now_ns - since_ns - lost_ns) / NS_PER_S)

    # -- events of hosts

    def _hang(self, guest: PlayedGuest) -> None:
        if self.guest is guest and guest.stopped_ns is None:
            guest.hung = True
            guest.stopped_ns = self.clock.now_ns()

    def _die(self, host: str, during: PlayedGuest) -> None:
        if self.guest is during:
            self.die(host)

    def die(self, host: str) -> None:
        """The host is gone, and so is every guest that runs there."""
        self.dead.add(host)
        for one in self.guests.values():
            one._lose(host)
        for told in tuple(self.on_death):
            told(host)

    def _lose(self, host: str) -> None:
        guest = self.guest
        if guest is not None and guest.transfer is not None:
            guest.transfer.end(f"unable to connect to server at '{host}': No route to host")
        if guest is not None and guest.host == host:
            guest.stopped_ns = guest.stopped_ns or self.clock.now_ns()
            self.guest = None

    # -- what hypervisors and counters say

    def sent(self, host: str) -> int:
        """Bytes that migrations from `host` have sent so far, of whichever guest."""
        guests = (one.guest for one in self.guests.values())
        transfers = (one.transfer for one in guests if one is not None and one.transfer is not None)
        return self.sent_bytes[host] + sum(self._sent_by(one) for one in transfers if one.source == host)

    def over(self, guest: PlayedGuest, transfer: Transfer) -> None:
        """The guest's transfer is over; what it has sent stays sent."""
        self.sent_bytes[transfer.source] += self._sent_by(transfer)
        guest.transfer = None

    def _sent_by(self, transfer: Transfer) -> int:
        return round(self.script.sent_bytes * self.share(transfer))

    def share(self, transfer: Transfer) -> float:
        """How much of a transfer is sent, 0 to 1."""
        copying_ns = max(1, ns(self.script.migration_s - self.script.blackout_s))
        return min(1.0, (self.clock.now_ns() - transfer.began_ns) / copying_ns)

    def realtime_us(self, machine: str) -> int:
        """A machine's wall clock, in microseconds."""
        return (self.monotonic_ns(machine) + REALTIME_OFFSET_NS) // 1000

    def monotonic_ns(self, machine: str, t_ns: int | None = None) -> int:
        """A machine's monotonic clock at `t_ns` of the controller's, by default now."""
        return (self.clock.now_ns() if t_ns is None else t_ns) - MONOTONIC_OFFSET_NS[machine]
