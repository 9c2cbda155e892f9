"""The figures of single numbers: Table V as measured and the paper's, and every migration as a point.

Only values that were measured are drawn; nothing stands in for one that is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from harness.report import replicates
from harness.report.document import quantity
from harness.report.document.drawing import GROUND, INK, MEASURED, PAPER, QUIET, SECOND, Sketch
from harness.report.naming import Names

PANELS = ("total_time", "blackout", "data_sent")
"""Table V's three columns."""
APART = 0.13
"""How far above and below a row's middle the measured and the published values are drawn."""
MANY = 3
"""With more workloads than this, each gets less height."""
LOG_FROM = 25.0
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""


def comparison(
    values: pd.DataFrame, paper: Mapping[str, Mapping[str, float]], order: Sequence[str], names: Names
) -> Sketch | None:
    """Table V as a chart: measured means with their intervals and points, and the paper's values.

    Args:
        values: Rows with columns workload, trial, metric, value: valid migrations only, nothing missing.
        paper: Workload to metric to the paper's value, in stored units.
        order: The workloads, as they are to be listed.
        names: What they are called.
    """
    shown = values[values["metric"].isin(PANELS)]
    workloads = [name for name in order if (shown["workload"] == name).any()]
    if not workloads:
        return None
    return Sketch(
        "table-v",
        "Measured (blue) next to the paper's (orange): " + _against(shown, paper, workloads, names),
        "Large dots are means of the migrations, small dots are single migrations; bars, from three trials "
        "on, are intervals of the trials' medians; diamonds are the paper's Table V, whose downtime is "
        "compared with the blackout. An axis is logarithmic where the values span a factor of 25 or more.",
        0.9 + (0.85 if len(workloads) <= MANY else 0.72) * len(workloads),
        partial(_paint_comparison, values=shown, paper=paper, workloads=workloads, names=names),
        names.note(workloads),
    )


def _against(
    shown: pd.DataFrame, paper: Mapping[str, Mapping[str, float]], workloads: Sequence[str], names: Names
) -> str:
    """Such as ``file 1.24 times the paper's total time``: the sentence a reader would make of the figure."""
    parts = []
    for workload in workloads:
        mine = shown[(shown["workload"] == workload) & (shown["metric"] == "total_time")]["value"]
        theirs = paper.get(workload, {}).get("total_time")
        if len(mine) and theirs:
            parts.append(f"{names.of(workload)} {mine.mean() / theirs:.2f}")
    return (
        f"total time as a multiple of the paper's: {', '.join(parts)}" if parts else "nothing to compare with"
    )


def _paint_comparison(
    canvas: Canvas,
    *,
    values: pd.DataFrame,
    paper: Mapping[str, Mapping[str, float]],
    workloads: Sequence[str],
    names: Names,
) -> None:
    panels = canvas.subplots(1, len(PANELS), sharey=True)
    for axes, metric in zip(panels, PANELS, strict=True):
        mine = values[values["metric"] == metric]
        _paint_panel(
            axes, metric, mine, {name: paper.get(name, {}).get(metric) for name in workloads}, workloads
        )
    panels[0].set_yticks(range(len(workloads)), [names.of(workload) for workload in workloads])
    panels[0].tick_params(axis="y", labelsize=9.5, labelcolor=INK)
    panels[0].set_ylim(len(workloads) - 0.45, -0.55)


def _paint_panel(
    axes: Axes,
    metric: str,
    mine: pd.DataFrame,
    theirs: Mapping[str, float | None],
    workloads: Sequence[str],
) -> None:
    shown = quantity.of_metric(metric)
    extent = [*mine["value"] * shown.scale, *(value * shown.scale for value in theirs.values() if value)]
    for row, workload in enumerate(workloads):
        values = mine[mine["workload"] == workload]
        if len(values):
            _paint_measured(axes, row - APART, values, shown)
        else:
            axes.text(
                0.02, row, "not measured", transform=axes.get_yaxis_transform(), color=QUIET, va="center"
            )
        reference = theirs[workload]
        if reference:
            _paint_reference(axes, row + APART, reference * shown.scale)
    axes.set_title(f"{shown.label}, {shown.unit}", color=INK)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    set_extent(axes, extent)


def set_extent(axes: Axes, extent: Sequence[float]) -> None:
    """An x axis that holds `extent`: logarithmic where positive and wide, else from 0 or below it on."""
    if not extent:
        axes.set_xlim(0, 1)
        return
    low, high = min(extent), max(extent)
    if low > 0 and high / low >= LOG_FROM:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.6, high * 1.6)
    else:
        axes.set_xlim(min(0.0, low * 1.14), high * 1.14 if high > 0 else 1.0)


