"""A time limit for work that cannot be interrupted, such as a call to a TPM that does not return.

The work runs in the main thread; the watchdog's thread ends the whole process when the work takes too long,
because only that releases what a stuck call holds. It never touches the TPM.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

_PROBE_S = 0.2
_MARGIN_S = 0.5
_GET_CAPABILITY = struct.pack(">I", 1)


class Watchdog(threading.Thread):
    """Calls `expired` with the limit, in its own thread, when work under a limit does not end in time.

    Args:
        expired: Reports it and ends the process; it does not return.
    """

    def __init__(self, expired: Callable[[float], None]) -> None:
        super().__init__(daemon=True, name="watchdog")
        self._expired = expired
        self._changed = threading.Condition()
        self._limit_s = 0.0
        self._deadline: float | None = None
        self._wakes: float | None = None

    @contextlib.contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Allow the block at most `seconds`, a little less so that the answer arrives in time."""
        ends = time.monotonic() + seconds - min(_MARGIN_S, seconds / 4)
        with self._changed:
            self._limit_s, self._deadline = seconds, ends
            # A watchdog that wakes earlier looks again anyway, so most work wakes no thread.
            if self._wakes is None or self._wakes > ends:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._deadline = None

    def run(self) -> None:
        """Wait for the next deadline, again and again."""
        with self._changed:
            while True:
                now = time.monotonic()
                if self._deadline is not None and self._deadline <= now:
                    self._expired(self._limit_s)
                self._wakes = self._deadline
                self._changed.wait(None if self._deadline is None else self._deadline - now)


def control_answers(path: str) -> bool:
    """Whether a software TPM's control channel answers: then it is alive and serves another client.

    Args:
        path: The TPM's socket; the control channel's is ``PATH.ctrl`` (swtpm_ioctls(3), CMD_GET_CAPABILITY).
    """
    try:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(_PROBE_S)
            control.connect(f"{path}.ctrl")
            control.sendall(_GET_CAPABILITY)
            return len(control.recv(16)) > 0
    except OSError:
        return False
