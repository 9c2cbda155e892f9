"""What a machine says, cut into lines and bounded: none longer than allowed, and no more of them than wanted.

A machine that is measured may be hostile, and the controller watches others too: no machine may fill its
memory. Both classes raise OSError in the thread that reads, which ends the channel.
"""

from __future__ import annotations

import queue
from collections.abc import Callable

from harness.rig.contract import LineHandler

LONGEST_LINE_BYTES = 16 * 2**20
"""Of an observer or a load generator; an attester's answers have limits of their own."""
LONG_LINE_BYTES = 2**20
"""A line that is longer is base64: it must be ASCII, because one wide character widens a text fourfold."""
COMPLAINT_BYTES = 64 * 2**10
"""Of standard error, how much of the end is kept."""
MOST_COMPLAINT_BYTES = 4 * 2**20
"""Of standard error, how much is read before the program is given up."""
_MOST_WAITING = 64

Fits = Callable[[int], bool]
"""Whether a line may have that many bytes."""


class LineCutter:
    """Hands over each line that is whole; OSError for one that is too long."""

    def __init__(self, on_line: LineHandler, fits: Fits) -> None:
        self._on_line = on_line
        self._fits = fits
        self._pending: list[bytes] = []
        self._held_bytes = 0

    def feed(self, stamp_ns: int, data: bytes) -> None:
        """Take the next bytes, which arrived at `stamp_ns`."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._bound(self._held_bytes + len(line))
            # Pieces are joined once a line: some lines are logs of many megabytes.
            whole = b"".join((*self._pending, line)).removesuffix(b"\r")
            self._pending.clear()
            self._held_bytes = 0
            if len(whole) > LONG_LINE_BYTES and not whole.isascii():
                raise OSError(f"a line of {len(whole)} bytes that is not ASCII")
            self._on_line(stamp_ns, whole.decode(errors="replace"))
        self._pending.append(rest)
        self._held_bytes += len(rest)
        self._bound(self._held_bytes)

    def _bound(self, size_bytes: int) -> None:
        if not self._fits(size_bytes):
            raise OSError(f"a line of more than {size_bytes - 1} bytes")


class Answers:
    """Lines that wait to be read, with their stamps; OSError for more lines than were asked for."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[tuple[int, str]] = queue.Queue(_MOST_WAITING)

    def put(self, stamp_ns: int, line: str) -> None:
        """A line has arrived."""
        try:
            self._waiting.put_nowait((stamp_ns, line))
        except queue.Full as error:
            raise OSError(f"more than {_MOST_WAITING} lines that were not asked for") from error

    def get(self, *, timeout: float) -> tuple[int, str]:
        """The oldest line; queue.Empty when none comes within `timeout` seconds."""
        return self._waiting.get(timeout=timeout)


def last_line(read: Callable[[int], bytes]) -> str:
    """The last line that is not empty of a standard error; of a traceback it says what happened.

    Only the end is kept. OSError where it has no end.
    """
    tail, total_bytes = b"", 0
    while data := read(65536):
        total_bytes += len(data)
        tail = (tail + data)[-COMPLAINT_BYTES:]
        if total_bytes > MOST_COMPLAINT_BYTES:
            raise OSError(f"more than {MOST_COMPLAINT_BYTES} bytes of complaints")
    lines = tail.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
