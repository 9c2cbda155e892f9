"""Which sections a report has and in which order: the one document every format is rendered from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

import pandas as pd

from harness.evidence.account import Account
from harness.report import comparison, front, provenance, validity
from harness.report.attestation import attacks, verification_cost
from harness.report.attestation import figures as attestation_figures
from harness.report.attestation import rows as proofs
from harness.report.attestation import section as attestation
from harness.report.document import drawing, quantity
from harness.report.document.drawing import Job
from harness.report.document.model import Block, Document, Figure, Paragraph, Section
from harness.report.material import Material
from harness.report.migration import (
    answers,
    charts,
    curves,
    evacuation,
    fullness,
    modelled,
    moves,
    scatters,
    service,
    timeline,
)
from harness.report.migration.timeline import Course
from harness.report.response import periodic
from harness.report.response import section as response


def document(material: Material, *, pdf: bool = False) -> Document:
    """The report of `material`; its figures have a PDF each where `pdf` asks for it."""
    jobs = (
        _response_figures(material),
        _table_figures(material),
        _cost_figures(material),
        _attestation_figures(material),
        _move_figures(material),
    )
    with drawing.together([job for some in jobs for job in some], pdf=pdf) as drawn:
        # What needs no figure is written while the figures are drawn.
        opening, table_v, costs = _opening(material), answers.table_v(material), service.blocks(material)
        model, closing = modelled.sections(material), _closing(material)
        # The jobs' own order is the order of the sections.
        those_of_responses, chart, those_of_costs, those_of_attestation, those_of_moves = (
            [figure for _, figure in zip(some, drawn, strict=False) if figure] for some in jobs
        )
    return Document(
        title=f"Live migration {'played' if material.played else 'measured'}: {material.campaign}",
        subtitle=f"run {material.run}",
        banner=answers.banner(material),
        sections=[
            *opening,
            *_responses(material, those_of_responses),
            *_attestation(material, those_of_attestation),
            Section(
                key="figures",
                title="What the migrations did",
                blocks=_figures(those_of_moves),
                label="Figures",
            ),
            Section(
                key="table", title="Table V next to the paper's", blocks=[table_v, *chart], label="Table V"
            ),
            *model,
            Section(
                key="costs",
                title="What it costs the users of the service",
                blocks=[*costs, *those_of_costs, *_without_timelines(material)],
                label="Users",
            ),
            *closing,
        ],
    )


def _opening(material: Material) -> list[Section]:
    """The answers."""
    return [
        *front.sections(material),
        *comparison.sections(material.comparisons),
        *evacuation.sections(material.evacuations, material.link_bit_s),
    ]


def _closing(material: Material) -> list[Section]:
    """What was measured elsewhere, what counts, and the appendix."""
    return [
        *_enclosed(material),
        Section(
            key="validity",
            title="Validity and exclusions",
            blocks=validity.blocks(material),
            label="Validity",
        ),
        *_appendix(material),
    ]


def _appendix(material: Material) -> list[Section]:
    """What the numbers are made of and where they come from."""
    return [
        Section(key="moves", title="Every migration", blocks=_moves(material), folded=True),
        *fullness.sections(material),
        Section(key="provenance", title="Provenance", blocks=provenance.blocks(material), folded=True),
        Section(
            key="definitions",
            title="Definitions",
            blocks=[provenance.definitions(material)],
            folded=True,
        ),
    ]


def _responses(material: Material, figures: Sequence[Figure]) -> list[Section]:
    """What it costs to respond, for a run with responses; else what a file says of attesting at intervals."""
    if len(material.responses):
        return [response.section(material, figures)]
    return [] if material.periodic is None else [periodic.section(material.periodic, figures)]


def _response_figures(material: Material) -> list[Job]:
    drawn: list[Job] = [partial(response.figure, material)] if len(material.responses) else []
    if material.periodic is not None:
        drawn.append(partial(periodic.figure, material.periodic))
    return drawn


def _table_figures(material: Material) -> list[Job]:
    return [partial(charts.comparison, material.valid, material.paper, material.workloads, material.names)]


def _attestation(material: Material, figures: Sequence[Figure]) -> list[Section]:
    """What attestation costs, for a run in which anything was attested."""
    return [attestation.section(material, figures)] if len(material.attestations) else []


def _attestation_figures(material: Material) -> list[Job]:
    table = material.attestations
    if not len(table):
        return []
    counts = Counter(one.workload for one in material.attempts if one.counts)
    trials = [(attempt, _of(table, attempt)) for attempt in _drawn(material)]
    return [
        partial(attestation_figures.over_time, trials, counts, material.names),
        partial(attestation_figures.stacked, proofs.counted(table)),
    ]


def _enclosed(material: Material) -> list[Section]:
    """What was measured elsewhere and given to be shown."""
    found = []
    if material.benchmarks is not None:
        found.append(verification_cost.section(material.benchmarks))
    if material.adversary is not None:
        found.append(attacks.section(material.adversary))
    return found


def _moves(material: Material) -> list[Block]:
    if any(attempt.moves for attempt in material.attempts):
        return [moves.table(material), moves.circumstances(material)]
    return [Paragraph(text="No migration was begun in this run.")]


def _without_timelines(material: Material) -> list[Block]:
    if len(material.timelines):
        return []
    return [Paragraph(text="No workload reported its work over time, so there is no timeline.")]


def _cost_figures(material: Material) -> list[Job]:
    floor = partial(scatters.floor, material.valid, material.floor, material.workloads, material.names)
    courses = [course for attempt in _drawn(material) if (course := _course(material, attempt)) is not None]
    return [floor, *(partial(timeline.figure, course, material.names) for course in courses)]


def _course(material: Material, attempt: Account) -> Course | None:
    rows = _of(material.timelines, attempt)
    if rows.empty:
        return None
    own = {
        metric: _trial_value(material, attempt, metric) for metric in ("baseline_rate", "latency_baseline")
    }
    return Course(
        attempt=attempt,
        rows=rows,
        of=sum(1 for one in material.attempts if _alike(one, attempt)),
        control=_control(material, attempt),
        rate=own["baseline_rate"],
        latency_s=own["latency_baseline"],
        finding=_finding(material, attempt),
    )


def _alike(one: Account, other: Account) -> bool:
    mine = (one.verdict, one.workload, one.kind, one.scenario)
    return mine == ("valid", other.workload, other.kind, other.scenario)


def _trial_value(material: Material, attempt: Account, metric: str) -> float | None:
    table = _of(material.metrics, attempt)
    values = table[table["metric"].eq(metric) & table["migration"].isna()]["value"].dropna()
    return float(values.iloc[0]) if len(values) else None


def _control(material: Material, attempt: Account) -> pd.DataFrame:
    """The reports of the workload's valid control trials within their windows."""
    table = material.timelines
    trials = {
        (one.trial, one.attempt)
        for one in material.attempts
        if (one.verdict, one.workload, one.kind) == ("valid", attempt.workload, "control")
    }
    keys = pd.Series(
        list(zip(table["trial"], table["attempt"], strict=True)), index=table.index, dtype=object
    )
    return table[keys.isin(trials) & table["t_s"].gt(0)]


