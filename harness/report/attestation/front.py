"""The table that answers first for a run that attests: how long it took, by what was attested and by key.

Its numbers are those of the section's sentences; nothing is computed for it alone.
"""

from __future__ import annotations

import pandas as pd

from harness.report.attestation import identity
from harness.report.attestation import rows as proofs
from harness.report.attestation.rows import KEYS, KINDS
from harness.report.document.model import MISSING, Answer, Block, Cell, Column, Table
from harness.report.material import Material

QUESTION = "How long does an attestation take, and is a guest that moved still the same?"
MEDIAN = (("median", 0.5),)


def blocks(material: Material) -> list[Block]:
    """The table, and whether the guests that moved are the ones that left."""
    counted = proofs.counted(material.attestations)
    found: list[Block] = [_table(counted)] if len(counted) else []
    passages = identity.passages(material.attempts, material.attestations)
    return [*found, Answer(subject="identity", text=identity.sentence(passages))] if passages else found


def _table(counted: pd.DataFrame) -> Table:
    idle = bool(_quiet(counted)["workload"].eq(proofs.IDLE).all())
    return Table(
        key="attestation-first",
        title="How long an attestation took",
        columns=[
            Column(label="Attested", numeric=False),
            Column(label="Key", numeric=False),
            *_columns("Idle guest, no migration under way" if idle else "No migration under way"),
            *_columns("While a migration was under way"),
            Column(group="While a migration was under way", label="longest, ms"),
        ],
        rows=[
            _row(proofs.some(counted, kind=kind, key=key), kind, key)
            for kind in proofs.kinds(counted)
            for key in proofs.keys(proofs.some(counted, kind=kind))
        ],
        caption="Accepted attestations of valid trials. Below the medians, from three trials on, the "
        f"interval of the trials ({_methods(counted)}). Every workload and every part of the time: "
        "What attestation costs.",
    )


def _columns(group: str) -> list[Column]:
    return [Column(group=group, label=label) for label in ("trials", "n", "median, ms")]


def _quiet(mine: pd.DataFrame) -> pd.DataFrame:
    """What is attested while nothing else happens: with an idle guest where there is one."""
    quiet = mine[mine["phase"].ne("during")]
    idle = quiet[quiet["workload"].eq(proofs.IDLE)]
    return idle if len(idle) else quiet


def _methods(counted: pd.DataFrame) -> str:
    parts = []
    for _, mine in counted.groupby(["kind", "key"], sort=False):
        parts += [_quiet(mine), proofs.some(mine, phase="during")]
    return proofs.methods(part for part in parts if len(part))


def _row(mine: pd.DataFrame, kind: str, key: str) -> list[Cell]:
    during = proofs.some(mine, phase="during")
    longest = proofs.milliseconds(float(during["latency_s"].max())) if len(during) else MISSING
    return [
        Cell(text=KINDS[kind]),
        Cell(text=KEYS[key]),
        *_times(_quiet(mine)),
        *_times(during),
        Cell(text=longest, tone="plain" if len(during) else "quiet"),
    ]


def _times(rows: pd.DataFrame) -> list[Cell]:
    if not len(rows):
        return [Cell(text="0", tone="quiet"), Cell(text="0", tone="quiet"), Cell(text=MISSING, tone="quiet")]
    return [
        Cell(text=str(rows["trial"].nunique())),
        Cell(text=str(len(rows))),
        *proofs.cells(rows, "latency_s", shares=MEDIAN),
    ]
