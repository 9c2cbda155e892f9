"""What programs on played machines print: the observers' probes and the load generators."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TypeAlias

from harness.clock import NS_PER_S
from harness.errors import UnreachableError
from harness.pair_name import HOSTS
from harness.rig.contract import LineHandler
from harness.rig.played.world import REALTIME_OFFSET_NS, PlayedGuest, World

ROUND_TRIP_NS = 300_000
_GATHER_S = 0.25
_OPERATIONS_PER_S = 600.0
_OVERHEAD = 1.02
"""Bytes on the wire for one of the migration: headers."""
_ACKNOWLEDGED = 0.01
_MEMORY_BYTES = 1 << 30

Program: TypeAlias = "Callable[[World, str, list[str], PlayedStream], None]"
"""Starts what a program does: the world, its machine, its arguments, and where it prints."""


class PlayedStream:
    """A standing command on a played machine: :class:`~harness.rig.contract.Stream`."""

    def __init__(
        self, world: World, role: str, on_line: LineHandler, on_close: Callable[[str], None]
    ) -> None:
        self.exit_status: int | None = None
        self.on_input: Callable[[str], None] = lambda _line: None
        self.on_end: list[Callable[[], None]] = []
        self._world = world
        self._role = role
        self._on_line = on_line
        self._on_close = on_close
        self._ended = False

    def print(self, line: str) -> None:
        """A line arrives at the controller, now."""
        if not self._ended:
            self._on_line(self._world.clock.now_ns(), line)

    def send(self, line: str) -> None:
        """Send one line to the program."""
        if self._ended:
            raise UnreachableError(
                "a standing command does not listen any more", where=f"{self._role} (played)", retry=True
            )
        self.on_input(line)

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._ended

    def end(self, reason: str, status: int | None) -> None:
        """It ends, by itself or with its machine."""
        if not self._ended:
            for one in self.on_end:
                one()
            self._ended, self.exit_status = True, status
            self._on_close(reason)

    def close(self, *, wait_s: float = 5.0) -> bool:
        """End it; whether it ended."""
        del wait_s
        self.end("exit status 0", 0)
        return True


def clocks_probe(world: World, role: str, _arguments: list[str], stream: PlayedStream) -> None:
    """Both clocks of the machine, for each line."""

    def answer(_line: str) -> None:
        monotonic_ns = world.monotonic_ns(role)
        stream.print(f"{monotonic_ns} {monotonic_ns + REALTIME_OFFSET_NS} played/1 played-{role}")

    stream.on_input = answer


def heartbeat_probe(world: World, role: str, arguments: list[str], stream: PlayedStream) -> None:
    """Echo requests to the guest; each row says when one was sent and when its reply came."""
    period_ns = NS_PER_S // int(arguments[1])
    began_ns, sent = world.clock.now_ns(), [0]

    def gather() -> None:
        while (at_ns := began_ns + sent[0] * period_ns) <= world.clock.now_ns():
            reply = str(world.monotonic_ns(role, at_ns + ROUND_TRIP_NS)) if world.answered(at_ns) else ""
            stream.print(f"{sent[0]},{world.monotonic_ns(role, at_ns)},{reply}")
            sent[0] += 1

    stream.print("ready")
    stream.on_end += [world.clock.every(_GATHER_S, gather), gather]


def wire_probe(world: World, role: str, arguments: list[str], stream: PlayedStream) -> None:
    """The counters of the migration ports."""

    def read() -> None:
        other = next(host for host in HOSTS if host != role)
        out, back = round(world.sent(role) * _OVERHEAD), round(world.sent(other) * _ACKNOWLEDGED)
        peer_in, peer_out = round(world.sent(other) * _OVERHEAD), round(world.sent(role) * _ACKNOWLEDGED)
        counts = (out, out // 1500, peer_out, peer_out // 60, peer_in, peer_in // 1500, back, back // 60)
        stream.print(f"{world.monotonic_ns(role)},{','.join(map(str, counts))}")

    stream.print("ready")
    read()
    stream.on_end += [world.clock.every(float(arguments[0]), read), read]


def sampler_probe(world: World, role: str, arguments: list[str], stream: PlayedStream) -> None:
    """A machine that is a tenth busy, half of it with QEMU where the guest is."""
    began_ns, qemu_s, last_ns = world.clock.now_ns(), [0.0], [world.clock.now_ns()]

    def sample() -> None:
        now_ns = world.clock.now_ns()
        guest = world.guest
        if guest is not None and guest.host == role:
            qemu_s[0] += 0.05 * (now_ns - last_ns[0]) / NS_PER_S
        last_ns[0] = now_ns
        busy_s = 0.1 * (now_ns - began_ns) / NS_PER_S
        sent = world.sent(role)
        stream.print(
            f"{world.monotonic_ns(role)},{busy_s:.3f},{qemu_s[0]:.3f},{1 << 30},{sent},{sent // 100}"
        )

    stream.print("ready")
    sample()
    stream.on_end.append(world.clock.every(float(arguments[0]), sample))


def dbench(world: World, _role: str, _arguments: list[str], stream: PlayedStream) -> None:
    """Dbench in the guest: a line for each second that the guest executed something."""
    began_ns, second, whose = world.clock.now_ns(), [0], world.guest
    stream.print("dbench version 4.00 - Copyright Andrew Tridgell 1999-2004")

    def report() -> None:
        if world.guest is whose and world.executed_s(began_ns) >= second[0] + 1 and _runs(whose):
            second[0] += 1
            done = round(second[0] * _OPERATIONS_PER_S)
            stream.print(f"   4  {done:8d}  18.00 MB/sec  warmup {second[0]:3d} sec  latency 31.400 ms")

    stream.on_end.append(world.clock.every(0.05, report))


def memory_writer(
    world: World, _role: str, _arguments: list[str], stream: PlayedStream, *, rate_mib_s: int
) -> None:
    """The writer of memory: a report for each second that its guest executed something."""
    began_ns, second, whose = world.clock.now_ns(), [0], world.guest
    if whose is not None:
        whose.dirties_mib_s = rate_mib_s

    def report() -> None:
        if world.guest is whose and world.executed_s(began_ns) >= second[0] + 1 and _runs(whose):
            second[0] += 1
            stream.print(f"dirtied {rate_mib_s * 256} pages in {NS_PER_S} ns")

    stream.on_end.append(world.clock.every(0.05, report))


def _runs(guest: PlayedGuest | None) -> bool:
    return guest is not None and guest.stopped_ns is None


def link_rate_holder(_world: World, _role: str, _arguments: list[str], stream: PlayedStream) -> None:
    """The link at a lower rate: it is said to be held, and what is sent keeps its rate."""
    stream.print(json.dumps({"state": "held", "device": "br0", "before": ""}))


PROBES: dict[str, Program] = {
    "link_rate_holder": link_rate_holder,
    "clocks_probe": clocks_probe,
    "heartbeat_probe": heartbeat_probe,
    "wire_probe": wire_probe,
    "sampler_probe": sampler_probe,
}

LOADS: tuple[tuple[re.Pattern[str], Program], ...] = ((re.compile(r"\bexec dbench -t \d+ "), dbench),)
"""Load generators that can be played, by what their command has in it."""

WRITER = re.compile(r"\bexec sodbench-memory \d+ (?P<rate>\d+)")
"""The writer of memory, which is played at the rate that its command states."""

WORKLOADS = ("idle", "file", "memory")
"""The workloads of those."""
