"""Memory: a writer of our own dirties the small guest's memory at a stated rate.

It says every second how many pages it has really dirtied and in how much time; it never goes faster than
stated, and what a stopped guest could not write in time is left out. So a load that stays below its rate is
seen, and is not taken for the one that was asked for: it never becomes steady.

A page is dirtied by changing eight bytes of 4,096 that neither compress nor repeat. What a migration has to
send again is therefore at most the rate, and never more than the working set in one pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import ClassVar

from pydantic import BaseModel, Field

from harness.clock import NS_PER_S
from harness.strict import Strict
from harness.workloads.contract import Dirtying, Line, Process, Sample, Site, Step, Timeline

REPORT = re.compile(r"dirtied (?P<pages>\d{1,12}) pages in (?P<ns>\d{1,12}) ns", re.ASCII)
HARMLESS = re.compile(r"writing \d+ MiB at \d+ MiB/s|Terminated", re.ASCII)
"""What it says first, and what the guest's shell says when the load is ended from outside."""
PAGES_PER_MIB = 256
STEADY_REPORTS = 3
TOLERANCE = 0.1


class MemoryOptions(Strict):
    """How much memory is dirtied, and how fast."""

    size_mib: int = Field(default=32, ge=1, le=1_048_576, description="MiB of the working set")
    rate_mib_s: int = Field(default=16, ge=1, le=100_000, description="MiB to dirty in a second")


class Memory:
    """The paced writer in the small guest."""

    name: ClassVar[str] = "memory"
    title: ClassVar[str] = "Memory"
    steady_test: ClassVar[str] = (
        "each of the last three reported seconds has dirtied memory at the stated rate, within 10 %"
    )
    Options: ClassVar[type[BaseModel]] = MemoryOptions
    generator = "sodbench-memory"
    substitutes: str | None = None
    needs: Sequence[str] = ()

    def __init__(self, options: BaseModel) -> None:
        self._options = MemoryOptions.model_validate(options.model_dump())

    @property
    def dirtying(self) -> Dirtying:
        """What it dirties, as it was asked to."""
        return Dirtying(rate_mib_s=self._options.rate_mib_s, size_mib=self._options.size_mib)

    def version(self) -> Step | None:
        """None: the program belongs to the image, whose key is in the evidence."""
        return None

    def preparation(self, site: Site) -> Sequence[Step]:  # noqa: ARG002
        """Nothing to do."""
        return ()

    def processes(self, site: Site) -> Sequence[Process]:  # noqa: ARG002
        """The writer, until it is ended."""
        command = f"exec sodbench-memory {self._options.size_mib} {self._options.rate_mib_s}"
        return (Process(machine="guest", command=command),)

    def steady(self, lines: Sequence[Line]) -> bool:
        """Whether `steady_test` holds for the output so far."""
        last = list(_reports(lines))[-STEADY_REPORTS:]
        stated = self._options.rate_mib_s
        return len(last) == STEADY_REPORTS and all(
            abs(mib / seconds - stated) <= TOLERANCE * stated for _, mib, seconds in last
        )

    def parse(self, lines: Sequence[Line]) -> Timeline:
        """MiB dirtied from report to report; the stated rate and the mean of all reports as the summary."""
        reports = list(_reports(lines))
        dirtied_mib, took_s = sum(mib for _, mib, _ in reports), sum(seconds for _, _, seconds in reports)
        stated = float(self._options.rate_mib_s)
        summary = (
            {"stated_rate_mib_per_s": stated, "dirty_rate_mib_per_s": dirtied_mib / took_s} if reports else {}
        )
        return Timeline(
            work_unit="MiB",
            period_s=1.0,
            samples=tuple(Sample(t_ns=t_ns, work=mib) for t_ns, mib, _ in reports),
            problems=tuple(_problems(lines, bool(reports))),
            summary=summary,
        )


def _reports(lines: Sequence[Line]) -> Iterator[tuple[int, float, float]]:
    """Of each report its arrival in ns, the MiB, and the seconds that they took by the guest's clock."""
    for line in lines:
        found = REPORT.fullmatch(line.text.strip())
        if found is not None and int(found["ns"]):
            yield line.t_ns, int(found["pages"]) / PAGES_PER_MIB, int(found["ns"]) / NS_PER_S


def _problems(lines: Sequence[Line], reported: bool) -> Iterator[str]:
    if not reported:
        yield "no report was printed"
    for line in lines:
        text = line.text.strip()
        if text and not REPORT.fullmatch(text) and not HARMLESS.fullmatch(text):
            yield f"sodbench-memory said: {text[:200]}"
