"""Statistics of repeated measurements: always n, a centre, a spread and an interval.

Pure functions of numbers, each with its source. They never drop a value and never invent a spread: one
measurement has no interval. Resampling uses a fixed seed, so that the same numbers give the same report.
"""

from __future__ import annotations

from harness.analysis.stats.intervals import Ratio, Summary, median_interval, ratio_of_medians, summary

__all__ = ["Ratio", "Summary", "median_interval", "ratio_of_medians", "summary"]
