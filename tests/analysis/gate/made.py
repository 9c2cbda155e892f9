"""Cells of a gate from known distributions."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.analysis.gate.cells import Cell, Measured
from harness.analysis.gate.declared import PrimaryMetric


def primary(**keys: Any) -> PrimaryMetric:
    effect = {} if "smallest_effect" in keys else {"smallest_effect_percent": 10.0}
    return PrimaryMetric(**{"metric": "total_time", "better": "lower", **effect, **keys})


def side(
    values: float = 3.0,
    *,
    trials: int = 6,
    spread: float = 0.02,
    seed: int = 1,
    missing: int = 0,
    invalid: int = 0,
) -> Measured:
    draw = np.random.default_rng(seed)
    made = values * (1 + spread * draw.standard_normal((trials, 2)))
    return Measured(
        trials=tuple(tuple(map(float, one)) for one in made),
        missing=missing,
        why="it failed" if missing else "",
        planned=trials + invalid,
        valid=trials,
    )


def cell(baseline: Measured, run: Measured, workload: str = "idle", **keys: Any) -> Cell:
    variant = keys.pop("variant", None)
    return Cell(
        workload=workload, variant=variant, primary=primary(**keys), unit="s", baseline=baseline, run=run
    )
