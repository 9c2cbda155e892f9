"""Quantiles: how many values one takes, and how often its interval holds the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.analysis.stats.quantiles import needed, quantile


@pytest.mark.parametrize(("share", "values"), [(0.5, 1), (0.9, 10), (0.95, 20), (0.99, 100), (0.05, 20)])
def test_it_takes_so_many_that_one_lies_beyond(share: float, values: int) -> None:
    assert needed(share) == values


@pytest.mark.parametrize(("share", "n"), [(0.95, 19), (0.99, 99), (0.5, 0)])
def test_too_few_values_carry_none_and_say_so(share: float, n: int) -> None:
    found = quantile(range(n), share)
    assert (found.value, found.interval_low, found.interval_high, found.n) == (None, None, None, n)
    assert found.reason
    assert quantile(range(needed(share)), share).value is not None


def test_a_p99_is_not_the_largest_value() -> None:
    assert quantile([*range(99), 10_000], 0.99).value == pytest.approx(98 + 0.01 * (10_000 - 98))


def test_the_median_of_known_values() -> None:
    found = quantile([5.0, 1.0, 3.0, 2.0, 4.0, 6.0], 0.5)
    assert (found.value, found.interval_low, found.interval_high) == (3.5, 1.0, 6.0)


def test_five_values_have_a_median_without_an_interval() -> None:
    """Half of half to the fifth is more than one in forty, on either side."""
    found = quantile([5.0, 1.0, 3.0, 2.0, 4.0], 0.5)
    assert (found.value, found.interval_low, found.interval_high) == (3.0, None, None)


def test_the_upper_end_is_open_where_it_may_lie_above_all() -> None:
    found = quantile(range(20), 0.95)
    assert found.value is not None and found.interval_low is not None
    assert found.interval_high is None


@pytest.mark.parametrize("n", [1, 5, 6, 19, 20, 37, 100, 368, 369, 1000])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95, 0.99])
def test_the_ranks_are_those_of_the_binomial(n: int, share: float) -> None:
    found = quantile(range(1, n + 1), share)
    if found.value is None:
        return
    low = int(stats.binom.ppf(0.025, n, share))
    high = int(stats.binom.ppf(0.975, n, share)) + 1
    assert found.interval_low == (low or None)
    assert found.interval_high == (high if high <= n else None)


@pytest.mark.parametrize(("n", "share"), [(15, 0.5), (40, 0.95), (120, 0.95), (400, 0.99)])
def test_the_interval_holds_the_truth_in_95_of_100(n: int, share: float) -> None:
    draws = np.random.default_rng(7)
    truth = float(stats.lognorm.ppf(share, 0.8))
    held = 0
    for _ in range(600):
        found = quantile(list(stats.lognorm.rvs(0.8, size=n, random_state=draws)), share)
        low = -math.inf if found.interval_low is None else found.interval_low
        high = math.inf if found.interval_high is None else found.interval_high
        held += low <= truth <= high
    assert held / 600 >= 0.93


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5])
def test_only_a_share_is_a_share(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        quantile([1.0], share)


def test_a_missing_value_is_the_callers_to_name() -> None:
    with pytest.raises(ValueError, match="not finite"):
        quantile([1.0, math.nan], 0.5)
