"""Statistics of repeated measurements: always n, a centre, a spread and an interval.

Pure functions of numbers, each with its source. They never drop a value and never invent a spread: one
measurement has no interval. What was measured in several trials goes through :mod:`.trials`; the other
functions are for values that share nothing, such as the rounds of a benchmark. Resampling uses a fixed seed,
so that the same numbers give the same report.
"""

from __future__ import annotations

from harness.analysis.stats.intervals import Ratio, Summary, median_interval, ratio_of_medians
from harness.analysis.stats.trials import Replicated, replicated

__all__ = ["Ratio", "Replicated", "Summary", "median_interval", "ratio_of_medians", "replicated"]
