"""How much worse the trials of a run are than those of a baseline, and what that shows; over arrays.

Each trial counts once, by its median; the last axis is the trials. Worse is positive. With a smallest effect
of interest, a one-sided Welch test at 5 % decides in either direction:

* *passed* where the upper end of the worsening lies below the smallest effect (non-inferiority);
* *regressed* where the worsening is above 0, its p corrected by Holm over all that a gate looks at;
* neither otherwise. What is worse, but shown to be worse by less than matters, has passed.

A gate passes only where every metric passes, so that passing needs no correction (intersection-union test).
``docs/statistics.md`` has the simulated rates of false alarms and misses.

Sources:
    B. L. Welch, Biometrika 34, 1947.
    D. J. Schuirmann, A comparison of the two one-sided tests procedure, J. Pharmacokinet. Biopharm. 15, 1987.
    R. L. Berger, Multiparameter hypothesis testing and acceptance sampling, Technometrics 24, 1982.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.analysis.stats import student
from harness.analysis.stats.two_samples import difference_of_means, holm_of_each

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

LEVEL = 0.05
POWER = 0.8
"""How probable a decision is with the number of trials that is said to be needed."""
MOST_TRIALS = 200
"""More further trials than this are not proposed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worsening:
    """How much worse a run is: estimate and standard error on the scale of the trials' medians."""

    estimate: Array
    error: Array
    freedom: Array

    @property
    def p(self) -> Array:
        """How probable so large a worsening is where nothing is worse."""
        return np.where(self.error > 0, self._tail(), np.where(self.estimate > 0, 0.0, 1.0))

    def _tail(self) -> Array:
        steps = self.estimate / np.where(self.error > 0, self.error, 1.0)
        return student.upper_tail(steps, self.freedom)

    @property
    def half(self) -> Array:
        """Half of the interval whose ends are the one-sided bounds: 90 % of it lies within."""
        return student.quantile(1 - LEVEL, self.freedom) * self.error


def worsening(baseline: Array, run: Array, *, lower_is_better: bool) -> Worsening:
    """The worsening of `run` against `baseline`, both values of trials along the last axis, two at least."""
    gap, spread, freedom = difference_of_means(baseline, run)
    return Worsening(
        estimate=gap if lower_is_better else -gap,
        error=np.sqrt(spread),
        freedom=freedom,
    )


def judged(found: Worsening, smallest: Array) -> tuple[Mask, Mask, Array]:
    """Where it passed, where it regressed, and p corrected over the last axis: the metrics of one gate."""
    passed = found.estimate + found.half < smallest
    adjusted = holm_of_each(found.p)
    return passed, ~passed & (adjusted < LEVEL), adjusted


def further_trials(
    estimate: float, variances: tuple[float, float], trials: tuple[int, int], smallest: float, metrics: int
) -> int | None:
    """About how many further trials of the run decide with a probability of 80 %; None where no number does.

    The baseline stays as it is. The truth is taken to be the estimate, but no easier to tell than no change
    from the smallest effect: below half of that effect the gate has to pass, above it to find a regression.

    Args:
        estimate: The worsening.
        variances: Of one trial, of the baseline's and the run's.
        trials: How many the baseline and the run have.
        smallest: The smallest effect of interest.
        metrics: How many the gate looks at.
    """
    passes = estimate < smallest / 2
    distance = min(smallest, smallest - estimate if passes else estimate)
    level = LEVEL if passes else LEVEL / metrics
    run = np.arange(trials[1] + 1, trials[1] + MOST_TRIALS + 1)
    mine, theirs = variances[0] / trials[0], variances[1] / run
    spread = mine + theirs
    freedom = spread**2 / (mine**2 / (trials[0] - 1) + theirs**2 / (run - 1))
    needed = (student.quantile(1 - level, freedom) + student.quantile(POWER, freedom)) * np.sqrt(spread)
    enough = np.flatnonzero(needed <= distance)
    return int(enough[0]) + 1 if len(enough) else None
