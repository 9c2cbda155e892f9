"""How many attesters one verifier re-attests a second: docs/images/fleet.png, from stored figures alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.canvas import save
from harness.report.document.drawing import GRID, INK, MEASURED, QUIET, SECOND

_SIZES = {
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.width": 0.5,
    "ytick.minor.width": 0.5,
    "xtick.major.size": 4,
    "ytick.major.size": 4,
    "xtick.minor.size": 2,
    "ytick.minor.size": 2,
}
_STYLES = {False: (MEASURED, "o"), True: (SECOND, "D")}
_LABELS = {
    False: "quote and PCR values",
    True: "quote, event log of {events} events, {new} new IMA entries",
}


def draw(found: Mapping[str, Any], path: Path) -> None:
    """The figure of `found`, what :mod:`benchmarks.attestation` wrote, as a PNG at `path`."""
    with mpl.rc_context():
        sns.set_theme(style="ticks", rc={"font.family": ["DejaVu Sans"], "text.color": INK, **_SIZES})
        canvas = Figure(figsize=(9.0, 3.6), layout="constrained")
        rate, cost = canvas.subplots(1, 2)
        for fleet in found["fleets"]:
            _lines(fleet, rate, cost)
        _finish(rate, "Attesters re-attested in a second", "a second")
        _finish(cost, "Time to re-attest all of them", "s")
        cost.set_yscale("log")
        rate.set_ylim(bottom=0)
        made = found["environment"]
        text = f"One verifier, one process, one thread; keys of P-256. {made['cpu']}, Python {made['python']}"
        save(canvas, rate, text, path)


def _lines(fleet: Mapping[str, Any], rate: Axes, cost: Axes) -> None:
    """One kind of evidence: medians, with the middle half of the rounds behind them."""
    colour, marker = _STYLES[fleet["with_logs"]]
    label = _LABELS[fleet["with_logs"]].format(events=fleet["events"], new=fleet["new_ima_entries"])
    sizes = [one["attesters"] for one in fleet["sizes"]]
    for axes, key in ((rate, "attesters_per_s"), (cost, "round_s")):
        medians = [one[key]["median"] for one in fleet["sizes"]]
        axes.plot(sizes, medians, color=colour, marker=marker, markersize=4, linewidth=1.4, label=label)
        axes.fill_between(
            sizes,
            [one[key]["q1"] for one in fleet["sizes"]],
            [one[key]["q3"] for one in fleet["sizes"]],
            color=colour,
            alpha=0.18,
            linewidth=0,
        )
    exponent = fleet["growth_exponent"]
    if exponent is not None:
        cost.text(
            0.98,
            0.12 if fleet["with_logs"] else 0.04,
            f"grows as $n^{{{exponent:.2f}}}$",
            transform=cost.transAxes,
            ha="right",
            fontsize=8.5,
            color=colour,
        )


def _finish(axes: Axes, title: str, unit: str) -> None:
    axes.set_xscale("log")
    axes.set_title(title, loc="left", fontsize=9.5)
    axes.set_ylabel(unit, color=QUIET)
    axes.set_xlabel("attesters in the fleet", color=QUIET)
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.yaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,g}"))
    sns.despine(ax=axes)
