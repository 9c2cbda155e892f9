"""How figures look and how they become bytes: one style, one palette, the same bytes every time.

Figures are drawn on matplotlib's object layer without pyplot, from default settings plus the ones below, so
that neither the user's configuration nor a display changes a report. No date and no version enters a file.
"""

from __future__ import annotations

import io
import os
import pickle
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import TypeAlias

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter

from harness.legible import legible
from harness.report.document.model import Figure

INK = "#1c2126"
QUIET = "#5c6670"
GRID = "#dde2e7"
GROUND = "#ffffff"
MEASURED = "#0072b2"
PAPER = "#c24a00"
SECOND = "#009e73"
SHADE = "#e6a100"
EACH = (
    (MEASURED, "o"), (PAPER, "s"), (SECOND, "D"), ("#a0559a", "^"), ("#2b9fd9", "v"), ("#8a7300", "P"),
    (QUIET, "X"),
)  # fmt: skip
"""A colour and a mark for each of several workloads; more of them start again from the first."""
# Blue, vermillion, green and orange after Okabe and Ito, "Color Universal Design" (2008); the vermillion is
# darker than theirs so that small text in it is readable on white.

WIDTH_IN = 9.0
_WORTH_A_PROCESS = 4
"""A process for fewer figures than this is not worth its start."""
_CSS_COLOURS = {
    INK: "var(--ink)",
    QUIET: "var(--quiet)",
    GRID: "var(--line)",
    GROUND: "var(--ground)",
    MEASURED: "var(--measured)",
    PAPER: "var(--paper)",
    SECOND: "var(--second)",
    SHADE: "var(--shade)",
    "#a0559a": "var(--fourth)",
    "#2b9fd9": "var(--fifth)",
    "#8a7300": "var(--sixth)",
}


def _settings(key: str) -> dict[str, object]:
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": key,
        "pdf.fonttype": 42,
        "font.family": ["DejaVu Sans"],
        "font.size": 8.5,
        "axes.titlesize": 9,
        "axes.titlelocation": "left",
        "axes.titlepad": 7,
        "axes.labelsize": 8.5,
        "axes.labelcolor": QUIET,
        "axes.edgecolor": QUIET,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "xtick.color": QUIET,
        "ytick.color": QUIET,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "xtick.major.size": 3,
        "ytick.major.size": 0,
        "text.color": INK,
        "figure.facecolor": GROUND,
        "axes.facecolor": "none",
        "savefig.facecolor": GROUND,
        "legend.frameon": False,
        "figure.constrained_layout.use": True,
    }


@dataclass(frozen=True, slots=True)
class Sketch:
    """What a figure says and how it is painted; it becomes bytes when it is drawn.

    Attributes:
        key: Name of its file and anchor.
        title: What is seen.
        caption: What the marks mean.
        height_in: Its height in inches; it is `WIDTH_IN` wide.
        paint: Paints it on an empty canvas.
        note: A line in the drawing itself, below everything: it goes wherever the file goes.
    """

    key: str
    title: str
    caption: str
    height_in: float
    paint: Callable[[Canvas], None]
    note: str = ""

    def drawn(self, *, pdf: bool = False) -> Figure:
        """The finished figure; with its PDF, which takes as long again, where `pdf` asks for it."""
        with mpl.rc_context():
            mpl.rcdefaults()
            for name, value in _settings(self.key).items():
                mpl.rcParams[name] = value  # type: ignore[index]
            canvas = Canvas(figsize=(WIDTH_IN, self.height_in))
            self.paint(canvas)
            if self.note:
                canvas.supxlabel(self.note, x=0.01, ha="left", fontsize=7, color=QUIET)
            _take_text_literally(canvas)
            svg = _saved(canvas, "svg", ("Date", "Creator"))
            # The PDF keeps the layout found for the SVG: the same picture in half the time.
            canvas.set_layout_engine("none")
            printed = _saved(canvas, "pdf", ("CreationDate", "Creator", "Producer")) if pdf else None
        return Figure(key=self.key, title=self.title, caption=self.caption, svg=svg, pdf=printed)


