"""What validating a request costs in fleets of every size: docs/images/validation.png, from stored data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.canvas import save
from harness.report.document.drawing import GRID, INK, MEASURED, PAPER, QUIET, SECOND

LIMIT_US = 10_000.0
"""What a million servers may take."""

_SIZES = {
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.width": 0.5,
    "ytick.minor.width": 0.5,
}
_LINES = (
    ("loop", "plain filter loop: how many are eligible", PAPER, "s", "-", 9),
    ("whole_ranking", "validation, reading the whole ranked list", SECOND, "D", "-", -80),
    (
        "validation",
        "validation: how many, the best ten, and why the others are refused",
        MEASURED,
        "o",
        "--",
        9,
    ),
    ("choice", "validation: how many and the best ten", MEASURED, "o", "-", -16),
)
"""What is drawn: key, name, colour, mark and line, and how far above the last mark its slope stands."""


def draw(found: Mapping[str, Any], path: Path) -> None:
    """The figure of `found`, what :mod:`benchmarks.validation` wrote, as a PNG at `path`."""
    with mpl.rc_context():
        sns.set_theme(style="ticks", rc={"font.family": ["DejaVu Sans"], "text.color": INK, **_SIZES})
        canvas = Figure(figsize=(9.0, 4.1), layout="constrained")
        whole, change = canvas.subplots(1, 2, width_ratios=(5, 4))
        for key, label, colour, marker, style, above in _LINES:
            _line(whole, found, key, label, colour, marker, style)
            _slope(whole, found, key, colour, above)
        whole.axhline(LIMIT_US, color=QUIET, linewidth=0.9, linestyle=(0, (4, 3)))
        whole.text(10, LIMIT_US * 1.25, "limit for a million: 10 ms", fontsize=8, color=QUIET)
        _finish(whole, "Time to validate one request")
        _line(change, found, "update", "", MEASURED, "o", "-")
        _slope(change, found, "update", MEASURED, 9)
        _finish(change, "Time to take in one changed server")
        change.set_ylim(1, 1_000)
        made = found["environment"]
        where = f"{made['cpu']}, Python {made['python']}"
        text = f"Medians; bars: 95 % intervals. One process, one thread. {where}"
        save(canvas, whole, text, path)


def _line(
    axes: Axes, found: Mapping[str, Any], key: str, label: str, colour: str, marker: str, style: str
) -> None:
    """Medians with their intervals."""
    rows = [one[f"{key}_us"] for one in found["sizes"]]
    medians = [one["median"] for one in rows]
    axes.errorbar(
        [one["servers"] for one in found["sizes"]],
        medians,
        yerr=[
            [middle - one["interval_low"] for middle, one in zip(medians, rows, strict=True)],
            [one["interval_high"] - middle for middle, one in zip(medians, rows, strict=True)],
        ],
        color=colour,
        marker=marker,
        markersize=4,
        linewidth=1.4,
        linestyle=style,
        capsize=2.5,
        label=label,
    )


def _slope(axes: Axes, found: Mapping[str, Any], key: str, colour: str, above: int) -> None:
    """How the time grows, next to the last mark."""
    exponent, last = found["growth_exponents"][key], found["sizes"][-1]
    if exponent is None:
        return
    axes.annotate(
        f"grows as $n^{{{exponent:.2f}}}$",
        (last["servers"], last[f"{key}_us"]["median"]),
        xytext=(4, above),
        textcoords="offset points",
        ha="right",
        fontsize=8.5,
        color=colour,
    )


def _finish(axes: Axes, title: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title(title, loc="left", fontsize=9.5)
    axes.set_xlabel("servers in the fleet (n)", color=QUIET)
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(_duration))
    axes.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
    sns.despine(ax=axes)


def _duration(us: float, _position: int | None = None) -> str:
    for size, unit in ((1e6, "s"), (1e3, "ms")):
        if us >= size:
            return f"{us / size:g} {unit}"
    return f"{us:g} µs"
