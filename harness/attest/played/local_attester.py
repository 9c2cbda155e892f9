"""An attester that runs on this machine, at the other end of a pipe instead of an SSH channel."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

from harness import resources
from harness.attest.attester.channel import CLOSE_S, PYTHON, Conversation, Inbox, Line
from harness.attest.attester.contract import Limits
from harness.clock import Clock
from harness.errors import UnreachableError
from harness.rig.lines import LineCutter, last_line


class LocalAttester(Conversation):
    """The attester of this machine, in a process of its own.

    Args:
        config: The attester's configuration.
        clock: Stamps sending and arrival.
        program: The attester; by default the one that the playbooks install.
        python: The system's interpreter, which has the TPM's library.
        limits: How long to wait.
        on_restart: Told each time that the program was started again, with what ended it before.
    """

    def __init__(
        self,
        config: Path,
        clock: Clock,
        *,
        program: Path | None = None,
        python: str = PYTHON,
        limits: Limits | None = None,
        on_restart: Callable[[str], None] = lambda _why: None,
    ) -> None:
        super().__init__("this machine", clock, limits or Limits(), on_restart)
        program = program or resources.playbooks() / "roles/attester/files/sodbench_attester.py"
        self._command = [python, "-BEsu", str(program), "--config", str(config)]

    def _start(self, inbox: Inbox) -> Line:
        return _Process(self._command, inbox, self._clock)

    @property
    def pid(self) -> int | None:
        """The process that runs the program; None while there is none."""
        return self._way[0].pid if self._way is not None and isinstance(self._way[0], _Process) else None


class _Process:
    """A program of this machine, its lines stamped as they arrive."""

    def __init__(self, command: list[str], inbox: Inbox, clock: Clock) -> None:
        self._process, self._input, self._output, self._complaints = _started(command)
        self.pid = self._process.pid
        self._inbox = inbox
        self._clock = clock
        self._reader = threading.Thread(target=self._read, daemon=True, name="attester-lines")
        self._reader.start()

    def _read(self) -> None:
        cutter = LineCutter(self._inbox.on_line, self._inbox.fits)
        try:
            with self._output as output, self._complaints as complaints:
                while data := os.read(output.fileno(), 65536):
                    cutter.feed(self._clock.now_ns(), data)
                said_last = last_line(partial(os.read, complaints.fileno()))
        except OSError as error:
            self._process.kill()
            said_last = str(error)
        status = self._process.wait()
        self._inbox.on_close(said_last or f"exit status {status}")

    def send(self, line: str) -> None:
        """Send one line to the program."""
        try:
            self._input.write(line.encode() + b"\n")
            self._input.flush()
        except (OSError, ValueError) as error:
            raise UnreachableError("the attester does not listen any more", why=str(error)) from error

    def close(self, *, wait_s: float = CLOSE_S) -> bool:
        """End the program: its input first, and after `wait_s` by force."""
        with contextlib.suppress(OSError):  # it has ended already
            self._input.close()
        try:
            self._process.wait(wait_s)
            ended = True
        except subprocess.TimeoutExpired:
            self._process.kill()
            ended = False
        self._reader.join(CLOSE_S)
        return ended


def _started(command: list[str]) -> tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes], IO[bytes]]:
    """The program, its input, its output and its complaints."""
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
    except OSError as error:
        raise UnreachableError("the attester cannot be started", why=str(error)) from error
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise ValueError("a program that is started with pipes has all three")
    return process, process.stdin, process.stdout, process.stderr
