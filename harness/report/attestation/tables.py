"""The tables of what attestation costs: by workload and migration, by part, by step, and until its use.

Every number has its n, its key and its TPM next to it; functions of the stored table alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pandas as pd

from harness.report.attestation import rows as proofs
from harness.report.attestation.rows import KEYS, KINDS, PHASES, SHARES
from harness.report.document.model import MISSING, Cell, Column, Table
from harness.report.naming import Names, with_note

PARTS: Sequence[tuple[str, str]] = (
    ("transport_s", "transport both ways"),
    ("attester_s", "the attester's own work"),
    ("quote_s", "TPM2_Quote"),
    ("linking_s", "the guest's verification, until its host is asked"),
    ("second_transport_s", "transport to its host and back"),
    ("second_attester_s", "the host's attester's own work"),
    ("second_quote_s", "the host's TPM2_Quote"),
    ("verification_s", "verification"),
    ("latency_s", "total: RG − NS"),
    ("relay_s", "then: delivery of the result"),
    ("appraisal_s", "then: its appraisal"),
)
"""The parts of an attestation in their order, by column."""
CONDITIONS: Sequence[tuple[str, str]] = (
    ("idle", "idle, no migration, ms"),
    ("load", "under load, no migration, ms"),
    ("moving", "a migration under way, ms"),
)
INTERVALS = (
    "Below each number, from three trials on, the interval of the trials, of which each counts once, by its "
    "own quantile: attestations of one trial share its load."
)


def condition(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of one of :data:`CONDITIONS`."""
    moving = table["phase"].eq("during")
    if name == "moving":
        return table[moving]
    idle = table["workload"].eq(proofs.IDLE)
    return table[~moving & (idle if name == "idle" else ~idle)]


def latency(table: pd.DataFrame, order: Sequence[str], names: Names) -> Table:
    """Latency of each kind and key under each workload, before, during and after migrations.

    Args:
        table: The counted attestations.
        order: The workloads, as they are to be listed.
        names: What they are called.
    """
    columns = [Column(label=label, numeric=False) for label in ("Attestation", "Key", "Workload")]
    for words in PHASES.values():
        columns += [
            Column(group=f"{words}, ms", label=label) for label in ("n", *(name for name, _ in SHARES))
        ]
    rows = []
    for kind in proofs.kinds(table):
        for key in proofs.keys(proofs.some(table, kind=kind)):
            mine = proofs.some(table, kind=kind, key=key)
            shown = [name for name in order if mine["workload"].eq(name).any()]
            for at, workload in enumerate(shown):
                head = _head(table, kind, key) if at == 0 else [Cell(text=""), Cell(text="")]
                rows.append(
                    [*head, Cell(text=names.of(workload)), *_phases(proofs.some(mine, workload=workload))]
                )
    return Table(
        key="attestation-latency",
        title="From challenge to verdict: attestation latency",
        detail=True,
        columns=columns,
        rows=rows,
        caption=with_note(
            "From the nonce to the result (RG − NS), of accepted attestations. Before any migration of the "
            "trial, control trials included; during: any that overlaps a migration, from call to return; "
            f"after: all later ones. {INTERVALS} Interval: {_methods(table)}.",
            names.note(name for name in order if table["workload"].eq(name).any()),
        ),
        dense=True,
    )


def _head(table: pd.DataFrame, kind: str, key: str) -> list[Cell]:
    return [Cell(text=KINDS[kind], below=proofs.paths(table, kind)), Cell(text=KEYS[key])]


def _phases(mine: pd.DataFrame) -> list[Cell]:
    found = []
    for phase in PHASES:
        rows = proofs.some(mine, phase=phase)
        if len(rows):
            trials = rows["trial"].nunique()
            below = f"{trials} {'trial' if trials == 1 else 'trials'}"
            found += [
                Cell(text=str(len(rows)), below=below, tone="quiet"),
                *proofs.cells(rows, "latency_s"),
            ]
        else:
            found += [Cell(text="0", tone="quiet"), *[Cell(text=MISSING, tone="quiet")] * len(SHARES)]
    return found


def _methods(table: pd.DataFrame) -> str:
    cells = table.groupby(["kind", "key", "workload", "phase"], sort=False)
    return proofs.methods(rows for _, rows in cells)


