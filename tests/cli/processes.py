"""The command as a process of its own, with its output in a pipe or on a terminal of a given width.

A new interpreter spends a second on imports, so that most commands run in a fork of this process, which has
them behind it. What is read once, when a process starts, gets an interpreter of its own: the encoding of the
streams, and the width of a help text.
"""

from __future__ import annotations

import fcntl
import logging
import os
import pty
import re
import signal
import struct
import sys
import termios
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from harness import cli

_COMMAND = (
    sys.executable,
    "-c",
    "import sys; sys.argv[0] = 'sodbench'; from harness.cli import main; main()",
)
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
"""What a terminal program sends for colours and its cursor."""
_LIMIT_S = 120


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
    out, its_out = os.pipe()
    err, its_err = os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY)
    child = _start((nothing, its_out, its_err), arguments, _environment(environment))
    for one in (nothing, its_out, its_err):
        os.close(one)
    with ThreadPoolExecutor(2) as pool:
        written = list(pool.map(_read, (out, err)))
    return Ended(_code(child), written[0].decode(), written[1].decode())


def on_terminal(width: int, *arguments: str | Path, **environment: str) -> Ended:
    """Run the command on a terminal of `width` columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    child = _start((its, its, its), arguments, _environment({"TERM": "xterm-256color", **environment}))
    os.close(its)
    return Ended(text=_read(ours).decode(), code=_code(child))


def _start(
    streams: tuple[int, int, int], arguments: Sequence[str | Path], environment: Mapping[str, str]
) -> int:
    """The process that runs the command with these for its standard streams."""
    words = [str(one) for one in arguments]
    child = os.fork()
    if child == 0:
        _become(streams, words, environment)
    return child


def _become(streams: tuple[int, int, int], words: list[str], environment: Mapping[str, str]) -> NoReturn:
    """Be the command, and end as it does."""
    code = 1
    try:
        signal.alarm(_LIMIT_S)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        if "--help" in words or "PYTHONIOENCODING" in environment:
            os.execve(sys.executable, [*_COMMAND, *words], dict(environment))
        os.environ.clear()
        os.environ.update(environment)
        logging.getLogger().handlers.clear()
        sys.argv = ["sodbench", *words]
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
        cli.main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - the status tells the parent, and pytest must not go on in the child
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _read(stream: int) -> bytes:
    """All that is written until the other side is closed."""
    written = b""
    try:
        while part := os.read(stream, 65536):
            written += part
    except OSError:  # how Linux says that a terminal's other side is closed
        pass
    os.close(stream)
    return written


def _code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _environment(added: dict[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME", "LANG") if name in os.environ}
    return {**kept, **added}
