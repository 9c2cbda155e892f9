"""A run's table of metrics read from its file, where that is what this program would compute."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow

from harness import sums
from harness.analysis import table as results
from harness.analysis.table import MetricSet
from harness.errors import RecordError
from harness.evidence import inflate, seal
from harness.evidence.folder import RunFolder


def table(run: RunFolder) -> pd.DataFrame:
    """The run's metrics: from ``metrics.parquet`` where its sum holds, else computed from the evidence.

    A table with other columns or other metrics than this program has was computed by another version, and is
    computed again. The caller has seen that the evidence is what it was (:func:`.seal.require`).

    Raises:
        RecordError: The manifest or the journal is damaged or missing.
    """
    found = kept(run)
    if found is None:
        return results.compute(run)
    every = {**results.COLUMNS, **results.GUEST, **results.VARIANT}
    frame: pd.DataFrame = found.to_pandas()
    return frame.astype({name: every[name][0] for name in found.column_names})


def kept(run: RunFolder, known: MetricSet | None = None) -> pyarrow.Table | None:
    """The run's metrics from ``metrics.parquet``; None where that is not what this program would compute.

    Args:
        run: The run.
        known: The metrics that this program has, for who reads many runs: to look for them takes a while.

    Raises:
        RecordError: A list of sums cannot be read.
    """
    wanted = seal.lists(run.root).derived.get(run.metrics_parquet.name)
    if wanted is None or not seal.is_sealed(run) or not run.metrics_parquet.is_file():
        return None
    try:
        if sums.digest(run.metrics_parquet) != wanted:
            return None
    except RecordError:
        return None
    try:
        with sums.opened(run.metrics_parquet) as file:  # pyarrow opens no name that is not UTF-8
            found = inflate.table(file, _are_known)
    except (ValueError, OSError, pyarrow.ArrowException):
        return None
    alike = found is not None and _metrics_are_known(found, known or results.metric_set())
    return found if alike else None


def _are_known(columns: Sequence[str]) -> bool:
    every = (*results.COLUMNS, *results.GUEST, *results.VARIANT)
    return columns == [name for name in every if name in results.COLUMNS or name in columns]


def _metrics_are_known(found: pyarrow.Table, known: MetricSet) -> bool:
    """Whether it has exactly the metrics that this program has of migrations and trials."""
    every = {metric.name for metric in known.all}
    of_migrations = found["migration"].null_count < found.num_rows
    least = {metric.name for metric in known.of_migrations} if of_migrations else set()
    return least <= set(found["metric"].unique().to_pylist()) <= every
