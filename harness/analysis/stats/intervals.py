"""Medians and ratios of independent values with their 95 % confidence intervals.

Sources:
    B. Efron, Better bootstrap confidence intervals, J. Am. Stat. Assoc. 82, 1987: BCa.
    T. C. Hesterberg, What teachers should know about the bootstrap, Am. Stat. 69, 2015: it is too narrow for
    few values; with fewer than about ten a bootstrap interval is a hint.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 9999
SEED = 20130101
"""Any fixed number: the same values then give the same interval in every report."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A sample in a few numbers, in the unit of its values.

    Attributes:
        n: How many values.
        mean: Their arithmetic mean.
        median: Their median.
        std: Standard deviation with n - 1 in the denominator, or None for one value.
        interval_low: Lower end of the 95 % confidence interval, or None for one value.
        interval_high: Its upper end, or None.
        method: How the interval was made, in words, or why there is no interval.
    """

    n: int
    mean: float
    median: float
    std: float | None
    interval_low: float | None
    interval_high: float | None
    method: str


def median_interval(values: Sequence[float]) -> Summary:
    """The sample with a bootstrap interval (BCa) of its median.

    Where all values are alike BCa is undefined, and the interval is that value.

    Raises:
        ValueError: There are no values, or one is not finite: missing values are the caller's to name.
    """
    sample = _checked(values)
    if len(sample) == 1:
        return _summary(sample, None, "one value has no interval")
    interval, method = _bootstrap(sample)
    return _summary(sample, interval, f"95 % bootstrap interval of the median ({method})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A ratio of two medians with its interval, or None for one pair; `n` counts pairs."""

    n: int
    value: float
    interval_low: float | None
    interval_high: float | None
    method: str


def ratio_of_medians(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """The median of `numerator` over the median of `denominator`, pair by pair.

    The two are paired: values of one index were measured one after the other, so that whole pairs are drawn
    again in the bootstrap (percentile method: the pairs of few values make BCa's acceleration unstable).

    Raises:
        ValueError: The lengths differ, there are no values, or a value is not finite or not positive.
    """
    above, below = _checked(numerator), _checked(denominator)
    if len(above) != len(below):
        raise ValueError(f"{len(above)} values cannot be paired with {len(below)}")
    if float(min(above.min(), below.min())) <= 0:
        raise ValueError("a ratio needs positive values")
    value = float(np.median(above) / np.median(below))
    if len(above) == 1:
        return Ratio(
            n=1, value=value, interval_low=None, interval_high=None, method="one pair has no interval"
        )
    draws = np.random.default_rng(SEED).integers(0, len(above), size=(RESAMPLES, len(above)))
    ratios = np.median(above[draws], axis=1) / np.median(below[draws], axis=1)
    low, high = np.quantile(ratios, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Ratio(
        n=len(above),
        value=value,
        interval_low=float(low),
        interval_high=float(high),
        method="95 % bootstrap interval of the ratio of medians (pairs, percentile)",
    )


def _summary(sample: Array, interval: tuple[float, float] | None, method: str) -> Summary:
    return Summary(
        n=len(sample),
        mean=float(np.mean(sample)),
        median=float(np.median(sample)),
        std=float(np.std(sample, ddof=1)) if len(sample) > 1 else None,
        interval_low=None if interval is None else interval[0],
        interval_high=None if interval is None else interval[1],
        method=method,
    )


def _checked(values: Sequence[float]) -> Array:
    sample = np.asarray(list(values), dtype=np.float64)
    if not len(sample):
        raise ValueError("no values: there is nothing to summarise")
    if not np.all(np.isfinite(sample)):
        raise ValueError("a value is missing or not finite: leave it out and say so")
    return sample


def _bootstrap(sample: Array) -> tuple[tuple[float, float], str]:
    """BCa where it is defined; the percentile method where every jackknifed median is the same."""
    if float(np.ptp(sample)) == 0:
        return (float(sample[0]), float(sample[0])), "all values alike"
    jackknifed = {float(np.median(np.delete(sample, index))) for index in range(len(sample))}
    method: Any = "BCa" if len(jackknifed) > 1 else "percentile"
    found = scipy.stats.bootstrap(
        (sample,),
        np.median,
        confidence_level=CONFIDENCE,
        n_resamples=RESAMPLES,
        method=method,
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    low, high = float(found.low), float(found.high)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("the bootstrap of these values is undefined")
    # The median of a resample is a value or the middle of two; interpolation may round past the last of them.
    return (max(low, float(sample.min())), min(high, float(sample.max()))), str(method)
