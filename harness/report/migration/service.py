"""What a migration costs the service's users, against the same measures without a migration.

The noise floor is the control trials, cut into slots of the same length. A mean that the floor reaches too
is shown, and said not to stand out; without a control trial nothing is said about noise but that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pandas as pd

from harness.report import replicates
from harness.report.document import quantity
from harness.report.document.model import MISSING, Block, Callout, Cell, Column, Table
from harness.report.material import Material
from harness.report.migration.answers import mean_cell, values_of
from harness.report.naming import with_note

Measures: TypeAlias = Sequence[tuple[str, str, str]]
"""Metric, group and label of a table's columns."""
INTERRUPTED: Measures = (
    ("outage_network", "Outage, ms", "network"),
    ("outage_application", "Outage, ms", "application"),
    ("other_gap_network", "Other gap, ms", "network"),
    ("other_gap_application", "Other gap, ms", "application"),
    ("work_lost_time", "Work lost", "s of work"),
    ("work_lost", "Work lost", "in its unit"),
    ("work_failed", "", "Failed or lost"),
    ("time_to_recover", "", "Recovery, s"),
)
"""The first table's: what stopped, and what was lost by it."""
SLOWED: Measures = (
    ("below_90", "Seconds below", "90\u00a0%"),
    ("below_50", "Seconds below", "50\u00a0%"),
    ("below_10", "Seconds below", "10\u00a0%"),
    ("latency_worst", "Latency, ms", "worst"),
)
"""The same of the second: what went on, and how slowly; the latency before is next to the worst."""
MEASURES: Measures = (*INTERRUPTED, *SLOWED)
WITHOUT_FLOOR = frozenset({"time_to_recover", "other_gap_network", "other_gap_application"})
"""What only a migration has; the floor of the outages is that of the other gaps as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a measure of a workload compares with its noise floor.

    Attributes:
        above: Migrations whose value exceeds every control slot's.
        n: Migrations.
        median: The control slots' median, in stored units.
        most: Their largest.
        slots: How many there are.
    """

    above: int
    n: int
    median: float
    most: float
    slots: int

    @property
    def stands_out(self) -> bool:
        """Whether more than half of the migrations exceed every control slot."""
        return 2 * self.above > self.n


def standing(material: Material, workload: str, metric: str) -> Standing | None:
    """The comparison, or None where there are no migrations or no control slots to compare."""
    values, floor = _values(material.valid, workload, metric), _values(material.floor, workload, metric)
    if not len(values) or not len(floor):
        return None
    most = float(floor.max())
    return Standing(
        above=int((values > most).sum()),
        n=len(values),
        median=float(floor.median()),
        most=most,
        slots=len(floor),
    )


def _values(table: pd.DataFrame, workload: str, metric: str) -> pd.Series[float]:
    return table.loc[table["workload"].eq(workload) & table["metric"].eq(metric), "value"]


def blocks(material: Material) -> list[Block]:
    """The two tables, and what must be said of the noise floor."""
    if not len(material.valid):
        return []
    return [
        _costs(material, "service", "Outages and lost work", INTERRUPTED, _how(material)),
        _costs(material, "slowness", "Throughput and latency", SLOWED, _how_slowly(material)),
        *_noise(material),
    ]


def _costs(material: Material, key: str, title: str, measures: Measures, caption: str) -> Table:
    """One workload in up to three rows: with migrations, without, and how many stand out."""
    names = material.names
    columns = [
        Column(label="Workload", numeric=False), Column(label="", numeric=False), Column(label="Trials"),
        Column(label="n"),
    ]  # fmt: skip
    for metric, group, label in measures:
        if metric == "latency_worst":
            columns.append(Column(group=group, label="before"))
        columns.append(Column(group=group, label=label))
    measured = [name for name in material.workloads if (material.valid["workload"] == name).any()]
    return Table(
        key=key,
        title=title,
        columns=columns,
        rows=[row for workload in measured for row in _rows(material, workload, measures)],
        caption=with_note(caption, names.note(measured)),
        dense=True,
    )


def _how_slowly(material: Material) -> str:
    said = latencies(material)
    text = "Rows and intervals as above; seconds below are of the interval, against the trial's baseline."
    return f"{text} Latency is what the tool reports: {said}." if said else text


def _how(material: Material) -> str:
    text = (
        "With migrations: means over the n intervals from one migration's start to the next one's, or the "
        "window's end; below, the median and, in brackets, the standard deviation, and from three trials on "
        f"the interval of the trials. {replicates.UNIT}. Interval: {_methods(material)}. Work lost "
        "is against the trial's baseline, in seconds of the baseline's work and in the workload's unit. An "
        "outage overlaps the migration; other gaps are the longest of the interval that overlap none."
    )
    if len(material.floor):
        text += (
            " Control: the median over the n equally long slots of control trials, in which nothing was "
            "migrated; below, the largest. Above it: how many migrations exceed every control slot; where no "
            "more than half of them do, the value does not stand out and is grey."
        )
    return text


