"""What attesting at intervals costs a running workload, against a margin stated beforehand: from a file.

Every rate is set against the median of the control trials of the same workload. Whether the cost lies within
the margin is decided by its 90 % interval (two one-sided tests); "not shown" is an outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from harness.analysis.stats import equivalence
from harness.analysis.stats.equivalence import Outcome
from harness.report.document.drawing import GROUND, INK, MEASURED, QUIET, Sketch
from harness.report.document.model import MISSING, Block, Callout, Cell, Column, Figure, Section, Table
from harness.report.enclosed import UNKNOWN, Periodic, Rated

KEY = "periodic-cost-chart"
TITLE = "What periodic attestation costs the workload"
ROW_IN = 0.34
INTERVALS = "90\u00a0% interval (Welch's t on the log scale; two one-sided tests at 5\u00a0%)"
TONES = {Outcome.WITHIN: "good", Outcome.BEYOND: "bad"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost at one interval, in per cent of the control's median rate; negative where more was done.

    Attributes:
        interval_s: Between two attestations.
        costs: Of each trial.
        low: Lower end of the interval of the cost, or None where it or the control has a single trial.
        high: Its upper end likewise.
        outcome: What is shown of it against the margin.
    """

    interval_s: float
    costs: Sequence[float]
    low: float | None
    high: float | None
    outcome: Outcome

    @property
    def median(self) -> float:
        """Of the trials' costs."""
        return median(self.costs)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadCosts:
    """One workload: its control and its costs by interval, the shortest first."""

    workload: str
    unit: str
    control: Sequence[float]
    median_rate: float
    costs: Sequence[Cost]

    @property
    def swing(self) -> float | None:
        """How far a control trial lies from the control's median at most, per cent; None for a single one."""
        return max(map(abs, self.control)) if len(self.control) > 1 else None


def loads(periodic: Periodic) -> list[WorkloadCosts]:
    """The workloads of the file in its order."""
    return [_load(periodic, name) for name in dict.fromkeys(row.workload for row in periodic.rows)]


def _load(periodic: Periodic, workload: str) -> WorkloadCosts:
    mine = [row for row in periodic.rows if row.workload == workload]
    (control,) = [row for row in mine if row.interval_s is None]
    rate = median(trial.rate for trial in control.trials)
    rows = sorted((row for row in mine if row.interval_s is not None), key=lambda row: row.interval_s or 0)
    margin = None if periodic.margin_percent is None else periodic.margin_percent / 100
    costs = [_cost(control, row, rate, margin) for row in rows]
    own = _costs(control, rate)
    return WorkloadCosts(workload=workload, unit=control.unit, control=own, median_rate=rate, costs=costs)


def _cost(control: Rated, row: Rated, rate: float, margin: float | None) -> Cost:
    found = equivalence.cost([one.rate for one in control.trials], [one.rate for one in row.trials])
    return Cost(
        interval_s=row.interval_s or 0,
        costs=_costs(row, rate),
        low=None if found.low is None else 100 * found.low,
        high=None if found.high is None else 100 * found.high,
        outcome=found.outcome(margin),
    )


def _costs(row: Rated, rate: float) -> list[float]:
    return [100 * (1 - trial.rate / rate) for trial in row.trials]


def section(periodic: Periodic, figures: Sequence[Figure]) -> Section:
    """A section of its own, for a run without responses."""
    return Section(
        key="periodic", title=TITLE, blocks=blocks(periodic, figures), label="Periodic attestation"
    )


def blocks(periodic: Periodic, figures: Sequence[Figure]) -> list[Block]:
    """The finding, the figure and the table."""
    return [_finding(periodic), *figures, _table(periodic)]


def _finding(periodic: Periodic) -> Callout:
    every = [(load, cost) for load in loads(periodic) for cost in load.costs]
    if not every:
        return Callout(tone="warning", text="The file on periodic attestation holds control trials alone.")
    if periodic.margin_percent is None:
        text = "No margin was stated before these costs were measured, so they are shown and not judged."
        return Callout(tone="note", text=text)
    margin = f"{periodic.margin_percent:g}\u00a0%"
    open_, beyond = (
        [f"{load.workload} at {cost.interval_s:g}\u00a0s" for load, cost in every if cost.outcome is outcome]
        for outcome in (Outcome.NOT_SHOWN, Outcome.BEYOND)
    )
    if not open_ and not beyond:
        return Callout(tone="good", text=f"Attesting at intervals cost every workload less than {margin}.")
    parts = [f"Shown to cost more than {margin}: {', '.join(beyond)}."] if beyond else []
    parts += [f"Not shown to cost less than {margin}: {', '.join(open_)}."] if open_ else []
    return Callout(tone="warning", text=" ".join(parts))


