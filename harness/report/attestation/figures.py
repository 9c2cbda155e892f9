"""The figures of attestation: its latency over a trial's time, and what it is made of.

One trial of each workload is drawn, as in the other figures; what was refused or unanswered is marked at its
time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from harness.evidence.account import Account
from harness.report.attestation import rows as proofs
from harness.report.attestation.rows import KEYS, KINDS
from harness.report.attestation.tables import condition
from harness.report.document.drawing import GROUND, INK, MEASURED, PAPER, QUIET, SECOND, Sketch
from harness.report.migration.charts import MANY
from harness.report.migration.curves import shade_moves
from harness.report.naming import Names, with_note

Trials = Sequence[tuple[Account, pd.DataFrame]]
"""Attempts with their attestations, refused ones included."""

FOURTH = "#a0559a"
MARKS: Mapping[str, tuple[str, str]] = {
    "host": (MEASURED, "o"),
    "guest": (SECOND, "D"),
    "linked": (FOURTH, "^"),
}
"""Kind to colour and mark."""
LOG_FROM = 12.0
"""Ratio of the longest to the shortest latency from which the axis is logarithmic."""
STACK: Sequence[tuple[str, tuple[str, ...], str]] = (
    ("transport both ways", ("transport_s", "second_transport_s"), QUIET),
    ("attester's own work", ("attester_s", "second_attester_s"), "#2b9fd9"),
    ("TPM2_Quote", ("quote_s", "second_quote_s"), MEASURED),
    ("verification", ("linking_s", "verification_s"), SECOND),
)
"""The parts of a bar: name, columns that are added, colour."""
PANELS: Sequence[tuple[str, str]] = (
    ("idle", "idle, no migration"),
    ("load", "under load, no migration"),
    ("moving", "a migration under way"),
)


def over_time(trials: Trials, counts: Mapping[str, int], names: Names) -> Sketch | None:
    """Latency over the time of each trial given, migrations shaded.

    Args:
        trials: Attempts with all their attestations.
        counts: Workload to number of its valid trials.
        names: What the workloads are called.
    """
    shown = [
        (attempt, rows) for attempt, rows in trials if len(proofs.counted(rows)) and rows["t_s"].notna().any()
    ]
    if not shown:
        return None
    counted = pd.concat([proofs.counted(rows) for _, rows in shown])
    which = ", ".join(f"{names.trial(one)} (of {counts.get(one.workload, 1)})" for one, _ in shown)
    return Sketch(
        "attestation-time",
        "Attestation over time: " + _slower(counted),
        "Each mark is one accepted attestation at the time its challenge was sent; its height is the latency "
        "from challenge to verdict. Filled: signed with P-256; hollow: with RSA-2048. A cross on the lower "
        "edge was refused or not answered. Shaded and numbered: migrations; a guest that is challenged "
        "during a switch-over answers after it. "
        f"Trial{'s' if len(shown) > 1 else ''}: {which}.",
        0.55 + (1.75 if len(shown) <= MANY else 1.25) * len(shown),
        partial(_paint_times, trials=shown, names=names),
        with_note(names.note(attempt.workload for attempt, _ in shown), proofs.every_path(counted)),
    )


def _slower(rows: pd.DataFrame) -> str:
    """Such as ``while a migration ran it took 2.1 times as long``: over the kinds and keys that have both."""
    ratios = []
    for _, mine in rows.groupby(["trial", "attempt", "kind", "key"], sort=False):
        moving = mine["phase"].eq("during")
        if moving.any() and not moving.all():
            ratios.append(mine[moving]["latency_s"].median() / mine[~moving]["latency_s"].median())
    if not ratios:
        return f"{len(rows)} in all, none of them on both sides of a migration's start"
    ratio = float(pd.Series(ratios).median())
    return f"while a migration was under way it took {ratio:.1f} times as long as without one"


def _paint_times(canvas: Canvas, *, trials: Trials, names: Names) -> None:
    panels = canvas.subplots(len(trials), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    every = pd.concat([proofs.counted(rows) for _, rows in trials])["latency_s"] * 1e3
    wide = every.max() / every.min() >= LOG_FROM
    for axes, (attempt, rows) in zip(panels, trials, strict=True):
        _paint_marks(axes, proofs.counted(rows))
        lost = proofs.refused(rows)
        if len(lost):  # an empty line that is not clipped would count as a point in the figure's corner
            _paint_lost(axes, lost)
        shade_moves(axes, attempt)
        axes.set_title(_title(attempt, names), color=INK, pad=13)
        axes.set_ylabel("ms")
        axes.margins(x=0.01)
    if wide:
        panels[0].set_yscale("log")
        panels[0].set_ylim(every.min() / 1.5, every.max() * 1.4)
        panels[0].yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        panels[0].yaxis.set_minor_locator(NullLocator())
        panels[0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        panels[0].set_ylim(0, every.max() * 1.12)
    panels[-1].set_xlabel("time from t = 0, s")
    _key(canvas, [(KINDS[kind], colour, mark) for kind, (colour, mark) in MARKS.items()])


def _paint_lost(axes: Axes, rows: pd.DataFrame) -> None:
    """A cross on the lower edge for each that has no latency to be drawn at."""
    axes.plot(
        rows["t_s"],
        [0.04] * len(rows),
        "x",
        color=PAPER,
        markersize=6,
        markeredgewidth=1.6,
        transform=axes.get_xaxis_transform(),
        clip_on=False,
    )


def _paint_marks(axes: Axes, rows: pd.DataFrame) -> None:
    for kind, (colour, mark) in MARKS.items():
        for key in KEYS:
            mine = proofs.some(rows, kind=kind, key=key)
            fill = colour if key == "ecc-p256" else GROUND
            axes.plot(
                mine["t_s"],
                mine["latency_s"] * 1e3,
                mark,
                color=colour,
                markerfacecolor=fill,
                markersize=4.2,
                markeredgewidth=0.9,
                alpha=0.85,
            )


def _title(attempt: Account, names: Names) -> str:
    name = names.of(attempt.workload)
    return f"{name}, control trial without migrations" if attempt.kind == "control" else name


def _key(canvas: Canvas, entries: Sequence[tuple[str, str, str]]) -> None:
    """Name marks and colours above all panels: name, colour, mark."""
    handles = [
        Line2D([], [], linestyle="none", marker=mark, color=colour, markersize=6, label=name)
        for name, colour, mark in entries
    ]
    canvas.legend(
        handles=handles,
        loc="outside upper left",
        ncols=len(handles),
        labelcolor=INK,
        handletextpad=0.1,
        columnspacing=1.4,
    )


def stacked(table: pd.DataFrame) -> Sketch | None:
    """What an attestation is made of, a bar a kind and key; `table` are the counted attestations."""
    panels = [(name, words) for name, words in PANELS if len(condition(table, name))]
    bars = [(kind, key) for kind in proofs.kinds(table) for key in proofs.keys(proofs.some(table, kind=kind))]
    if not bars:
        return None
    return Sketch(
        "attestation-parts-chart",
        "Parts of an attestation: " + _largest(table),
        "Each bar stacks the medians of its parts, in ms; the number at its end is the median of the "
        "total, which need not be their sum. For a guest linked to its host the parts of both "
        "quotes are added. Each panel has a scale of its own.",
        1.25 + 0.42 * len(bars),
        partial(_paint_stacks, table=table, panels=panels, bars=bars),
        proofs.every_path(table),
    )


def _medians(mine: pd.DataFrame) -> list[float]:
    """The medians of a bar's parts, in ms; 0 for one this kind has not."""
    found = []
    for _, columns, _ in STACK:
        total = mine[list(columns)].sum(axis=1, min_count=1).dropna()
        found.append(float(total.median()) * 1e3 if len(total) else 0.0)
    return found


