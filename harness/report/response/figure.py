"""The waterfall of responses: where the time goes from the provocation to the verdict on arrival.

Two panels, because the spans differ a hundredfold: the whole response in seconds, and the loop's own part of
it in milliseconds. Both show the medians as a bar and, below it, every single response as a thin line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch

from harness.report.document.drawing import GROUND, INK, MEASURED, PAPER, QUIET, SECOND, SHADE, Sketch
from harness.report.naming import Names, with_note
from harness.report.response.rows import PAPER_TRIGGER_S, SIMULATED, Group, said
from harness.response.measures.evidence import MOVE

KEY = "response-waterfall"
COLOURS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "response_detect": ("detect", QUIET),
        "response_appraise": ("appraise", "#a0559a"),
        "response_decide": ("decide", "#2b9fd9"),
        "response_trigger": ("trigger", "#8a7300"),
        "response_act": ("hold, suspend or shut down", SHADE),
        "response_migrate": ("migrate", MEASURED),
        "response_verify": ("verify on arrival", SECOND),
    }
)
"""The spans in their order: name and colour."""
BEFORE = ("response_detect", "response_appraise")
"""The spans before the verdict, which is the zero of the first panel."""
OWN = ("response_appraise", "response_decide", "response_trigger", "response_verify")
"""The spans of the second panel: the loop's own work."""
BLACKOUT = "guest stands still"
ROW_IN = 0.50
"""Height of a bar with its lines, inches."""
BAR = 0.34
LINES = (0.24, 0.66)
"""Where the lines of the single responses lie below the middle of their bar, in rows."""
GAP = 0.30
"""Between two scenarios, in rows."""
Stretch = tuple[float, float, str]
"""From, to and colour."""


def waterfall(groups: Sequence[Group], names: Names) -> Sketch | None:
    """The figure; None where no response was counted."""
    if not groups:
        return None
    rows = _heights(groups)
    simulated = f" {SIMULATED}" if any(group.simulated for group in groups) else ""
    return Sketch(
        KEY,
        _title(groups),
        "Thick bars: the medians of the spans, end to end; thin lines below each: every single response. "
        "Left: seconds before and after the verdict (the result made of the evidence), which is 0; the "
        "number is the median reaction time, from the provocation to the guest in safety. Moving-target "
        "defence has none: nothing provokes it. Orange: where the paper's migrations began, 2.33\u00a0s "
        "after their trigger. Right: what the loop itself did, in milliseconds, without detection and "
        "migration; the number is the median trigger delay, decide and trigger together, to compare with "
        f"the paper's 2330\u00a0ms.{simulated}",
        1.5 + ROW_IN * (rows[-1] + 1),
        partial(_paint, groups=groups, names=names, rows=rows),
        with_note(
            names.note(group.workload for group in groups),
            "† reported by simulated hardware." if any(group.simulated for group in groups) else "",
        ),
    )


def _title(groups: Sequence[Group]) -> str:
    """Such as ``the migration was accepted 31 to 68 ms after the verdict, where the paper lost 2.33 s``."""
    delays = [delay for group in groups if (delay := group.median("trigger_delay")) is not None]
    moved = [group for group in groups if group.action == MOVE]
    reactions = [time for group in moved if (time := group.median("reaction_time")) is not None]
    parts = []
    if delays:
        accepted = f"the migration was accepted {between(delays)} after the verdict"
        parts.append(f"{accepted}, where the paper lost 2.33\u00a0s")
    if reactions:
        parts.append(f"a guest that was moved ran elsewhere {between(reactions)} after the provocation")
    return "From trigger to safety: " + ("; ".join(parts) or "nothing was measured") + " (medians)"


def between(values_s: Sequence[float]) -> str:
    """From the least to the largest, such as ``30.3 to 65.4 ms``."""
    low, high = said(min(values_s)), said(max(values_s))
    if low == high:
        return low
    number, _, unit = low.partition("\u00a0")
    return f"{number if high.endswith(unit) and not high.endswith('m' + unit) else low} to {high}"


def _heights(groups: Sequence[Group]) -> list[float]:
    """Where each group's bar lies, in rows from the top."""
    found: list[float] = []
    for at, group in enumerate(groups):
        apart = GAP if at and groups[at - 1].scenario != group.scenario else 0.0
        found.append(found[-1] + 1 + apart if found else 0.0)
    return found


def _paint(canvas: Canvas, *, groups: Sequence[Group], names: Names, rows: Sequence[float]) -> None:
    whole, own = canvas.subplots(1, 2, sharey=True, width_ratios=(1.7, 1.0))
    for group, row in zip(groups, rows, strict=True):
        _paint_whole(whole, group, row)
        _paint_own(own, group, row)
    whole.axvline(0, color=INK, linewidth=0.8)
    whole.axvline(PAPER_TRIGGER_S, color=PAPER, linewidth=1.3, linestyle=(0, (4, 2)))
    _say_paper(whole, own)
    whole.set_yticks(rows, [f"{group.label(names)}{' †' if group.simulated else ''}" for group in groups])
    whole.tick_params(axis="y", labelsize=8.5, labelcolor=INK)
    whole.set_ylim(rows[-1] + 0.8, -0.45)
    whole.set_title("the whole response, s from the verdict", color=INK, pad=20)
    own.set_title("the loop's own part, ms", color=INK, pad=20)
    for axes in (whole, own):
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
    _key(canvas, groups)


