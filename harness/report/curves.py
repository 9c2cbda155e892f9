"""The figures over time: pre-copy, the heartbeat's gaps, and the workload with its migrations shaded.

One trial of each workload is drawn, the first valid one; the caption says of how many. Times are seconds from
the trial's t = 0 unless an axis says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from harness.report import quantity
from harness.report.document import Figure
from harness.report.drawing import GROUND, INK, MEASURED, PAPER, QUIET, SECOND, draw, shade
from harness.report.story import Attempt, Move

MB = 1e-6
ROW_IN = 1.75


def precopy(attempt: Attempt, curve: pd.DataFrame, of: int) -> Figure | None:
    """What was left to send, and how fast the guest dirtied memory, in each migration of `attempt`.

    Args:
        attempt: The trial drawn.
        curve: This attempt's rows: migration, t_s (from its start), remaining_bytes, dirty_bytes_s.
        of: How many trials of this workload there are.
    """
    moves = [move for move in attempt.migrations if (curve["migration"] == move.n).any()]
    if not moves:
        return None
    largest = curve["remaining_bytes"].max() * MB
    span_s = curve["t_s"].max()
    return draw(
        f"precopy-{attempt.workload}",
        f"{attempt.workload}: at most {largest:.0f} MB left to send, copied within {span_s:.1f} s",
        "Pre-copy, one column a migration: what was left to send (top) and how fast the guest dirtied its "
        "memory (bottom), as the hypervisor said while it ran. Each time axis begins at its migration's "
        f"start. {_of(attempt, of)}",
        3.3,
        partial(_paint_precopy, moves=moves, curve=curve),
    )


def _of(attempt: Attempt, of: int) -> str:
    return (
        f"Trial {attempt.trial}, the only one of this workload."
        if of == 1
        else f"Trial {attempt.trial}, one of {of}."
    )


def _paint_precopy(canvas: Canvas, *, moves: Sequence[Move], curve: pd.DataFrame) -> None:
    panels = canvas.subplots(2, len(moves), sharex=True, sharey="row", squeeze=False)
    for column, move in enumerate(moves):
        mine = curve[curve["migration"] == move.n].sort_values("t_s")
        _paint_remaining(panels[0][column], mine)
        _paint_dirtying(panels[1][column], mine)
        panels[0][column].set_title(f"{move.n}: {move.direction}", color=INK)
        panels[1][column].set_xlabel("s since its start")
    panels[0][0].set_ylabel("left to send, MB")
    panels[1][0].set_ylabel("dirtied, MB/s")
    for row, name in ((0, "remaining_bytes"), (1, "dirty_bytes_s")):
        high = curve[name].max() * MB
        panels[row][0].set_ylim(0, high * 1.12 if high > 0 else 1.0)
    panels[0][0].set_xlim(0, curve["t_s"].max() * 1.04)


def _paint_remaining(axes: Axes, mine: pd.DataFrame) -> None:
    left = mine["remaining_bytes"] * MB
    axes.fill_between(mine["t_s"], left, color=MEASURED, alpha=0.16, linewidth=0)
    sns.lineplot(x=mine["t_s"], y=left, ax=axes, color=MEASURED, linewidth=1.5, errorbar=None)
    axes.set(xlabel="", ylabel="")


def _paint_dirtying(axes: Axes, mine: pd.DataFrame) -> None:
    known = mine[mine["dirty_bytes_s"].notna()]
    axes.plot(
        known["t_s"], known["dirty_bytes_s"] * MB, color=SECOND, linewidth=1.4, marker="o", markersize=3.5
    )
    if known.empty:
        axes.text(0.5, 0.5, "not reported", transform=axes.transAxes, ha="center", va="center", color=QUIET)


def gaps(trials: Sequence[tuple[Attempt, pd.DataFrame]], counts: Mapping[str, int]) -> Figure | None:
    """The heartbeat's gaps of each trial given, at their time and as high as they were long.

    Args:
        trials: Attempts with their rows: start_s, length_s, closed.
        counts: Workload to number of its trials.
    """
    if not trials:
        return None
    return draw(
        "gaps",
        "Network, as the client saw it: " + ", ".join(_longest(attempt, rows) for attempt, rows in trials),
        "Every gap of more than three periods in the echo replies, at the time it began; shaded and "
        "numbered: migrations. Gaps in orange overlap a migration, those in grey do not; the longest of "
        f"each are labelled. {_shown(trials, counts)}",
        0.4 + ROW_IN * len(trials),
        partial(_paint_all_gaps, trials=trials),
    )


def _shown(trials: Sequence[tuple[Attempt, pd.DataFrame]], counts: Mapping[str, int]) -> str:
    parts = [f"{attempt.trial} (of {counts.get(attempt.workload, 1)})" for attempt, _ in trials]
    return "Trials: " + ", ".join(parts) + "."


def _longest(attempt: Attempt, rows: pd.DataFrame) -> str:
    if rows.empty:
        return f"{attempt.workload} without a gap"
    return f"{attempt.workload} silent for at most {rows['length_s'].max() * 1e3:.0f} ms"


def _overlapping(attempt: Attempt, gap: pd.Series[float]) -> int:
    """The number of the migration under way during some of `gap`, or 0."""
    for move in attempt.migrations:
        begun = move.started_s is not None and move.started_s <= gap["start_s"] + gap["length_s"]
        if begun and gap["start_s"] <= _end_s(move):
            return move.n
    return 0


def _end_s(move: Move) -> float:
    if move.returned_s is not None:
        return move.returned_s
    return move.started_s if move.started_s is not None else float("nan")


def _paint_all_gaps(canvas: Canvas, *, trials: Sequence[tuple[Attempt, pd.DataFrame]]) -> None:
    panels = canvas.subplots(len(trials), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (attempt, rows) in zip(panels, trials, strict=True):
        _paint_gaps(axes, attempt, rows)
    panels[-1].set_xlabel("time from t = 0, s")


def _paint_gaps(axes: Axes, attempt: Attempt, rows: pd.DataFrame) -> None:
    moves = [_overlapping(attempt, gap) for _, gap in rows.iterrows()]
    under = pd.Series(moves, index=rows.index, dtype="int64")
    for some, colour in ((rows[under == 0], QUIET), (rows[under > 0], PAPER)):
        axes.vlines(some["start_s"], 0, some["length_s"] * 1e3, color=colour, linewidth=1.6)
    for number, some in rows.groupby(under):
        _label_gap(axes, some.iloc[int(some["length_s"].argmax())], PAPER if number else QUIET)
    high = rows["length_s"].max() * 1e3 if len(rows) else 1.0
    axes.set_ylim(0, high * 1.18)
    _paint_window(axes, attempt)
    axes.set_ylabel("gap, ms")
    axes.set_title(_name(attempt), color=INK, pad=14)


def _label_gap(axes: Axes, gap: pd.Series[float], colour: str) -> None:
    """Write a gap's length at its top; one that never ended was at least so long."""
    top = (gap["start_s"], gap["length_s"] * 1e3)
    text = f"{top[1]:.0f}" if gap["closed"] else f"≥ {top[1]:.0f}"
    axes.plot(*([value] for value in top), "o", color=colour, markersize=4.5, markeredgecolor=GROUND)
    axes.annotate(text, top, xytext=(5, -1), textcoords="offset points", color=colour)


