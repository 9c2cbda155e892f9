"""The command as a process of its own, with its output in a pipe or on a terminal of a given width."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path

_COMMAND = (
    sys.executable,
    "-c",
    "import sys; sys.argv[0] = 'sodbench'; from harness.cli import main; main()",
)
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
"""What a terminal program sends for colours and its cursor."""


@dataclass(frozen=True)
class Ended:
    """How the command ended, and what it wrote: `text` is both streams where they are one terminal."""

    code: int
    text: str
    err: str = ""

    @property
    def plain(self) -> str:
        """`text` without colours, and with a program's line ends."""
        return _SEQUENCE.sub("", self.text).replace("\r\n", "\n")

    @property
    def lines(self) -> list[str]:
        return self.plain.splitlines()


def in_pipe(*arguments: str | Path, **environment: str) -> Ended:
    """Run the command with both streams in pipes; `environment` is added to a small one."""
    done = subprocess.run(
        [*_COMMAND, *map(str, arguments)],
        env=_environment(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def on_terminal(width: int, *arguments: str | Path, **environment: str) -> Ended:
    """Run the command on a terminal of `width` columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    with subprocess.Popen(
        [*_COMMAND, *map(str, arguments)],
        env=_environment({"TERM": "xterm-256color", **environment}),
        stdin=its,
        stdout=its,
        stderr=its,
    ) as running:
        os.close(its)
        written = b""
        try:
            while part := os.read(ours, 65536):
                written += part
        except OSError:  # how Linux says that the other side is closed
            pass
        code = running.wait(timeout=120)
    os.close(ours)
    return Ended(code, written.decode())


def _environment(added: dict[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME", "LANG") if name in os.environ}
    return {**kept, **added}
