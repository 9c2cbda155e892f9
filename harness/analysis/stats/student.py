"""Student's t and the chi-squared distribution, from the functions that SciPy computes them with.

``scipy.stats`` gives the same numbers, but its import takes longer than a comparison of two runs. What needs
more of it than these asks for ``scipy.stats`` when it runs: ``scipy`` imports its parts at their first use.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Array = NDArray[np.float64]


def quantile(probability: float, freedom: ArrayLike) -> Array:
    """The value of Student's t below which it falls with this probability, for each number of degrees.

    >>> round(float(quantile(0.975, 4)), 3)
    2.776
    """
    return np.asarray(special.stdtrit(np.asarray(freedom, dtype=np.float64), probability), dtype=np.float64)


def upper_tail(value: ArrayLike, freedom: ArrayLike) -> Array:
    """How probable a larger value of Student's t is, for each pair of value and degrees of freedom."""
    below = -np.asarray(value, dtype=np.float64)
    return np.asarray(special.stdtr(np.asarray(freedom, dtype=np.float64), below), dtype=np.float64)


def chi_squared_quantile(probability: float, freedom: float) -> float:
    """The value of the chi-squared distribution below which it falls with this probability."""
    return 2 * float(special.gammaincinv(freedom / 2, probability))
