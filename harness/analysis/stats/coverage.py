"""How often the intervals of few trials hold the truth: what ``python -m benchmarks.coverage`` simulated.

The table repeats ``benchmarks/measured/coverage.json``, which has the distributions, the widths and the
machine; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

COVERAGE: Mapping[int, tuple[float, float]] = MappingProxyType(
    {
        3: (0.9263, 0.8962),
        4: (0.9443, 0.9387),
        5: (0.9170, 0.8858),
        6: (0.9663, 0.9655),
        8: (0.9912, 0.9905),
        10: (0.9750, 0.9765),
        15: (0.9623, 0.9643),
    }
)
"""Trials to the least simulated coverage over distributions with one mode, and with two kinds of trials."""


def simulated(trials: int, modes: bool = False) -> str:
    """The coverage of the interval of so many trials, such as ``0.95``; of the next fewer that was simulated.

    Args:
        trials: How many trials, at least three.
        modes: Whether the trials look as if they came from two kinds of trials.
    """
    known = max(number for number in COVERAGE if number <= trials)
    return f"{COVERAGE[known][1 if modes else 0]:.2f}"
