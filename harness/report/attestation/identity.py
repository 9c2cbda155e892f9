"""Whether the guest that arrived is the one that left, and what was refused: nothing is averaged.

The verifier made the check at the time of the migration; the report only shows it. A migration after which
the guest was not attested is a row that says so, and is not counted among those that kept their identity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from harness.attest.measures.table import ACCEPTED
from harness.evidence.account import Account, Move
from harness.report.attestation import rows as proofs
from harness.report.document.model import MISSING, Cell, Column, Table
from harness.report.naming import MARK, Names, direction, with_note

BOOTS = {"first": "first quote", "same": "unchanged", "resume": "restarted", "reboot": "reset"}
"""What the TPM's counters said, in words."""
LISTED = 60
"""More refusals than this are only counted; the stored table lists them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A completed migration of a valid attempt and the check of the guest's identity after it.

    Attributes:
        attempt: Its attempt.
        move: The migration.
        checks: The attestations with a continuity verdict; empty without one.
    """

    attempt: Account
    move: Move
    checks: pd.DataFrame

    @property
    def kept(self) -> bool:
        """Whether the guest kept its attested identity: every check says so, with one key and one boot."""
        rows = self.checks
        return bool(
            len(rows)
            and rows["continuity_tier"].isin(ACCEPTED).all()
            and rows["same_key"].fillna(False).all()
            and rows["boot"].eq("same").all()
        )


def passages(attempts: Sequence[Account], table: pd.DataFrame) -> list[Passage]:
    """The completed migrations of the valid attempts that were attested at all."""
    found = []
    for attempt in attempts:
        mine = table[table["trial"].eq(attempt.trial) & table["attempt"].eq(attempt.attempt)]
        checked = mine[mine["continuity"].notna()]
        if attempt.counts and len(mine):
            found += [
                Passage(attempt=attempt, move=move, checks=checked[checked["migration"].eq(move.n)])
                for move in attempt.moves
                if move.outcome == "completed"
            ]
    return found


def sentence(found: Sequence[Passage]) -> str:
    """The answer in one sentence."""
    loaded = [one for one in found if one.attempt.workload != proofs.IDLE]
    idle = [one for one in found if one.attempt.workload == proofs.IDLE]
    parts = []
    if loaded:
        parts.append(f"The guest that was migrated under load kept its attested identity: {_of(loaded)}")
    if idle:
        parts.append(
            f"{'idle' if loaded else 'The guest that was migrated idle kept its attested identity'}: "
            f"{_of(idle)}"
        )
    windows = pd.concat([one.checks["window_s"].dropna() for one in found])
    said = "; ".join(parts) + "."
    if len(windows):
        said += (
            " From the proof of its destination to the migration (OP − EG) "
            f"{proofs.said(float(windows.median()))} passed (median of {len(windows)}; at most "
            f"{proofs.said(float(windows.max()))})."
        )
    return said


def _of(found: Sequence[Passage]) -> str:
    unchecked = sum(1 for one in found if not len(one.checks))
    asked_not = f", {unchecked} of them never asked" if unchecked else ""
    return f"{sum(1 for one in found if one.kept)} of {len(found)}{asked_not}"


def continuity(found: Sequence[Passage], names: Names) -> Table:
    """One row a migration: key, counters, window and verdict."""
    columns = [
        Column(label="Trial", numeric=False),
        Column(label="No."),
        Column(label="Way", numeric=False),
        Column(label="Key", numeric=False),
        Column(label="Counters", numeric=False),
        Column(label="Window, OP − EG", unit="ms"),
        Column(label="Identity", numeric=False),
        Column(label="Verdict", numeric=False),
    ]
    return Table(
        key="attestation-continuity",
        title="The guest's identity across each migration",
        detail=True,
        columns=columns,
        rows=[_row(one, names) for one in found],
        caption=with_note(
            "Key: whether the guest signs with the attestation key it had on the host it left. Counters: "
            "whether its TPM was reset or restarted since its last accepted quote, which a live migration "
            "must not do. Window: from the destination's quote to the call to migrate. Identity is kept "
            "where the key is the same, the counters are unchanged and the verifier accepted the move.",
            names.note(one.attempt.workload for one in found),
        ),
        dense=True,
    )


