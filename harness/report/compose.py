"""Which sections a report has and in which order: the one document every format is rendered from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pandas as pd

from harness.report import answers, charts, curves, moves, provenance, validity
from harness.report.document import Block, Document, Figure, Paragraph, Section
from harness.report.material import Material
from harness.report.story import Attempt


def document(material: Material) -> Document:
    """The report of `material`."""
    return Document(
        title=f"Live migration measured: {material.campaign}",
        subtitle=f"run {material.run}",
        banner=answers.banner(material),
        sections=[
            Section(key="answer", title="The answer", blocks=answers.headline(material)),
            Section(key="table", title="Table V beside the paper's", blocks=_table(material)),
            Section(key="figures", title="Figures", blocks=_figures(material)),
            Section(key="moves", title="Every migration", blocks=_moves(material)),
            Section(key="validity", title="Validity and exclusions", blocks=validity.blocks(material)),
            Section(key="provenance", title="Provenance", blocks=provenance.blocks(material)),
            Section(key="definitions", title="Definitions", blocks=[provenance.definitions(material)]),
        ],
    )


def _table(material: Material) -> list[Block]:
    chart = charts.comparison(material.valid, material.paper, material.workloads)
    return [answers.table_v(material), *([chart] if chart else [])]


def _moves(material: Material) -> list[Block]:
    if any(attempt.moves for attempt in material.attempts):
        return [moves.table(material), moves.beside(material)]
    return [Paragraph(text="No migration was begun in this run.")]


def _figures(material: Material) -> list[Block]:
    counts = Counter(attempt.workload for attempt in material.attempts if attempt.counts)
    drawn = _representatives(material)
    found: list[Figure | None] = [charts.points(material.valid, material.workloads)]
    found += [
        curves.precopy(attempt, _of(material.precopy, attempt), counts[attempt.workload])
        for attempt in drawn
        if attempt.kind != "control"
    ]
    found.append(_over_time(curves.gaps, material.gaps, drawn, counts, empty=True))
    found.append(_over_time(curves.timelines, material.timelines, drawn, counts, empty=False))
    figures: list[Block] = [figure for figure in found if figure]
    if figures and not len(material.timelines):
        figures.append(Paragraph(text="No workload reported its work over time, so there is no timeline."))
    return figures or [
        Paragraph(text="There is nothing to draw: no migration of a valid trial was measured.")
    ]


_Series = Sequence[tuple[Attempt, pd.DataFrame]]


def _over_time(
    make: Callable[[_Series, Counter[str]], Figure | None],
    table: pd.DataFrame,
    drawn: Sequence[Attempt],
    counts: Counter[str],
    *,
    empty: bool,
) -> Figure | None:
    """A figure of one row a trial; `empty` says whether a trial without rows is worth showing as such."""
    series = [(attempt, _of(table, attempt)) for attempt in drawn]
    return make([(attempt, rows) for attempt, rows in series if len(rows) or (empty and len(table))], counts)


def _of(table: pd.DataFrame, attempt: Attempt) -> pd.DataFrame:
    return table[(table["trial"] == attempt.trial) & (table["attempt"] == attempt.attempt)]


def _representatives(material: Material) -> list[Attempt]:
    """The first valid attempt of each workload, and of its control trials, in the report's order."""
    first: dict[tuple[str, bool], Attempt] = {}
    for attempt in material.attempts:
        if attempt.verdict == "valid":
            first.setdefault((attempt.workload, attempt.kind == "control"), attempt)
    return [
        first[key] for name in material.workloads for key in ((name, False), (name, True)) if key in first
    ]
