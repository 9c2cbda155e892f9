"""What a workload's processes print, line by line, stamped when it arrives at the controller.

Tools in the guest do not see the guest's own blackout by their clock; the controller does, by the line that
comes late. The file is kept as it came, so that a better parser can read it again.
"""

from __future__ import annotations

import shlex
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from harness.clock import NS_PER_S
from harness.evidence.events import OutputStarted, OutputStopped
from harness.evidence.folder import of_guest
from harness.evidence.record import Record, Series
from harness.rig.contract import Machine, Stream
from harness.workloads.contract import Line, Process
from harness.workloads.generators import marks

FILE = "workload.log"
"""Rows of ``t_ns<TAB>source<TAB>text``, in the order of arrival."""

MOST_LINES = 1_000_000
"""Of one attempt; a stream of packets, whose workload prints most, has some 20,000 a minute at most."""
MOST_BYTES = 64 * 2**20
"""Of one attempt, as memory holds them: one wide character makes a text four times as large."""

_END_LIMIT_S = 5.0
_POLL_S = 0.25


def _bound(command: str) -> str:
    """`command` in a process group of its own that is ended when standard input ends.

    sshd does not end what it started when the channel closes, and a load generator must not outlive a trial.
    """
    return (
        f"exec 2>&1 3<&0; setsid sh -c {shlex.quote(command)} </dev/null & load=$!; "
        "{ cat <&3; kill -- -$load; } >/dev/null 2>&1 & watch=$!; "
        "wait $load; status=$?; kill $watch 2>/dev/null; exit $status"
    )


@dataclass(frozen=True, slots=True)
class _Running:
    process: Process
    channel: Stream


class Output:
    """The standing commands of a workload and everything they print."""

    name = "workload"

    def __init__(self, record: Record) -> None:
        self._record = record
        self._lines: list[Line] = []
        self._lock = threading.Lock()
        self._name = of_guest(FILE, record.guest)
        self._file = Series(record.folder / self._name)
        self._running: list[_Running] = []
        self._printed_lines = 0
        self._printed_bytes = 0
        self._refused: dict[str, str] = {}

    def start(self, machine: Machine, process: Process) -> None:
        """Start `process` on `machine`; it goes on until :meth:`stop`."""
        started = OutputStarted(
            file=self._name, source=process.source, machine=process.machine, command=process.command
        )
        self._record.add(started)
        # Stamped by the channel's thread, which knows nothing of the process it reads from.
        channel = machine.stream(
            _bound(process.command), lambda t_ns, text: self._on_line(t_ns, text, process.source)
        )
        self._running.append(_Running(process, channel))

    def _on_line(self, t_ns: int, text: str, source: str) -> None:
        self._bound(text, source)
        # A tool that redraws a line separates its states by CR.
        for part in text.split("\r"):
            with self._lock:
                self._lines.append(Line(t_ns=t_ns, text=part, source=source))
            self._file.add(f"{t_ns}\t{source}\t{part}")

    def _bound(self, text: str, source: str) -> None:
        """Refuse a process that floods the controller, which watches others too: OSError ends its channel."""
        with self._lock:
            self._printed_lines += 1 + text.count("\r")
            self._printed_bytes += len(text) * (1 if text.isascii() else 4)
            if self._printed_lines > MOST_LINES or self._printed_bytes > MOST_BYTES:
                why = f"more than {MOST_LINES} lines or {MOST_BYTES} bytes of output in one attempt"
                self._refused[source] = why
                raise OSError(why)

    @property
    def ended(self) -> str | None:
        """Which process has ended, by itself with what it said last, or for a flood; None while all run."""
        for one in self._running:
            if why := self._refused.get(one.process.source):
                return f"the {one.process.source} was ended: {why}"
            if one.channel.ended:
                words = self._last_words(one.process.source)
                return f"the {one.process.source} ended by itself; it said last: {words}"
        return None

    def _last_words(self, source: str) -> str:
        return marks.last_words(line.text for line in self.lines if line.source == source)

    @property
    def exit_statuses(self) -> dict[str, int | None]:
        """Each process's exit status by its source; None while it runs or when it was ended from here."""
        return {one.process.source: one.channel.exit_status for one in self._running}

    @property
    def lines(self) -> Sequence[Line]:
        """What has been printed so far, in order of arrival."""
        with self._lock:
            return tuple(self._lines)

    def finish(self) -> None:
        """Wait for the processes that end by themselves and print their results then, each to its limit."""
        clock, never = self._record.clock, threading.Event()
        for one in self._running:
            limit_ns = clock.now_ns() + int(one.process.finish_s * NS_PER_S)
            while one.process.finish_s and not one.channel.ended and clock.now_ns() < limit_ns:
                clock.wait(_POLL_S, never)

    def stop(self) -> None:
        """End the processes, the last one first, and close the file."""
        for one in reversed(self._running):
            one.channel.close(wait_s=_END_LIMIT_S)
        self._file.close()
        self._record.add(OutputStopped(file=self._name, lines=len(self._lines)))
