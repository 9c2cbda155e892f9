"""The one order of decisions of a gate: what each primary metric shows, and what follows for the run.

For each metric of each workload, the first that applies:

1. too few trials on a side: inconclusive;
2. an effect in percent, and a value that is not above 0: inconclusive;
3. shown to be worse, and not shown to be worse by less than matters: regressed;
4. more values missing, or more trials not valid, than in the baseline: inconclusive, because what is missing
   may be what is worse;
5. shown to be worse by less than matters, or not worse: passed;
6. else inconclusive, with about how many further trials decide.

A known-bad entry then excuses what has not passed. One regression makes the run regressed; without any, one
inconclusive metric makes it inconclusive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from harness.analysis.gate.cells import Cell
from harness.analysis.gate.judgement import Worsening, further_trials, judged, worsening
from harness.analysis.gate.known_bad import Entry
from harness.analysis.stats.trials import FROM_T

Outcome = Literal["passed", "regressed", "inconclusive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One primary metric of one workload, judged.

    Attributes:
        workload: Its name.
        variant: Under which variant, or None.
        metric: Its name.
        unit: Of its values.
        better: Which direction is.
        smallest: The smallest effect of interest: a share where `in_percent`, else in the unit.
        in_percent: Whether the effect and the worsening are shares of the baseline.
        trials: How many valid trials with values the baseline and the run have.
        n: How many values.
        medians: The median of each side's trials' medians, None where a side has no value.
        worse: How much worse the run is, as a share or in the unit; negative where it is better; None where
            that cannot be said.
        worse_low: Lower end of the 90 % interval of that.
        worse_high: Its upper end.
        p: How probable so large a worsening is where nothing is worse, corrected over the whole gate.
        outcome: What that shows.
        reason: Why it is inconclusive; empty otherwise.
        further: About how many further trials of the run decide; None where none are needed or none help.
        excused: The known-bad entry that excuses it, or None.
    """

    workload: str
    variant: str | None
    metric: str
    unit: str
    better: str
    smallest: float
    in_percent: bool
    trials: tuple[int, int]
    n: tuple[int, int]
    medians: tuple[float | None, float | None]
    outcome: Outcome
    worse: float | None = None
    worse_low: float | None = None
    worse_high: float | None = None
    p: float | None = None
    reason: str = ""
    further: int | None = None
    excused: Entry | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        excused = None if self.excused is None else self.excused.model_dump(mode="json")
        return {**asdict(replace(self, excused=None)), "excused": excused}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a gate says.

    Attributes:
        outcome: Of the run.
        rows: Every metric.
        unused: Known-bad entries that excused nothing.
    """

    outcome: Outcome
    rows: tuple[Row, ...]
    unused: tuple[Entry, ...]

    @property
    def further(self) -> int | None:
        """About how many further trials decide every metric; None where none are needed or none help."""
        needed = [row.further for row in self.rows if row.outcome == "inconclusive" and not row.excused]
        known = [one for one in needed if one is not None]
        return max(known) if known and len(known) == len(needed) else None


def judge(found: Sequence[Cell], entries: Sequence[Entry] = ()) -> Result:
    """What the cells of one gate show; :mod:`harness.analysis.gate.rows` has the order of decisions."""
    obstacles = [_obstacle(cell) for cell in found]
    measured = {at: _change(cell) for at, cell in enumerate(found) if not obstacles[at]}
    every = list(measured.values())
    together = Worsening(
        estimate=np.array([float(one.estimate) for one in every]),
        error=np.array([float(one.error) for one in every]),
        freedom=np.array([float(one.freedom) for one in every]),
    )
    passed, regressed, ps = judged(together, np.array([_scaled(found[at]) for at in measured]))
    place = {at: n for n, at in enumerate(measured)}
    rows = []
    for at, cell in enumerate(found):
        if obstacles[at]:
            row = replace(_row(cell), reason=obstacles[at], further=_lacking(cell))
        else:
            n = place[at]
            row = _shown(cell, every[n], bool(passed[n]), bool(regressed[n]), float(ps[n]), len(every))
        rows.append(replace(row, excused=_excuse(row, entries)))
    return Result(outcome=_outcome(rows), rows=tuple(rows), unused=_unused(rows, entries))


def _obstacle(cell: Cell) -> str:
    """Why nothing can be said of it at all; empty where something can."""
    mine, theirs = len(cell.run.trials), len(cell.baseline.trials)
    if min(mine, theirs) < FROM_T:
        why = f": {cell.run.why}" if not mine and cell.run.why else ""
        return f"too few trials: the baseline has {theirs} and the run {mine}, {FROM_T} each are needed{why}"
    values = [value for side in (cell.baseline, cell.run) for trial in side.trials for value in trial]
    if cell.primary.smallest_effect is None and min(values) <= 0:
        return "a value is not above 0, so that a change has no percentage: declare smallest_effect"
    return ""


def _lacking(cell: Cell) -> int | None:
    """How many further trials of the run make an interval, where that is all that is missing."""
    lacking = FROM_T - len(cell.run.trials)
    return lacking if lacking > 0 and len(cell.baseline.trials) >= FROM_T and not cell.run.missing else None


def _medians(cell: Cell) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    """The trials' medians of either side on the scale of the test."""
    found = []
    for side in (cell.baseline, cell.run):
        medians = np.array([float(np.median(trial)) for trial in side.trials])
        found.append(medians if cell.primary.smallest_effect is not None else np.log(medians))
    return found


