"""`sodbench metrics`: the metrics of a stored run, computed again from its evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.analysis import table as results
from harness.cli.terminal import Output
from harness.evidence import folder as store
from harness.evidence import seal


def metrics(
    run: Annotated[
        Path,
        typer.Argument(
            help="The run's folder, or a folder above it: then the newest run below.", metavar="RUN"
        ),
    ],
) -> None:
    """Compute the metrics of RUN again from its evidence, for instance with a newer sodbench.

    The evidence is checked first against the sums that were written when the run ended, and is refused with
    21 where it differs. The tables and SHA256SUMS.derived, their sums, are written again.
    """
    folder = store.find(run)
    if not seal.require(folder):
        Output(error=True).say(f"{folder.root}: its evidence has no sums, see `sodbench status`")
    table = results.write(folder)
    seal.keep_derived(folder)
    filled = int(table["value"].notna().sum())
    Output().say(f"{folder.metrics_parquet}: {len(table)} rows, {filled} with a value")
