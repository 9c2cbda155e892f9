"""How often a gate gives a false alarm, misses a regression, and decides at all: simulated.

A baseline and a run of a gate with several primary metrics are drawn from one known distribution; one metric
of the run is worse by a stated multiple of the smallest effect of interest. They go through the functions of
``sodbench gate``. No machine is needed; the same seed gives the same bytes but for machine and commit.

Run it with ``python -m benchmarks.gate``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.coverage import DISTRIBUTIONS
from benchmarks.simulation import Simulation
from harness.analysis.gate import judgement

TRIALS: Sequence[int] = (3, 4, 6, 10, 20)
METRICS = 4
MIGRATIONS = 5
SMALLEST = 0.10
MULTIPLES: Sequence[float] = (0.0, 1.0, 1.2, 2.0, 5.0)
OUT = Path("benchmarks/measured/gate.json")


def row(name: str, trials: int, multiple: float, rounds: int, seed: int) -> dict[str, Any]:
    """The shares of the three outcomes over `rounds` gates, one of whose metrics is worse by `multiple`."""
    draw = np.random.default_rng([seed, trials, round(10 * multiple), list(DISTRIBUTIONS).index(name)])
    values = DISTRIBUTIONS[name](draw, 2 * rounds * METRICS * trials, MIGRATIONS)
    baseline, run = np.log(np.median(values, axis=1)).reshape(2, rounds, METRICS, trials)
    run[:, 0] += math.log1p(multiple * SMALLEST)
    found = judgement.worsening(baseline, run, lower_is_better=True)
    passed, regressed, _ = judgement.judged(found, np.array(math.log1p(SMALLEST)))
    alarms, passes = regressed.any(axis=1), passed.all(axis=1)
    return {
        "distribution": name,
        "trials": trials,
        "multiple": multiple,
        "regressed": round(float(np.mean(alarms)), 4),
        "passed": round(float(np.mean(passes)), 4),
        "inconclusive": round(float(np.mean(~alarms & ~passes)), 4),
    }


def table(found: Mapping[str, Any]) -> str:
    """The rows in Markdown, each distribution and number of trials once."""
    worse = [f"{multiple:g}×" for multiple in MULTIPLES[1:]]
    titles = ["false alarm", "passed", *(f"missed at {one}" for one in worse[:2])]
    titles += [f"found at {one}" for one in worse]
    lines = [
        f"| distribution | trials a side | {' | '.join(titles)} |",
        f"| :--- | ---: | {' | '.join(['---:'] * len(titles))} |",
    ]
    for name in DISTRIBUTIONS:
        for trials in TRIALS:
            mine = [one for one in found["rows"] if (one["distribution"], one["trials"]) == (name, trials)]
            same, *changed = mine
            cells = [same["regressed"], same["passed"]]
            cells += [one["passed"] for one in changed[:2]] + [one["regressed"] for one in changed]
            lines.append(f"| {name} | {trials} | {' | '.join(f'{share:.3f}' for share in cells)} |")
    return "\n".join(lines)


def measure(rounds: int, seed: int) -> dict[str, Any]:
    """Every distribution with every number of trials and every multiple of the smallest effect."""
    rows = [
        row(name, trials, multiple, rounds, seed)
        for name in DISTRIBUTIONS
        for trials in TRIALS
        for multiple in MULTIPLES
    ]
    return {
        "schema": 1,
        "seed": seed,
        "rounds": rounds,
        "migrations": MIGRATIONS,
        "metrics": METRICS,
        "smallest_effect": SMALLEST,
        "rows": rows,
    }


SIMULATION = Simulation(description=__doc__, measure=measure, table=table, rounds=10_000, of="gates", out=OUT)


if __name__ == "__main__":
    SIMULATION.main()
