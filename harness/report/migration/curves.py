"""The figures of copying and of silence: pre-copy curves side by side, and the heartbeat's gaps.

One trial of each workload is drawn, the first valid one; the caption says of how many. Times are seconds from
the trial's t = 0 unless an axis says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import ceil

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from harness.evidence.account import Account, Move
from harness.pair_name import FIRST
from harness.report.document.drawing import GROUND, INK, MEASURED, PAPER, QUIET, SECOND, Sketch, shade
from harness.report.migration.charts import MANY
from harness.report.naming import Names

MB = 1e-6
ACROSS = 4
"""So many workloads stand side by side."""

Trials = Sequence[tuple[Account, pd.DataFrame]]
"""Attempts with their rows of a series."""


def precopy(trials: Trials, counts: Mapping[str, int], names: Names) -> Sketch | None:
    """What was left to send, side by side for each trial.

    Args:
        trials: Attempts with their rows: migration, t_s (from its start), remaining_bytes.
        counts: Workload to number of its trials.
        names: What the workloads are called.
    """
    shown = [(attempt, curve) for attempt, curve in trials if len(curve)]
    if not shown:
        return None
    rows = ceil(len(shown) / ACROSS)
    return Sketch(
        "precopy",
        "Copying took " + _copied(shown, names),
        "Pre-copy: the guest's memory that was left to send, as the hypervisor reported while it copied; "
        "each line is one migration, from its own start on. It falls steeply where pages hold only zeros, "
        f"which are not sent. {_shown(shown, counts, names)}",
        0.4 + 1.9 * rows,
        partial(_paint_precopy, trials=shown, names=names, rows=rows),
        names.note(attempt.workload for attempt, _ in shown),
    )


def _copied(trials: Trials, names: Names) -> str:
    """How long each workload's migrations took to copy, at most; of many, the shortest and the longest."""
    longest = [(curve["t_s"].max(), names.of(attempt.workload)) for attempt, curve in trials]
    if len(longest) > MANY:
        longest = [min(longest), max(longest)]
    return " and ".join(f"at most {span_s:.1f}\u00a0s for {name}" for span_s, name in longest)


def _paint_precopy(canvas: Canvas, *, trials: Trials, names: Names, rows: int) -> None:
    across = min(ACROSS, len(trials))
    panels = canvas.subplots(rows, across, squeeze=False, sharex=True, sharey=True)
    for at, axes in enumerate(panels.flat):
        if at >= len(trials):
            axes.set_axis_off()
            continue
        attempt, curve = trials[at]
        for move in attempt.moves:
            mine = curve[curve["migration"] == move.n].sort_values("t_s")
            colour = MEASURED if move.source == FIRST else SECOND
            axes.plot(mine["t_s"], mine["remaining_bytes"] * MB, color=colour, linewidth=1.2, alpha=0.85)
        axes.set_title(names.of(attempt.workload), color=INK)
        axes.locator_params(nbins=4)
        axes.tick_params(labelbottom=at + across >= len(trials))
        axes.set_xlabel("s since its start" if at + across >= len(trials) else "")
        axes.set_ylabel("left to send, MB" if at % across == 0 else "")
    highest = max(curve["remaining_bytes"].max() for _, curve in trials) * MB
    panels[0][0].set_ylim(0, highest * 1.12 if highest > 0 else 1.0)
    panels[0][0].set_xlim(0, max(curve["t_s"].max() for _, curve in trials) * 1.04)
    _ways(panels[0][across - 1])


def _ways(axes: Axes) -> None:
    """Name the two colours by words of their own colour."""
    for at, (text, colour) in enumerate((("a→b", MEASURED), ("b→a", SECOND))):
        axes.annotate(
            text,
            (1.0, 1.0),
            xycoords="axes fraction",
            xytext=(0, -9 * at),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=7.5,
            color=colour,
        )


def gaps(
    trials: Trials, counts: Mapping[str, int], names: Names, quiet: Mapping[str, float] | None = None
) -> Sketch | None:
    """The heartbeat's gaps of each trial given, at their time and as high as they were long.

    Args:
        trials: Attempts with their rows: start_s, length_s, closed.
        counts: Workload to number of its trials.
        names: What the workloads are called.
        quiet: Workload to the longest gap of its control trials in seconds.
    """
    if not trials:
        return None
    control = " The dashed line is the longest gap of control trials." if quiet else ""
    return Sketch(
        "gaps",
        "Network, as the client saw it: " + _longest_of(trials, names),
        "Every gap of more than three periods in the echo replies, at the time it began; shaded and "
        "numbered: migrations. Gaps in orange overlap a migration, those in grey do not; the longest of "
        f"each are labelled.{control} {_shown(trials, counts, names)}",
        0.4 + (1.75 if len(trials) <= MANY else 1.15) * len(trials),
        partial(_paint_all_gaps, trials=trials, names=names, quiet=quiet or {}),
        names.note(attempt.workload for attempt, _ in trials),
    )


