"""Many nights made of one played run: copies with another date, scaled values and other facts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from harness.evidence import seal
from harness.evidence.folder import RunFolder
from harness.files import read_json, write_json

FIRST = datetime(2026, 1, 1, 2, 0, tzinfo=UTC)


def night(
    run: RunFolder,
    results: Path,
    day: int,
    factor: float = 1.0,
    facts: Mapping[str, str] | None = None,
    metrics: tuple[str, ...] = ("total_time",),
) -> RunFolder:
    """The night after so many days: `run` again, `metrics` times `factor`, with `facts` of host a."""
    started = FIRST + timedelta(days=day)
    name = f"{started:%Y%m%dT%H%M%SZ}-{day:06x}"
    copy = RunFolder(results / name)
    shutil.copytree(run.root, copy.root, copy_function=os.link)
    _write(copy, copy.manifest, {**read_json(copy.manifest), "run": name, "started_utc": started.isoformat()})
    if facts:
        place = copy.environment("a", "before")
        _write(copy, place, {**read_json(place), **facts})
    table = pd.read_parquet(copy.metrics_parquet)
    mine = table["metric"].isin(metrics)
    table.loc[mine, "value"] *= factor
    copy.metrics_parquet.unlink()
    table.to_parquet(copy.metrics_parquet)
    for sums in (seal.EVIDENCE_SUMS, seal.DERIVED_SUMS):
        (copy.root / sums).unlink(missing_ok=True)
    seal.close(copy)
    seal.keep_derived(copy)
    return copy


def _write(run: RunFolder, place: Path, value: Mapping[str, object]) -> None:
    place.unlink()  # the copy is a hard link to the run's own file
    write_json(place, dict(value))  # type: ignore[arg-type]
