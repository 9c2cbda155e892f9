"""How the figures of benchmarks end: one legend below, and above it what was measured where."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report.document.drawing import QUIET


def save(canvas: Figure, axes: Axes, text: str, path: Path) -> None:
    """Save `canvas` as a PNG at `path`, with the legend of `axes` and `text` on top."""
    handles, labels = axes.get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    canvas.suptitle(text, x=0.01, ha="left", fontsize=8.5, color=QUIET)
    canvas.savefig(path, dpi=160, metadata={"Software": None})
