"""Writes the service and the timer of a night, and starts the timer."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.campaign.nightly import timer
from harness.campaign.nightly.file import Nightly
from harness.cli.terminal import Output
from harness.errors import PrerequisiteError, UsageError
from harness.files import write_atomic

_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where systemd is, and how this program is started.

    Attributes:
        running: A folder that is there where systemd runs the machine (sd_booted(3)).
        units: Where an administrator's units lie.
        systemctl: Its command.
        program: The command line that is this program.
    """

    running: Path
    units: Path
    systemctl: str
    program: Sequence[str]


HERE = Machine(
    running=Path("/run/systemd/system"),
    units=Path("/etc/systemd/system"),
    systemctl="systemctl",
    program=(str(Path(sys.executable).with_name("sodbench")),),
)
"""This machine."""


def install(asked: Nightly, at: str, machine: Machine) -> None:
    """Write and start what begins the night at that time each day.

    Raises:
        PrerequisiteError: Systemd does not run this machine, or refuses; or this user is not root.
        StorageError: A unit cannot be written.
        UsageError: `at` is no time of day, or the file's path cannot be named in a unit.
    """
    begins = timer.time_of_day(at)
    if begins is None:
        raise UsageError("no time of day", where=f"--at {at}", remedy="give it as HH:MM, such as 02:00")
    if not timer.is_plain(asked.file):
        raise UsageError(
            "a unit cannot name this file",
            where=str(asked.file),
            why="its path has a control character",
            remedy="rename it",
        )
    if not machine.running.is_dir():
        raise PrerequisiteError(
            "systemd does not run this machine",
            where=str(machine.running),
            why="the folder is not there (sd_booted(3)); nothing was written",
            remedy="have cron start it (`crontab -e`):\n" + timer.cron(machine.program, asked.file, begins),
        )
    if os.geteuid() != 0:
        raise PrerequisiteError(
            "only root installs a service",
            where=str(machine.units),
            remedy="run it again as root, or have cron start it (`crontab -e`):\n"
            + timer.cron(machine.program, asked.file, begins),
        )
    name = timer.unit_name(asked.file)
    service, timed = (machine.units / f"{name}.{kind}" for kind in ("service", "timer"))
    write_atomic(service, timer.service(machine.program, asked.file, getpass.getuser()).encode())
    write_atomic(timed, timer.timer(asked.file, begins).encode())
    for unit in (service, timed):
        unit.chmod(0o644)
    _systemctl(machine, "daemon-reload")
    _systemctl(machine, "enable", "--now", timed.name)
    Output().say(
        str(service),
        str(timed),
        f"It begins each day at {at}. `systemctl start {service.name}` begins one now, `journalctl -u "
        f"{service.name}` shows what it said, `systemctl disable --now {timed.name}` ends it.",
    )


def _systemctl(machine: Machine, *words: str) -> None:
    argv = [machine.systemctl, *words]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
        why = done.stderr.strip()[-500:] if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        why = str(error)
    else:
        if done.returncode == 0:
            return
    raise PrerequisiteError(
        f"`{' '.join(argv)}` failed",
        where=str(machine.units),
        why=why,
        remedy="the units are written; mend what is named and run the command again",
    )
