"""What attesting at intervals costs a running workload, against its variation without it: from a file.

Every rate is set against the median of the control trials of the same workload. The noise floor is how far a
control trial lies from that median at most; a cost below it cannot be told from the workload's own swings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from harness.analysis.stats import Summary, median_interval
from harness.report.document.drawing import GROUND, INK, MEASURED, QUIET, Sketch
from harness.report.document.model import MISSING, Block, Callout, Cell, Column, Figure, Section, Table
from harness.report.enclosed import UNKNOWN, Periodic, Rated

KEY = "periodic-cost-chart"
TITLE = "What periodic attestation costs the workload"
ROW_IN = 0.34
INTERVALS = "95\u00a0% bootstrap interval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost at one interval, in per cent of the control's median rate; negative where more was done.

    Attributes:
        interval_s: Between two attestations.
        costs: Of each trial.
        found: Their median with its interval.
        floor: The noise floor of the workload's control trials, or None for a single one.
    """

    interval_s: float
    costs: Sequence[float]
    found: Summary
    floor: float | None

    @property
    def finding(self) -> str:
        """The result in words."""
        if self.floor is None:
            return "one control trial: no noise floor"
        high = self.found.interval_high
        if high is not None and max(high, self.found.median) < self.floor:
            return "below the noise floor"
        return "not told from noise" if self.found.median <= self.floor else "above the noise floor"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadCosts:
    """One workload: its control and its costs by interval, the shortest first."""

    workload: str
    unit: str
    control: Sequence[float]
    median_rate: float
    costs: Sequence[Cost]

    @property
    def floor(self) -> float | None:
        """How far a control trial lies from the control's median at most, per cent; None for a single one."""
        return max(map(abs, self.control)) if len(self.control) > 1 else None


def loads(periodic: Periodic) -> list[WorkloadCosts]:
    """The workloads of the file in its order."""
    return [_load(periodic, name) for name in dict.fromkeys(row.workload for row in periodic.rows)]


def _load(periodic: Periodic, workload: str) -> WorkloadCosts:
    mine = [row for row in periodic.rows if row.workload == workload]
    (control,) = [row for row in mine if row.interval_s is None]
    rate = median_interval([trial.rate for trial in control.trials]).median
    own = _costs(control, rate)
    floor = max(map(abs, own)) if len(own) > 1 else None
    rows = sorted((row for row in mine if row.interval_s is not None), key=lambda row: row.interval_s or 0)
    costs = [
        Cost(interval_s=row.interval_s or 0, costs=found, found=median_interval(found), floor=floor)
        for row in rows
        if (found := _costs(row, rate))
    ]
    return WorkloadCosts(workload=workload, unit=control.unit, control=own, median_rate=rate, costs=costs)


def _costs(row: Rated, rate: float) -> list[float]:
    return [100 * (1 - trial.rate / rate) for trial in row.trials]


def section(periodic: Periodic, figures: Sequence[Figure]) -> Section:
    """A section of its own, for a run without responses."""
    return Section(key="periodic", title=TITLE, blocks=blocks(periodic, figures))


def blocks(periodic: Periodic, figures: Sequence[Figure]) -> list[Block]:
    """The finding, the figure and the table."""
    return [_finding(loads(periodic)), *figures, _table(periodic)]


def _finding(found: Sequence[WorkloadCosts]) -> Callout:
    every = [(load, cost) for load in found for cost in load.costs]
    told = [f"{load.workload} at {cost.interval_s:g}\u00a0s" for load, cost in every if not _below(cost)]
    if not every:
        return Callout(tone="warning", text="The file on periodic attestation holds control trials alone.")
    if not told:
        text = "Attesting at intervals cost every workload less than the noise floor of its control trials."
        return Callout(tone="good", text=text)
    text = f"Not shown to cost less than the noise floor of its control trials: {', '.join(told)}."
    return Callout(tone="warning", text=text)


