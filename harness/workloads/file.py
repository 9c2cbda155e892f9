"""The file server: dbench replays a file server's operations on the guest's own disk.

dbench runs inside the guest and prints a line a second. Its lines are read by their shape, never by column
position: versions differ in whether they print latencies. Work is counted in operations, the second number
of a line, which counts up exactly; the MB/s beside it is a mean since the phase began over seconds that are
printed without a fraction, so that differences of it are mostly rounding.

dbench calls a fifth of its time warm-up, however long that is. The load is the same then and the operations
count on, so that those lines report work like any other; whether the load is steady is this module's test.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from math import ceil
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from harness.workloads.contract import Line, Process, Sample, Site, Step, Timeline
from harness.workloads.steadiness import level

NUMBER = r"\d{1,15}(?:\.\d{1,15})?(?:e[+-]?\d{1,2})?"
REPORT = re.compile(
    rf"\s*\d+\s+(?P<done>\d{{1,15}})\s+{NUMBER}\s+MB/sec\s+(?:warmup|execute)\s+{NUMBER}\s+sec"
    rf"(?:\s+latency\s+(?P<latency_ms>{NUMBER})\s+ms)?\s*",
    re.ASCII,
)
THROUGHPUT = re.compile(
    rf"Throughput\s+(?P<rate>{NUMBER})\s+MB/sec(?:.*max_latency=(?P<latency_ms>{NUMBER})\s+ms)?.*", re.ASCII
)
FAILURE = re.compile(r"failed|error|cannot|no space|not found|unable", re.IGNORECASE)
HARMLESS = re.compile(r"failed to create barrier semaphore", re.IGNORECASE)
"""Dbench 4 may print this and then starts its clients without one."""


class FileOptions(BaseModel):
    """How hard dbench works, and where."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    clients: int = Field(default=4, ge=1, le=1024, description="simulated clients of the file server")
    directory: str = Field(default="/var/tmp/dbench", min_length=1, description="folder on the guest's disk")


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
        """Dbench names its version first, whatever it is told to do."""
        command = "dbench --help 2>&1 | sed -n 's/.*version \\([0-9.]*\\).*/\\1/p'"
        return Step(what="ask dbench for its version", machine="guest", command=command)

    def preparation(self, site: Site) -> Sequence[Step]:  # noqa: ARG002
        """A folder of its own on the guest's disk."""
        command = f"mkdir -p {shlex.quote(self._options.directory)}"
        return (Step(what="make dbench's folder", machine="guest", command=command),)

    def processes(self, site: Site) -> Sequence[Process]:
        """Dbench in the guest, for longer than the trial."""
        directory = shlex.quote(self._options.directory)
        seconds = max(1, ceil(site.limit_s))
        command = f"exec dbench -t {seconds} -D {directory} {self._options.clients}"
        return (Process(machine="guest", command=command),)

    def steady(self, lines: Sequence[Line]) -> bool:
        """Whether `steady_test` holds for the output so far."""
        return level([sample.work for sample in self.parse(lines).samples])

    def parse(self, lines: Sequence[Line]) -> Timeline:
        """Operations from line to line as samples; the final ``Throughput`` line as the summary."""
        samples = tuple(_samples(lines))
        final = next((found for line in lines if (found := THROUGHPUT.fullmatch(line.text.strip()))), None)
        summary = {} if final is None else {"throughput_mb_per_s": float(final["rate"])}
        if final is not None and final["latency_ms"] is not None:
            summary["max_latency_s"] = float(final["latency_ms"]) / 1000
        return Timeline(
            work_unit="operations",
            period_s=1.0,
            samples=samples,
            problems=tuple(_problems(lines, samples)),
            summary=summary,
            latency="longest operation",
        )


def _samples(lines: Sequence[Line]) -> Iterator[Sample]:
    """What was done between one report and the next; where count or time run back, it begins anew."""
    last: tuple[int, int] | None = None
    for line in lines:
        if (found := REPORT.fullmatch(line.text.strip())) is None:
            continue
        done, latency_ms = int(found["done"]), found["latency_ms"]
        if last is not None and done >= last[1] and line.t_ns > last[0]:
            latency_s = None if latency_ms is None else float(latency_ms) / 1000
            yield Sample(t_ns=line.t_ns, work=float(done - last[1]), latency_s=latency_s)
        if last is None or line.t_ns > last[0]:
            last = (line.t_ns, done)


def _problems(lines: Sequence[Line], samples: Sequence[Sample]) -> Iterator[str]:
    if not samples:
        yield "no two lines that report work were printed"
    for line in lines:
        if FAILURE.search(line.text) and not HARMLESS.search(line.text):
            yield f"dbench said: {line.text.strip()[:200]}"
