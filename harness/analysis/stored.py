"""A run's table of metrics read from its file, where that is what this program would compute."""

from __future__ import annotations

import pandas as pd

from harness import sums
from harness.analysis import table as results
from harness.analysis.table import MetricSet
from harness.errors import RecordError
from harness.evidence import seal
from harness.evidence.folder import RunFolder


def table(run: RunFolder) -> pd.DataFrame:
    """The run's metrics: from ``metrics.parquet`` where its sum holds, else computed from the evidence.

    A table with other columns or other metrics than this program has was computed by another version, and is
    computed again. The caller has seen that the evidence is what it was (:func:`.seal.require`).

    Raises:
        RecordError: The manifest or the journal is damaged or missing.
    """
    found = kept(run)
    return results.compute(run) if found is None else found


def kept(run: RunFolder, known: MetricSet | None = None) -> pd.DataFrame | None:
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
    with run.metrics_parquet.open("rb") as file:  # pyarrow opens no name that is not UTF-8
        found = pd.read_parquet(file)
    columns = {**results.COLUMNS, **results.VARIANT}
    here = [name for name in columns if name in results.COLUMNS or name in found.columns]
    if list(found.columns) != here or not _metrics_are_known(found, known or results.metric_set()):
        return None
    return found.astype({name: columns[name][0] for name in here})


def _metrics_are_known(found: pd.DataFrame, known: MetricSet) -> bool:
    """Whether it has exactly the metrics that this program has of migrations and trials."""
    every = {metric.name for metric in known.all}
    least = {metric.name for metric in known.of_migrations} if found["migration"].notna().any() else set()
    return least <= set(found["metric"]) <= every