def _finding(material: Material, attempt: Account) -> str:
    """How long the work stalled in this trial, and whether more was lost than without a migration."""
    mine = _of(material.valid, attempt)
    parts = []
    stalls, lost = (
        mine[mine["metric"] == metric]["value"] for metric in ("outage_application", "work_lost_time")
    )
    if len(stalls):
        parts.append(
            f"stalled for at most {quantity.of_metric('outage_application').with_unit(stalls.max())}"
        )
    if len(lost):
        parts.append(_lost(material, attempt.workload, float(lost.median())))
    return ", ".join(parts) or "no migration was measured in this trial"


def _lost(material: Material, workload: str, with_s: float) -> str:
    """The work lost with a migration, against as long a stretch of the workload's trials without one."""
    shown = quantity.of_metric("work_lost_time")
    floor = material.floor
    slots = floor[floor["workload"].eq(workload) & floor["metric"].eq("work_lost_time")]["value"]
    if not len(slots):
        return (
            f"{shown.with_unit(with_s)} worth of work lost with each migration (median), no trial without one"
        )
    seen, control = shown.with_unit(with_s), shown.with_unit(float(slots.median()))
    more = "as much" if seen == control else "more" if with_s > float(slots.median()) else "less"
    than = "as" if seen == control else "than"
    return (
        f"{more} work lost with a migration {than} in equal time without: {seen} against {control} (medians)"
    )


def _figures(figures: Sequence[Figure]) -> list[Block]:
    return [*figures] or [
        Paragraph(text="There is nothing to draw: no migration of a valid trial was measured.")
    ]


def _move_figures(material: Material) -> list[Job]:
    drawn, names = _drawn(material), material.names
    counts = Counter(one.workload for one in material.attempts if one.counts)
    moved = [attempt for attempt in drawn if attempt.kind != "control"]
    curves_of = [(attempt, _of(material.precopy, attempt)) for attempt in moved]
    gaps_of = [(attempt, _of(material.gaps, attempt)) for attempt in drawn] if len(material.gaps) else []
    return [
        partial(charts.points, material.valid, material.workloads, names),
        partial(scatters.outages, material.valid, material.workloads, names),
        partial(curves.precopy, curves_of, counts, names),
        partial(scatters.dirtying, material.valid, material.workloads, names),
        partial(curves.gaps, gaps_of, counts, names, _quiet(material)),
    ]


def _quiet(material: Material) -> dict[str, float]:
    """Workload to the longest heartbeat gap of its control trials, in seconds."""
    gaps = material.floor[material.floor["metric"] == "outage_network"]
    return {str(name): float(value) for name, value in gaps.groupby("workload")["value"].max().items()}


def _of(table: pd.DataFrame, attempt: Account) -> pd.DataFrame:
    return table[(table["trial"] == attempt.trial) & (table["attempt"] == attempt.attempt)]


def _drawn(material: Material) -> Sequence[Account]:
    """The trial that stands for each workload, in the report's order: the first valid one with migrations.

    Where there is none, it is the first valid control trial, or one whose responses moved nothing.
    """
    first: dict[tuple[str, bool], Account] = {}
    for attempt in material.attempts:
        if attempt.verdict == "valid":
            still = attempt.kind == "control" or bool(attempt.scenario and not attempt.moves)
            first.setdefault((attempt.workload, still), attempt)
    chosen = (first.get((name, False)) or first.get((name, True)) for name in material.workloads)
    return [attempt for attempt in chosen if attempt is not None]