def _row(one: Passage, names: Names) -> list[Cell]:
    first = one.move.n == one.attempt.moves[0].n
    head = [
        Cell(text=names.trial(one.attempt) if first else ""),
        Cell(text=str(one.move.n)),
        Cell(text=direction(one.move)),
    ]
    if not len(one.checks):
        why = "no attestation of the guest after this migration was checked for it"
        dash = Cell(text=MISSING, tone="quiet", reason=why)
        return [*head, dash, dash, dash, Cell(text="not asked", tone="bad"), dash]
    rows = one.checks
    same = bool(rows["same_key"].fillna(False).all())
    boots = list(dict.fromkeys(rows["boot"].dropna()))
    counters = ", ".join(BOOTS.get(str(boot), str(boot)) for boot in boots)
    reasons = ", ".join(dict.fromkeys(map(str, rows["continuity"])))
    return [
        *head,
        Cell(text="the same" if same else "another", tone="plain" if same else "bad"),
        Cell(text=counters or MISSING, tone="plain" if boots == ["same"] else "bad"),
        _window(rows),
        Cell(text="kept" if one.kept else "not kept", tone="good" if one.kept else "bad"),
        Cell(text=reasons, tone="plain" if one.kept else "bad"),
    ]


def _window(rows: pd.DataFrame) -> Cell:
    known = rows[rows["window_s"].notna()]
    if known.empty:
        return Cell(
            text=MISSING, tone="quiet", reason="no quote of the destination before this migration is known"
        )
    width = known["window_uncertainty_s"].max()
    within = "" if pd.isna(width) else f" ± {proofs.milliseconds(float(width))}"
    return Cell(text=proofs.milliseconds(float(known["window_s"].max())) + within)


def refusals(table: pd.DataFrame, names: Names) -> list[Table]:
    """What was refused or not answered: counted by reason, and listed if they are not too many."""
    lost = proofs.refused(table)
    if lost.empty:
        return []
    tables = [_counts(lost, table)]
    if len(lost) <= LISTED:
        tables.append(_each(lost, names))
    return tables


def _counts(lost: pd.DataFrame, table: pd.DataFrame) -> Table:
    asked = Counter(table["kind"])
    tally = Counter(zip(lost["kind"], lost["reason"], lost["tier"], strict=True))
    return Table(
        key="attestation-refusals",
        title="Refused and unanswered attestations, by reason",
        columns=[
            *(Column(label=label, numeric=False) for label in ("Attestation", "Reason", "Tier")),
            Column(label="Times"),
            Column(label="Of"),
        ],
        rows=[
            [
                Cell(text=proofs.KINDS.get(kind, kind)),
                Cell(text=reason),
                Cell(text=tier, tone="bad" if tier == "contraindicated" else "quiet"),
                Cell(text=str(times)),
                Cell(text=str(asked[kind]), tone="quiet"),
            ]
            for (kind, reason, tier), times in sorted(tally.items(), key=lambda item: (-item[1], item[0]))
        ],
        caption="Contraindicated: a check failed. None: nothing was learnt, which never "
        "counts as good. Of: all attestations of that kind.",
    )


def _each(lost: pd.DataFrame, names: Names) -> Table:
    labels = ("Trial", "At, s", "Subject", "Key", "Purpose", "Reason", "Why")
    columns = (
        "trial",
        "workload",
        "t_s",
        "subject",
        "host",
        "key",
        "purpose",
        "migration",
        "reason",
        "detail",
    )
    rows = [_refusal(*row, names=names) for row in zip(*(lost[column] for column in columns), strict=True)]
    return Table(
        key="attestation-refused",
        title="Each refused or unanswered attestation",
        detail=True,
        columns=[Column(label=label, numeric=label == "At, s") for label in labels],
        rows=rows,
        caption=with_note(
            "Seconds are from the trial's t = 0. None of these counts in a time above.",
            names.note(map(str, lost["workload"])),
        ),
        dense=True,
    )


def _refusal(
    trial: str,
    workload: str,
    t_s: float,
    subject: str,
    host: str,
    key: str,
    purpose: str,
    migration: int,
    reason: str,
    detail: str,
    *,
    names: Names,
) -> list[Cell]:
    """One row; what is missing is pandas' NA."""
    texts = (
        f"{trial}{MARK}" if workload in names.substituted else trial,
        MISSING if pd.isna(t_s) else f"{t_s:.1f}".replace("-", "−"),
        subject if pd.isna(host) else f"{subject} on {host}",
        proofs.KEYS[key],
        purpose if pd.isna(migration) else f"{purpose} {migration}",
        reason,
        MISSING if pd.isna(detail) else detail,
    )
    return [Cell(text=text) for text in texts]
