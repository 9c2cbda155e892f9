"""The page of verdicts: one row a claim, with what was measured, the paper's value, and how to repeat it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from harness.analysis.claims.model import Experiment, Paper
from harness.analysis.claims.rule import Judged, Verdict
from harness.analysis.claims.verdicts import Judgement, Run
from harness.analysis.table import metric_set
from harness.report.document import quantity
from harness.report.document.drawing import GROUND, MEASURED, PAPER, QUIET, SHADE, Sketch
from harness.report.document.model import MISSING, Block, Cell, Column, Document, Paragraph, Section, Table
from harness.report.document.quantity import Shown

_TONES = {
    Verdict.REPRODUCED: "good",
    Verdict.RELATION: "plain",
    Verdict.NOT_REPRODUCED: "bad",
    Verdict.INCONCLUSIVE: "quiet",
    Verdict.SET: "quiet",
    Verdict.NOT_TESTED: "quiet",
}
_RULE = (
    "The interval of the trials' medians is set against the paper's band. Within it the claim is "
    "reproduced, outside it is not. Where the value is missed but the ratio to another workload is shown "
    "to be as the paper has it, the claim is reproduced in relation only. All else is inconclusive, above"
    " all fewer than three trials. A value that the campaign itself sets is an input, so that its verdict"
    " is set. A claim that has no code or no data is not tested."
)
_COLUMNS = (
    Column(label="Row"),
    Column(label="Claim", numeric=False),
    Column(label="Verdict", numeric=False),
    Column(label="Measured"),
    Column(label="The paper's"),
    Column(label="Figure", numeric=False),
    Column(label="Repeat with", numeric=False),
)


def document(papers: Sequence[tuple[Paper, Sequence[Judgement]]], *, pdf: bool = False) -> Document:
    """The page of the claims that were judged.

    Args:
        papers: Each paper with the judgements of those of its claims that were asked for.
        pdf: Whether the figure is also drawn as PDF.
    """
    every = [one for _, judged in papers for one in judged]
    rows = {one.claim.id: at for at, one in enumerate(every, start=1)}
    sketch = _sketch([(rows[one.claim.id], one) for one in every])
    figures: list[Block] = [] if sketch is None else [sketch.drawn(pdf=pdf)]
    drawn = {one.claim.id for one in every if _ratios(one) is not None}
    sections = [
        Section(
            key=f"paper-{at}",
            title=paper.paper,
            blocks=[Paragraph(text=f"{paper.cite}."), _table(f"claims-{at}", judged, rows, drawn)],
        )
        for at, (paper, judged) in enumerate(papers, start=1)
        if judged
    ]
    counts = Counter(one.verdict for one in every)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    first = Section(
        key="verdicts", title="Which claims hold", blocks=[Paragraph(text=f"{said}."), Paragraph(text=_RULE)]
    )
    if figures:
        first = Section(key=first.key, title=first.title, blocks=[*first.blocks, *figures])
    return Document(
        title="Claims and verdicts",
        subtitle=f"{len(every)} claims",
        banner=_banner(every),
        sections=[first, *sections, _evidence(every)],
    )


def _banner(every: Sequence[Judgement]) -> str:
    kinds = dict.fromkeys(
        f"{run.rig} under {run.accelerator}" for run in (one.run for one in every) if run is not None
    )
    return f"Judged by runs of: {', '.join(kinds)}" if kinds else "No run was judged"


def _table(key: str, judged: Sequence[Judgement], rows: dict[str, int], drawn: set[str]) -> Table:
    return Table(
        key=key,
        title="Each claim and its verdict",
        columns=_COLUMNS,
        rows=[_row(one, rows[one.claim.id], one.claim.id in drawn) for one in judged],
        caption="Measured: the median of all migrations, below it the 95\u00a0% interval of the trials' "
        "medians and the number of trials. The paper's: its value or limits, below them the band.",
    )


def _row(one: Judgement, row: int, drawn: bool) -> list[Cell]:
    return [
        Cell(text=str(row)),
        Cell(text=one.claim.says, below=f"{one.claim.id}\n{one.claim.place}", reason=one.stand_ins),
        Cell(text=str(one.verdict), tone=_TONES[one.verdict], reason=one.why),
        _measured(one),
        _papers(one.claim.experiment),
        Cell(text=f"verdicts, row {row}" if drawn else MISSING),
        Cell(text=command(one)),
    ]


def _measured(one: Judgement) -> Cell:
    if one.claim.experiment is None or not one.parts:
        return Cell(text=one.found or MISSING)
    shown = _shown(one.claim.experiment)
    if len(one.parts) == 1:
        part = next(iter(one.parts.values()))
        return Cell(text=shown.with_unit(part.numbers.median), below="\n".join(_detail(part, shown)))
    medians = [part.numbers.median for part in one.parts.values()]
    below = [
        f"{name}: {shown.text(part.numbers.median)} ({'; '.join(_detail(part, shown))})"
        for name, part in one.parts.items()
    ]
    span = f"{shown.text(min(medians))}–{shown.with_unit(max(medians))}"
    return Cell(text=span, below="\n".join(below))


def _detail(part: Judged, shown: Shown) -> Iterator[str]:
    found = part.numbers
    if found.interval_low is not None and found.interval_high is not None:
        yield f"{shown.text(found.interval_low)}–{shown.text(found.interval_high)}"
    yield f"{found.trials} {'trial' if found.trials == 1 else 'trials'}"


def _papers(experiment: Experiment | None) -> Cell:
    if experiment is None:
        return Cell(text=MISSING)
    shown = _shown(experiment)
    low, high = experiment.expected.band
    band = f"{shown.text(low)}–{shown.with_unit(high)}"
    if math.isinf(high):
        band = f"at least {shown.with_unit(low)}"
    elif math.isinf(low) or low == 0:
        band = f"at most {shown.with_unit(high)}"
    below = []
    if experiment.expected.value is not None:
        below.append(band)
        band = shown.with_unit(experiment.expected.value)
    if experiment.relation is not None:
        least, most = experiment.relation.band
        limits = f"at least {least:g}" if math.isinf(most) else f"{least:g}–{most:g}"
        below.append(f"{limits} times {experiment.relation.to}")
    return Cell(text=band, below="\n".join(below))


def _shown(experiment: Experiment) -> Shown:
    unit = next((metric.unit for metric in metric_set().all if metric.name == experiment.metric), "")
    return quantity.of_metric(experiment.metric, unit)


def command(one: Judgement) -> str:
    """What repeats the claim's experiment and its verdict."""
    again = f"sodbench reproduce {one.claim.id}"
    if one.claim.experiment is None:
        return again
    campaign = one.run.campaign if one.run is not None else one.claim.experiment.campaigns[0]
    return f"sodbench run {campaign} && {again} --from results"


