"""The report's section on what attestation costs, and whether a migrated guest keeps its identity.

Made only for runs in which a machine was attested; the report of any other run omits it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from harness.pair_name import GUEST, HOSTS
from harness.report.attestation import identity as attestation_identity
from harness.report.attestation import rows as proofs
from harness.report.attestation import tables as attestation_tables
from harness.report.attestation.rows import KEYS, KINDS
from harness.report.document.model import Answer, Block, Callout, Figure, Paragraph, Section
from harness.report.material import Material

WHAT = (
    "An attestation asks a machine to prove its state. The verifier sends a fresh nonce, the machine's TPM "
    "signs its measurements together with it (a quote), and the verifier checks what came back, step by "
    "step, before it believes any of it. A host proves itself. A guest alone answers with its virtual TPM, "
    "which says nothing of where it runs. A guest linked to its host is asked first and its host second, by "
    "a quote that is bound to the guest's."
)
SOFTWARE = (
    "Software TPMs share the machine's CPU. Their times do not carry over to hardware, where a quote takes "
    "far longer, and their keys are no safer than the machine they are on."
)


def section(material: Material, figures: Sequence[Figure]) -> Section:
    """The section; `figures` are those of :mod:`harness.report.attestation.figures`, in their order."""
    table, names = material.attestations, material.names
    counted = proofs.counted(table)
    found = attestation_identity.passages(material.attempts, table)
    blocks: list[Block] = [Paragraph(text=WHAT), *_answers(counted, found), *_path(table)]
    if len(counted):
        latency = attestation_tables.latency(counted, material.workloads, names)
        use = attestation_tables.use(counted, material.workloads, names)
        blocks += [*figures, latency, attestation_tables.parts(counted), attestation_tables.steps(counted)]
        blocks += [] if use is None else [use]
    if found:
        blocks.append(attestation_identity.continuity(found, names))
    return Section(
        key="attestation",
        title="What attestation costs",
        label="Attestation",
        blocks=[
            *blocks,
            *_contradictions(material),
            *_refused(table, material.attestations_missed),
            *_restarted(material.attesters_restarted),
            *attestation_identity.refusals(table, names),
        ],
    )


def _restarted(counts: Mapping[str, int]) -> list[Block]:
    """That attesters ended and were started again, by machine; nothing where none did."""
    if not counts:
        return []
    each = ", ".join(f"{machine}: {count}" for machine, count in counts.items())
    text = (
        f"Attesters had to be started again while they were in use ({each}). The first answer after that "
        "takes longer; why each of them ended is in the journal."
    )
    return [Callout(tone="warning", text=text)]


def _contradictions(material: Material) -> list[Block]:
    """What was seen of a guest cannot all be of one that simply ran on; nothing where it can."""
    return [
        Callout(tone="warning", text=f"{trial}: {reason}. The guest was seen {why}.")
        for trial, reason, why in material.contradictions
    ]


def _answers(counted: pd.DataFrame, found: Sequence[attestation_identity.Passage]) -> list[Block]:
    blocks: list[Block] = [
        Answer(subject=kind, text=_latency(proofs.some(counted, kind=kind), kind))
        for kind in proofs.kinds(counted)
    ]
    if found:
        blocks.append(Answer(subject="identity", text=attestation_identity.sentence(found)))
    if not len(counted):
        blocks.append(
            Callout(tone="warning", text="No attestation of a valid trial was accepted: there are no times.")
        )
    return blocks


def _latency(mine: pd.DataFrame, kind: str) -> str:
    """One sentence on how long it took, by key, and what load and migrations did to it."""
    quiet = mine[mine["phase"].ne("during")]
    idle = quiet[quiet["workload"].eq(proofs.IDLE)]
    base, where = (idle, "With an idle guest and") if len(idle) else (quiet, "With")
    parts = [
        f"{proofs.said(float(rows['latency_s'].median()))} with {KEYS[key]} ({proofs.counts(rows)})"
        for key in proofs.keys(base)
        if len(rows := proofs.some(base, key=key))
    ]
    whom = "a host" if kind == "host" else f"the {KINDS[kind]}"
    said = f"{where} no migration under way, attesting {whom} took {' and '.join(parts) or 'an unknown time'}"
    loads, moving = _factors(quiet), _moving(mine)
    said += f"; {loads}" if loads else ""
    return said + (f"; while a migration was under way, {moving}." if moving else ".") + " Medians."


def _factors(quiet: pd.DataFrame) -> str:
    """Such as ``under load 1.2 to 1.9 times as long``: each workload's median against the idle guest's."""
    ratios: list[float] = []
    for key in proofs.keys(quiet):
        medians = proofs.some(quiet, key=key).groupby("workload")["latency_s"].median()
        if proofs.IDLE in medians.index:
            ratios += list(medians.drop(proofs.IDLE) / medians[proofs.IDLE])
    if not ratios:
        return ""
    low, high = f"{min(ratios):.1f}", f"{max(ratios):.1f}"
    return f"under load, by workload, {low if low == high else f'{low} to {high}'} times as long"


def _moving(mine: pd.DataFrame) -> str:
    parts = []
    for key in proofs.keys(mine):
        rows = proofs.some(mine, key=key, phase="during")
        values = rows["latency_s"]
        if len(rows):
            longest = proofs.said(float(values.max()))
            parts.append(
                f"{proofs.said(float(values.median()))} with {KEYS[key]} ({proofs.counts(rows)}, at most "
                f"{longest})"
            )
    return " and ".join(parts)


def _path(table: pd.DataFrame) -> list[Block]:
    """Which TPMs these were and how they were reached: the numbers mean nothing without."""
    named: dict[str, list[str]] = {}
    for subject in (*HOSTS, GUEST):
        mine = table[table["subject"].eq(subject)]
        if len(mine):
            named.setdefault(_tpm(mine.iloc[0]), []).append(subject)
    said = "; ".join(f"{', '.join(subjects)}: {what}" for what, subjects in named.items())
    software = bool((table["tpm"].eq("software") | table["host_tpm"].eq("software")).any())
    text = f"State path. {said}."
    return [Callout(tone="warning" if software else "note", text=f"{text} {SOFTWARE}" if software else text)]


def _tpm(row: pd.Series[str]) -> str:
    if pd.isna(row["tpm"]):
        return "which TPM it is was not recorded"
    facts = [
        f"{label} {row[column]}" if label else str(row[column])
        for label, column in (("", "tpm_manufacturer"), ("firmware", "tpm_firmware"))
        if not pd.isna(row[column])
    ]
    known = f" ({', '.join(facts)})" if facts else ""
    access = f", through {row['access']}" if not pd.isna(row["access"]) else ", access not recorded"
    return f"{row['tpm']} TPM{known}{access}"


def _refused(table: pd.DataFrame, missed: int | None) -> list[Block]:
    lost = proofs.refused(table)
    blocks: list[Block] = []
    if lost.empty:
        text = f"All {len(table)} attestations were answered and accepted."
        blocks.append(Callout(tone="good", text=text))
    else:
        wrong = int(lost["tier"].eq("contraindicated").sum())
        text = f"{wrong} were refused, and of {len(lost) - wrong} nothing was learnt."
        blocks.append(Callout(tone="warning", text=f"Of {len(table)} attestations {text}"))
    if missed:
        text = f"{missed} more were due and skipped, because earlier ones were still under way."
        blocks.append(Callout(tone="warning", text=text))
    return blocks
