"""The file server: dbench replays a file server's operations on the guest's own disk.

dbench runs inside the guest and prints a line a second. Its lines are read by their shape, never by column
position: versions differ in whether they print latencies. Work is counted in operations, the second number
of a line, which counts up exactly; the MB/s next to it is a mean since the phase began over seconds that are
printed without a fraction, so that differences of it are mostly rounding.

dbench calls a fifth of its time warm-up, however long that is. The load is the same then and the operations
count on, so that those lines report work like any other; whether the load is steady is this module's test.
In the second in which warm-up becomes ``execute`` it prints no line. It is therefore told so long a time that
a trial ends within the warm-up; where an output has that second, the stretch is not observed and no stall.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import ClassVar

from pydantic import BaseModel, Field

from harness.strict import Strict
from harness.workloads.contract import Line, Process, Sample, Site, Step, Timeline
from harness.workloads.paths import GuestPath
from harness.workloads.steadiness import level

NUMBER = r"\d{1,15}(?:\.\d{1,15})?(?:e[+-]?\d{1,2})?"
REPORT = re.compile(
    rf"\s*\d+\s+(?P<done>\d{{1,15}})\s+{NUMBER}\s+MB/sec\s+(?P<phase>warmup|execute)\s+{NUMBER}\s+sec"
    rf"(?:\s+latency\s+(?P<latency_ms>{NUMBER})\s+ms)?\s*",
    re.ASCII,
)
UNREAD = re.compile(r"\d+\s+\d+(?:\s.*)?|.*\bMB/sec\b.*", re.ASCII)
"""The prefix of a report that cannot be read: torn, or with an impossible number."""

THROUGHPUT = re.compile(
    rf"Throughput\s+(?P<rate>{NUMBER})\s+MB/sec(?:.*max_latency=(?P<latency_ms>{NUMBER})\s+ms)?.*", re.ASCII
)
WARM_UP_SHARE = 5
"""dbench 4 calls the first fifth of its time limit warm-up."""

FAILURE = re.compile(r"failed|error|cannot|no space|not found|unable", re.IGNORECASE)
HARMLESS = re.compile(r"failed to create barrier semaphore", re.IGNORECASE)
"""Dbench 4 may print this and then starts its clients without one."""


class FileOptions(Strict):
    """How hard dbench works, and where."""

    clients: int = Field(default=4, ge=1, le=1024, description="simulated clients of the file server")
    directory: GuestPath = Field(default="/var/tmp/dbench", description="folder on the guest's disk")


class File:
    """dbench in the guest (Table IV: file server, Dbench)."""

    name: ClassVar[str] = "file"
    title: ClassVar[str] = "File server"
    # The load file has phases of many small and of few large operations, so that single seconds differ by
    # half however long it runs. Sums of three tell a trend, such as a filling cache, from that.
    steady_test: ClassVar[str] = (
        "the operations of the last three reported seconds and of the three before them differ by at most "
        "25 % of their mean, and neither is 0"
    )
    Options: ClassVar[type[BaseModel]] = FileOptions
    generator = "dbench"
    substitutes: str | None = None
    needs: Sequence[str] = ()

    def __init__(self, options: BaseModel) -> None:
        self._options = FileOptions.model_validate(options.model_dump())

    def version(self) -> Step | None:
        """Dbench prints its version first, with any arguments."""
        command = "dbench --help 2>&1 | sed -n 's/.*version \\([0-9.]*\\).*/\\1/p'"
        return Step(what="ask dbench for its version", machine="guest", command=command)

    def preparation(self, site: Site) -> Sequence[Step]:  # noqa: ARG002
        """A folder of its own on the guest's disk."""
        command = f"mkdir -p {shlex.quote(self._options.directory)}"
        return (Step(what="make dbench's folder", machine="guest", command=command),)

    def processes(self, site: Site) -> Sequence[Process]:
        """Dbench in the guest, with a warm-up for longer than the trial."""
        directory = shlex.quote(self._options.directory)
        seconds = WARM_UP_SHARE * max(1, ceil(site.limit_s))
        command = f"exec dbench -t {seconds} -D {directory} {self._options.clients}"
        return (Process(machine="guest", command=command),)

    def steady(self, lines: Sequence[Line]) -> bool:
        """Whether `steady_test` holds for the output so far."""
        return level([sample.work for sample in self.parse(lines).samples])

    def parse(self, lines: Sequence[Line]) -> Timeline:
        """Operations from line to line as samples; the final ``Throughput`` line as the summary."""
        read = _read(lines)
        final = next((found for line in lines if (found := THROUGHPUT.fullmatch(line.text.strip()))), None)
        summary = {} if final is None else {"throughput_mb_per_s": float(final["rate"])}
        if final is not None and final["latency_ms"] is not None:
            summary["max_latency_s"] = float(final["latency_ms"]) / 1000
        return Timeline(
            work_unit="operations",
            period_s=1.0,
            samples=tuple(read.samples),
            problems=tuple(_problems(lines, read.samples)),
            summary=summary,
            latency="longest operation",
            unobserved=tuple(read.unobserved),
        )


@dataclass(slots=True)
class _Read:
    samples: list[Sample] = field(default_factory=list)
    unobserved: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Report:
    t_ns: int
    done: int
    phase: str


def _read(lines: Sequence[Line]) -> _Read:
    """The work between each report and the next, and the pairs between which a report is missing.

    Where count or time run back, the count starts again.
    """
    read, last, unread = _Read(), None, False
    for line in lines:
        text = line.text.strip()
        if (found := REPORT.fullmatch(text)) is None:
            unread = unread or UNREAD.fullmatch(text) is not None
            continue
        report = _Report(line.t_ns, int(found["done"]), found["phase"])
        if last is None or report.t_ns > last.t_ns:
            if last is not None:
                _between(last, report, found["latency_ms"], unread, read)
            last, unread = report, False
    return read


def _between(last: _Report, report: _Report, latency_ms: str | None, unread: bool, read: _Read) -> None:
    """Add to `read` what two consecutive reports say of the time between them."""
    began_anew = report.done < last.done
    if began_anew or unread or (last.phase, report.phase) == ("warmup", "execute"):
        read.unobserved.append((last.t_ns, report.t_ns))
    if not began_anew:
        latency_s = None if latency_ms is None else float(latency_ms) / 1000
        work = float(report.done - last.done)
        read.samples.append(Sample(t_ns=report.t_ns, work=work, latency_s=latency_s))


def _problems(lines: Sequence[Line], samples: Sequence[Sample]) -> Iterator[str]:
    if not samples:
        yield "no two lines that report work were printed"
    for line in lines:
        if FAILURE.search(line.text) and not HARMLESS.search(line.text):
            yield f"dbench said: {line.text.strip()[:200]}"
