"""An observer that is a small program on a machine: its rows arrive over one SSH channel into one CSV file.

The program is the standard library's Python (psutil where it samples a machine), is sent over the channel and
ends when its standard input does. Rows carry the machine's own CLOCK_MONOTONIC; nothing is mapped here.
"""

from __future__ import annotations

import threading
from pathlib import Path

from harness.errors import SodbenchError
from harness.evidence.record import Record, Series
from harness.rig.contract import Machine, Stream

MOST_BYTES = 256 * 2**20
"""Of one program's rows in an attempt: half a day of the observer that prints most."""
_START_LIMIT_S = 15.0


class RemoteSeries:
    """One remote program and its file.

    The program prints ``ready`` when it observes, then rows; what it says on standard error before it ends is
    the reason of its failure.
    """

    def __init__(self, observer: str, host: Machine, program: Path, arguments: str, record: Record) -> None:
        self._observer = observer
        self._host = host
        self._program = program
        self._arguments = arguments
        self._record = record
        self._series: Series | None = None
        self._channel: Stream | None = None
        self._ready = threading.Event()
        self._stopping = False
        self._problem = ""
        self._left_bytes = MOST_BYTES

    def start(self, file: str, header: str) -> None:
        """Send the program and wait until it observes.

        Raises:
            SodbenchError: It does not start.
        """
        self._series = Series(self._record.folder / file, header)
        self._channel = self._host.stream(
            self._host.python(self._program, self._arguments), self._on_line, on_close=self._on_close
        )
        if not self._ready.wait(_START_LIMIT_S) or self._problem:
            self.stop()
            raise SodbenchError(
                f"{self._observer} does not start",
                where=f"{self._host.role} ({self._host.endpoint.address})",
                why=self._problem or f"no answer within {_START_LIMIT_S:.0f} s",
            )

    def _on_line(self, _t_ns: int, line: str) -> None:
        if line == "ready":
            self._ready.set()
        elif line[:1].isdigit() and self._series is not None:
            self._left_bytes -= len(line.encode()) + 1
            if self._left_bytes < 0:  # the controller's disk is not this machine's to fill
                raise OSError(f"more than {MOST_BYTES} bytes of rows in one attempt")
            self._series.add(line)

    def _on_close(self, reason: str) -> None:
        if not self._ready.is_set():
            self._problem = reason
            self._ready.set()
        elif not self._stopping:
            self._record.failed(self._observer, f"{self._host.role}: {reason}")

    @property
    def rows(self) -> int:
        """Rows received so far."""
        return self._series.rows if self._series else 0

    def stop(self) -> None:
        """End the program; what it still had to say is in the file afterwards."""
        self._stopping = True
        if self._channel is not None and not self._channel.close():
            self._record.failed(self._observer, f"{self._host.role} did not answer any more at the end")
        if self._series is not None:
            self._series.close()
