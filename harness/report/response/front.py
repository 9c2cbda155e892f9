"""The table that answers first for a run with responses: when a guest was safe, by cause and workload.

Its numbers are those of the section's tables; nothing is computed for it alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness.analysis.stats import Replicated
from harness.report import replicates
from harness.report.attestation.rows import milliseconds
from harness.report.document.model import MISSING, Cell, Column, Table
from harness.report.material import Material
from harness.report.naming import with_note
from harness.report.response import rows as response_rows
from harness.report.response.rows import DONE, PAPER_TRIGGER_S, Group, seconds
from harness.response.measures.evidence import MOVING_TARGET

QUESTION = "How long does it take to bring a guest to safety once its server is unfit?"


def table(material: Material) -> Table:
    """One row for each cause and what was done, one column of times for each workload."""
    groups = response_rows.groups(material.responses, material.workloads)
    shown = [name for name in material.workloads if any(group.workload == name for group in groups)]
    whole = "Guest in safety after, s"
    return Table(
        key="from-event-to-safety",
        title="From the event to safety",
        columns=[
            Column(label="Event", numeric=False),
            Column(label="The guest", numeric=False),
            *(Column(group=whole, label=material.names.of(name)) for name in shown),
            Column(group="Verdict to accepted", label="migration, ms"),
        ],
        rows=[_row(some, shown) for some in _events(groups)],
        caption=with_note(_caption(groups), material.names.note(shown)),
    )


def _caption(groups: Sequence[Group]) -> str:
    found = [response_rows.figures(group.rows, "reaction_time") for group in groups]
    found += [_delay(some) for some in _events(groups)]
    return (
        "Medians; below, from three trials on, the interval of the trials "
        f"({replicates.methods(one for one in found if one is not None)}), and n. The last column is of all "
        f"workloads; the paper lost {PAPER_TRIGGER_S:g}\u00a0s there in OpenStack."
    )


def _events(groups: Sequence[Group]) -> list[list[Group]]:
    """The groups of each event and what was done, over their workloads."""
    keys = dict.fromkeys((group.scenario, group.action) for group in groups)
    return [[one for one in groups if (one.scenario, one.action) == key] for key in keys]


def _delay(groups: Sequence[Group]) -> Replicated | None:
    """The trigger delay over all of an event's workloads."""
    return response_rows.figures(pd.concat([group.rows for group in groups]), "trigger_delay")


def _row(groups: Sequence[Group], workloads: Sequence[str]) -> list[Cell]:
    first = groups[0]
    below = "simulated hardware" if any(group.simulated for group in groups) else ""
    by = {group.workload: group for group in groups}
    delay = _delay(groups)
    why = response_rows.why(first.rows, ["trigger_delay"], "not applicable")
    return [
        Cell(text=response_rows.words(first.scenario), below=below),
        Cell(text=DONE.get(first.action, first.action)),
        *(_reaction(by.get(name)) for name in workloads),
        _counted(response_rows.cell(delay, milliseconds, of=0 if delay is None else delay.n, why=why), delay),
    ]


def _reaction(group: Group | None) -> Cell:
    if group is None:
        return Cell(text=MISSING, tone="quiet", reason="no such response ended as it was decided")
    found = response_rows.figures(group.rows, "reaction_time")
    unprovoked = group.scenario == MOVING_TARGET or group.rows["provoked"].isna().all()
    otherwise = "nothing provokes it, so that there is no reaction time" if unprovoked else "not measured"
    why = response_rows.why(group.rows, ["reaction_time"], otherwise)
    return _counted(response_rows.cell(found, seconds, of=group.n, why=why), found)


def _counted(cell: Cell, found: Replicated | None) -> Cell:
    """The cell with its n and its trials below the interval."""
    if found is None:
        return cell
    spans = [line for line in cell.lines if "–" in line]
    below = "\n".join([*spans, f"n = {replicates.counts(found)}"])
    return Cell(text=cell.text, below=below, reason=cell.reason, tone=cell.tone)
