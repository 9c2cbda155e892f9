"""locust as the generator: one program on the client, and the meaning of its lines.

locust is used as a library, because its own statistics are means over several seconds; see
:mod:`harness.workloads.generators.locust_program`, whose lines are read here by their keys.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from harness.clock import NS_PER_S
from harness.workloads.contract import GENERATOR, Line, Process, Sample, Site, Step, Timeline
from harness.workloads.generators import marks
from harness.workloads.generators.locust_program import FORMAT, PERIOD_S
from harness.workloads.generators.targets import Target
from harness.workloads.steadiness import DRIFT, SPAN, level

NAME = "locust"
PYTHON = "/opt/sodbench/locust/bin/python"
STEADY_TEST = (
    f"locust's completions in the last {SPAN} s and in the {SPAN} s before differ by at most {DRIFT:.0%} of "
    "their mean, and neither is 0"
)
_PROGRAM = Path(__file__).with_name("locust_program.py")
_LARGEST = 1e12
_QUOTED = 200

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How many users there are, and how many requests a second all of them make together."""

    users: int
    rate: float


def version() -> Step:
    """What prints locust's version, without the seconds that importing it takes."""
    ask = "import importlib.metadata; print(importlib.metadata.version('locust'))"
    return Step(
        what="ask locust for its version", machine="client", command=f"{PYTHON} -c {shlex.quote(ask)}"
    )


def http(site: Site, load: Load, port: int, targets: Sequence[Target]) -> Process:
    """Users that request `targets` from the guest's `port`."""
    return _process(
        site, load, {"kind": "http", "port": port, "targets": [each.as_json() for each in targets]}
    )


def smtp(site: Site, load: Load, port: int, size_kib: float) -> Process:
    """Users that send messages of `size_kib` KiB to the guest's `port`, one per connection."""
    return _process(site, load, {"kind": "smtp", "port": port, "size_kib": size_kib})


def _process(site: Site, load: Load, what: Mapping[str, object]) -> Process:
    config = {
        **what,
        "host": site.guest_address,
        "users": load.users,
        "pacing_s": load.users / load.rate,
        "limit_s": site.limit_s,
    }
    program, text = shlex.quote(_PROGRAM.read_text(encoding="utf-8")), json.dumps(config, sort_keys=True)
    return Process(machine="client", command=f"exec {PYTHON} -u -c {program} {shlex.quote(text)}")


def steady(lines: Sequence[Line]) -> bool:
    """Whether :data:`STEADY_TEST` holds for the output so far."""
    return level([report.work for report in _read(lines).samples])


def parse(lines: Sequence[Line], *, work_unit: str, error_limit: float) -> Timeline:
    """The reports as a timeline; `error_limit` is the largest share of requests that may have failed."""
    read = _read(lines)
    lost = sum(sample.lost or 0 for sample in read.samples)
    done = sum(sample.work for sample in read.samples)
    stalls = [sample.stall_s for sample in read.samples if sample.stall_s is not None]
    summary = {f"completed_{work_unit}": done, f"failed_{work_unit}": float(lost)} if read.samples else {}
    if stalls:
        summary["longest_stall_s"] = max(stalls)
    return Timeline(
        work_unit=work_unit,
        period_s=PERIOD_S,
        samples=read.samples,
        problems=(*read.problems, *_failures(read, done, lost, work_unit, error_limit)),
        summary=summary,
        latency="99th percentile of the second (nearest rank)",
    )


@dataclass(frozen=True, slots=True)
class _Read:
    samples: Sequence[Sample]
    problems: Sequence[str]
    errors: Sequence[str]


def _failures(read: _Read, done: float, lost: int, unit: str, limit: float) -> Iterator[str]:
    if lost > limit * (done + lost):
        share = lost / (done + lost)
        yield f"{lost} of {done + lost:.0f} {unit} failed ({share:.1%}); the limit is {limit:.1%}"
        yield from (f"locust met: {error}" for error in read.errors)
    elif read.samples and not done:
        yield f"locust completed no {unit}"


def _read(lines: Sequence[Line]) -> _Read:
    samples: list[Sample] = []
    problems: list[str] = []
    errors: list[str] = []
    said: list[str] = []
    known, last_second, last_ns = False, 0, 0
    for line in lines:
        if line.source != GENERATOR or not line.text.strip():
            continue
        entry = _entry(line.text)
        if entry is None:
            said.append(line.text.strip()[:_QUOTED])
        elif "generator" in entry:
            known = entry.get("generator") == NAME and entry.get("format") == FORMAT
        elif isinstance(error := entry.get("error"), str):
            errors.append(error[:_QUOTED])
        elif (report := _report(entry, line.t_ns)) is None:
            said.append(line.text.strip()[:_QUOTED])
        elif report.second <= last_second or line.t_ns <= last_ns:
            problems.append(f"locust's report of second {report.second} came after that of {last_second}")
        else:
            problems.extend(_gap(report, last_second, line.t_ns - last_ns if last_ns else None))
            samples.append(report.sample)
            last_second, last_ns = report.second, line.t_ns
    if not known:
        problems.insert(0, f"locust's first line is missing or of another format than {FORMAT}")
    if not samples:
        problems.append("locust printed no report")
        problems.append(f"locust said last: {marks.last_words(said)}")
    return _Read(samples, problems, errors)


def _gap(report: _Report, last_second: int, apart_ns: int | None) -> Iterator[str]:
    """Problems of the time between this report and the previous one.

    A report that arrives late and says so was delayed on the client; one that arrives late and was printed in
    time was delayed on its way, which affects only its stamp.
    """
    missing = report.second - last_second - 1
    if report.late_s > PERIOD_S:
        if apart_ns is None or apart_ns > (1 + PERIOD_S) * NS_PER_S:
            what = f"its report of second {report.second} was {report.late_s:.1f} s late"
            yield f"the generator was too slow: {what}"
    elif missing > 0:
        yield f"{missing} of locust's reports are missing before that of second {report.second}"


@dataclass(frozen=True, slots=True)
class _Report:
    second: int
    late_s: float
    sample: Sample


def _entry(text: str) -> dict[str, Json] | None:
    try:
        entry: Json = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _report(entry: Mapping[str, Json], t_ns: int) -> _Report | None:
    """The report in `entry`, or None where a figure is missing or is an impossible number."""
    second, late_s = _number(entry, "second"), _number(entry, "late_s", least=-_LARGEST)
    completed, failed = _number(entry, "completed"), _number(entry, "failed")
    if second is None or late_s is None or completed is None or failed is None:
        return None
    latency_s, stall_s = _number(entry, "latency_p99_s"), _number(entry, "stall_s")
    sample = Sample(t_ns=t_ns, work=completed, latency_s=latency_s, stall_s=stall_s, lost=int(failed))
    return _Report(second=int(second), late_s=late_s, sample=sample)


def _number(entry: Mapping[str, Json], key: str, *, least: float = 0.0) -> float | None:
    value = entry.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if least <= value <= _LARGEST and math.isfinite(value) else None
