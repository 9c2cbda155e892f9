"""Values measured several times in each of several trials: the trial is what is repeated.

The values of one trial share a boot, its placement and its load, so ten migrations of one trial say less than
ten trials. Each trial therefore counts once, by its median, and an interval speaks of further trials:

* one or two trials have no interval;
* three to five have Student's t interval of the trials' medians, on the logarithmic scale where the quantity
  cannot be negative and every value is above 0;
* from six trials on the interval lies between two order statistics of the trials' medians.

``docs/statistics.md`` has the simulated coverage and width of both.

Sources:
    Student (W. S. Gosset), The probable error of a mean, Biometrika 6, 1908.
    H. A. David and H. N. Nagaraja, Order Statistics, 3rd ed., 2003, section 7.1.
    S. H. Hurlbert, Pseudoreplication and the design of ecological field experiments, Ecol. Monogr. 54, 1984.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from harness.analysis.stats import student
from harness.analysis.stats.coverage import simulated
from harness.analysis.stats.intervals import CONFIDENCE
from harness.analysis.stats.quantiles import quantile

FROM_T = 3
"""Trials from which on there is an interval."""
FROM_RANKS = 6
"""Trials from which on the least and the largest hold the median with 95 %: 1 - 2 / 2^6 is 0.97."""
APART = 2.0
"""Trials look as if they had two modes where the gap is wider than this many times all the rest of them."""
ABOVE_NOISE = 4.0
"""And wider than this many standard deviations of the values within their trials."""
FROM_MODES = 5
"""Trials from which on two modes are told where each has one value, and so no spread of its own."""
STANDS_ON_ONE = 0.25
"""A mean stands on one value where it changes by more than this share without that value."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicated:
    """Values of several trials in a few numbers, in their own unit.

    Attributes:
        trials: How many trials.
        n: How many values in all.
        mean: Mean of all values.
        median: Median of all values.
        std: Their standard deviation, or None for one value.
        interval_low: Lower end of the 95 % interval of the trials' median, or None where there is none.
        interval_high: Its upper end, or None.
        method: How the interval was made, with its simulated coverage, or why there is none.
        two_modes: Whether the trials look as if they came from two kinds of trials.
        without_one: The mean without the one value on which it stands; None where it stands on all.
    """

    trials: int
    n: int
    mean: float
    median: float
    std: float | None
    interval_low: float | None
    interval_high: float | None
    method: str
    two_modes: bool
    without_one: float | None


def replicated(groups: Sequence[Sequence[float]], *, signed: bool = False) -> Replicated:
    """The values of each trial with the interval that their number carries.

    Args:
        groups: The values of each trial, at least one each.
        signed: Whether the quantity itself can be negative. The interval of another never reaches below 0.

    Raises:
        ValueError: There is no trial, one has no value, or a value is not finite.
    """
    samples = [np.asarray(list(group), dtype=np.float64) for group in groups]
    if not samples or any(not len(sample) for sample in samples):
        raise ValueError("no values: there is nothing to summarise")
    every = np.concatenate(samples)
    if not np.all(np.isfinite(every)):
        raise ValueError("a value is missing or not finite: leave it out and say so")
    medians = np.array([np.median(sample) for sample in samples])
    logarithmic = not signed and bool(every.min() > 0)
    modes = two_modes(samples, logarithmic=logarithmic)
    interval = trial_interval(medians, logarithmic=logarithmic, signed=signed or bool(every.min() < 0))
    return Replicated(
        trials=len(samples),
        n=len(every),
        mean=float(np.mean(every)),
        median=float(np.median(every)),
        std=float(np.std(every, ddof=1)) if len(every) > 1 else None,
        interval_low=None if interval is None else interval[0],
        interval_high=None if interval is None else interval[1],
        method=method(len(samples), logarithmic=logarithmic, modes=modes),
        two_modes=modes,
        without_one=_without_one(every),
    )


def trial_interval(medians: Array, *, logarithmic: bool, signed: bool) -> tuple[float, float] | None:
    """The 95 % interval of the median of trials of which these are the medians; None for fewer than three."""
    if len(medians) < FROM_T:
        return None
    if len(medians) >= FROM_RANKS:
        found = quantile(medians.tolist(), 0.5)
        if found.interval_low is None or found.interval_high is None:
            raise ValueError(f"{len(medians)} trials carry no interval of their median")
        return found.interval_low, found.interval_high
    scaled = np.log(medians) if logarithmic else medians
    centre = float(np.mean(scaled))
    half = _t(len(scaled) - 1) * float(np.std(scaled, ddof=1)) / math.sqrt(len(scaled))
    if logarithmic:
        return math.exp(centre - half), math.exp(centre + half)
    return (centre - half if signed else max(0.0, centre - half)), centre + half


@cache
def _t(freedom: int) -> float:
    return float(student.quantile((1 + CONFIDENCE) / 2, freedom))


def method(trials: int, *, logarithmic: bool = True, modes: bool = False) -> str:
    """How the interval of that many trials is made and how often it holds the truth, in words.

    >>> method(1)
    '1 trial: no interval'
    """
    if trials < FROM_T:
        return f"{trials} {'trial' if trials == 1 else 'trials'}: no interval"
    how = "between order statistics" if trials >= FROM_RANKS else "Student's t"
    if trials < FROM_RANKS and logarithmic:
        how += " on the log scale"
    return f"95 % interval of {trials} trials' medians, {how} (simulated coverage {simulated(trials, modes)})"


def two_modes(samples: Sequence[Array], *, logarithmic: bool) -> bool:
    """Whether one gap between the trials' medians is far wider than all the rest and than the trials' noise.

    Trials with several values say how much values differ within a trial; where each has one, the gap alone
    tells, and only from :data:`FROM_MODES` trials on.
    """
    if len(samples) < FROM_T:
        return False
    scaled = [np.log(sample) if logarithmic else sample for sample in samples]
    medians = np.sort([float(np.median(sample)) for sample in scaled])
    gaps = np.diff(medians)
    gap, rest = float(gaps.max()), float(medians[-1] - medians[0] - gaps.max())
    if gap <= APART * rest:
        return False
    within = [sample - np.median(sample) for sample in scaled if len(sample) > 1]
    if not within:
        return len(samples) >= FROM_MODES
    # Of k deviations from a median k - 1 are free, as from a mean.
    freedom = sum(len(sample) - 1 for sample in within)
    noise = math.sqrt(sum(float(np.sum(sample**2)) for sample in within) / freedom)
    return gap > ABOVE_NOISE * noise


def _without_one(every: Array) -> float | None:
    """The mean without the farthest value, where that value lies alone and moves the mean much."""
    if len(every) < FROM_T:
        return None
    ordered = np.sort(every)
    for one, nearest, others in (
        (ordered[-1], ordered[-2], ordered[:-1]),
        (ordered[0], ordered[1], ordered[1:]),
    ):
        mean, rest = float(np.mean(every)), float(np.mean(others))
        alone = abs(float(one - nearest)) > float(np.ptp(others))
        if alone and abs(mean - rest) > STANDS_ON_ONE * abs(mean):
            return rest
    return None
