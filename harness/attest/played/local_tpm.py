"""A software TPM as a process of this machine: a real one to compare with, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.clock import NS_PER_S, MonotonicClock
from harness.errors import UnreachableError

START_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTpm:
    """A running swtpm.

    Attributes:
        tcti: How tpm2-tools and tpm2-tss reach it.
        folder: Its state, and where commands run.
        pid: The process.
    """

    tcti: str
    folder: Path
    pid: int

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command of tpm2-tools in `folder`, with this TPM."""
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env={**os.environ, "TPM2TOOLS_TCTI": self.tcti},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if check and done.returncode:
            raise UnreachableError(
                f"{argv[0]} failed with exit status {done.returncode}", why=f"{done.stdout}{done.stderr}"
            )
        return done

    def flush(self) -> None:
        """Throw away transient objects, as a resource manager would between two callers."""
        self.run("tpm2_flushcontext", "--transient-object")


@contextlib.contextmanager
def running(folder: Path, *, state: Path | None = None) -> Iterator[LocalTpm]:
    """A swtpm with its state in `state` (made in `folder` if there is none), until the block ends."""
    state = state or folder / "state"
    state.mkdir(parents=True, exist_ok=True)
    # It writes a line for each connection: into a file, as a pipe that is not read would fill and stop it.
    said = folder / "swtpm.log"
    # A socket's path may have 107 bytes only, which a test's own folder easily exceeds.
    with tempfile.TemporaryDirectory(prefix="tpm-") as sockets, said.open("ab") as log:
        path = Path(sockets, "s")
        process = subprocess.Popen(
            [
                "swtpm",
                "socket",
                "--tpm2",
                "--tpmstate",
                f"dir={state}",
                "--server",
                f"type=unixio,path={path}",
                "--ctrl",
                f"type=unixio,path={path}.ctrl",
                "--flags",
                "startup-clear,not-need-init",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _await(process, path, said)
            yield LocalTpm(tcti=f"swtpm:path={path}", folder=folder, pid=process.pid)
        finally:
            process.terminate()
            process.wait(timeout=START_LIMIT_S)


def _await(process: subprocess.Popen[bytes], path: Path, said: Path) -> None:
    clock, never = MonotonicClock(), threading.Event()
    limit_ns = clock.now_ns() + round(START_LIMIT_S * NS_PER_S)
    while not path.exists():
        if process.poll() is not None or clock.now_ns() > limit_ns:
            raise UnreachableError("swtpm did not start", why=said.read_text(errors="replace"))
        clock.wait(0.005, never)