def _change(cell: Cell) -> Worsening:
    return worsening(*_medians(cell), lower_is_better=cell.primary.better == "lower")


def _scaled(cell: Cell) -> float:
    """The smallest effect of interest on the scale of the test."""
    percent = cell.primary.smallest_effect_percent
    return float(cell.primary.smallest_effect or 0.0) if percent is None else math.log1p(percent / 100)


def _row(cell: Cell) -> Row:
    percent = cell.primary.smallest_effect_percent
    middle = [
        float(np.median([np.median(trial) for trial in side.trials])) if side.trials else None
        for side in (cell.baseline, cell.run)
    ]
    return Row(
        workload=cell.workload,
        variant=cell.variant,
        metric=cell.primary.metric,
        unit=cell.unit,
        better=cell.primary.better,
        smallest=float(cell.primary.smallest_effect or 0.0) if percent is None else percent / 100,
        in_percent=percent is not None,
        trials=(len(cell.baseline.trials), len(cell.run.trials)),
        n=(cell.baseline.n, cell.run.n),
        medians=(middle[0], middle[1]),
        outcome="inconclusive",
    )


def _shown(cell: Cell, change: Worsening, passed: bool, regressed: bool, p: float, metrics: int) -> Row:
    """The decisions from the third on."""
    row = _row(cell)
    estimate, half = float(change.estimate), float(change.half)
    ends = (estimate, estimate - half, estimate + half)
    worse, low, high = (math.expm1(end) for end in ends) if row.in_percent else ends
    row = replace(row, worse=worse, worse_low=low, worse_high=high, p=p)
    if regressed:
        return replace(row, outcome="regressed")
    absent = _absent(cell)
    if absent:
        return replace(row, reason=absent)
    if passed:
        return replace(row, outcome="passed")
    variances = [float(np.var(side, ddof=1)) for side in _medians(cell)]
    further = further_trials(estimate, (variances[0], variances[1]), row.trials, _scaled(cell), metrics)
    return replace(row, reason=_needs(further), further=further)


def _needs(further: int | None) -> str:
    if further is None:
        return "trials differ too much: no number of further trials decides against this baseline"
    return f"needs about {further} more trial{'' if further == 1 else 's'}"


def _absent(cell: Cell) -> str:
    """What the run lacks and the baseline has; empty where nothing."""
    run, baseline = cell.run, cell.baseline
    if run.missing_share > baseline.missing_share:
        return f"{run.missing} of {run.missing + run.n} migrations have no value: {run.why}"
    if run.invalid_share > baseline.invalid_share:
        return f"{run.planned - run.valid} of {run.planned} trials are not valid"
    return ""


def _excuse(row: Row, entries: Sequence[Entry]) -> Entry | None:
    if row.outcome == "passed":
        return None
    return next((one for one in entries if one.covers(row.metric, row.workload, row.variant)), None)


def _unused(rows: Sequence[Row], entries: Sequence[Entry]) -> tuple[Entry, ...]:
    used = [row.excused for row in rows]
    return tuple(entry for entry in entries if not any(entry is one for one in used))


def _outcome(rows: Sequence[Row]) -> Outcome:
    open_ = {row.outcome for row in rows if row.excused is None}
    if "regressed" in open_:
        return "regressed"
    return "inconclusive" if "inconclusive" in open_ else "passed"
