"""Quantiles where the sample is large enough for them, with distribution-free intervals.

A p99 of twenty values is their maximum under another name. Here it is None with that as the reason.

Sources: R. J. Hyndman and Y. Fan, Sample quantiles in statistical packages, Am. Stat. 50, 1996: definition 7.
H. A. David and H. N. Nagaraja, Order Statistics, 3rd ed., 2003, section 7.1: the interval between two order
statistics, which assumes nothing of the distribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special

from harness.analysis.stats.intervals import CONFIDENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """One quantile of a sample, in the unit of its values.

    Attributes:
        n: How many values there are.
        share: Which quantile, such as 0.95.
        value: The quantile, or None where the sample does not carry it.
        interval_low: Lower end of its 95 % interval, a value of the sample; None where there is none.
        interval_high: Its upper end likewise; None also where it may lie above every value seen.
        reason: Why `value` is None; empty where it is there.
    """

    n: int
    share: float
    value: float | None
    interval_low: float | None
    interval_high: float | None
    reason: str = ""


def needed(share: float) -> int:
    """From how many values on a quantile is given: as many as put one value beyond it on average.

    >>> needed(0.5), needed(0.95), needed(0.99)
    (1, 20, 100)
    """
    beyond = min(share, 1 - share)
    return 1 if share == 0.5 else math.ceil(1 / beyond - 1e-9)


def quantile(values: Sequence[float], share: float) -> Quantile:
    """The quantile `share` of `values`, with the reason where there are too few of them.

    Raises:
        ValueError: `share` is not between 0 and 1, or a value is not finite.
    """
    if not 0 < share < 1:
        raise ValueError(f"{share} is no share")
    sample = np.sort(np.asarray(list(values), dtype=np.float64))
    if not np.all(np.isfinite(sample)):
        raise ValueError("a value is missing or not finite: leave it out and say so")
    n = len(sample)
    if n < needed(share):
        reason = (
            f"{n} values do not carry the {share:g} quantile: it takes {needed(share)}" if n else "no values"
        )
        return Quantile(n=n, share=share, value=None, interval_low=None, interval_high=None, reason=reason)
    low, high = _ranks(n, share)
    return Quantile(
        n=n,
        share=share,
        value=float(np.quantile(sample, share)),
        interval_low=None if low is None else float(sample[low - 1]),
        interval_high=None if high is None else float(sample[high - 1]),
    )


@cache
def _ranks(n: int, share: float) -> tuple[int | None, int | None]:
    """The ranks, from 1, between which the quantile lies with 95 % at least; None where there is none.

    Rank r lies above the quantile as often as fewer than r of n values fall below it (binomial).
    """
    tail = (1 - CONFIDENCE) / 2
    fewer = special.bdtr(np.arange(n + 1, dtype=np.float64), n, share)  # P(at most so many lie below)
    low = int(np.searchsorted(fewer, tail))
    high = int(np.searchsorted(fewer, 1 - tail)) + 1
    return low if low >= 1 else None, high if high <= n else None
