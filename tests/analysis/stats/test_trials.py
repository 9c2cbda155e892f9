"""Values of several trials: which interval their number carries, what it holds, and what is flagged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.stats.coverage import COVERAGE, simulated
from harness.analysis.stats.trials import method, replicated, two_modes

positive = st.floats(min_value=1e-6, max_value=1e9)
campaigns = st.lists(st.lists(positive, min_size=1, max_size=5), min_size=1, max_size=12)


@pytest.mark.parametrize("groups", [[[1.0, 2.0, 3.0, 4.0, 5.0]], [[1.0, 2.0], [3.0]]])
def test_one_or_two_trials_have_no_interval_whatever_they_hold(groups: list[list[float]]) -> None:
    found = replicated(groups)
    assert (found.interval_low, found.interval_high) == (None, None)
    assert found.method == f"{len(groups)} trial{'s' if len(groups) > 1 else ''}: no interval"
    assert (found.trials, found.n) == (len(groups), sum(map(len, groups)))


def test_three_trials_have_students_t_of_the_logarithms_of_their_medians() -> None:
    # By hand, with t(0.975, 2) = 4.30265273 from any table; the logarithms of 1, e and e^2 are 0, 1 and 2.
    found = replicated([[1.0], [math.e, 0.5, 100.0], [math.e**2]])
    half = 4.30265273 / math.sqrt(3)
    assert found.interval_low == pytest.approx(math.exp(1 - half), rel=1e-6)
    assert found.interval_high == pytest.approx(math.exp(1 + half), rel=1e-6)
    assert "Student's t on the log scale (simulated coverage " in found.method


def test_a_quantity_that_can_be_negative_has_a_plain_t_interval() -> None:
    found = replicated([[-1.0], [0.0], [1.0]], signed=True)
    assert found.interval_high == pytest.approx(4.30265273 / math.sqrt(3), rel=1e-6)
    assert found.interval_low == pytest.approx(-4.30265273 / math.sqrt(3), rel=1e-6)
    assert "log" not in found.method


def test_six_trials_lie_between_their_least_and_largest_median() -> None:
    found = replicated([[6.0], [1.0, 2.0, 90.0], [3.0], [4.0], [5.0], [7.0]])
    assert (found.interval_low, found.interval_high) == (2.0, 7.0)
    assert "order statistics" in found.method


@pytest.mark.parametrize("trials", [3, 4, 5])
def test_no_interval_of_a_time_reaches_below_zero(trials: int) -> None:
    """These are the outages of one cell, of which a t interval of the mean began at -1.5 s."""
    values = [0.218, 1.0, 7.061, 1.999, 0.117][:trials]
    for sample in ([[value] for value in values], [[0.0], *([value] for value in values[1:])]):
        low = replicated(sample).interval_low
        assert low is not None and low >= 0


@settings(deadline=None)
@given(campaigns)
def test_the_interval_repeats_is_ordered_and_stays_above_zero(groups: list[list[float]]) -> None:
    found = replicated(groups)
    assert found == replicated(groups)
    if len(groups) >= 3:
        assert found.interval_low is not None and found.interval_high is not None
        assert 0 <= found.interval_low <= found.interval_high
    else:
        assert found.interval_low is None


@settings(deadline=None)
@given(campaigns, st.randoms(use_true_random=False))
def test_the_order_of_the_trials_does_not_matter(groups: list[list[float]], order: object) -> None:
    shuffled = list(groups)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = replicated(groups), replicated(shuffled)
    assert (one.median, one.two_modes, one.method) == (other.median, other.two_modes, other.method)
    if one.interval_low is not None:
        assert one.interval_low == pytest.approx(other.interval_low)


@pytest.mark.parametrize("trials", [6, 8, 15])
def test_from_six_trials_the_interval_covers_even_two_kinds_of_trials(trials: int) -> None:
    draw = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        slow = draw.random(trials) < 0.4
        medians = np.where(slow, 5.0, 1.0) * (1 + 0.05 * draw.standard_normal(trials))
        found = replicated([[float(value)] for value in medians])
        assert found.interval_low is not None and found.interval_high is not None
        # The median of such trials lies at the upper end of the quick ones: their 83rd percentile.
        held += found.interval_low <= 1 + 0.05 * 0.967 <= found.interval_high
    assert held / 400 >= 0.93


def test_a_mean_that_stands_on_one_value_says_what_it_is_without() -> None:
    found = replicated([[218.0, 1000.0, 7061.0, 1999.0, 117.0]])
    assert found.mean == pytest.approx(2079)
    assert found.without_one == pytest.approx(833.5)


@pytest.mark.parametrize("values", [[1.0, 1.1, 0.9, 1.05], [1.0, 2.0, 3.0, 4.0], [5.0], [1.0, 9.0]])
def test_a_mean_that_stands_on_all_its_values_is_not_flagged(values: list[float]) -> None:
    assert replicated([values]).without_one is None


def test_trials_of_two_kinds_are_flagged_and_labelled_with_their_own_coverage() -> None:
    found = replicated([[1.0, 1.02], [1.01, 1.03], [5.0, 5.1]])
    assert found.two_modes
    assert found.method.endswith(f"(simulated coverage {COVERAGE[3][1]:.2f})")


@pytest.mark.parametrize(
    "groups",
    [
        [[1.0, 1.5], [1.2, 0.8], [1.6, 1.1]],  # apart by no more than the noise within trials
        [[1.0, 1.01], [2.0, 2.01], [4.0, 4.01]],  # spread evenly
        [[1.0], [1.01], [5.0]],  # no spread within a trial to compare with, and few trials
        [[1.0, 1.1], [5.0, 5.1]],
    ],
)
def test_trials_that_merely_differ_are_not_flagged(groups: list[list[float]]) -> None:
    assert not two_modes([np.array(group) for group in groups], logarithmic=True)


def test_five_trials_of_one_value_each_can_show_two_modes() -> None:
    assert replicated([[1.0], [1.01], [1.02], [1.03], [5.0]]).two_modes


@pytest.mark.parametrize("groups", [[], [[]], [[1.0], []], [[1.0, math.nan]]])
def test_nothing_and_missing_values_are_refused(groups: list[list[float]]) -> None:
    with pytest.raises(ValueError):
        replicated(groups)


def test_a_number_of_trials_that_was_not_simulated_takes_the_next_fewer() -> None:
    assert simulated(7) == simulated(6)
    assert method(7).endswith(method(6).partition("trials")[2])
    assert simulated(10_000) == f"{COVERAGE[max(COVERAGE)][0]:.2f}"
