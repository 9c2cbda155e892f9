"""What Faban writes at its end, as values: ``summary.xml`` by its elements, ``detail.xan`` by its sections.

Elements: Faban's guides (fhb, driver) and its classes RunInfo and FlatMix. Nothing here ever raises for bad
content: it is a problem in words, or a figure that is missing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from xml.etree import ElementTree as ET

from harness.workloads.generators import marks, operation

_SECTION = re.compile(r"Section: (?P<what>.*)")
_DECLARATION = re.compile(r"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_DAY = "%a %b %d %H:%M:%S UTC %Y"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run's summary says.

    Attributes:
        figures: Name with its unit to value; one that is missing or no number is left out.
        began: When the ramp-up began, or None.
        failures: Requests that failed by target, the most first, without those of which none did.
    """

    figures: Mapping[str, float]
    began: datetime | None = None
    failures: Mapping[str, float] = field(default_factory=dict)


def summary(texts: Sequence[str]) -> tuple[Summary, list[str]]:
    """What summary.xml says of the driver, whichever way it writes percentiles, and what is wrong with it."""
    text = "\n".join(texts).strip()
    if not text:
        return Summary({}), []
    if len(text) > marks.LIMIT_BYTES or _DECLARATION.search(text):
        return Summary({}), ["summary.xml is not Faban's: it declares entities or is too long"]
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, ValueError) as error:
        return Summary({}), [f"summary.xml is no XML: {error}"]
    driver = root.find("driverSummary")
    if root.tag != "benchResults" or driver is None:
        return Summary({}), ["summary.xml is not of a Faban that is known: no benchResults/driverSummary"]
    figures = {
        "throughput_per_s": _sum(driver.findall("metric")),
        "succeeded": _sum(driver.findall("mix/operation/successes")),
        "failed": _sum(driver.findall("mix/operation/failures")),
        "users": _sum(driver.findall("users")),
        "users_by_littles_law": _sum(driver.findall("rtXtps")),
    }
    problems = [f"summary.xml has no {name}" for name, value in figures.items() if value is None]
    responses = driver.findall("responseTimes/operation")
    figures["max_s"] = _largest([each.find("max") for each in responses])
    for nth in ("90", "95", "99"):
        found = [_percentile(each, nth) for each in responses]
        figures[f"p{nth}_s"] = _largest(found)
    known = {name: value for name, value in figures.items() if value is not None}
    return Summary(known, _day(driver.findtext("startTime") or ""), _failures(driver)), problems


def _failures(driver: ET.Element) -> Mapping[str, float]:
    """How many requests of each target failed, the most first; targets without failures are left out."""
    counted = {
        operation.target(each.get("name", "")): number(each.findtext("failures")) or 0.0
        for each in driver.findall("mix/operation")
    }
    return {name: counted[name] for name in sorted(counted, key=lambda one: -counted[one]) if counted[name]}


def _percentile(operation: ET.Element, nth: str) -> ET.Element | None:
    """Old kits write ``<p90th>``, newer ones ``<percentile nth="90">``."""
    new = operation.find(f"percentile[@nth='{nth}']")
    return operation.find(f"p{nth}th") if new is None else new


def _sum(elements: Sequence[ET.Element]) -> float | None:
    values = [number(element.text) for element in elements]
    return sum(value for value in values if value is not None) if values and None not in values else None


def _largest(elements: Sequence[ET.Element | None]) -> float | None:
    """The largest, or None where one is missing; ``>1.5`` says that a percentile is off Faban's scale."""
    values = [None if element is None else number(element.text) for element in elements]
    return max(value for value in values if value is not None) if values and None not in values else None


def number(text: str | None) -> float | None:
    """The figure in `text`, or None where Faban cannot have counted it."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value < 1e12 else None


def _day(text: str) -> datetime | None:
    try:
        return datetime.strptime(text.strip(), _DAY).replace(tzinfo=UTC)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Second:
    """A row of the series: the requests `done` in the second `number` of the run, and their mean time."""

    number: int
    done: float
    mean_s: float | None


def series(texts: Sequence[str]) -> tuple[Sequence[Second], Sequence[str]]:
    """The rows of detail.xan, and what is wrong with them.

    Throughput is summed over operations; their response times are weighted by it.
    """
    if not any(text.strip() for text in texts):
        return (), ()
    throughput, response = _table(texts, " Throughput"), _table(texts, " Response Times (seconds)")
    if not throughput:
        return (), ("detail.xan is not of a Faban that is known: no section of throughput",)
    times = sorted(throughput)
    if any(after - before != 1 for before, after in pairwise(times)):
        return (), ("detail.xan's rows are not one second apart",)
    rows = []
    for second in times:
        work, means = throughput[second], response.get(second, ())
        done = sum(work)
        weighted = sum(count * mean for count, mean in zip(work, means, strict=False))
        rows.append(Second(second, done, weighted / done if done and len(means) == len(work) else None))
    return rows, ()


def _table(texts: Sequence[str], title: str) -> dict[int, Sequence[float]]:
    """The rows of the driver's first section whose name ends with `title`, by their time in seconds."""
    rows: dict[int, Sequence[float]] = {}
    within = False
    for text in texts:
        if (section := _SECTION.match(text)) is not None:
            if within:
                return rows
            within = section["what"].strip().endswith(title)
            continue
        values = [number(part) for part in text.split()] if within else []
        figures = [value for value in values if value is not None]
        if len(figures) > 1 and len(figures) == len(values) and figures[0] not in rows:
            rows[int(figures[0])] = figures[1:]
    return rows
