"""The output of a load generator on the client, made from known truths, and the parser that reads it.

It stands for every workload but idle and file: one report a second of the client's own time, with the work,
the longest stall, what failed and the latency. No real generator has its format, so that tests of metrics and
reports need no other room's parser.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import pytest

from harness.analysis import table as results
from harness.json_types import Json
from harness.workloads.contract import Line, Sample, Timeline
from tests.synthetic.truths import Layout, ns

PERIOD_NS = 1_000_000_000
REPORT = re.compile(r"work (\S+) stall (\S+) lost (\d+) latency (\S+)")
LATENCY = "99th percentile"


def output(at: Layout) -> list[tuple[int, str]]:
    """The workload's lines and when they arrive."""
    if at.truth.workload == "idle":
        return []
    return at.dbench() if at.truth.workload == "file" else _client(at)


def _client(at: Layout) -> list[tuple[int, str]]:
    lines = [(at.workload_ns, "load begins")]
    stops = at.silences
    for number in range(1, (at.closed_ns + ns(1) - at.workload_ns) // PERIOD_NS):
        first = at.workload_ns + (number - 1) * PERIOD_NS
        lines.append((first + PERIOD_NS, _report(at, number, first, first + PERIOD_NS, stops)))
    return lines


def _report(at: Layout, number: int, first: int, last: int, stops: Sequence[tuple[int, int]]) -> str:
    truth = at.truth
    silent = sum(max(0, min(last, end) - max(first, start)) for start, end in stops)
    noise = 1 + truth.jitter * math.sin(12.9898 * (number + 7 * at.index)) * math.cos(4.1 * number)
    share = noise * at.speed(first, last) * (1 - silent / PERIOD_NS)
    ended = [(end - start) / 1e9 for start, end in stops if first < end <= last]
    usual = "-" if share <= 0 else repr(1 / truth.work_per_s)
    stall = repr(max(ended) + 1 / truth.work_per_s) if ended else usual
    latency = truth.latency_s * (2 - min(1.0, share)) * noise + max(ended, default=0.0)
    lost = truth.lost if ended else 0
    return f"work {truth.work_per_s * share!r} stall {stall} lost {lost} latency {latency!r}"


def parse(workload: str, lines: Sequence[Line]) -> Timeline:
    """The lines of :func:`output` as a timeline."""
    found = [(line.t_ns, match) for line in lines if (match := REPORT.fullmatch(line.text))]
    samples = tuple(
        Sample(
            t_ns=t_ns,
            work=float(match[1]),
            stall_s=None if match[2] == "-" else float(match[2]),
            lost=int(match[3]),
            latency_s=float(match[4]),
        )
        for t_ns, match in found
    )
    unit = "packets" if workload == "stream" else "requests"
    return Timeline(work_unit=unit, period_s=1.0, samples=samples, latency=LATENCY)


def readable(patch: pytest.MonkeyPatch) -> None:
    """Let results read these lines, for workloads that have no real output here."""
    real = results.parse_output

    def chosen(workload: str, options: Mapping[str, Json], lines: Sequence[Line]) -> Timeline:
        if workload in ("idle", "file"):
            return real(workload, options, lines)
        return parse(workload, lines)

    patch.setattr(results, "parse_output", chosen)
