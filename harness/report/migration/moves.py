"""Every migration, one row each: nothing is averaged, and nothing that happened is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pandas as pd

from harness.evidence.account import Account, Move
from harness.report.document import quantity
from harness.report.document.model import MISSING, Cell, Column, Table
from harness.report.material import Material
from harness.report.migration.answers import joined
from harness.report.naming import Names, direction, with_note

_Head: TypeAlias = tuple[str, str, str]
"""A measured column: metric, group, label."""
_Key: TypeAlias = tuple[str, int, int, str]
_Reading: TypeAlias = tuple[float | None, str, str]
"""Value, unit and reason."""

MAIN: tuple[_Head, ...] = (
    ("total_time", "", "Total, s"),
    ("blackout", "Downtime, ms", "blackout"),
    ("downtime_qemu", "Downtime, ms", "QEMU"),
    ("downtime_libvirt", "Downtime, ms", "libvirt"),
    ("downtime_libvirt_net", "Downtime, ms", "libvirt net"),
    ("outage_network", "Outage, ms", "network"),
    ("outage_application", "Outage, ms", "application"),
    ("data_sent", "Data, MB", "sent"),
    ("wire_bytes", "Data, MB", "wire"),
    ("wire_ratio", "", "Wire / sent"),
    ("iterations", "", "Passes"),
)
CIRCUMSTANCES: tuple[_Head, ...] = (
    ("throughput_before", "Work a second", "before"),
    ("throughput_during", "Work a second", "during"),
    ("throughput_after", "Work a second", "after"),
    ("work_lost", "Brownout", "work lost"),
    ("below_90", "Brownout", "s below 90\u00a0%"),
    ("below_50", "Brownout", "s below 50\u00a0%"),
    ("below_10", "Brownout", "s below 10\u00a0%"),
    ("time_to_recover", "Brownout", "s to recover"),
    ("dirty_rate", "Memory, MB/s", "dirtied"),
    ("bandwidth", "Memory, MB/s", "sent"),
    ("cpu_source", "CPU, cores", "source"),
    ("cpu_destination", "CPU, cores", "destination"),
    ("cpu_controller", "CPU, cores", "controller"),
)
LATE_FROM_S = 1.0
"""A start later than planned by this much is marked."""


def table(material: Material) -> Table:
    """One row a migration of every attempt, valid or not, with the numbers the tool exists for."""
    note = material.names.note(material.workloads)
    starts = [Column(group="Start, s", label="planned"), Column(group="Start, s", label="actual")]
    return Table(
        key="every-migration",
        title="One row a migration",
        columns=[*_identity(), *starts, *_heads(MAIN), Column(label="Outcome", numeric=False)],
        rows=[
            [*_which(attempt, move, material.names), *_start(attempt, move), *cells, _outcome(attempt, move)]
            for attempt, move, cells in _rows(material, MAIN)
        ],
        caption=with_note(
            "Starts are seconds from the trial's t = 0. The downtimes follow four definitions "
            "and must not be merged: blackout from QEMU's STOP and RESUME events, the others as QEMU and "
            "libvirt report them. Rows of attempts that are not valid are grey and in no mean. A dash is a "
            "value that was not measured; its note says why.",
            note,
        ),
        dense=True,
    )


def circumstances(material: Material) -> Table:
    """What each migration did to the guest's work, its memory and the machines."""
    units = _work_units(material)
    note = material.names.note(material.workloads)
    return Table(
        key="migration-circumstances",
        title="The guest's work, its memory and the machines",
        columns=[*_identity(), Column(label="Work in", numeric=False), *_heads(CIRCUMSTANCES)],
        rows=[
            [*_which(attempt, move, material.names), units[attempt.trial, attempt.attempt], *cells]
            for attempt, move, cells in _rows(material, CIRCUMSTANCES)
        ],
        caption=with_note(
            "Brownout is measured against the work before the migration. CPU is of whole machines; in "
            "a lab they share one kernel, so that source and destination show the same machine.",
            note,
        ),
        dense=True,
    )