def latencies(material: Material) -> str:
    """Which latency each workload's tool reports, such as ``file longest operation``."""
    shown = material.metrics[
        material.metrics["metric"].eq("latency_worst") & material.metrics["note"].notna()
    ]
    notes = dict(zip(shown["workload"], shown["note"], strict=True))
    by: dict[str, list[str]] = {}
    for workload in material.workloads:
        if workload in notes:
            by.setdefault(str(notes[workload]), []).append(material.names.of(workload))
    return ", ".join(f"{note} ({', '.join(names)})" for note, names in by.items())


def _rows(material: Material, workload: str, measures: Measures) -> list[list[Cell]]:
    mine = material.valid[material.valid["workload"] == workload]
    n = len(mine[mine["metric"] == "total_time"])
    found = {metric: standing(material, workload, metric) for metric, _, _ in measures}
    units = mine[mine["metric"].eq("work_lost")]["unit"].dropna()
    name = Cell(text=material.names.of(workload), below=str(units.iloc[0]) if len(units) else "")
    trials = str(mine["trial"].nunique())
    rows = [[name, Cell(text="with migrations"), Cell(text=trials), Cell(text=str(n))]]
    for metric, _, _ in measures:
        if metric == "latency_worst":
            rows[0].append(_before(material, workload))
        cell = mean_cell(material, workload, metric, n)
        quiet = (one := found[metric]) is not None and not one.stands_out
        rows[0].append(
            Cell(text=cell.text, below=cell.below, reason=cell.reason, tone="quiet" if quiet else cell.tone)
        )
    compared = [one for one in found.values() if one is not None]
    if compared:
        slots = max(one.slots for one in compared)
        rows.append(
            _row(
                "control",
                (str(_controls(material, workload)), str(slots)),
                _spread(measures, [_floor(metric, found[metric]) for metric, _, _ in measures]),
            )
        )
        rows.append(
            _row(
                "above it", ("", ""), _spread(measures, [_above(found[metric]) for metric, _, _ in measures])
            )
        )
    return rows


def _controls(material: Material, workload: str) -> int:
    return int(material.floor[material.floor["workload"].eq(workload)]["trial"].nunique())


def _methods(material: Material) -> str:
    found = [
        values_of(material, workload, metric) for workload in material.workloads for metric, _, _ in MEASURES
    ]
    return replicates.methods(one for one in found if one is not None)


def _row(what: str, counts: tuple[str, str], cells: Sequence[Cell]) -> list[Cell]:
    """A row below the first of a workload, without its name again; `counts` are of trials and of slots."""
    return [Cell(text=text, tone="quiet" if text else "plain") for text in ("", what, *counts)] + [*cells]


def _spread(measures: Measures, cells: Sequence[Cell]) -> list[Cell]:
    """The cells with an empty one where the latency before would stand."""
    found: list[Cell] = []
    for (metric, _, _), cell in zip(measures, cells, strict=True):
        found += [Cell(text=""), cell] if metric == "latency_worst" else [cell]
    return found


def _before(material: Material, workload: str) -> Cell:
    values = material.of_trials("latency_baseline", workload)
    if not len(values):
        return Cell(text=MISSING, tone="quiet", reason="no latency was reported in the baseline")
    return Cell(text=quantity.of_metric("latency_baseline").text(float(values.mean())), tone="quiet")


def _floor(metric: str, found: Standing | None) -> Cell:
    if found is None:
        return Cell(text="" if metric in WITHOUT_FLOOR else MISSING, tone="quiet")
    shown = quantity.of_metric(metric)
    return Cell(text=shown.text(found.median), below=f"≤ {shown.text(found.most)}", tone="quiet")


def _above(found: Standing | None) -> Cell:
    if found is None:
        return Cell(text="")
    return Cell(text=f"{found.above} of {found.n}", tone="good" if found.stands_out else "quiet")


def _noise(material: Material) -> list[Block]:
    if not len(material.floor):
        return [
            Callout(
                tone="note",
                text="No control trial was run: how much of this the workloads show without a migration is "
                "not known.",
            )
        ]
    lost = [
        f"{material.names.of(workload)}: {', '.join(_label(metric) for metric in hidden)}"
        for workload in material.workloads
        if (hidden := _hidden(material, workload))
    ]
    if not lost:
        return [Callout(tone="good", text="Every compared measure rises above the noise floor.")]
    return [
        Callout(
            tone="warning",
            text="These do not rise above the noise floor, so no cost of a migration can be told from "
            f"the workload's own variation: {'; '.join(lost)}.",
        )
    ]


def _hidden(material: Material, workload: str) -> list[str]:
    """The measures of a workload that are not 0 throughout and do not stand out."""
    found = [(metric, standing(material, workload, metric)) for metric, _, _ in MEASURES]
    return [
        metric
        for metric, one in found
        if one is not None
        and not one.stands_out
        and metric != "work_lost"
        and (_values(material.valid, workload, metric) != 0).any()
    ]


def _label(metric: str) -> str:
    label = quantity.of_metric(metric).label
    return label[0].lower() + label[1:]
