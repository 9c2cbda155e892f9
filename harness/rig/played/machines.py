"""Played machines: they take every command that a run gives, and play the programs that it observes with."""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.errors import UnreachableError
from harness.pair_name import GUEST
from harness.rig.contract import CommandError, LineHandler, Stream
from harness.rig.limits import LimitName
from harness.rig.pair import Endpoint
from harness.rig.played import streams
from harness.rig.played.streams import PlayedStream
from harness.rig.played.world import PlayedGuest, World

_PLAY = "played-program"
_FILL = re.compile(rf"^{_PLAY} fill_page_cache (?P<bytes>\d+)$")

_HOST_STATE = {
    "files": {
        "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "performance\n",
        "proc/sys/vm/swappiness": "60\n",
    },
    "unreadable": {},
    "log": None,
    "log_reason": "a played machine has none",
    "irqbalance": False,
}

ANSWERS: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"^dbench --help"), "4.00\n"),
    (re.compile(rf"^{_PLAY} state_probe "), json.dumps(_HOST_STATE)),
    (re.compile(r"^tail -c \d+ "), "played guest login:\n"),
)
"""What commands print whose output is read; every other one succeeds and prints nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What machines have on top of what every run needs of them.

    Attributes:
        programs: Standing programs, by what their command has in it.
        outputs: What other commands print on the machine of a role, likewise.
        on_start: Told of each guest that is started.
    """

    programs: Sequence[tuple[re.Pattern[str], streams.Program]] = ()
    outputs: Sequence[tuple[re.Pattern[str], Callable[[str], str]]] = ()
    on_start: Callable[[World, PlayedGuest], None] = lambda _world, _guest: None


NOTHING = Installed()


class PlayedMachine:
    """A machine of a played rig: :class:`~harness.rig.contract.Machine`."""

    def __init__(self, world: World, endpoint: Endpoint, installed: Installed = NOTHING) -> None:
        self.endpoint = endpoint
        self.role = endpoint.role
        self._world = world
        self._installed = installed
        self._streams: list[PlayedStream] = []
        world.on_death.append(self._on_death)

    def run(
        self,
        command: str,
        *,
        timeout_s: float | None = None,
        limit: LimitName = "command_s",
        root: bool = True,
    ) -> str:
        """The standard output of `command`."""
        status, out, _ = self.attempt(command, timeout_s=timeout_s, limit=limit, root=root)
        if status != 0:
            raise CommandError(f"exit status {status} of: {command[:300]}", where=self._where)
        return out

    def attempt(
        self,
        command: str,
        *,
        timeout_s: float | None = None,
        limit: LimitName = "command_s",
        root: bool = True,
    ) -> tuple[int, str, str]:
        """Exit status, standard output and standard error of `command`."""
        del root
        self._reach()
        if self._hangs():
            seconds = self.endpoint.limits.seconds(limit) if timeout_s is None else timeout_s
            self._world.clock.wait(seconds, threading.Event())
            raise CommandError(f"no end after {seconds:g} s: {command[:300]}", where=self._where, retry=True)
        if command.startswith("test -f ") and command.endswith("/state"):
            return (0 if self._world.saved_uuid else 1), "", ""
        if self._world.guest is not None and self.role == GUEST:
            answer = _of_guest(self._world.guest, command, self._world.clock.now_ns())
            if answer:
                return 0, answer, ""
        for asked, output in self._installed.outputs:
            if asked.search(command):
                return 0, output(self.role), ""
        return 0, next((out for pattern, out in ANSWERS if pattern.search(command)), ""), ""

    def stream(
        self,
        command: str,
        on_line: LineHandler,
        *,
        on_close: Callable[[str], None] = lambda _reason: None,
        root: bool = True,
        fits: Callable[[int], bool] | None = None,
    ) -> Stream:
        """Start a program that can be played.

        Raises:
            CommandError: It is not one of those.
        """
        del root, fits
        self._reach()
        stream = PlayedStream(self._world, self.role, on_line, on_close)
        program, arguments = self._program(command)
        self._streams = [one for one in self._streams if not one.ended] + [stream]
        # What looks at a guest names it by its address.
        world = self._world.at(arguments[0]) if arguments else self._world
        program(world, self.role, arguments, stream)
        return stream

    def _program(self, command: str) -> tuple[streams.Program, list[str]]:
        word, _, rest = command.partition(" ")
        if word == _PLAY:
            name, *arguments = shlex.split(rest)
            if name in streams.PROBES:
                return streams.PROBES[name], arguments
        writer = streams.WRITER.search(command)
        if writer is not None:
            return partial(streams.memory_writer, rate_mib_s=int(writer["rate"])), []
        for pattern, program in (*streams.LOADS, *self._installed.programs):
            if pattern.search(command):
                return program, []
        raise CommandError(
            "a played machine does not play this program",
            where=self._where,
            why=command[:300],
            remedy=f"played are the workloads {', '.join(streams.WORKLOADS)}",
        )

    def python(self, program: Path, arguments: str = "") -> str:
        """A command that :meth:`stream` knows the program by."""
        return f"{_PLAY} {program.stem} {arguments}"

    def answers(self, *, timeout_s: float = 2.0) -> bool:
        """Whether the machine lives; the guest, whether it is up."""
        del timeout_s
        return self._world.up() if self.role == GUEST else self.role not in self._world.dead

    def close(self) -> None:
        """Nothing is kept open."""

    @property
    def _where(self) -> str:
        return f"{self.role} (played)"

    def _reach(self) -> None:
        lives = self.role not in self._world.dead
        if self.role == GUEST:
            lives = self._world.guest is not None
        if not lives:
            raise UnreachableError(
                "the machine cannot be reached over ssh",
                where=self._where,
                why="no route to host",
                remedy="a played machine that has died comes back with the next command",
                retry=True,
            )

    def _hangs(self) -> bool:
        guest = self._world.guest
        return self.role == GUEST and guest is not None and guest.stopped_ns is not None

    def _on_death(self, host: str) -> None:
        if host == self.role or (self.role == GUEST and self._world.guest is None):
            for stream in self._streams:
                stream.end("the connection to the machine is gone", None)


def _of_guest(guest: PlayedGuest, command: str, now_ns: int) -> str:
    """What a guest answers of its age, and of its memory, which holds all that it is asked to read."""
    asked = _FILL.match(command)
    if asked is not None:
        guest.read_bytes = int(asked["bytes"])
        return json.dumps({"read_bytes": guest.read_bytes, "cached_bytes": guest.read_bytes})
    said = {"/proc/meminfo": guest.meminfo, "/proc/uptime": guest.uptime(now_ns)}
    return "".join(said.get(name, "") for name in command.split()[1:]) if command.startswith("cat ") else ""
