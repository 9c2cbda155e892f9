"""Statistics against published values, and what must hold for any sample."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.stats import median_interval, ratio_of_medians

reasonable = st.floats(min_value=1e-6, max_value=1e9)
samples = st.lists(reasonable, min_size=1, max_size=12)


def test_one_value_has_no_interval_and_no_spread() -> None:
    found = median_interval([7.0])
    assert (found.n, found.mean, found.std, found.interval_low, found.interval_high) == (
        1,
        7.0,
        None,
        None,
        None,
    )
    assert "one value" in found.method


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_nothing_and_missing_values_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError):
        median_interval(values)
    with pytest.raises(ValueError):
        ratio_of_medians(values, values)


@settings(deadline=None, max_examples=30)
@given(samples)
def test_a_bootstrap_interval_stays_within_the_sample_and_repeats(values: list[float]) -> None:
    found = median_interval(values)
    assert found == median_interval(values)
    if found.n > 1:
        assert found.interval_low is not None and found.interval_high is not None
        assert min(values) <= found.interval_low <= found.interval_high <= max(values)


def test_values_all_alike_have_a_point_as_interval() -> None:
    found = median_interval([2.0, 2.0, 2.0])
    assert (found.interval_low, found.interval_high) == (2.0, 2.0)


def test_bootstrap_covers_a_known_median() -> None:
    found = median_interval([float(value) for value in range(1, 102)])
    assert found.interval_low is not None and found.interval_high is not None
    # Distribution-free order-statistics interval of n = 101: the 41st to the 61st value.
    assert found.interval_low == pytest.approx(41, abs=3)
    assert found.interval_high == pytest.approx(61, abs=3)


def test_a_constant_factor_between_pairs_has_a_narrow_interval() -> None:
    found = ratio_of_medians([1.1, 2.2, 3.3, 4.4], [1.0, 2.0, 3.0, 4.0])
    assert found.value == pytest.approx(1.1)
    assert found.interval_low == pytest.approx(1.1)
    assert found.interval_high == pytest.approx(1.1)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(reasonable, reasonable), min_size=2, max_size=8))
def test_a_ratio_lies_in_its_interval(pairs: list[tuple[float, float]]) -> None:
    above, below = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = ratio_of_medians(above, below)
    assert found.interval_low is not None and found.interval_high is not None
    assert found.interval_low <= found.interval_high
    assert min(above) / max(below) <= found.value * (1 + 1e-9)


def test_what_cannot_be_a_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="paired"):
        ratio_of_medians([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="positive"):
        ratio_of_medians([1.0], [0.0])
    assert ratio_of_medians([2.0], [1.0]).interval_low is None
