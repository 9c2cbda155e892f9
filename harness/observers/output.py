"""A workload's output, line by line, stamped when it arrives at the controller.

Tools in the guest do not see the guest's own blackout by their clock; the controller does, by the line that
comes late. The file is kept as it came, so that a better parser can read it again.
"""

from __future__ import annotations

import shlex
import threading
from collections.abc import Sequence

from harness.observers.contract import Record, Series
from harness.rig.host import Channel, Host
from harness.workloads.contract import Line

FILE = "workload.log"


def _bound(command: str) -> str:
    """`command` in a process group of its own that is killed when standard input ends.

    sshd does not end what it started when the channel closes, and a load generator must not outlive a trial.
    """
    return (
        f"exec 2>&1 3<&0; setsid sh -c {shlex.quote(command)} </dev/null & load=$!; "
        "{ cat <&3; kill -- -$load; } >/dev/null 2>&1 & watch=$!; "
        "wait $load; status=$?; kill $watch 2>/dev/null; exit $status"
    )


class Output:
    """The standing command of a workload and everything it prints."""

    name = "workload"

    def __init__(self, record: Record) -> None:
        self._record = record
        self._lines: list[Line] = []
        self._lock = threading.Lock()
        self._file = Series(record.folder / FILE)
        self._channel: Channel | None = None
        self.reason: str | None = None

    def start(self, machine: Host, command: str) -> None:
        """Start `command` on `machine`; it goes on until :meth:`stop`."""
        self._record.add(self.name, "output.started", {"file": FILE, "command": command})
        self._channel = machine.stream(_bound(command), self._on_line, on_close=self._on_close)

    def _on_line(self, t_ns: int, text: str) -> None:
        # A tool that redraws a line separates its states by CR.
        for part in text.split("\r"):
            with self._lock:
                self._lines.append(Line(t_ns=t_ns, text=part))
            self._file.add(f"{t_ns}\t{part}")

    def _on_close(self, reason: str) -> None:
        self.reason = reason

    @property
    def ended(self) -> bool:
        """Whether the command has ended by itself."""
        return self._channel is not None and self._channel.ended

    @property
    def exit_status(self) -> int | None:
        """The command's exit status, or None while it runs or when it was ended."""
        return self._channel.exit_status if self._channel is not None else None

    @property
    def lines(self) -> Sequence[Line]:
        """What has been printed so far."""
        with self._lock:
            return tuple(self._lines)

    def stop(self) -> None:
        """End the command and close the file."""
        if self._channel is not None:
            self._channel.close(wait_s=1.0)
        self._file.close()
        self._record.add(self.name, "output.stopped", {"file": FILE, "lines": len(self._lines)})
