"""What the variants of a campaign change: each against the first, in ratios of medians with their intervals.

The rows are those of ``sodbench compare RUN:FIRST RUN:SECOND``; nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.analysis.comparison import Row
from harness.report.document import quantity
from harness.report.document.model import MISSING, Block, Cell, Column, Section, Table
from harness.report.material import Material
from harness.report.variants import Compared

QUESTION = "What do the variants change?"
NOT_SHOWN = "~"
HOW = (
    "Ratio of the medians of the trials' medians, each trial counted once, with its 95\u00a0% interval "
    "(Welch's t on the log scale; a difference in the metric's unit where values are not positive). ~: no "
    "difference is shown. Fewer than three trials on a side show none. p is corrected within one comparison "
    "of two variants: of its primary metrics by Holm, of the others by Benjamini and Hochberg."
)


def overview(material: Material) -> Table:
    """One row for each workload and variant, one column for each primary metric."""
    found = material.comparisons
    every = [row for one in found for row in one.rows if row.primary]
    metrics = list(dict.fromkeys(row.metric for row in every))
    units = {row.metric: row.unit for row in every}
    heads = [quantity.of_metric(name, units[name]) for name in metrics]
    first = found[0].first
    return Table(
        key="variants-overview",
        title=f"Each variant against {first}",
        columns=[
            *(Column(label=label, numeric=False) for label in ("Workload", "Variant")),
            Column(label="Trials"),
            Column(label="n"),
            *(Column(label=head.label) for head in heads),
        ],
        rows=list(_overview(found, metrics)),
        caption=f"The row of {first}: its medians. The others: the change against it. {HOW}",
    )


def _overview(found: Sequence[Compared], metrics: Sequence[str]) -> Iterator[list[Cell]]:
    workloads = dict.fromkeys(row.workload for one in found for row in one.rows)
    for workload in workloads:
        sides = [(one, {row.metric: row for row in one.rows if row.workload == workload}) for one in found]
        base = {metric: row for _, rows in reversed(sides) for metric, row in rows.items()}
        yield [*_head(workload, found[0].first, base, 0), *(_median(base.get(name)) for name in metrics)]
        for one, rows in sides:
            yield [*_head("", one.second, rows, 1), *(_change(rows.get(name)) for name in metrics)]


def _head(workload: str, variant: str, rows: dict[str, Row], side: int) -> list[Cell]:
    trials = max((row.found.trials[side] for row in rows.values()), default=0)
    n = max((row.found.n[side] for row in rows.values()), default=0)
    return [Cell(text=workload), Cell(text=variant), Cell(text=str(trials)), Cell(text=str(n))]


def _median(row: Row | None) -> Cell:
    if row is None:
        return _missing()
    return Cell(text=quantity.of_metric(row.metric, row.unit).with_unit(row.found.medians[0]))


def _missing() -> Cell:
    return Cell(text=MISSING, tone="quiet", reason="not measured on both sides")


def _change(row: Row | None) -> Cell:
    if row is None:
        return _missing()
    said = _of_ratio(row) or _of_shift(row)
    return Cell(text=said if row.shown else NOT_SHOWN, below=_interval(row), tone=_tone(row))


def _tone(row: Row) -> str:
    """Whether the change shown is one for the better; plain where none is shown or none is better."""
    if not row.shown or row.better not in {"lower", "higher"}:
        return "plain"
    return "good" if (row.found.shift < 0) is (row.better == "lower") else "bad"


def _of_ratio(row: Row) -> str:
    return "" if row.found.ratio is None else f"{_percent(row.found.ratio)}\u00a0%"


def _of_shift(row: Row) -> str:
    text = quantity.of_metric(row.metric, row.unit).with_unit(row.found.shift)
    return text if row.found.shift < 0 else f"+{text}"


def _percent(ratio: float) -> str:
    return f"{100 * (ratio - 1):+z.1f}".replace("-", "−")


def _interval(row: Row) -> str:
    found = row.found
    if found.ratio_low is not None and found.ratio_high is not None:
        return f"{_percent(found.ratio_low)} to {_percent(found.ratio_high)}"
    if found.shift_low is not None and found.shift_high is not None:
        shown = quantity.of_metric(row.metric, row.unit)
        return f"{shown.text(found.shift_low)} to {shown.text(found.shift_high)}"
    return "no interval"


def sections(found: Sequence[Compared]) -> list[Section]:
    """The section of a run with variants, its other metrics among the details; none for any other run."""
    if not found:
        return []
    blocks: list[Block] = [
        _table(found, primary=True, key="comparison", title="Primary metrics"),
        _table(found, primary=False, key="comparison-others", title="All other metrics"),
    ]
    return [Section(key="variants", title="The variants, metric by metric", blocks=blocks, label="Variants")]


def _table(found: Sequence[Compared], *, primary: bool, key: str, title: str) -> Table:
    first = found[0].first
    return Table(
        key=key,
        title=f"{title}: each variant against {first}",
        detail=not primary,
        columns=[
            *(Column(label=label, numeric=False) for label in ("Variant", "Workload", "Metric")),
            Column(group="Median", label=first),
            Column(group="Median", label="variant"),
            *(Column(label=label) for label in ("Change", "95\u00a0% interval, %", "p", "Trials", "n")),
        ],
        rows=[_row(one, row) for one in found for row in one.rows if row.primary is primary],
        caption=HOW,
        dense=True,
    )


def _row(one: Compared, row: Row) -> list[Cell]:
    shown = quantity.of_metric(row.metric, row.unit)
    p = MISSING if row.adjusted is None else f"{row.adjusted:.3f}" if row.adjusted >= 0.001 else "< 0.001"
    change = _change(row)
    return [
        Cell(text=one.second),
        Cell(text=row.workload),
        Cell(text=shown.label),
        *(Cell(text=shown.with_unit(value)) for value in row.found.medians),
        Cell(text=change.text, tone=change.tone),
        Cell(text=change.below),
        Cell(text=p, tone="quiet" if row.adjusted is None else "plain"),
        Cell(text=" / ".join(map(str, row.found.trials))),
        Cell(text=" / ".join(map(str, row.found.n))),
    ]