def _work_units(material: Material) -> Mapping[tuple[str, int], Cell]:
    """The unit of each attempt's work, which is the workload's own."""
    lost = material.metrics[material.metrics["metric"].eq("work_lost") & material.metrics["value"].notna()]
    columns = (lost["trial"], lost["attempt"], lost["unit"])
    units = {(str(trial), int(number)): str(unit) for trial, number, unit in zip(*columns, strict=True)}
    return {
        (one.trial, one.attempt): Cell(text=units.get((one.trial, one.attempt), MISSING), tone="quiet")
        for one in material.attempts
    }


def _identity() -> list[Column]:
    return [Column(label="Trial", numeric=False), Column(label="No."), Column(label="Way", numeric=False)]


def _heads(heads: Sequence[_Head]) -> list[Column]:
    return [Column(group=group, label=label) for _, group, label in heads]


def _rows(material: Material, heads: Sequence[_Head]) -> list[tuple[Account, Move, list[Cell]]]:
    readings = _readings(material.metrics)
    return [
        (attempt, move, [_value(attempt, move, metric, readings) for metric, _, _ in heads])
        for attempt in material.attempts
        for move in attempt.moves
    ]


def _readings(metrics: pd.DataFrame) -> Mapping[_Key, _Reading]:
    found: dict[_Key, _Reading] = {}
    mine = metrics[metrics["migration"].notna()]
    names = ("trial", "attempt", "migration", "metric", "value", "unit", "reason")
    for trial, attempt, migration, metric, value, unit, reason in zip(
        *(mine[name] for name in names), strict=True
    ):
        known = None if pd.isna(value) else float(value)
        text = "" if pd.isna(unit) else str(unit)
        found[str(trial), int(attempt), int(migration), str(metric)] = (known, text, joined([reason]))
    return found


def _tone(attempt: Account) -> str:
    return "plain" if attempt.counts else "quiet"


def _which(attempt: Account, move: Move, names: Names) -> list[Cell]:
    """Trial (once), number and direction."""
    tone = _tone(attempt)
    name = names.trial(attempt)
    reason = "" if direction(move) else f"{move.outcome}: {move.detail}"
    return [
        Cell(text=name if move.n == attempt.moves[0].n else "", tone=tone),
        Cell(text=str(move.n), tone=tone),
        Cell(text=direction(move) or MISSING, tone=tone, reason=reason),
    ]


def _start(attempt: Account, move: Move) -> list[Cell]:
    """Planned and actual start; a late one with the reason."""
    late_s = 0.0 if move.started_s is None or move.planned_s is None else move.started_s - move.planned_s
    late = f"started {late_s:.1f} s later than planned" if late_s >= LATE_FROM_S else ""
    why = f"{late}: {move.detail}" if late and move.detail else late
    if move.started_s is None:
        why = f"{move.outcome}: {move.detail}"
    tone = _tone(attempt)
    return [
        Cell(text=_seconds(move.planned_s, 0), tone=tone),
        Cell(text=_seconds(move.started_s, 3), tone=tone, reason=why),
    ]


def _seconds(value: float | None, digits: int) -> str:
    return quantity.Shown(label="", unit="s", digits=digits).text(value)


def _value(attempt: Account, move: Move, metric: str, readings: Mapping[_Key, _Reading]) -> Cell:
    missing = (None, "", "")
    value, unit, reason = readings.get((attempt.trial, attempt.attempt, move.n, metric), missing)
    shown = quantity.of_metric(metric, unit)
    text = shown.text(value)
    if text != MISSING:
        return Cell(text=text, tone=_tone(attempt))
    return Cell(text=MISSING, tone=_tone(attempt), reason=reason or _without_reading(attempt, move))


def _without_reading(attempt: Account, move: Move) -> str:
    """Why there is no row in the results at all."""
    if attempt.verdict == "unfinished":
        return "the attempt was not finished, so nothing of it is measured"
    verbs = {"failed": "failed", "skipped": "was skipped", "aborted": "was aborted"}
    if move.outcome == "completed":
        return "the results hold no such metric"
    return f"the migration {verbs.get(move.outcome, 'did not return')}"


def _outcome(attempt: Account, move: Move) -> Cell:
    if move.outcome != "completed":
        return Cell(text=move.outcome, tone="bad", reason=f"{move.outcome}: {move.detail}")
    if not attempt.counts:
        return Cell(text=f"completed, {attempt.verdict}", tone="quiet", reason=(*attempt.reasons, "")[0])
    return Cell(text=move.outcome)
