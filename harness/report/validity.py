"""What may be counted and what may not: verdicts, exclusions, failures, substitutions, cross-checks.

A verdict is about whether a trial may be counted, never about how fast it was. Everything left out is named
with its reason.
"""

from __future__ import annotations

import math

from harness.evidence.account import Account
from harness.report import host_state
from harness.report.document import quantity
from harness.report.document.model import MISSING, Block, Callout, Cell, Code, Column, Paragraph, Table
from harness.report.material import Material
from harness.report.migration.answers import joined
from harness.report.naming import Names, with_note

WIRE_TOLERANCE = 0.03
"""How far wire bytes and the hypervisor's bytes may differ on plain TCP before it is said aloud."""
CONDITIONS = (
    ("steady", ""),
    ("heartbeat_loss", "ratio"),
    ("heartbeat_background_gap", "s"),
    ("clock_uncertainty", "s"),
    ("controller_cpu", "cores"),
    ("paused", "s"),
)
"""The metrics of a trial that say how far its migrations' numbers can be trusted, with their units."""


def blocks(material: Material) -> list[Block]:
    """The section on validity and exclusions."""
    return [
        *_verdict(material),
        _trials(material),
        *_further(material),
        _conditions(material),
        *_remarks(material),
        *_observers(material),
        *host_state.changes(material),
        *_substitutions(material),
        *_first_after_boot(material),
        *_wire(material),
    ]


def _verdict(material: Material) -> list[Block]:
    out = [attempt for attempt in material.attempts if attempt.verdict != "valid"]
    if not material.attempts:
        return [Callout(tone="warning", text="No trial was begun.")]
    if not out:
        return [
            Callout(
                tone="good", text=f"All {len(material.attempts)} attempts are valid; nothing was excluded."
            )
        ]
    words = {
        verdict: sum(1 for one in out if one.verdict == verdict) for verdict in (one.verdict for one in out)
    }
    said = ", ".join(f"{number} {verdict}" for verdict, number in words.items())
    return [
        Callout(tone="warning", text=f"Of {len(material.attempts)} attempts these are in no mean: {said}.")
    ]


def _trials(material: Material) -> Table:
    labels = ("Trial", "Attempt", "Kind", "Start", "Verdict", "Migrations", "In the means", "Reasons")
    return Table(
        key="trials",
        title="Trials and verdicts",
        detail=True,
        columns=[Column(label=label, numeric=label == "Attempt") for label in labels],
        rows=[_trial(attempt, material.names) for attempt in material.attempts],
        caption=with_note(
            "A trial is one boot of the guest, or one start from a saved state, with one workload and one "
            "window. Failed attempts are kept.",
            material.names.note(material.workloads),
        ),
    )


def _trial(attempt: Account, names: Names) -> list[Cell]:
    done = sum(1 for move in attempt.moves if move.outcome == "completed")
    moves = f"{done} of {len(attempt.moves)} completed" if attempt.moves else "none"
    return [
        Cell(text=names.trial(attempt, numbered=False)),
        Cell(text=str(attempt.attempt)),
        Cell(text=attempt.kind or MISSING),
        Cell(text=(attempt.guest and attempt.guest.start) or MISSING),
        Cell(text=attempt.verdict, tone="good" if attempt.verdict == "valid" else "bad"),
        Cell(text=moves),
        Cell(text="yes" if attempt.counts else "no"),
        Cell(text=attempt.reasons[0] if attempt.reasons else MISSING),
    ]


def _further(material: Material) -> list[Block]:
    """The reasons in addition to the cause that the table names, each on a line of its own."""
    listed = [
        "\n".join(
            [f"{material.names.trial(one)}: {one.reasons[0]}", *(f"  {reason}" for reason in one.reasons[1:])]
        )
        for one in material.attempts
        if len(one.reasons) > 1
    ]
    return [Code(text="\n\n".join(listed))] if listed else []


def _conditions(material: Material) -> Table:
    """What each trial's numbers stand on: steady load, a quiet heartbeat, a light controller."""
    heads = [(metric, quantity.of_metric(metric, unit)) for metric, unit in CONDITIONS]
    trial = material.metrics[material.metrics["migration"].isna()]
    columns = (trial[name] for name in ("trial", "attempt", "metric", "value", "reason"))
    values = {
        (name, int(at), metric): (value, why) for name, at, metric, value, why in zip(*columns, strict=True)
    }
    return Table(
        key="conditions",
        title="Conditions of the trials",
        detail=True,
        columns=[
            Column(label="Trial", numeric=False),
            *(Column(label=shown.label, unit=shown.unit) for _, shown in heads),
        ],
        rows=[
            [
                Cell(text=material.names.trial(one)),
                *(_condition(values.get((one.trial, one.attempt, name)), shown) for name, shown in heads),
            ]
            for one in material.attempts
        ],
        caption=with_note(
            "Steady: 1 when the load was steady before the window opened. Baseline gap: the heartbeat's "
            "longest before any migration, the noise floor of the network outage. Clocks: how well the "
            "machines' stamps map to the controller's. Paused otherwise: pauses that are "
            "not part of a migration.",
            material.names.note(material.workloads),
        ),
        dense=True,
    )