def parts(table: pd.DataFrame) -> Table:
    """Where the time goes: each part of an attestation, idle, under load, and during migrations."""
    here = [(name, words) for name, words in CONDITIONS if len(condition(table, name))]
    columns = [Column(label=label, numeric=False) for label in ("Attestation", "Key", "Part")]
    for _, words in here:
        columns += [Column(group=words, label=label) for label, _ in SHARES]
    rows = []
    for kind in proofs.kinds(table):
        for key in proofs.keys(proofs.some(table, kind=kind)):
            mine = proofs.some(table, kind=kind, key=key)
            split = [condition(mine, name) for name, _ in here]
            counts = [Cell(text=text, tone="quiet") for one in split for text in (proofs.counts(one), "", "")]
            rows.append([*_head(table, kind, key), Cell(text="", tone="quiet"), *counts])
            rows += _parts(mine, split)
    return Table(
        key="attestation-parts",
        title="Where the time goes",
        detail=True,
        columns=columns,
        rows=rows,
        caption="Transport: (ER − NS) − (answered − received), so that the two machines' clocks need not "
        "agree; for a guest that is migrated meanwhile the switch-over counts here. The attester's own work "
        "is reading PCRs and logs and opening the TPM. Verification ends the attestation; delivery (RR − "
        "RG) and appraisal (RA − RR) come after it. To compare: creating a quote took 725\u00a0ms on a "
        "hardware TPM 1.2 and 68.5\u00a0ms on a virtual TPM (Schear et al., Keylime, ACSAC 2016).",
        dense=True,
    )


def _parts(mine: pd.DataFrame, split: Sequence[pd.DataFrame]) -> list[list[Cell]]:
    rows = []
    for column, words in PARTS:
        if not mine[column].notna().any():
            continue
        cells = [cell for one in split for cell in proofs.bare(one[column].dropna())]
        rows.append([Cell(text=""), Cell(text=""), Cell(text=words), *cells])
    return rows


def steps(table: pd.DataFrame) -> Table:
    """What each step of the verification took."""
    split = {
        (kind, key): took
        for kind in proofs.kinds(table)
        for key in proofs.keys(proofs.some(table, kind=kind))
        if (took := _steps(proofs.some(table, kind=kind, key=key)))
    }
    columns = [Column(label="Step", numeric=False)]
    for kind, key in split:
        columns += [Column(group=f"{kind}, {KEYS[key]}", label=label) for label, _ in SHARES]
    names = sorted({name for took in split.values() for name in took}, key=_order)
    counts = [
        proofs.counts(proofs.some(table, kind=kind, key=key).dropna(subset="steps")) for kind, key in split
    ]
    head = [Cell(text=text, tone="quiet") for count in counts for text in (count, "", "")]
    blank = [Cell(text="", tone="quiet")] * len(SHARES)
    rows = [
        [
            Cell(text=name),
            *(
                cell
                for took in split.values()
                for cell in (proofs.bare(took[name], micro=True) if name in took else blank)
            ),
        ]
        for name in names
    ]
    return Table(
        key="attestation-steps",
        title="The verification, step by step, µs",
        detail=True,
        columns=columns,
        rows=[[Cell(text=""), *head], *rows] if names else [],
        caption="Accepted attestations, in which every step ran, of all workloads; linked: the steps of both "
        "quotes added. The controller does this.",
        dense=True,
    )


def _steps(mine: pd.DataFrame) -> Mapping[str, list[float]]:
    found: dict[str, list[float]] = {}
    for text in mine["steps"].dropna():
        for name, took_ns in json.loads(text).items():
            found.setdefault(name, []).append(took_ns / 1e9)
    return found


def _order(name: str) -> tuple[int, str]:
    number = name.partition(" ")[0]
    return (int(number) if number.isdigit() else 1000, name)


def use(table: pd.DataFrame, order: Sequence[str], names: Names) -> Table | None:
    """How old a destination's evidence was when the migration relied on it; None where none did."""
    used = proofs.some(table[table["OP"].notna()], kind="host", purpose="gate")
    shown = [name for name in order if used["workload"].eq(name).any()]
    if not shown:
        return None
    columns = [Column(label="Workload", numeric=False), Column(label="Trials"), Column(label="n")]
    for group in ("age of the evidence, ms", "after the verdict, ms"):
        columns += [Column(group=group, label=label) for label in ("median", "p95", "largest")]
    columns.append(Column(label="Uncertainty of the age, ±", unit="ms"))
    return Table(
        key="attestation-use",
        title="From evidence to use",
        detail=True,
        columns=columns,
        rows=[_use(proofs.some(used, workload=name), names.of(name)) for name in shown],
        caption=with_note(
            "Before a migration its destination is quoted once more. What it showed may have changed by the "
            "time the migration relies on it: that window is the age of the evidence, from the quote to the "
            f"call (OP − EG). After the verdict: OP − RG. {INTERVALS} Interval: {_methods(used)}.",
            names.note(shown),
        ),
    )


def _use(mine: pd.DataFrame, name: str) -> list[Cell]:
    row = [Cell(text=name), Cell(text=str(mine["trial"].nunique())), Cell(text=str(len(mine)))]
    for column in ("age_s", "response_s"):
        values = mine[column].dropna()
        row += proofs.cells(mine, column, shares=SHARES[:2])
        row.append(Cell(text=proofs.milliseconds(float(values.max())) if len(values) else MISSING))
    widths = mine["age_uncertainty_s"].dropna()
    return [
        *row,
        Cell(text=proofs.milliseconds(float(widths.max())) if len(widths) else MISSING, tone="quiet"),
    ]
