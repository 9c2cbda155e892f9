"""What starts a night each day: a systemd service with its timer, or a line for cron. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

_AT = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_STOP_S = 900
"""How long a stopped night may take to end its trial and restore the hosts before it is killed."""


def time_of_day(text: str) -> tuple[int, int] | None:
    """Hour and minute of ``HH:MM``; None for any other text."""
    found = _AT.fullmatch(text)
    return None if found is None else (int(found[1]), int(found[2]))


def unit_name(file: Path) -> str:
    """The name of the units for that file, of characters that a unit's name may have (systemd.unit(5))."""
    return f"sodbench-nightly-{re.sub(r'[^A-Za-z0-9_.-]', '_', file.stem)[:100]}"


def is_plain(path: Path) -> bool:
    """Whether a unit and a crontab can name it: no character in it ends a line or is a control character."""
    return str(path).isprintable()


def service(program: Sequence[str], file: Path, user: str) -> str:
    """The service: one night. Only the night itself is told to stop, so that it can restore the hosts."""
    command = " ".join(_quoted(word) for word in (*program, "nightly", "run", str(file)))
    return f"""\
[Unit]
Description=sodbench nightly {_escaped(file.name)}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User={user}
WorkingDirectory={_escaped(str(file.parent))}
ExecStart={command}
KillMode=mixed
TimeoutStopSec={_STOP_S}
"""


def timer(file: Path, at: tuple[int, int]) -> str:
    """The timer: each day at that local time; a night that was missed begins once the machine is up."""
    return f"""\
[Unit]
Description=sodbench nightly {_escaped(file.name)}, each day

[Timer]
OnCalendar=*-*-* {at[0]:02}:{at[1]:02}:00
Persistent=true

[Install]
WantedBy=timers.target
"""


def cron(program: Sequence[str], file: Path, at: tuple[int, int]) -> str:
    """The line for a crontab that does the same; a percent sign ends a command there (crontab(5))."""
    words = " ".join(shlex.quote(word) for word in (*program, "nightly", "run", str(file)))
    command = f"cd {shlex.quote(str(file.parent))} && {words}".replace("%", r"\%")
    return f"{at[1]} {at[0]} * * * {command}"


def _escaped(text: str) -> str:
    """The text without a specifier in it (systemd.unit(5))."""
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """One argument of a command line, neither split nor expanded (systemd.service(5))."""
    inner = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{_escaped(inner)}"'
