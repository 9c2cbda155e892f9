"""One series as marks on a plane: where each night, level and change is. Pure; the template draws them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
from matplotlib.ticker import MaxNLocator

from harness.analysis.trend.course import Change, Point, Series, Stop
from harness.report.document import quantity
from harness.report.document.quantity import Shown

WIDTH, HEIGHT = 1000, 240
LEFT, RIGHT, TOP, BOTTOM = 84, 16, 14, 34
_TICKS = 4
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One night: its place, shape (``plain``, ``environment`` or ``missing``), link and text."""

    x: float
    y: float
    shape: str
    link: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A straight line with a text: a level, a change, or a tick with its label."""

    x1: float
    y1: float
    x2: float
    y2: float
    text: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One series, drawn.

    Attributes:
        key: Its anchor.
        title: What is seen.
        summary: What it says, for who does not see it.
        marks: The nights.
        levels: The median of the nights between two changes.
        changes: Where a level begins.
        across: Ticks of the values.
        along: Ticks of the dates.
    """

    key: str
    title: str
    summary: str
    marks: tuple[Mark, ...]
    levels: tuple[Line, ...]
    changes: tuple[Line, ...]
    across: tuple[Line, ...]
    along: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plane:
    """The scales: night to x, value to y."""

    at: tuple[float, ...]
    low: float
    high: float

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(TOP + (1 - share) * (HEIGHT - TOP - BOTTOM), 1)


def of(series: Series, stops: Sequence[Stop], links: Mapping[str, str], key: str) -> Chart:
    """The chart of one series; `links` leads from a run's name to its page."""
    shown = quantity.of_metric(series.metric, series.unit)
    plane = _plane(series, stops)
    return Chart(
        key=key,
        title=f"{shown.label} of {place(series)}" + (f", {shown.unit}" if shown.unit else ""),
        summary=summary(series, stops, shown),
        marks=tuple(_marks(series, stops, links, plane, shown)),
        levels=tuple(_levels(series, plane, shown)),
        changes=tuple(_change(change, stops, plane) for change in series.changes),
        across=tuple(_across(plane, shown)),
        along=tuple(_along(stops, plane)),
    )


def place(series: Series) -> str:
    """The workload, and the variant where there is one."""
    return f"{series.workload}, {series.variant}" if series.variant else series.workload


def day(stop: Stop) -> str:
    """The day on which a night began, UTC."""
    return stop.started_utc[:10]


def summary(series: Series, stops: Sequence[Stop], shown: Shown) -> str:
    """The series in a sentence or two."""
    there = [point for point in series.points if point.value is not None]
    last = there[-1]
    said = f"{len(there)} of {len(stops)} nights; the last value is {shown.with_unit(last.value)}."
    if not series.changes:
        return f"{said} No change of the level is shown."
    each = "; ".join(f"{amount(one, shown)} on {day(stops[one.night])}" for one in series.changes)
    return f"{said} The level changed: {each}."


def amount(change: Change, shown: Shown) -> str:
    """By how much and in which direction, such as ``+12.0 % (worse)``."""
    found = change.found
    size = (
        f"{100 * (found.ratio - 1):+.1f}\u00a0%"
        if found.ratio is not None
        else f"{found.shift * shown.scale:+.4g}\u00a0{shown.unit}".strip()
    )
    return f"{size.replace('-', '−')} ({change.direction})"


def _plane(series: Series, stops: Sequence[Stop]) -> _Plane:
    values = [point.value for point in series.points if point.value is not None]
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    times = [datetime.fromisoformat(stop.started_utc).timestamp() for stop in stops]
    span = times[-1] - times[0]
    shares = [(time - times[0]) / span if span else 0.5 for time in times]
    width = WIDTH - LEFT - RIGHT
    return _Plane(at=tuple(round(LEFT + one * width, 1) for one in shares), low=low - room, high=high + room)


def _marks(
    series: Series, stops: Sequence[Stop], links: Mapping[str, str], plane: _Plane, shown: Shown
) -> Iterator[Mark]:
    for point in series.points:
        stop = stops[point.night]
        value = point.value
        shape = "missing" if value is None else "environment" if stop.changed else "plain"
        yield Mark(
            x=plane.at[point.night],
            y=float(HEIGHT - BOTTOM) if value is None else plane.y(value),
            shape=shape,
            link=links[stop.run],
            text=_told(point, stop, shown),
        )


def _told(point: Point, stop: Stop, shown: Shown) -> str:
    said = f"{day(stop)}: "
    said += f"no value: {point.reason}" if point.value is None else shown.with_unit(point.value)
    said += f", {point.trials} trial{'' if point.trials == 1 else 's'}" if point.value is not None else ""
    return f"{said}; environment changed: {'; '.join(stop.changed)}" if stop.changed else said


def _levels(series: Series, plane: _Plane, shown: Shown) -> Iterator[Line]:
    there = [(point.night, point.value) for point in series.points if point.value is not None]
    borders = [0, *(change.night for change in series.changes), len(series.points)]
    for begin, end in pairwise(borders):
        mine = [(night, value) for night, value in there if begin <= night < end]
        middle = float(np.median([value for _, value in mine]))
        y = plane.y(middle)
        first, last = plane.at[mine[0][0]], plane.at[mine[-1][0]]
        yield Line(x1=first, y1=y, x2=last, y2=y, text=f"level {shown.with_unit(middle)}")


def _change(change: Change, stops: Sequence[Stop], plane: _Plane) -> Line:
    x = plane.at[change.night]
    bottom = HEIGHT - BOTTOM
    text = f"{change.direction} from {day(stops[change.night])}"
    return Line(x1=x, y1=TOP, x2=x, y2=bottom, text=text, tone=change.direction)


def _across(plane: _Plane, shown: Shown) -> Iterator[Line]:
    low, high = plane.low * shown.scale, plane.high * shown.scale
    for tick in MaxNLocator(nbins=_TICKS, steps=_STEPS).tick_values(low, high):
        if low <= tick <= high:
            y = plane.y(float(tick) / shown.scale)
            yield Line(x1=LEFT, y1=y, x2=WIDTH - RIGHT, y2=y, text=_tick(float(tick)))


def _tick(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")


def _along(stops: Sequence[Stop], plane: _Plane) -> Iterator[Line]:
    """A tick for some of the nights, by their days; by month, day and time where a day has several."""
    places = dict.fromkeys(round(at) for at in np.linspace(0, len(stops) - 1, min(_TICKS, len(stops))))
    of_one_day = len({day(stops[at]) for at in places}) < len(places)
    for at in places:
        x = plane.at[at]
        text = stops[at].started_utc[5:16].replace("T", " ") if of_one_day else day(stops[at])
        yield Line(x1=x, y1=HEIGHT - BOTTOM, x2=x, y2=HEIGHT - BOTTOM + 5, text=text)
