"""Where the level of a series changes for good, found by an exact search over all its segmentations.

The search is that of ``ruptures`` (PELT with the L2 cost), on the normal scores of the values: a single night
out of line counts no more than its rank allows, and the scale does not matter. What a change has to gain is
the quantile that permutations of the scores give, so that a course without any change shows one with a known
probability (:data:`LEVEL` at most over all series that are looked at together), whatever the distribution of
its values. That holds where the nights are independent of each other.

Sources:
    R. Killick, P. Fearnhead, I. A. Eckley, Optimal detection of changepoints with a linear computational
    cost, J. Am. Stat. Assoc. 107, 2012.
    C. Truong, L. Oudre, N. Vayatis, Selective review of offline change point detection methods, Signal
    Processing 167, 2020 (ruptures).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from ruptures import KernelCPD
from scipy.special import ndtri
from scipy.stats import rankdata

Array = NDArray[np.float64]

LEVEL = 0.05
"""How probable any change is at most over the series that are looked at together, where nothing changes."""
_OF_ONE = 0.5
"""The part of :data:`LEVEL` for single changes. The rest is for two changes that gain enough together only,
a level that comes and goes by chance: of these a long series has many (``benchmarks/trend.py``)."""
LEAST_NIGHTS = 3
"""A level that lasts fewer nights is no level: one night or two out of line are seen, and are no change."""
FROM_NIGHTS = 2 * LEAST_NIGHTS
"""Nights from which on a series is looked at."""
PERMUTATIONS = 10_000
_SEED = 20_261_128
_AT_ONCE = 1000


def found(values: Sequence[float], series: int = 1) -> list[int]:
    """The places in `values`, in order of time, at which a new level begins; ascending, 0 is never one.

    Args:
        values: One a night, all finite.
        series: How many series are looked at together, this one included.

    Raises:
        ValueError: A value is not finite, or `series` is below 1.
    """
    given = np.asarray(values, dtype=np.float64)
    if not np.all(np.isfinite(given)) or series < 1:
        raise ValueError("values are finite, and there is one series at least")
    if len(given) < FROM_NIGHTS or bool(np.all(given == given[0])):
        return []
    search = KernelCPD(kernel="linear", min_size=LEAST_NIGHTS).fit(scores(given).reshape(-1, 1))
    ends: list[int] = search.predict(pen=gain_needed(len(given), series))
    return [int(end) for end in ends[:-1]]


def scores(values: Array) -> Array:
    """The normal scores of the values, with mean 0 and variance 1; equal values have equal scores."""
    raw = ndtri((rankdata(values) - 0.5) / len(values))
    centred = raw - raw.mean()
    scaled: Array = centred / np.sqrt(np.mean(centred**2))
    return scaled


@cache
def gain_needed(nights: int, series: int = 1) -> float:
    """How much the sum of squares has to fall by a change, so that it is one.

    The quantile of the largest gain that one change brings in permuted scores, at half of ``LEVEL / series``
    from its end. The draws are seeded: the same number of nights gives the same number.
    """
    draw = np.random.default_rng([_SEED, nights])
    one = scores(np.arange(nights, dtype=np.float64))
    largest = [
        _largest_gains(draw.permuted(np.tile(one, (_AT_ONCE, 1)), axis=1))
        for _ in range(PERMUTATIONS // _AT_ONCE)
    ]
    return float(np.quantile(np.concatenate(largest), 1 - _OF_ONE * LEVEL / series, method="higher"))


def _largest_gains(rows: Array) -> Array:
    """For each row of scores with mean 0, by how much the best single change lowers the sum of squares."""
    nights = rows.shape[1]
    before = np.arange(LEAST_NIGHTS, nights - LEAST_NIGHTS + 1)
    sums = np.cumsum(rows, axis=1)[:, before - 1]
    gains: Array = (sums**2 * nights / (before * (nights - before))).max(axis=1)
    return gains
