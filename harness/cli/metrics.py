"""`sodbench metrics`: the metrics of a stored run, computed again from its evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness import store
from harness.cli.terminal import Output


def metrics(
    run: Annotated[
        Path,
        typer.Argument(
            help="The run's folder, or a folder above it: then the newest run below.", metavar="RUN"
        ),
    ],
) -> None:
    """Compute the metrics of RUN again from its evidence, for instance with a newer sodbench.

    The evidence is not changed; metrics.parquet, metrics.csv and the checksums are written anew.
    """
    from harness import results  # noqa: PLC0415 - pandas takes a second to import

    folder = store.find(run)
    table = results.write(folder)
    store.write_checksums(folder)
    filled = int(table["value"].notna().sum())
    Output().say(f"{folder.metrics_parquet}: {len(table)} rows, {filled} with a value")