def _below(cost: Cost) -> bool:
    return cost.finding == "below the noise floor"


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
            Column(label="Noise floor", unit="%"),
            Column(label="Finding", numeric=False),
        ],
        rows=[row for load in found for row in _rows(load)],
        caption=f"Cost: how much less work a second than the median control trial; below, its {INTERVALS}. "
        "Noise floor: how far a control trial lies from that median at most. Attested: "
        f"{periodic.attested or UNKNOWN}. Machine: {where or UNKNOWN}; date: {periodic.date or UNKNOWN}.",
    )


def _rows(load: WorkloadCosts) -> list[list[Cell]]:
    floor = MISSING if load.floor is None else _percent(load.floor)
    rate = f"{load.median_rate:.4g} {load.unit}"
    why = "one trial has no spread" if load.floor is None else ""
    rows = [[
        Cell(text=load.workload), Cell(text="never"), Cell(text=str(len(load.control))),
        Cell(text="0", below=f"median {rate}", tone="quiet"), Cell(text=floor, reason=why),
        Cell(text="control", tone="quiet"),
    ]]  # fmt: skip
    for cost in load.costs:
        low, high = cost.found.interval_low, cost.found.interval_high
        below = "n = 1" if low is None or high is None else f"{_percent(low)} to {_percent(high)}"
        tone = "good" if _below(cost) else "bad" if cost.finding == "above the noise floor" else "plain"
        rows.append([
            Cell(text=""), Cell(text=f"{cost.interval_s:g} s"), Cell(text=str(cost.found.n)),
            Cell(text=_percent(cost.found.median), below=below), Cell(text=""),
            Cell(text=cost.finding, tone=tone),
        ])  # fmt: skip
    return rows


def _percent(value: float) -> str:
    return f"{value:z.2f}".replace("-", "−")


def figure(periodic: Periodic) -> Sketch | None:
    """The costs with their intervals on the band of the control trials; None without any."""
    found = [load for load in loads(periodic) if load.costs]
    if not found:
        return None
    below = sum(_below(cost) for load in found for cost in load.costs)
    every = sum(len(load.costs) for load in found)
    return Sketch(
        KEY,
        f"Periodic attestation: {below} of {every} costs lie below the noise floor, interval and all",
        "Work lost to attestation at each interval, in per cent of the median control trial. Large dots: "
        f"medians; bars: their {INTERVALS}; small dots: single trials, grey those of the control. Grey band: "
        "the noise floor, as far as any control trial lies from their median. To the right of 0 attestation "
        "cost work; to the left more was done with it than without.",
        0.75 + sum(0.32 + ROW_IN * (1 + len(load.costs)) for load in found),
        partial(_paint, found=found),
        f"Attested: {periodic.attested or UNKNOWN}.",
    )


def _paint(canvas: Canvas, *, found: Sequence[WorkloadCosts]) -> None:
    panels = canvas.subplots(
        len(found), 1, squeeze=False, sharex=True,
        height_ratios=[1 + len(load.costs) for load in found],
    )[:, 0]  # fmt: skip
    for axes, load in zip(panels, found, strict=True):
        _paint_load(axes, load)
    panels[-1].set_xlabel("cost, % of the control's work a second")


def _paint_load(axes: Axes, load: WorkloadCosts) -> None:
    if load.floor is not None:
        axes.axvspan(-load.floor, load.floor, color=QUIET, alpha=0.16, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.plot(load.control, [0] * len(load.control), "o", color=QUIET, markersize=4, alpha=0.7)
    for row, cost in enumerate(load.costs, start=1):
        axes.plot(cost.costs, [row] * len(cost.costs), "o", color=MEASURED, markersize=4, alpha=0.4)
        low, high = cost.found.interval_low, cost.found.interval_high
        if low is not None and high is not None:
            axes.plot([low, high], [row, row], color=MEASURED, linewidth=2.2, alpha=0.8)
        axes.plot([cost.found.median], [row], "o", color=MEASURED, markersize=7.5, markeredgecolor=GROUND)
    labels = ["never (control)", *(f"every {cost.interval_s:g} s" for cost in load.costs)]
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_title(load.workload, color=INK)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