def _largest(table: pd.DataFrame) -> str:
    """Which part is the largest of each kind, such as ``host TPM2_Quote (37 %)``."""
    parts = []
    for kind in proofs.kinds(table):
        medians = _medians(proofs.some(table, kind=kind))
        total = sum(medians)
        if total > 0:
            at = max(range(len(STACK)), key=lambda index: medians[index])
            parts.append(f"{KINDS[kind]} {STACK[at][0]} ({medians[at] / total * 100:.0f}\u00a0%)")
    return "the largest part of each: " + ", ".join(parts)


def _paint_stacks(
    canvas: Canvas, *, table: pd.DataFrame, panels: Sequence[tuple[str, str]], bars: Sequence[tuple[str, str]]
) -> None:
    drawn = canvas.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (name, words) in zip(drawn, panels, strict=True):
        mine = condition(table, name)
        ends = [
            _paint_stack(axes, row, proofs.some(mine, kind=one, key=key))
            for row, (one, key) in enumerate(bars)
        ]
        axes.set_xlim(0, max(ends) * 1.45)
        axes.set_title(words, color=INK)
        axes.set_xlabel("ms")
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
    drawn[0].set_yticks(range(len(bars)), [f"{KINDS[kind]}, {KEYS[key]}" for kind, key in bars])
    drawn[0].tick_params(axis="y", labelsize=8.5, labelcolor=INK)
    drawn[0].set_ylim(len(bars) - 0.45, -0.55)
    _key(canvas, [(name, colour, "s") for name, _, colour in STACK])


def _paint_stack(axes: Axes, row: int, mine: pd.DataFrame) -> float:
    """One bar and the median behind it; how far it reaches, in ms."""
    if mine.empty:
        axes.text(0.02, row, "not measured", transform=axes.get_yaxis_transform(), color=QUIET, va="center")
        return 0.0
    left = 0.0
    for (_, _, colour), width in zip(STACK, _medians(mine), strict=True):
        axes.barh(row, width, left=left, height=0.62, color=colour, edgecolor=GROUND, linewidth=0.6)
        left += width
    whole = float(mine["latency_s"].median()) * 1e3
    axes.annotate(
        f"{proofs.milliseconds(whole / 1e3)}  (n {len(mine)})",
        (max(left, whole), row),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=7.5,
        color=INK,
    )
    return max(left, whole)
