"""The table that a run keeps, as its file has it."""

from __future__ import annotations

import pandas as pd

from harness.analysis.table import COLUMNS, VARIANT
from harness.evidence.folder import RunFolder


def read(run: RunFolder) -> pd.DataFrame:
    """The stored table, with the types that `harness.analysis.table` documents."""
    with run.metrics_parquet.open("rb") as file:  # pyarrow opens no name that is not UTF-8
        frame = pd.read_parquet(file)
    assert [name for name in frame.columns if name not in VARIANT] == list(COLUMNS)
    return frame.astype({name: kind for name, (kind, _) in COLUMNS.items()})