def _shown(trials: Trials, counts: Mapping[str, int], names: Names) -> str:
    parts = [f"{names.trial(attempt)} (of {counts.get(attempt.workload, 1)})" for attempt, _ in trials]
    return f"Trial{'s' if len(parts) > 1 else ''}: {', '.join(parts)}."


def _longest_of(trials: Trials, names: Names) -> str:
    """Each workload's longest silence; with many of them, the least and the longest of these."""
    longest = [(rows["length_s"].max() if len(rows) else 0.0, names.of(one.workload)) for one, rows in trials]
    if len(longest) <= MANY:
        return ", ".join(_silent(length_s, name) for length_s, name in longest)
    least, most = min(longest), max(longest)
    return f"{_silent(*least)} and {_silent(*most)}, the others in between"


def _silent(length_s: float, name: str) -> str:
    return f"{name} silent for at most {length_s * 1e3:.0f}\u00a0ms" if length_s else f"{name} without a gap"


def _overlapping(attempt: Account, gap: pd.Series[float]) -> int:
    """The number of the migration under way during some of `gap`, or 0."""
    for move in attempt.moves:
        begun = move.started_s is not None and move.started_s <= gap["start_s"] + gap["length_s"]
        if begun and gap["start_s"] <= end_s(move):
            return move.n
    return 0


def end_s(move: Move) -> float:
    """When the migration returned, as far as that is known; seconds from t = 0."""
    if move.returned_s is not None:
        return move.returned_s
    return move.started_s if move.started_s is not None else float("nan")


def _paint_all_gaps(canvas: Canvas, *, trials: Trials, names: Names, quiet: Mapping[str, float]) -> None:
    panels = canvas.subplots(len(trials), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (attempt, rows) in zip(panels, trials, strict=True):
        _paint_gaps(axes, attempt, rows)
        axes.set_title(_title(attempt, names), color=INK, pad=14 if len(trials) <= MANY else 12)
        if attempt.workload in quiet:
            axes.axhline(quiet[attempt.workload] * 1e3, color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
    panels[-1].set_xlabel("time from t = 0, s")


def _paint_gaps(axes: Axes, attempt: Account, rows: pd.DataFrame) -> None:
    moves = [_overlapping(attempt, gap) for _, gap in rows.iterrows()]
    under = pd.Series(moves, index=rows.index, dtype="int64")
    for some, colour in ((rows[under == 0], QUIET), (rows[under > 0], PAPER)):
        axes.vlines(some["start_s"], 0, some["length_s"] * 1e3, color=colour, linewidth=1.6)
    for number, some in rows.groupby(under):
        _label_gap(axes, some.iloc[int(some["length_s"].argmax())], PAPER if number else QUIET)
    high = rows["length_s"].max() * 1e3 if len(rows) else 1.0
    axes.set_ylim(0, high * 1.18)
    shade_moves(axes, attempt)
    axes.locator_params(axis="y", nbins=3)
    axes.set_ylabel("gap, ms")


def _label_gap(axes: Axes, gap: pd.Series[float], colour: str) -> None:
    """Write a gap's length at its top; one that never ended was at least so long."""
    top = (gap["start_s"], gap["length_s"] * 1e3)
    text = f"{top[1]:.0f}" if gap["closed"] else f"≥ {top[1]:.0f}"
    axes.plot(*([value] for value in top), "o", color=colour, markersize=4.5, markeredgecolor=GROUND)
    axes.annotate(text, top, xytext=(5, -1), textcoords="offset points", color=colour)


def _title(attempt: Account, names: Names) -> str:
    name = names.of(attempt.workload)
    return f"{name}, control trial without migrations" if attempt.kind == "control" else name


def shade_moves(axes: Axes, attempt: Account, *, numbered: bool = True) -> None:
    """Shade, and number, the attempt's migrations on an axis of seconds from t = 0."""
    for move in attempt.moves:
        if move.started_s is not None:
            shade(axes, move.started_s, end_s(move), str(move.n) if numbered else "")
    axes.grid(axis="x", visible=False)