def _name(attempt: Attempt) -> str:
    return (
        f"{attempt.workload}, control trial without migrations"
        if attempt.kind == "control"
        else attempt.workload
    )


def _paint_window(axes: Axes, attempt: Attempt) -> None:
    for move in attempt.migrations:
        if move.started_s is not None:
            shade(axes, move.started_s, _end_s(move), str(move.n))
    axes.grid(axis="x", visible=False)


def timelines(trials: Sequence[tuple[Attempt, pd.DataFrame]], counts: Mapping[str, int]) -> Figure | None:
    """The work each trial's workload completed over time.

    Args:
        trials: Attempts with their rows: t_s, rate, work_unit.
        counts: Workload to number of its trials.
    """
    if not trials:
        return None
    drops = [drop for attempt, rows in trials if (drop := _deepest(attempt, rows))]
    return draw(
        "timeline",
        "Work done while migrating: " + (", ".join(drops) if drops else "no migration to compare with"),
        "Work completed a second in each reporting interval, by the workload's own output; shaded and "
        "numbered: migrations. The dashed line is the median before the first migration. "
        f"{_shown(trials, counts)}",
        0.4 + ROW_IN * len(trials),
        partial(_paint_timelines, trials=trials),
    )


def _first_s(attempt: Attempt) -> float | None:
    starts = [move.started_s for move in attempt.migrations if move.started_s is not None]
    return min(starts) if starts else None


def _baseline(attempt: Attempt, rows: pd.DataFrame) -> float | None:
    """Median rate before the first migration (of any, in a control trial), or None."""
    first_s = _first_s(attempt)
    before = rows if first_s is None else rows[rows["t_s"] < first_s]
    return float(before["rate"].median()) if len(before) else None


def _deepest(attempt: Attempt, rows: pd.DataFrame) -> str:
    """Such as ``file down to 12 % of its baseline``; empty when there is nothing to say."""
    baseline = _baseline(attempt, rows)
    first_s = _first_s(attempt)
    if not baseline or first_s is None:
        return ""
    lowest = rows[rows["t_s"] >= first_s]["rate"].min() / baseline
    return f"{attempt.workload} fell to {lowest:.0%} of its baseline at the lowest".replace("%", "\u00a0%")


def _paint_timelines(canvas: Canvas, *, trials: Sequence[tuple[Attempt, pd.DataFrame]]) -> None:
    panels = canvas.subplots(len(trials), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (attempt, rows) in zip(panels, trials, strict=True):
        _paint_timeline(axes, attempt, rows)
    panels[-1].set_xlabel("time from t = 0, s")


def _paint_timeline(axes: Axes, attempt: Attempt, rows: pd.DataFrame) -> None:
    axes.fill_between(rows["t_s"], rows["rate"], step="pre", color=MEASURED, alpha=0.1, linewidth=0)
    axes.plot(rows["t_s"], rows["rate"], color=MEASURED, linewidth=1.3, drawstyle="steps-pre")
    baseline = _baseline(attempt, rows)
    unit = f"{rows['work_unit'].iloc[0]}/s"
    if baseline is not None:
        axes.axhline(baseline, color=QUIET, linewidth=0.9, linestyle=(0, (4, 3)))
        shown = quantity.Shown(label="", unit=unit, digits=0 if baseline >= 100 else 1)
        # Outside the plot: inside it every place may be crossed by the curve.
        axes.annotate(
            f"before:\n{shown.with_unit(baseline)}",
            (1.0, baseline),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=QUIET,
        )
    axes.set_ylim(0, max(rows["rate"].max() * 1.15, 1e-9))
    axes.margins(x=0.01)
    _paint_window(axes, attempt)
    axes.set_ylabel(unit)
    axes.set_title(_name(attempt), color=INK, pad=14)