def _table(periodic: Periodic) -> Table:
    found = loads(periodic)
    where = ", ".join(part for part in (periodic.rig, periodic.accelerator, periodic.machine) if part)
    return Table(
        key="periodic-cost",
        title="Cost of periodic attestation by interval",
        columns=[
            Column(label="Workload", numeric=False),
            Column(label="Interval"),
            Column(label="n"),
            Column(label="Cost", unit="%"),
            Column(label="Control's largest swing", unit="%"),
            Column(label="Finding", numeric=False),
        ],
        rows=[row for load in found for row in _rows(load)],
        caption="Cost: how much less work a second than the median control trial, as a median; below, the "
        f"{INTERVALS} of the cost. {_margin(periodic)} The swing, how far a control trial lies from its "
        f"median, does not affect the finding. Attested: {periodic.attested or UNKNOWN}. Machine: "
        f"{where or UNKNOWN}; date: {periodic.date or UNKNOWN}.",
    )


def _margin(periodic: Periodic) -> str:
    if periodic.margin_percent is None:
        return "No margin was stated."
    reason = f" ({periodic.margin_reason})" if periodic.margin_reason else ""
    margin = f"±{periodic.margin_percent:g}\u00a0%{reason}"
    return (
        f"Within the margin: the whole interval lies within {margin}; beyond: above it; not shown: neither."
    )


def _rows(load: WorkloadCosts) -> list[list[Cell]]:
    swing = MISSING if load.swing is None else _percent(load.swing)
    rate = f"{load.median_rate:.4g} {load.unit}"
    why = "one trial has no spread" if load.swing is None else ""
    rows = [[
        Cell(text=load.workload), Cell(text="never"), Cell(text=str(len(load.control))),
        Cell(text="0", below=f"median {rate}", tone="quiet"), Cell(text=swing, reason=why),
        Cell(text="control", tone="quiet"),
    ]]  # fmt: skip
    for cost in load.costs:
        known = cost.low is not None and cost.high is not None
        below = f"{_percent(cost.low)} to {_percent(cost.high)}" if known else "no interval"
        rows.append([
            Cell(text=""), Cell(text=f"{cost.interval_s:g} s"), Cell(text=str(len(cost.costs))),
            Cell(text=_percent(cost.median), below=below), Cell(text=""),
            Cell(text=str(cost.outcome), tone=TONES.get(cost.outcome, "plain")),
        ])  # fmt: skip
    return rows


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{value:z.2f}".replace("-", "−")


def figure(periodic: Periodic) -> Sketch | None:
    """The costs with their intervals on the band of the margin; None without any."""
    found = [load for load in loads(periodic) if load.costs]
    if not found:
        return None
    band = "" if periodic.margin_percent is None else f" Grey band: the margin. {_margin(periodic)}"
    return Sketch(
        KEY,
        f"Periodic attestation: {_counted(found, periodic.margin_percent)}",
        "Work lost to attestation at each interval, in per cent of the median control trial. Large dots: "
        f"medians; bars: the {INTERVALS} of the cost; small dots: single trials, grey those of the control."
        f"{band} To the right of 0 attestation cost work; to the left more was done than without.",
        0.75 + sum(0.32 + ROW_IN * (1 + len(load.costs)) for load in found),
        partial(_paint, found=found, margin=periodic.margin_percent),
        f"Attested: {periodic.attested or UNKNOWN}.",
    )


def _counted(found: Sequence[WorkloadCosts], margin: float | None) -> str:
    """Such as ``2 of 3 costs are shown to lie within ±5 %``."""
    every = [cost.outcome for load in found for cost in load.costs]
    if margin is None:
        return f"{len(every)} costs against trials without it"
    return f"{every.count(Outcome.WITHIN)} of {len(every)} costs are shown to lie within ±{margin:g}\u00a0%"


def _paint(canvas: Canvas, *, found: Sequence[WorkloadCosts], margin: float | None) -> None:
    panels = canvas.subplots(
        len(found), 1, squeeze=False, sharex=True,
        height_ratios=[1 + len(load.costs) for load in found],
    )[:, 0]  # fmt: skip
    for axes, load in zip(panels, found, strict=True):
        _paint_load(axes, load, margin)
    panels[-1].set_xlabel("cost, % of the control's work a second")


def _paint_load(axes: Axes, load: WorkloadCosts, margin: float | None) -> None:
    if margin is not None:
        axes.axvspan(-margin, margin, color=QUIET, alpha=0.16, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.plot(load.control, [0] * len(load.control), "o", color=QUIET, markersize=4, alpha=0.7)
    for row, cost in enumerate(load.costs, start=1):
        axes.plot(cost.costs, [row] * len(cost.costs), "o", color=MEASURED, markersize=4, alpha=0.4)
        if cost.low is not None and cost.high is not None:
            axes.plot([cost.low, cost.high], [row, row], color=MEASURED, linewidth=2.2, alpha=0.8)
        axes.plot([cost.median], [row], "o", color=MEASURED, markersize=7.5, markeredgecolor=GROUND)
    labels = ["never (control)", *(f"every {cost.interval_s:g} s" for cost in load.costs)]
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_title(load.workload, color=INK)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
