"""The distributions give, to the last bit, what `scipy.stats` gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.analysis.stats import student

_DRAWN = np.random.default_rng(20261128)
FREEDOM = np.concatenate([_DRAWN.uniform(1, 60, 500), np.arange(1, 300), _DRAWN.uniform(1, 1e6, 100)])


@pytest.mark.parametrize("probability", [0.5, 0.8, 0.95, 0.975, 1 - 0.05 / 7])
def test_a_quantile_of_t(probability: float) -> None:
    assert np.array_equal(student.quantile(probability, FREEDOM), stats.t.ppf(probability, FREEDOM))


def test_the_upper_tail_of_t() -> None:
    values = np.concatenate([5 * _DRAWN.standard_normal(len(FREEDOM) - 3), [0.0, np.inf, -np.inf]])
    assert np.array_equal(student.upper_tail(values, FREEDOM), stats.t.sf(values, FREEDOM))


def test_a_quantile_of_chi_squared() -> None:
    found = [student.chi_squared_quantile(0.2, freedom) for freedom in range(1, 50)]
    assert found == [float(stats.chi2.ppf(0.2, freedom)) for freedom in range(1, 50)]
