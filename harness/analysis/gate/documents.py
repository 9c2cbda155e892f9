"""A gate's outcome as JSON, and as JUnit XML for the systems that show test results.

JUnit XML has no standard; the elements are those that junitparser documents and CI systems read. A regression
is a failure. What is inconclusive is an error, because a skipped test would count as passed; what a known-bad
entry excuses is skipped, with the entry. Nothing in either depends on the time or the place.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from harness.analysis.gate.declared import Gate
from harness.analysis.gate.rows import Result, Row
from harness.legible import legible

SCHEMA = 1
_SCALES: Mapping[str, tuple[str, float]] = {
    "s": ("ms", 1e3),
    "bytes": ("MB", 1e-6),
    "bytes/s": ("MB/s", 1e-6),
}
"""How a quantity is shown."""


def as_json(names: tuple[str, str], gate: Gate, accepted: Sequence[str], result: Result) -> dict[str, Any]:
    """The whole outcome; `names` are the baseline's and the run's."""
    return {
        "schema": SCHEMA,
        "baseline": names[0],
        "run": names[1],
        "gate": gate.model_dump(mode="json"),
        "accepted": list(accepted),
        "outcome": result.outcome,
        "further_trials": result.further,
        "rows": [row.to_json() for row in result.rows],
        "unused_known_bad": [entry.model_dump(mode="json") for entry in result.unused],
    }


def as_junit(names: tuple[str, str], result: Result) -> bytes:
    """The outcome as JUnit XML: a suite for each workload under each variant, a case for each metric."""
    document = JUnitXml("sodbench gate")
    for place, rows in groupby(result.rows, key=place_of):
        suite = TestSuite(legible(place))
        suite.add_property("baseline", legible(names[0]))
        suite.add_property("run", legible(names[1]))
        suite.add_testcases([_case(row) for row in rows])
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    buffer = io.BytesIO()
    document.write(buffer)
    return buffer.getvalue() + b"\n"


def _case(row: Row) -> TestCase:
    case = TestCase(legible(row.metric), classname=legible(f"gate.{place_of(row)}"))
    told = legible(sentence_of(row))
    if row.excused is not None:
        one = row.excused
        why = legible(f"known bad until {one.expires}: {one.reason} ({one.owner}); {told}")
        case.result = [Skipped(why, "known-bad")]
    elif row.outcome == "regressed":
        case.result = [Failure(told, "regressed")]
    elif row.outcome == "inconclusive":
        case.result = [Error(told, "inconclusive")]
    case.system_out = told
    return case


def place_of(row: Row) -> str:
    """The workload and its variant, such as ``file+post-copy``."""
    return row.workload if row.variant is None else f"{row.workload}+{row.variant}"


def sentence_of(row: Row) -> str:
    """What the row says, such as ``worse by 34.1 % (28.0 % to 40.5 %), ...; trials 6 / 6``."""
    parts = [f"worse by {change(row)} ({interval(row)})" if row.worse is not None else "no change is known"]
    parts.append(f"worse matters from {amount(row, row.smallest)}")
    if row.reason:
        parts.append(row.reason)
    parts.append(f"trials {row.trials[0]} / {row.trials[1]}")
    return "; ".join(parts)


def change(row: Row) -> str:
    """By how much the run is worse, negative where it is better; empty where that is not known."""
    return "" if row.worse is None else amount(row, row.worse, signed=True)


def interval(row: Row) -> str:
    """The 90 % interval of that."""
    if row.worse_low is None or row.worse_high is None:
        return "none"
    return f"{amount(row, row.worse_low, signed=True)} to {amount(row, row.worse_high, signed=True)}"


def amount(row: Row, value: float, *, signed: bool = False) -> str:
    """A worsening in words: in percent, or in the metric's unit."""
    sign = "+" if signed else ""
    if row.in_percent:
        return f"{100 * value:{sign}.1f} %"
    unit, scale = _SCALES.get(row.unit, (row.unit, 1.0))
    return f"{value * scale:{sign}.4g} {unit}".strip()


def median(row: Row, side: int) -> str:
    """The median of the baseline (0) or the run (1)."""
    value = row.medians[side]
    unit, scale = _SCALES.get(row.unit, (row.unit, 1.0))
    return "none" if value is None else f"{value * scale:.4g} {unit}".strip()