def _paint_whole(axes: Axes, group: Group, row: float) -> None:
    """Everything before the verdict to the left of 0, everything after it to the right."""
    end = _bar(axes, row, stretches({name: group.median(name) for name in COLOURS}))
    still_s, after_s = group.median("blackout"), group.median("response_verify") or 0.0
    if group.action == MOVE and still_s is not None:
        axes.barh(row, -still_s, left=end - after_s, height=BAR, color=INK, linewidth=0)
    _lines(axes, row, [stretches(_spans(one)) for _, one in group.rows.iterrows()])
    reaction_s = group.median("reaction_time")
    text = f"n {group.n}" if reaction_s is None else f"{said(reaction_s)}  (n {group.n})"
    _behind(axes, row, max(end, 0.0), text)


def _paint_own(axes: Axes, group: Group, row: float) -> None:
    end = _bar(axes, row, _joined({name: group.median(name) for name in OWN}))
    _lines(axes, row, [_joined(_spans(one)) for _, one in group.rows.iterrows()])
    delay_s = group.median("trigger_delay")
    _behind(axes, row, end, "" if delay_s is None else f"{delay_s * 1e3:.0f} ms")


def _spans(one: pd.Series[float]) -> dict[str, float | None]:
    return {name: None if pd.isna(one[name]) else float(one[name]) for name in COLOURS}


def stretches(spans: Mapping[str, float | None]) -> list[Stretch]:
    """The spans end to end around the verdict at 0; one that is not known takes no room."""
    known = {name: max(0.0, span or 0.0) for name, span in spans.items()}
    left = -sum(known[name] for name in BEFORE)
    found: list[Stretch] = []
    for name, (_, colour) in COLOURS.items():
        found.append((left, left + known[name], colour))
        left += known[name]
    return found


def _joined(spans: Mapping[str, float | None]) -> list[Stretch]:
    """The loop's own spans end to end from 0 on, in ms."""
    found: list[Stretch] = []
    left = 0.0
    for name in OWN:
        right = left + max(0.0, spans[name] or 0.0) * 1e3
        found.append((left, right, COLOURS[name][1]))
        left = right
    return found


def _bar(axes: Axes, row: float, stretches: Sequence[Stretch]) -> float:
    """The stretches as one bar; how far it reaches."""
    for left, right, colour in stretches:
        if right > left:
            axes.barh(row, right - left, left=left, height=BAR, color=colour, edgecolor=GROUND, linewidth=0.3)
    return stretches[-1][1]


def _lines(axes: Axes, row: float, responses: Sequence[Sequence[Stretch]]) -> None:
    """Each response as a line of its own below the bar."""
    first, last = LINES
    step = (last - first) / max(len(responses), 8)
    for number, stretches in enumerate(responses):
        y = row + first + step * (number + 0.5)
        shown = [one for one in stretches if one[1] > one[0]]
        axes.hlines(
            [y] * len(shown), [left for left, _, _ in shown], [right for _, right, _ in shown],
            colors=[colour for _, _, colour in shown], linewidth=min(1.3, step * ROW_IN * 72 * 0.72),
        )  # fmt: skip


def _behind(axes: Axes, row: float, end: float, text: str) -> None:
    axes.annotate(
        text,
        (end, row),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=7.5,
        color=INK,
    )


def _say_paper(whole: Axes, own: Axes) -> None:
    """Room for the numbers behind the bars, and what the paper's delay is on either scale."""
    for axes, room in ((whole, 1.0), (own, 0.22)):
        low, high = axes.dataLim.x0, max(axes.dataLim.x1, 1e-9)
        wide = high - low
        axes.set_xlim(low - 0.02 * wide, high + (0.22 if axes is whole else room) * wide)
    whole.set_xlim(right=max(whole.get_xlim()[1], PAPER_TRIGGER_S * 1.25))
    times = PAPER_TRIGGER_S * 1e3 / own.get_xlim()[1]
    far = (
        f"the paper's 2330 ms: {times:.0f} times this panel's width" if times >= 2 else "the paper's: 2330 ms"
    )
    for axes, x, text, side in (
        (whole, PAPER_TRIGGER_S, "the paper begins to migrate: 2.33 s", "left"),
        (own, own.get_xlim()[1], f"{far} →", "right"),
    ):
        axes.annotate(
            text,
            (x, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-2 if side == "left" else 0, 4),
            textcoords="offset points",
            ha=side,
            va="bottom",
            fontsize=7.5,
            color=PAPER,
        )


def _key(canvas: Canvas, groups: Sequence[Group]) -> None:
    """Name the colours that are there above both panels."""
    there = [
        (name, colour)
        for column, (name, colour) in COLOURS.items()
        if any(group.median(column) is not None for group in groups)
    ]
    if any(group.median("blackout") is not None for group in groups):
        there.insert(-1, (BLACKOUT, INK))
    handles = [Patch(color=colour, label=name) for name, colour in there]
    canvas.legend(
        handles=handles,
        loc="outside upper left",
        ncols=len(handles),
        handlelength=1.0,
        handleheight=0.9,
        handletextpad=0.4,
        columnspacing=1.2,
        fontsize=8,
    )