def _evidence(every: Sequence[Judgement]) -> Section:
    runs: dict[str, Run] = {f"{one.run.campaign}/{one.run.name}": one.run for one in every if one.run}
    table = Table(
        key="evidence-runs",
        title="The runs that were judged, and what they took",
        columns=(
            Column(label="Run", numeric=False),
            Column(label="Rig", numeric=False),
            Column(label="Signature", numeric=False),
            Column(label="Time", unit="min"),
            Column(label="Disk", unit="MB"),
        ),
        rows=[
            [
                Cell(text=name),
                Cell(text=f"{run.rig}, {run.accelerator}"),
                Cell(text=run.signature),
                Cell(text=MISSING, reason="the run was resumed, so that its clock says too little")
                if run.seconds is None
                else Cell(text=f"{run.seconds / 60:.0f}"),
                Cell(text=f"{run.stored_bytes / 1e6:.1f}"),
            ]
            for name, run in runs.items()
        ],
    )
    text = "Every sum of the evidence was checked." if runs else "No run was judged."
    return Section(
        key="evidence", title="Evidence", blocks=[Paragraph(text=text), *([table] if runs else [])]
    )


def _ratios(one: Judgement) -> tuple[float, float | None, float | None, float] | None:
    """Median, ends of the interval and tolerance as multiples of the paper's value, where there is one."""
    experiment = one.claim.experiment
    if experiment is None or not experiment.expected.value or len(one.parts) != 1:
        return None
    found, paper = next(iter(one.parts.values())).numbers, experiment.expected.value
    ends = (None if end is None else end / paper for end in (found.interval_low, found.interval_high))
    low, high = ends
    return found.median / paper, low, high, experiment.expected.tolerance or 0.0


def _sketch(numbered: Sequence[tuple[int, Judgement]]) -> Sketch | None:
    shown = [(row, one, ratios) for row, one in numbered if (ratios := _ratios(one)) is not None]
    if not shown:
        return None
    return Sketch(
        "verdicts",
        "Measured values as multiples of the paper's",
        "Dots are medians of all migrations, bars the intervals of the trials' medians where there are three "
        "trials or more; diamonds are the paper's values, and the shade is the band around each.",
        0.8 + 0.24 * len(shown),
        partial(
            _paint, labels=[f"{row} {one.claim.id}" for row, one, _ in shown], rows=[r for *_, r in shown]
        ),
    )


def _paint(
    canvas: Canvas, *, labels: list[str], rows: list[tuple[float, float | None, float | None, float]]
) -> None:
    axes: Axes = canvas.subplots()
    for at, (median, low, high, tolerance) in enumerate(rows):
        axes.barh(at, 2 * tolerance, left=1 - tolerance, height=0.8, color=SHADE, alpha=0.22)
        if low is not None and high is not None:
            axes.plot([low, high], [at, at], color=MEASURED, linewidth=2.2)
        axes.plot([median], [at], "o", color=MEASURED, markersize=6, markeredgecolor=GROUND)
        axes.plot([1], [at], "D", color=PAPER, markersize=5, markerfacecolor=GROUND)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(0, max(1.4, *(1.1 * (high or median) for median, _, high, _ in rows)))
    axes.set_xlabel("multiple of the paper's value", color=QUIET)
    axes.grid(axis="y", visible=False)
