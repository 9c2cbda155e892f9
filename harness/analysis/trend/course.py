"""A campaign's course: every series with its points and changes, and the nights whose environment changed.

Pure. A night is one value of each series: the median of its trials' medians.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
import pyarrow

from harness.analysis.stats.two_samples import Difference, difference
from harness.analysis.trend import changes
from harness.analysis.trend.nights import Night, Nights, Skipped
from harness.legible import legible

Key: TypeAlias = tuple[str, str, str]
"""Workload, variant or empty, metric."""
_NOT_SAID = "not said"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A night without its values.

    Attributes:
        run: The name of the run.
        started_utc: When it began, ISO 8601.
        root: The run's folder.
        planned: How many trials its plan has.
        valid: How many of them are valid.
        changed: What of the environment is not as the night before, in words; empty where all is.
    """

    run: str
    started_utc: str
    root: str
    planned: int
    valid: int
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One night of a series.

    Attributes:
        night: Its place among the nights.
        value: The median of the trials' medians in the series' unit; None where no trial has a value.
        trials: How many valid trials have one.
        n: How many values they have.
        reason: Why there is no value; empty where there is one.
    """

    night: int
    value: float | None
    trials: int = 0
    n: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A night with which a new level begins.

    Attributes:
        night: The first night of the new level, by its place among all nights.
        since: The first night of the level before.
        until: The last night of the new level.
        found: The new level against the one before, each night counted as one trial. Its interval and p
            are too good: the place of the change was chosen by the same values.
        direction: What that means for the metric.
    """

    night: int
    since: int
    until: int
    found: Difference
    direction: Literal["better", "worse", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One metric of one workload under one variant, over all nights."""

    workload: str
    variant: str | None
    metric: str
    unit: str
    better: str
    points: tuple[Point, ...]
    changes: tuple[Change, ...]

    @property
    def name(self) -> str:
        """Such as ``total_time of file+post-copy``."""
        return f"{self.metric} of {self.workload}{f'+{self.variant}' if self.variant else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Everything that a trend says.

    Attributes:
        campaign: The campaign's name.
        played: Whether any night measured nothing.
        stops: The nights, in order of time.
        series: In order of workload, variant and metric as they first appear.
        skipped: Runs that do not take part.
    """

    campaign: str
    played: bool
    stops: tuple[Stop, ...]
    series: tuple[Series, ...]
    skipped: tuple[Skipped, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {"schema": 1, **asdict(self)}


def of(found: Nights) -> Trend:
    """The course of the nights."""
    table = _points(found.nights)
    keys = list(table)
    return Trend(
        campaign=found.campaign,
        played=any(night.played for night in found.nights),
        stops=_stops(found.nights),
        series=tuple(_series(key, table[key], found.nights, len(keys)) for key in keys),
        skipped=found.skipped,
    )


def _stops(nights: Sequence[Night]) -> tuple[Stop, ...]:
    before: Sequence[Night | None] = (None, *nights[:-1])
    return tuple(
        Stop(
            run=night.run,
            started_utc=night.started.isoformat(timespec="seconds"),
            root=str(night.root),
            planned=night.planned,
            valid=night.valid,
            changed=() if last is None else environment_changes(last.facts, night.facts),
        )
        for night, last in zip(nights, before, strict=True)
    )


def environment_changes(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """What differs, as ``key: before → now``; a long value is cut."""
    return tuple(
        f"{legible(key)}: {_cut(before.get(key, _NOT_SAID))} → {_cut(now.get(key, _NOT_SAID))}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    )


def _cut(text: str) -> str:
    shown = legible(text)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"


def _points(nights: Sequence[Night]) -> dict[Key, tuple[dict[int, Point], str, str]]:
    """Series to its points by night, its unit and its direction; only series with a value anywhere."""
    each = [
        night.rows.append_column("night", pyarrow.array([at] * len(night.rows), pyarrow.int64()))
        for at, night in enumerate(nights)
    ]
    whole = pyarrow.concat_tables(each, promote_options="permissive").to_pandas()
    if "variant" not in whole:
        whole["variant"] = ""
    whole["variant"] = whole["variant"].astype("string").fillna("")
    columns = ["workload", "variant", "metric"]
    found: dict[Key, tuple[dict[int, Point], str, str]] = {}
    for key, rows in whole.groupby(columns, sort=False):
        measured = rows[rows["value"].notna()]
        if not len(measured):
            continue
        absent = rows.drop_duplicates("night")[["night", "reason"]].itertuples(index=False)
        points = {int(night): _missing(int(night), reason) for night, reason in absent}
        points |= _measured(measured)
        workload, variant, metric = (str(part) for part in key)
        unit, better = (str(measured[name].iloc[-1]) for name in ("unit", "better"))
        found[(workload, variant, metric)] = (points, unit, better)
    return found


def _missing(night: int, reason: object) -> Point:
    said = legible(reason)[:200] if isinstance(reason, str) and reason else "no valid trial has a value"
    return Point(night=night, value=None, reason=said)


def _measured(rows: pd.DataFrame) -> dict[int, Point]:
    grouped = rows.groupby(["night", "trial"], sort=True)["value"]
    medians, sizes = grouped.median(), grouped.size()
    levels = medians.groupby(level=0)
    middle, trials, n = levels.median(), levels.size(), sizes.groupby(level=0).sum()
    columns = zip(middle.index, middle, trials, n, strict=True)
    return {
        int(night): Point(night=int(night), value=float(value), trials=int(count), n=int(values))
        for night, value, count, values in columns
    }


def _series(
    key: Key, found: tuple[dict[int, Point], str, str], nights: Sequence[Night], together: int
) -> Series:
    known, unit, better = found
    points = tuple(
        known.get(at) or Point(night=at, value=None, reason=_absent(night)) for at, night in enumerate(nights)
    )
    workload, variant, metric = key
    return Series(
        workload=workload,
        variant=variant or None,
        metric=metric,
        unit=unit,
        better=better,
        points=points,
        changes=_changes(points, better, together),
    )


def _absent(night: Night) -> str:
    if night.valid:
        return "the run has no valid migration of this"
    return f"{'none' if night.planned else 'no trial'} of its {night.planned} trials is valid"


def _changes(points: Sequence[Point], better: str, together: int) -> tuple[Change, ...]:
    there = [(point.night, point.value) for point in points if point.value is not None]
    values = [value for _, value in there]
    begins = changes.found(values, together)
    borders = [0, *begins, len(values)]
    every = []
    for at, begin in enumerate(begins):
        since, until = borders[at], borders[at + 2]
        against = difference([[one] for one in values[since:begin]], [[one] for one in values[begin:until]])
        every.append(
            Change(
                night=there[begin][0],
                since=there[since][0],
                until=there[until - 1][0],
                found=against,
                direction=_direction(against, better, values[since:begin], values[begin:until]),
            )
        )
    return tuple(every)


def _direction(
    found: Difference, better: str, before: Sequence[float], after: Sequence[float]
) -> Literal["better", "worse", "changed"]:
    shift = found.shift or float(np.mean(after)) - float(np.mean(before))
    if better not in {"lower", "higher"} or not shift:
        return "changed"
    return "better" if (shift < 0) is (better == "lower") else "worse"
