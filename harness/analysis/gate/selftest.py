"""A gate put to the test on one run: disjoint sets of its trials against each other, where nothing differs.

Every regression it then finds is a false alarm. A run of few trials bounds their rate loosely, which is why
the bound is a part of the answer. Trials of one run are interleaved in time, so that nothing of what changes
between two nights is in it.

Source: C. J. Clopper and E. S. Pearson, The use of confidence or fiducial limits, Biometrika 26, 1934.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy

from harness.analysis.gate.cells import cells
from harness.analysis.gate.declared import Gate
from harness.analysis.gate.judgement import LEVEL
from harness.analysis.gate.rows import Outcome, judge
from harness.analysis.stats.trials import FROM_T
from harness.analysis.table import valid
from harness.errors import InconclusiveError

Trials = Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of it.

    Attributes:
        trials: How many trials of each workload were on either side.
        outcomes: Of every gate; no trial was in two of them.
    """

    trials: int
    outcomes: tuple[Outcome, ...]

    @property
    def alarms(self) -> int:
        """How many gates found a regression where there is none."""
        return self.outcomes.count("regressed")

    @property
    def most(self) -> float:
        """The upper end of the rate of false alarms: it is less with a confidence of 95 %."""
        tried = len(self.outcomes)
        if self.alarms == tried:
            return 1.0
        return float(scipy.stats.beta.ppf(0.95, self.alarms + 1, tried - self.alarms))

    @property
    def least(self) -> float:
        """Its lower end likewise."""
        other = len(self.outcomes) - self.alarms
        return float(scipy.stats.beta.ppf(0.05, self.alarms, other + 1)) if self.alarms else 0.0

    @property
    def too_many(self) -> bool:
        """Whether there are more false alarms than the gate promises, beyond chance."""
        return self.least > LEVEL


def against_itself(
    gate: Gate, table: pd.DataFrame, plan: Trials, *, seed: int, trials: int | None = None
) -> Tried:
    """As many gates as there are disjoint pairs of sets, each of `trials` trials of every workload.

    Args:
        gate: What is declared.
        table: The run's metrics.
        plan: The trials of its plan.
        seed: The sets are drawn from it.
        trials: Trials of a workload on either side; None for half of those that there are.

    Raises:
        InconclusiveError: There are too few valid trials.
    """
    there = set(valid(table)["trial"])
    places: dict[tuple[object, object], list[Mapping[str, object]]] = {}
    for one in plan:
        if one["id"] in there:
            places.setdefault((one["workload"], one.get("variant")), []).append(one)
    fewest = min(map(len, places.values()), default=0)
    size = fewest // 2 if trials is None else trials
    pairs = fewest // (2 * size) if size >= FROM_T else 0
    if not pairs:
        needed = 2 * (size if trials is not None and size >= FROM_T else FROM_T)
        raise InconclusiveError(
            "too few trials to put against each other",
            why=f"the workload that has the fewest has {fewest} valid trials, and {needed} are needed",
            remedy="run the campaign with more repetitions",
        )
    draw = np.random.default_rng(seed)
    drawn = [[mine[at] for at in draw.permutation(len(mine))] for _, mine in sorted(places.items(), key=str)]
    outcomes = []
    for pair in range(pairs):
        first, second = (
            [one for mine in drawn for one in mine[(2 * pair + half) * size : (2 * pair + half + 1) * size]]
            for half in (0, 1)
        )
        outcomes.append(judge(cells(gate, second, _of(table, first), _of(table, second), first)).outcome)
    return Tried(trials=size, outcomes=tuple(outcomes))


def _of(table: pd.DataFrame, trials: Trials) -> pd.DataFrame:
    return table[table["trial"].isin([str(one["id"]) for one in trials])]
