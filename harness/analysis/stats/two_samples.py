"""Whether two sets of trials differ, and by what factor; each trial counts once, by its median.

The interval of the ratio and its p are Welch's t on the logarithms of the trials' medians; where a value is
not positive, of the difference of the medians themselves, which then has no ratio. Fewer than three trials on
either side show nothing. ``docs/statistics.md`` has the simulated coverage and rate of false differences.

Sources:
    B. L. Welch, The generalization of Student's problem when several different population variances are
    involved, Biometrika 34, 1947.
    S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6, 1979.
    Y. Benjamini and Y. Hochberg, Controlling the false discovery rate, J. R. Stat. Soc. B 57, 1995.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.analysis.stats import student
from harness.analysis.stats.intervals import CONFIDENCE
from harness.analysis.stats.trials import FROM_T

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The second set of trials against the first.

    Attributes:
        trials: How many trials the first and the second have.
        n: How many values.
        medians: The median of each side's trials' medians, in the values' unit.
        ratio: The second median over the first; None where a value is not positive.
        ratio_low: Lower end of the 95 % interval of the ratio, or None where there is none.
        ratio_high: Its upper end likewise.
        shift_low: Lower end of the 95 % interval of the difference where there is no ratio; else None.
        shift_high: Its upper end likewise.
        p: How probable so large a difference is between trials of one kind; None for too few trials.
    """

    trials: tuple[int, int]
    n: tuple[int, int]
    medians: tuple[float, float]
    ratio: float | None
    ratio_low: float | None = None
    ratio_high: float | None = None
    shift_low: float | None = None
    shift_high: float | None = None
    p: float | None = None

    @property
    def shift(self) -> float:
        """The second median less the first, in the values' unit."""
        return self.medians[1] - self.medians[0]


def difference(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> Difference:
    """The second set of trials against the first, each trial a sequence of its values.

    Raises:
        ValueError: A side has no trial, a trial no value, or a value is not finite.
    """
    sides = [[np.asarray(list(trial), dtype=np.float64) for trial in side] for side in (first, second)]
    if any(not side or any(not len(trial) for trial in side) for side in sides):
        raise ValueError("no values: there is nothing to compare")
    every = np.concatenate([trial for side in sides for trial in side])
    if not np.all(np.isfinite(every)):
        raise ValueError("a value is missing or not finite: leave it out and say so")
    medians = [np.array([np.median(trial) for trial in side]) for side in sides]
    middles = (float(np.median(medians[0])), float(np.median(medians[1])))
    positive = bool(every.min() > 0)
    found = Difference(
        trials=(len(sides[0]), len(sides[1])),
        n=(sum(map(len, sides[0])), sum(map(len, sides[1]))),
        medians=middles,
        ratio=middles[1] / middles[0] if positive else None,
    )
    return found if min(found.trials) < FROM_T else _tested(found, medians, logarithmic=positive)


def _tested(found: Difference, medians: Sequence[Array], *, logarithmic: bool) -> Difference:
    """The same with its interval and p."""
    one, other = (np.log(side) if logarithmic else side for side in medians)
    low, high, p = welch(one, other)
    if logarithmic:
        ends = {"ratio_low": math.exp(low), "ratio_high": math.exp(high)}
    else:
        ends = {"shift_low": low, "shift_high": high}
    return Difference(trials=found.trials, n=found.n, medians=found.medians, ratio=found.ratio, p=p, **ends)


def welch(one: Array, other: Array) -> tuple[float, float, float]:
    """Lower and upper end of the 95 % interval of the difference of the means, and its two-sided p."""
    gap, spread, freedom = (float(value) for value in difference_of_means(one, other))
    if spread == 0:
        return gap, gap, 1.0 if gap == 0 else 0.0
    half = float(student.quantile((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(spread)
    p = 2 * float(student.upper_tail(abs(gap) / math.sqrt(spread), freedom))
    return gap - half, gap + half, p


def difference_of_means(one: Array, other: Array) -> tuple[Array, Array, Array]:
    """The second mean less the first, its variance, and Welch's degrees of freedom; over the last axis.

    Each side has two values at least along that axis. Without any spread the degrees are those of equal
    variances.
    """
    gap = np.mean(other, axis=-1) - np.mean(one, axis=-1)
    first, second = (np.var(side, ddof=1, axis=-1) / side.shape[-1] for side in (one, other))
    spread = first + second
    below = first**2 / (one.shape[-1] - 1) + second**2 / (other.shape[-1] - 1)
    equal = one.shape[-1] + other.shape[-1] - 2
    freedom = np.where(below > 0, spread**2 / np.where(below > 0, below, 1.0), equal)
    return gap, spread, freedom


def holm(ps: Sequence[float]) -> list[float]:
    """The p values so that among all of them none is wrong with more than the stated probability.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    return [float(p) for p in holm_of_each(np.asarray(ps, dtype=np.float64))]


def holm_of_each(ps: Array) -> Array:
    """The same along the last axis: what is looked at together."""
    order = np.argsort(ps, axis=-1)
    factors = ps.shape[-1] - np.arange(ps.shape[-1])
    stepped = np.minimum(1.0, factors * np.take_along_axis(ps, order, axis=-1))
    found: Array = np.empty_like(stepped)
    np.put_along_axis(found, order, np.maximum.accumulate(stepped, axis=-1), axis=-1)
    return found


def benjamini_hochberg(ps: Sequence[float]) -> list[float]:
    """The p values so that of those that are shown no larger share is wrong than stated.

    >>> [round(p, 3) for p in benjamini_hochberg([0.01, 0.04, 0.03])]
    [0.03, 0.04, 0.04]
    """
    given = np.asarray(ps, dtype=np.float64)
    downwards = np.argsort(given)[::-1]
    stepped = given[downwards] * (len(given) / np.arange(len(given), 0, -1))
    found = np.empty_like(stepped)
    found[downwards] = np.minimum(1.0, np.minimum.accumulate(stepped))
    return [float(p) for p in found]
