"""A cost against its margin: what is shown, and how often it is shown wrongly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.analysis.stats.equivalence import Cost, Outcome, cost


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (-0.01, 0.02, Outcome.WITHIN),
        (0.01, 0.02, Outcome.WITHIN),
        (-0.06, 0.02, Outcome.NOT_SHOWN),
        (-0.01, 0.05, Outcome.NOT_SHOWN),
        (0.04, 0.09, Outcome.NOT_SHOWN),
        (0.051, 0.09, Outcome.BEYOND),
        (None, None, Outcome.NOT_SHOWN),
    ],
)
def test_there_are_three_outcomes(low: float | None, high: float | None, outcome: Outcome) -> None:
    found = Cost(value=0.0, low=low, high=high)
    assert found.outcome(0.05) is outcome
    assert found.outcome(None) is Outcome.NO_MARGIN


def test_the_interval_is_that_of_welchs_t_on_the_logarithms() -> None:
    # By hand: both logarithms have variance 0.02 and n = 2, so 2 degrees; t(0.95, 2) = 2.91998558.
    control = [math.exp(0.1), math.exp(-0.1)]
    found = cost(control, [0.9 * value for value in control])
    assert found.value == pytest.approx(0.1)
    half = 2.91998558 * math.sqrt(0.02)
    assert found.low == pytest.approx(1 - 0.9 * math.exp(half), rel=1e-6)
    assert found.high == pytest.approx(1 - 0.9 * math.exp(-half), rel=1e-6)


@pytest.mark.parametrize(("blocks", "noise"), [(8, 0.06), (32, 0.10)])
def test_a_cost_of_twice_the_margin_passes_in_no_more_than_one_of_20(blocks: int, noise: float) -> None:
    """Of these two shapes a comparison with the largest swing of the control passed 21 and 78 of 100."""
    draw = np.random.default_rng(5)
    passed = sum(
        cost(
            list(100 * (1 + noise * draw.standard_normal(blocks))),
            list(90 * (1 + noise * draw.standard_normal(blocks))),
        ).outcome(0.05)
        is Outcome.WITHIN
        for _ in range(500)
    )
    assert passed / 500 <= 0.05


def test_more_noise_shows_less() -> None:
    quiet = cost([100, 101, 99, 100], [100, 99, 101, 100])
    loud = cost([100, 130, 70, 100], [100, 70, 130, 100])
    assert (quiet.outcome(0.05), loud.outcome(0.05)) == (Outcome.WITHIN, Outcome.NOT_SHOWN)


def test_one_block_shows_nothing() -> None:
    found = cost([100.0], [50.0, 50.0])
    assert found.value == pytest.approx(0.5)
    assert (found.low, found.high) == (None, None)


def test_blocks_all_alike_have_a_point_as_interval() -> None:
    assert cost([100.0, 100.0], [100.0, 100.0]) == Cost(value=0.0, low=0.0, high=0.0)


@pytest.mark.parametrize(
    ("control", "treated"), [([], [1.0]), ([1.0], []), ([0.0, 1.0], [1.0]), ([1.0], [-1.0])]
)
def test_only_positive_rates_have_a_cost(control: list[float], treated: list[float]) -> None:
    with pytest.raises(ValueError, match="positive"), np.errstate(divide="ignore", invalid="ignore"):
        cost(control, treated)
