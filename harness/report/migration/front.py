"""The table that answers first: what a migration cost under each workload, in medians with their intervals.

Its numbers are those of Table V and of the noise floor further down; nothing is computed for it alone.
"""

from __future__ import annotations

from harness.analysis.stats import Replicated
from harness.report import replicates
from harness.report.document import quantity
from harness.report.document.model import MISSING, Cell, Column, Table
from harness.report.material import Material
from harness.report.migration.answers import reasons, values_of
from harness.report.naming import with_note

SHOWN = ("total_time", "blackout", "outage_network", "outage_application", "data_sent")
"""What is answered first, in the order of the columns."""
STALLED = "outage_application"
"""The one measure that a workload has without a migration as well."""


def table(material: Material) -> Table:
    """One row for each workload of the run."""
    floor = material.floor[material.floor["metric"].eq(STALLED)]
    columns = [Column(label="Workload", numeric=False), Column(label="Trials"), Column(label="n")]
    for metric in SHOWN:
        shown = quantity.of_metric(metric)
        columns.append(Column(label=shown.label, unit=shown.unit))
        if metric == STALLED and len(floor):
            columns.append(Column(label="The same without a migration, at most", unit=shown.unit))
    return Table(
        key="cost-of-migration",
        title="What a migration cost, by workload",
        columns=columns,
        rows=[_row(material, name, floored=bool(len(floor))) for name in material.workloads],
        caption=with_note(_caption(material), material.names.note(material.workloads)),
    )


def _caption(material: Material) -> str:
    found = (values_of(material, name, metric) for name in material.workloads for metric in SHOWN)
    return (
        "Medians over n migrations of valid trials; below them the interval of the trials "
        f"({replicates.methods(one for one in found if one is not None)}). One or two trials carry none."
    )


def _row(material: Material, workload: str, *, floored: bool) -> list[Cell]:
    values = material.valid[material.valid["workload"].eq(workload)]
    n, trials = len(values[values["metric"].eq("total_time")]), values["trial"].nunique()
    cells = [Cell(text=material.names.of(workload)), Cell(text=str(trials)), Cell(text=str(n))]
    for metric in SHOWN:
        cells.append(_cell(material, workload, metric, n))
        if metric == STALLED and floored:
            cells.append(_without(material, workload))
    return cells


def _cell(material: Material, workload: str, metric: str, n: int) -> Cell:
    found = values_of(material, workload, metric)
    if found is None:
        return Cell(text=MISSING, tone="quiet", reason=reasons(material, workload, metric))
    shown = quantity.of_metric(metric)
    return Cell(
        text=shown.text(found.median),
        below=replicates.interval(found, shown.text),
        reason=_doubt(material, workload, metric, found, n),
    )


def _doubt(material: Material, workload: str, metric: str, found: Replicated, n: int) -> str:
    said = [] if found.n == n else [f"n = {found.n}: {reasons(material, workload, metric)}"]
    return "; ".join([*said, *([replicates.TWO_KINDS] if found.two_modes else [])])


def _without(material: Material, workload: str) -> Cell:
    floor = material.floor
    mine = floor[floor["workload"].eq(workload) & floor["metric"].eq(STALLED)]["value"]
    if not len(mine):
        return Cell(text=MISSING, tone="quiet", reason="no valid trial without a migration measured it")
    return Cell(text=quantity.of_metric(STALLED).text(mine.max()), tone="quiet")