def _paint_measured(axes: Axes, row: float, mine: pd.DataFrame, shown: quantity.Shown) -> None:
    figures = replicates.of_trials(mine.assign(value=mine["value"] * shown.scale))
    if figures is None:
        return
    import seaborn as sns  # noqa: PLC0415 - takes a second, which only the processes that draw it wait for

    values = [value * shown.scale for value in mine["value"]]
    sns.scatterplot(x=values, y=[row] * len(values), ax=axes, color=MEASURED, alpha=0.35, s=16, linewidth=0)
    axes.set(xlabel="", ylabel="")
    if figures.interval_low is not None and figures.interval_high is not None:
        axes.plot(
            [figures.interval_low, figures.interval_high],
            [row, row],
            color=MEASURED,
            linewidth=2.2,
            alpha=0.8,
        )
    axes.plot([figures.mean], [row], "o", color=MEASURED, markersize=7.5, markeredgecolor=GROUND)
    label = f"{figures.mean:.{shown.digits}f}"
    axes.annotate(
        label,
        (figures.mean, row),
        xytext=(0, 7),
        textcoords="offset points",
        ha="center",
        color=MEASURED,
    )


def _paint_reference(axes: Axes, row: float, value: float) -> None:
    axes.plot(
        [value], [row], "D", color=PAPER, markersize=6, markerfacecolor=GROUND, markeredgewidth=1.4, zorder=3
    )
    axes.annotate(
        f"paper {value:g}",
        (value, row),
        xytext=(0, -15),
        textcoords="offset points",
        ha="center",
        color=PAPER,
    )


def points(values: pd.DataFrame, order: Sequence[str], names: Names) -> Sketch | None:
    """Every valid migration as a point at its planned offset, a row a workload.

    Args:
        values: Rows with columns workload, metric, planned_s, direction, first_after_boot, value.
        order: The workloads, as they are to be listed.
        names: What they are called.
    """
    shown = values[values["metric"].isin(PANELS)]
    workloads = [name for name in order if (shown["workload"] == name).any()]
    if not workloads:
        return None
    return Sketch(
        "migrations",
        _spread(shown),
        "Each mark is one migration at its planned offset from t = 0; the ringed ones were the first after "
        "their guest's boot.",
        0.5 + (1.75 if len(workloads) <= MANY else 1.25) * len(workloads),
        partial(_paint_points, values=shown, workloads=workloads, names=names),
        names.note(workloads),
    )


def _spread(shown: pd.DataFrame) -> str:
    parts = []
    for metric in PANELS:
        values = shown[shown["metric"] == metric]["value"]
        how = quantity.of_metric(metric)
        if len(values):
            parts.append(f"{how.label.lower()} {how.text(values.min())} to {how.with_unit(values.max())}")
    return "Every migration: " + ", ".join(parts)


def _paint_points(canvas: Canvas, *, values: pd.DataFrame, workloads: Sequence[str], names: Names) -> None:
    panels = canvas.subplots(len(workloads), len(PANELS), squeeze=False, sharex=True)
    for row, workload in zip(panels, workloads, strict=True):
        for axes, metric in zip(row, PANELS, strict=True):
            mine = values[(values["workload"] == workload) & (values["metric"] == metric)]
            shown = quantity.of_metric(metric)
            _paint_moves(axes, mine, shown)
            axes.set_title(f"{names.of(workload)}: {shown.label.lower()}, {shown.unit}", color=INK)
    for axes in panels[-1]:
        axes.set_xlabel("planned offset, s")
    _direction_key(panels[0][-1])


def _paint_moves(axes: Axes, mine: pd.DataFrame, shown: quantity.Shown) -> None:
    for direction, colour, mark in (("a→b", MEASURED, "o"), ("b→a", SECOND, "s")):
        some = mine[mine["direction"].map(_arrow) == direction]
        heights = some["value"] * shown.scale
        axes.plot(some["planned_s"], heights, mark, color=colour, markersize=5.5, alpha=0.85)
    first = mine[mine["first_after_boot"].fillna(False).astype(bool)]
    rings = first["value"] * shown.scale
    axes.plot(
        first["planned_s"],
        rings,
        "o",
        markersize=10,
        markerfacecolor="none",
        color=QUIET,
        markeredgewidth=0.9,
    )
    high = (mine["value"] * shown.scale).max() if len(mine) else 1.0
    axes.set_ylim(0, high * 1.22 if high > 0 else 1.0)
    axes.margins(x=0.08)
    axes.locator_params(nbins=4)
    axes.grid(axis="x", visible=False)


def _arrow(direction: object) -> str:
    return str(direction).replace("->", "→")


def _direction_key(axes: Axes) -> None:
    """Name the marks by words in their own colour, next to the panels and not in a box."""
    for at, (text, colour) in enumerate(
        (("● a→b", MEASURED), ("■ b→a", SECOND), ("○ first after boot", QUIET))
    ):
        axes.annotate(
            text,
            (1.0, 0.04 + 0.13 * (2 - at)),
            xycoords="axes fraction",
            ha="right",
            va="bottom",
            fontsize=7.5,
            color=colour,
        )
