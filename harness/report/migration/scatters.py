"""The figures of one migration against another: outage and blackout, data and dirtying, cost and noise floor.

Every mark is one migration of a valid trial, or one slot of a control trial; nothing is averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from harness.report.document import quantity
from harness.report.document.drawing import EACH, INK, MEASURED, QUIET, Sketch
from harness.report.migration.charts import set_extent
from harness.report.naming import Names

KEY = ["trial", "attempt", "migration"]
FLOOR_PANELS = ("outage_network", "outage_application", "work_lost_time")
APART = 0.16


def _pairs(values: pd.DataFrame, across: str, up: str) -> pd.DataFrame:
    """One row a migration that has both metrics: workload, and the two in the units they are shown in."""
    sides = []
    for name, metric in (("x", across), ("y", up)):
        mine = values[values["metric"] == metric].set_index([*KEY, "workload"])["value"]
        sides.append((mine * quantity.of_metric(metric).scale).rename(name))
    return pd.concat(sides, axis=1, join="inner").reset_index()


def outages(values: pd.DataFrame, order: Sequence[str], names: Names) -> Sketch | None:
    """What the client missed against how long the guest stood still.

    Args:
        values: Rows with columns workload, trial, attempt, migration, metric, value: valid, nothing missing.
        order: The workloads, as they are to be listed.
        names: What they are called.
    """
    pairs = _pairs(values, "blackout", "outage_network")
    if pairs.empty:
        return None
    longer = (pairs["y"] - pairs["x"]).median()
    said = f"{abs(longer):.0f}\u00a0ms {'longer' if longer >= 0 else 'shorter'} than the guest stood still"
    workloads = [name for name in order if (pairs["workload"] == name).any()]
    return Sketch(
        "outage-blackout",
        f"The client heard nothing for {said} (median of {len(pairs)} migrations)",
        "Each mark is one migration. On the line the network is out exactly as long as the guest stands "
        "still; above it the network took longer to find the guest again.",
        4.2,
        partial(_paint_outages, pairs=pairs, workloads=workloads, names=names),
        names.note(workloads),
    )


def _paint_outages(canvas: Canvas, *, pairs: pd.DataFrame, workloads: Sequence[str], names: Names) -> None:
    axes = canvas.subplots()
    high = max(pairs["x"].max(), pairs["y"].max()) * 1.08
    axes.plot([0, high], [0, high], color=QUIET, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.annotate(
        "as long as the blackout",
        (0.6 * high, 0.6 * high),
        xytext=(8, -8),
        textcoords="offset points",
        ha="left",
        va="top",
        color=QUIET,
        fontsize=7.5,
    )
    _paint_each(axes, pairs, workloads, names)
    axes.set_xlim(0, high)
    axes.set_ylim(0, high)
    axes.set_xlabel("blackout, ms")
    axes.set_ylabel("network outage, ms")


def _paint_each(axes: Axes, pairs: pd.DataFrame, workloads: Sequence[str], names: Names) -> None:
    """The marks, a colour and a shape for each workload, named next to the plot."""
    for at, workload in enumerate(workloads):
        mine = pairs[pairs["workload"] == workload]
        colour, mark = EACH[at % len(EACH)]
        axes.plot(
            mine["x"],
            mine["y"],
            mark,
            color=colour,
            markersize=6,
            alpha=0.8,
            markeredgewidth=0,
            label=names.of(workload),
        )
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, labelcolor=INK, handletextpad=0.2
    )


def dirtying(values: pd.DataFrame, order: Sequence[str], names: Names) -> Sketch | None:
    """The data a migration sent against how fast the guest dirtied memory; arguments as :func:`outages`."""
    pairs = _pairs(values, "dirty_rate", "data_sent")
    if pairs.empty:
        return None
    workloads = [name for name in order if (pairs["workload"] == name).any()]
    all_moves = len(values[values["metric"] == "data_sent"])
    unknown = all_moves - len(pairs)
    left_out = (
        f" {unknown} of {all_moves} migrations are not shown: the passes after their first were too short "
        "for a rate to be seen."
        if unknown
        else ""
    )
    return Sketch(
        "data-dirty-rate",
        _extremes(pairs, workloads, names),
        "Each mark is one migration: its mean dirty rate as the hypervisor reported while it ran, and the "
        f"bytes it reports as sent.{left_out}",
        4.0,
        partial(_paint_dirtying, pairs=pairs, workloads=workloads, names=names),
        names.note(workloads),
    )


def _extremes(pairs: pd.DataFrame, workloads: Sequence[str], names: Names) -> str:
    """Such as ``idle sent 212 MB while dirtying 14 MB/s, mail* 800 MB at 53 MB/s``."""
    means = pairs.groupby("workload")[["x", "y"]].mean().loc[list(workloads)].sort_values("y", kind="stable")
    first, last = means.iloc[0], means.iloc[-1]
    text = f"{names.of(str(first.name))} sent {first['y']:.0f} MB while dirtying {first['x']:.1f} MB/s"
    if len(means) > 1:
        text += f", {names.of(str(last.name))} {last['y']:.0f} MB at {last['x']:.1f} MB/s"
    return text.replace(" MB", "\u00a0MB")


def _paint_dirtying(canvas: Canvas, *, pairs: pd.DataFrame, workloads: Sequence[str], names: Names) -> None:
    axes = canvas.subplots()
    _paint_each(axes, pairs, workloads, names)
    set_extent(axes, list(pairs["x"]))
    axes.set_ylim(0, pairs["y"].max() * 1.12)
    axes.set_xlabel("dirty rate, MB/s")
    axes.set_ylabel("data sent, MB")


def floor(values: pd.DataFrame, control: pd.DataFrame, order: Sequence[str], names: Names) -> Sketch | None:
    """What a migration costs, against the same measure over the slots of control trials.

    Args:
        values: As for :func:`outages`.
        control: The same of control trials' slots.
        order: The workloads, as they are to be listed.
        names: What they are called.
    """
    shown = values[values["metric"].isin(FLOOR_PANELS)]
    quiet = control[control["metric"].isin(FLOOR_PANELS)]
    workloads = [
        name for name in order if (shown["workload"] == name).any() and (quiet["workload"] == name).any()
    ]
    if not workloads:
        return None
    return Sketch(
        "floor",
        "Above the noise floor: " + _clear(shown, quiet),
        "Blue: one mark a migration. Grey: the same measure over one slot of a control trial, in which "
        "nothing was migrated. Where blue lies among grey, the cost cannot be told from the workload's own "
        "swings.",
        0.8 + 0.5 * len(workloads),
        partial(_paint_floor, values=shown, control=quiet, workloads=workloads, names=names),
        names.note(workloads),
    )


def _clear(shown: pd.DataFrame, quiet: pd.DataFrame) -> str:
    parts = []
    for metric in FLOOR_PANELS:
        most = quiet[quiet["metric"] == metric].groupby("workload")["value"].max()
        mine = shown[shown["metric"].eq(metric) & shown["workload"].isin(most.index)]
        if len(mine):
            above = int((mine["value"] > mine["workload"].map(most)).sum())
            parts.append(f"{quantity.of_metric(metric).label.lower()} in {above} of {len(mine)} migrations")
    return ", ".join(parts)


def _paint_floor(
    canvas: Canvas,
    *,
    values: pd.DataFrame,
    control: pd.DataFrame,
    workloads: Sequence[str],
    names: Names,
) -> None:
    panels = canvas.subplots(1, len(FLOOR_PANELS), sharey=True)
    for axes, metric in zip(panels, FLOOR_PANELS, strict=True):
        how = quantity.of_metric(metric)
        extent: list[float] = []
        for table, colour, mark, offset in ((control, QUIET, "|", APART), (values, MEASURED, "o", -APART)):
            mine = table[table["metric"] == metric]
            for row, workload in enumerate(workloads):
                some = mine[mine["workload"] == workload]["value"] * how.scale
                axes.plot(
                    some,
                    [row + offset] * len(some),
                    mark,
                    color=colour,
                    alpha=0.7,
                    markersize=7 if mark == "|" else 5,
                    markeredgewidth=1.2 if mark == "|" else 0,
                )
                extent += list(some)
        axes.set_title(f"{how.label}, {how.unit}", color=INK)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        set_extent(axes, extent)
    panels[0].set_yticks(range(len(workloads)), [names.of(workload) for workload in workloads])
    panels[0].tick_params(axis="y", labelsize=9.5, labelcolor=INK)
    panels[0].set_ylim(len(workloads) - 0.5, -0.5)