def _condition(reading: tuple[float, object] | None, shown: quantity.Shown) -> Cell:
    if reading is None:
        return Cell(
            text=MISSING, tone="quiet", reason="the attempt was not finished, so nothing of it is measured"
        )
    value, reason = reading
    if math.isnan(value):
        return Cell(text=MISSING, tone="quiet", reason=joined([reason]))
    return Cell(text=shown.text(value))


def _remarks(material: Material) -> list[Block]:
    found = [(attempt, remark) for attempt in material.attempts for remark in attempt.remarks]
    found += [
        (attempt, f"migration {move.n} {move.outcome}: {move.detail or 'no reason recorded'}")
        for attempt in material.attempts
        for move in attempt.moves
        if move.outcome != "completed"
    ]
    if not found:
        return []
    return [
        Table(
            key="remarks",
            title="Remarks",
            detail=True,
            columns=[Column(label="Trial", numeric=False), Column(label="What happened", numeric=False)],
            rows=[[Cell(text=material.names.trial(one)), Cell(text=text)] for one, text in found],
            caption=material.names.note(one.workload for one, _ in found),
        )
    ]


def _observers(material: Material) -> list[Block]:
    found = [(attempt, *failure) for attempt in material.attempts for failure in attempt.failures]
    if not found:
        return [Paragraph(text="No observer failed.")]
    return [
        Callout(
            tone="warning",
            text="Observers failed. Their metrics are missing from then on; the trials remain valid.",
        ),
        Table(
            key="observers",
            title="Failed observers",
            columns=[Column(label=label, numeric=False) for label in ("Trial", "Observer", "Reason")],
            rows=[
                [Cell(text=material.names.trial(one)), Cell(text=name), Cell(text=reason)]
                for one, name, reason in found
            ],
            caption=material.names.note(one.workload for one, _, _ in found),
        ),
    ]


def _substitutions(material: Material) -> list[Block]:
    used = {
        (one.workload, load.generator, load.version or "", load.substitutes or "")
        for one in material.attempts
        if (load := one.load) is not None and load.generator
    }
    swapped = sorted(entry for entry in used if entry[3])
    if not swapped:
        return [Paragraph(text="No load generator was substituted for the paper's.")]
    return [
        Callout(
            tone="warning",
            text=f"{workload}: {generator} {version}".rstrip() + f" stands in for the paper's {paper}.",
        )
        for workload, generator, version, paper in swapped
    ]


def _first_after_boot(material: Material) -> list[Block]:
    totals = material.valid[material.valid["metric"] == "total_time"]
    first = totals["first_after_boot"].fillna(False).astype(bool)
    if not first.any():
        return []
    shown = quantity.of_metric("total_time")
    parts = [
        f"{material.names.of(str(name))} {shown.with_unit(mine['value'].mean())}"
        for name, mine in totals[~first].groupby("workload", sort=False)
    ]
    without = f" Without them the mean total times are: {', '.join(parts)}." if parts else ""
    return [
        Paragraph(
            text=f"{int(first.sum())} of {len(totals)} counted migrations were the first after their "
            "guest's boot. Such a migration meets pages and switches that are still cold; it is kept in "
            f"the means and ringed in the figure.{without}"
        )
    ]


def _wire(material: Material) -> list[Block]:
    ratios = material.valid[material.valid["metric"] == "wire_ratio"]
    if not len(ratios):
        return [
            Callout(
                tone="warning", text="Wire and hypervisor bytes could not be compared: no ratio was measured."
            )
        ]
    shown = quantity.of_metric("wire_ratio")
    span = f"{shown.text(ratios['value'].min())} to {shown.text(ratios['value'].max())}"
    limit = f"{WIRE_TOLERANCE * 100:.0f}\u00a0%"
    apart = ratios[(ratios["value"] - 1).abs() > WIRE_TOLERANCE]
    if not len(apart):
        text = f"Wire and hypervisor bytes agree within {limit}: ratio {span} in {len(ratios)} migrations."
        return [Callout(tone="good", text=text)]
    where = ", ".join(f"{row.trial} no. {row.migration:.0f}" for row in apart.itertuples())
    return [
        Callout(
            tone="warning",
            text=f"Wire and hypervisor bytes differ by more than {limit} in {len(apart)} of {len(ratios)} "
            f"migrations (ratio {span}): {where}. On plain TCP that is a disagreement of two observers; with "
            "TLS, tunnelling, post-copy or several channels framing alone may explain it.",
        )
    ]
