"""Two sets of trials: their ratio, what is shown of it, and the correction for many looks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.stats.two_samples import benjamini_hochberg, difference, holm

positive = st.floats(min_value=1e-3, max_value=1e6)
trials = st.lists(st.lists(positive, min_size=1, max_size=4), min_size=1, max_size=8)


def test_the_ratio_and_p_are_those_of_welchs_t_on_the_logarithms() -> None:
    one, other = [1.0, 1.1, 1.3, 0.9], [2.0, 2.6, 2.2]
    found = difference([[value] for value in one], [[value] for value in other])
    expected = stats.ttest_ind(np.log(other), np.log(one), equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.ratio_low, found.ratio_high) == pytest.approx((math.exp(low), math.exp(high)))
    assert found.ratio == pytest.approx(2.2 / 1.05)
    assert found.shift == pytest.approx(1.15)


def test_each_trial_counts_once_by_its_median() -> None:
    found = difference([[1.0, 1.0, 50.0], [2.0], [3.0]], [[1.0], [2.0], [3.0] * 9])
    assert (found.medians, found.p) == ((2.0, 2.0), 1.0)
    assert (found.trials, found.n) == ((3, 3), (5, 11))


def test_two_trials_on_a_side_show_nothing() -> None:
    found = difference([[1.0], [1.0], [1.0]], [[9.0] * 10, [9.0] * 10])
    assert (found.p, found.ratio_low, found.ratio) == (None, None, 9.0)


def test_where_a_value_is_zero_the_difference_is_compared() -> None:
    found = difference([[0.0], [1.0], [2.0]], [[4.0], [5.0], [6.0]])
    assert found.ratio is None and found.ratio_low is None
    assert found.shift_low is not None and found.shift_high is not None
    assert found.shift_low < 4.0 < found.shift_high


def test_sides_all_alike_are_told_apart_only_where_they_differ() -> None:
    assert difference([[1.0]] * 3, [[1.0]] * 3).p == 1.0
    assert difference([[1.0]] * 3, [[2.0]] * 3).p == 0.0


@settings(deadline=None)
@given(trials, trials)
def test_exchanging_the_sides_inverts_the_ratio(first: list[list[float]], second: list[list[float]]) -> None:
    one, other = difference(first, second), difference(second, first)
    assert one.ratio is not None and other.ratio is not None
    assert one.ratio * other.ratio == pytest.approx(1)
    if one.ratio_low is not None and one.p is not None and other.ratio_high is not None:
        assert one.ratio_low * other.ratio_high == pytest.approx(1)
        assert one.p == pytest.approx(other.p)


@pytest.mark.parametrize("sides", [([], [[1.0]]), ([[1.0]], [[]]), ([[math.nan]], [[1.0]])])
def test_nothing_and_missing_values_are_refused(sides: tuple[list[list[float]], list[list[float]]]) -> None:
    with pytest.raises(ValueError):
        difference(*sides)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == benjamini_hochberg([]) == []


def test_benjamini_and_hochberg_by_hand() -> None:
    assert benjamini_hochberg([0.01, 0.02, 0.03, 0.5]) == pytest.approx([0.04, 0.04, 0.04, 0.5])


@given(st.lists(st.sampled_from([0.0, 1e-9, 0.01, 0.02, 0.04, 0.3, 1.0]) | st.floats(0, 1), min_size=1))
def test_benjamini_and_hochberg_as_scipy_has_it(ps: list[float]) -> None:
    assert benjamini_hochberg(ps) == stats.false_discovery_control(ps, method="bh").tolist()