def _saved(canvas: Canvas, form: str, left_out: Sequence[str]) -> bytes:
    file = io.BytesIO()
    canvas.savefig(file, format=form, metadata=dict.fromkeys(left_out))
    return file.getvalue()


Job: TypeAlias = Callable[[], Sketch | None]
"""What sketches one figure, or finds that there is nothing to draw; with its data, for any process."""


def _take_text_literally(canvas: Canvas) -> None:
    """Names may hold dollar signs, between which matplotlib would read mathematics, and controls.

    It cannot be told to read no mathematics: it writes the ticks of a logarithmic axis as such itself.
    """
    for text in canvas.findobj(Text):
        if isinstance(text, Text) and (shown := _literal(text.get_text())) != text.get_text():
            text.set_text(shown)
    for axis in (axis for axes in canvas.axes for axis in (axes.xaxis, axes.yaxis)):
        formatter = axis.get_major_formatter()
        if isinstance(formatter, FuncFormatter):  # which also holds labels that were given one by one
            formatter.func = _literally(formatter.func)


def _literally(label: Callable[..., str]) -> Callable[..., str]:
    return lambda *place: _literal(label(*place))


def _literal(text: str) -> str:
    """Lines whose controls and unseen characters are shown as escapes, as everywhere in a report."""
    return "\n".join(map(legible, text.split("\n"))).replace("$", r"\$")


@contextmanager
def together(jobs: Sequence[Job], *, pdf: bool) -> Iterator[Iterator[Figure | None]]:
    """What `jobs` sketch, drawn in their order; many of them are shared out among processes.

    These draw while the block does something else, until it asks for a figure. A figure takes most of a
    second, and new processes would spend as long on imports as on drawing: these are forks (as
    multiprocessing's own on Linux), all made at the beginning, while no other thread of the report works.
    The jobs are pickled before the block begins: the pool would do so in a thread, while the block changes
    what they hold.
    """
    workers = min(os.cpu_count() or 1, len(jobs) // _WORTH_A_PROCESS)
    if workers < 2:
        yield iter([_drawn(job, pdf=pdf) for job in jobs])
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        yield pool.map(partial(_unpacked, pdf=pdf), [pickle.dumps(job) for job in jobs])


def _unpacked(job: bytes, *, pdf: bool) -> Figure | None:
    return _drawn(pickle.loads(job), pdf=pdf)


def _drawn(job: Job, *, pdf: bool) -> Figure | None:
    sketch = job()
    return None if sketch is None else sketch.drawn(pdf=pdf)


def inline(figure: Figure) -> str:
    """The figure's SVG as an element of a page: ids of its own, the page's fonts and colours."""
    text = figure.svg.decode("utf-8")
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg [^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg [^>]*?) height="[^"]*"', r"\1", text, count=1)
    prefix = f"{figure.key}-"
    text = re.sub(r'\bid="', f'id="{prefix}', text)
    text = re.sub(r'(xlink:href|href)="#', rf'\1="#{prefix}', text)
    text = text.replace("url(#", f"url(#{prefix}")
    text = re.sub(r"<style[^>]*>\*\{.*?\}</style>", "", text, count=1)
    text = re.sub(r"'DejaVu Sans'(, sans-serif)?", "var(--sans)", text)
    for colour, variable in _CSS_COLOURS.items():
        text = text.replace(colour, variable)
    return text.replace("<svg ", f'<svg role="img" aria-labelledby="{figure.key}-title" ', 1)


def shade(axes: Axes, start_s: float, end_s: float, label: str = "") -> None:
    """Mark a migration from `start_s` to `end_s` on a time axis, with `label` above it."""
    axes.axvspan(start_s, end_s, color=SHADE, alpha=0.22, linewidth=0, zorder=0.5)
    if label:
        axes.annotate(
            label,
            ((start_s + end_s) / 2, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7.5,
            color=QUIET,
        )
