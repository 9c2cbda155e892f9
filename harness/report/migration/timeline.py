"""One figure a workload: what its users got while the guest was migrated, against what they usually get.

Throughput, and below it latency where the tool reports one. The first valid trial is drawn and the caption
says of how many; the yardstick is that trial's own baseline, and the band what control trials show.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from harness.evidence.account import Account
from harness.report.document import quantity
from harness.report.document.drawing import INK, MEASURED, QUIET, SECOND, Sketch
from harness.report.migration.curves import shade_moves
from harness.report.naming import Names

BAND = (0.05, 0.95)
"""Quantiles of the control trials' reports that the band spans."""
LOG_FROM = 30.0
"""Ratio of the highest to the usual latency from which its axis is logarithmic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A trial to draw.

    Attributes:
        attempt: The trial.
        rows: Its reports: t_s, rate, work_unit, latency_s, latency.
        of: How many valid trials of its kind the workload has.
        control: The reports of the workload's control trials within their windows; empty without any.
        rate: The baseline's rate, or None.
        latency_s: The baseline's latency, or None.
        finding: What the figure shows, in words.
    """

    attempt: Account
    rows: pd.DataFrame
    of: int
    control: pd.DataFrame
    rate: float | None
    latency_s: float | None
    finding: str


def figure(course: Course, names: Names) -> Sketch:
    """The workload over the trial's time, migrations shaded."""
    attempt = course.attempt
    latency = bool(course.rows["latency_s"].notna().any())
    which = f"Trial {names.trial(attempt)}, " + (
        "the only valid one" if course.of == 1 else f"the first of {course.of} valid ones"
    )
    band = (
        " The grey band holds nine tenths of the reports of control trials, in which nothing was migrated."
        if len(course.control)
        else ""
    )
    below = f" Below: the latency each report shows ({_definition(course)})." if latency else ""
    return Sketch(
        f"timeline-{attempt.workload}",
        f"{names.of(attempt.workload)}: {course.finding}",
        "Work completed a second in each reporting interval, by the workload's own output; shaded and "
        f"numbered: migrations. The dashed line is the baseline before t = 0.{band}{below} {which}.",
        3.4 if latency else 2.2,
        partial(_paint, course=course, latency=latency),
        names.note([attempt.workload]),
    )


def _definition(course: Course) -> str:
    known = course.rows["latency"].dropna()
    return str(known.iloc[0]) if len(known) else "as the tool defines it"


def _paint(canvas: Canvas, *, course: Course, latency: bool) -> None:
    ratios = {"height_ratios": [1.7, 1.0]} if latency else {}
    panels = canvas.subplots(2 if latency else 1, 1, squeeze=False, sharex=True, gridspec_kw=ratios)[:, 0]
    _paint_rate(panels[0], course)
    if latency:
        _paint_latency(panels[1], course)
    for axes in panels:
        axes.margins(x=0.01)
        axes.grid(axis="x", visible=False)
    panels[-1].set_xlabel("time from t = 0, s")


def _paint_rate(axes: Axes, course: Course) -> None:
    rows = course.rows
    unit = f"{rows['work_unit'].iloc[0]}/s"
    _paint_band(axes, course.control["rate"], 1.0)
    axes.fill_between(rows["t_s"], rows["rate"], step="pre", color=MEASURED, alpha=0.1, linewidth=0)
    axes.plot(rows["t_s"], rows["rate"], color=MEASURED, linewidth=1.3, drawstyle="steps-pre")
    if course.rate is not None:
        shown = quantity.Shown(label="", unit=unit, digits=0 if course.rate >= 100 else 1)
        _paint_level(axes, course.rate, f"before:\n{shown.with_unit(course.rate)}")
    axes.set_ylim(0, max(rows["rate"].max() * 1.15, (course.rate or 0) * 1.15, 1e-9))
    shade_moves(axes, course.attempt)
    axes.set_ylabel(unit)
    if course.attempt.kind == "control":
        axes.set_title("control trial without migrations", color=INK)


def _paint_latency(axes: Axes, course: Course) -> None:
    known = course.rows[course.rows["latency_s"].notna()]
    _paint_band(axes, course.control["latency_s"].dropna(), 1e3)
    values = known["latency_s"] * 1e3
    axes.plot(known["t_s"], values, color=SECOND, linewidth=1.0, marker="o", markersize=1.8)
    usual = course.latency_s
    if usual is not None:
        shown = quantity.Shown(label="", unit="ms", digits=0 if usual >= 0.1 else 1)
        _paint_level(axes, usual * 1e3, f"before:\n{shown.with_unit(usual * 1e3)}")
    if usual and values.min() > 0 and values.max() / (usual * 1e3) >= LOG_FROM:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, max(values.max() * 1.15, 1e-9))
    shade_moves(axes, course.attempt, numbered=False)
    axes.set_ylabel("latency, ms")


def _paint_band(axes: Axes, values: pd.Series[float], scale: float) -> None:
    if len(values):
        low, high = (float(values.quantile(share)) * scale for share in BAND)
        axes.axhspan(low, high, color=QUIET, alpha=0.16, linewidth=0, zorder=0.4)


def _paint_level(axes: Axes, value: float, text: str) -> None:
    axes.axhline(value, color=QUIET, linewidth=0.9, linestyle=(0, (4, 3)))
    # Outside the plot: inside it every place may be crossed by the curve.
    axes.annotate(
        text,
        (1.0, value),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=7.5,
        color=QUIET,
    )
