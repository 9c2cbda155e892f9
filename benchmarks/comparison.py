"""How often two sets of trials are told apart when nothing differs, and when a stated factor does: simulated.

Both sides are drawn from one known distribution, the second times a factor, and go through the functions of
``sodbench compare``. No machine is needed; the same seed gives the same bytes but for machine and commit.

Run it with ``python -m benchmarks.comparison``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.coverage import DISTRIBUTIONS
from benchmarks.simulation import Simulation
from harness.analysis.stats import two_samples

TRIALS: Sequence[int] = (3, 4, 6, 10)
MIGRATIONS = 5
FACTORS: Sequence[float] = (1.0, 1.1, 1.5)
LEVEL = 0.05
OUT = Path("benchmarks/measured/comparison.json")


def row(name: str, trials: int, factor: float, rounds: int, seed: int) -> dict[str, Any]:
    """How often a difference is shown, and the ratio's interval holds the factor, in `rounds` comparisons."""
    draw = np.random.default_rng([seed, trials, round(100 * factor), list(DISTRIBUTIONS).index(name)])
    values = DISTRIBUTIONS[name](draw, 2 * rounds * trials, MIGRATIONS)
    medians = np.log(np.median(values, axis=1)).reshape(rounds, 2, trials)
    told = math.log(factor)
    found = [two_samples.welch(one, other + told) for one, other in medians]
    shown, held = (
        sum(p < LEVEL for _, _, p in found),
        sum(low <= told <= high for low, high, _ in found),
    )
    return {
        "distribution": name,
        "trials": trials,
        "factor": factor,
        "shown": round(shown / rounds, 4),
        "coverage": round(held / rounds, 4),
        "width": round(float(np.median([math.exp((high - low) / 2) - 1 for low, high, _ in found])), 4),
    }


def table(found: Mapping[str, Any]) -> str:
    """The rows in Markdown, each distribution and number of trials once."""
    shown = [f"shown at {factor:g}" for factor in FACTORS]
    lines = [
        f"| distribution | trials a side | {' | '.join(shown)} | coverage | width |",
        f"| :--- | ---: | {' | '.join(['---:'] * len(shown))} | ---: | ---: |",
    ]
    for name in DISTRIBUTIONS:
        for trials in TRIALS:
            mine = [row for row in found["rows"] if (row["distribution"], row["trials"]) == (name, trials)]
            cells = " | ".join(f"{row['shown']:.3f}" for row in mine)
            lines.append(
                f"| {name} | {trials} | {cells} | {min(row['coverage'] for row in mine):.3f} "
                f"| ±{mine[0]['width']:.0%} |"
            )
    return "\n".join(lines)


def measure(rounds: int, seed: int) -> dict[str, Any]:
    """Every distribution with every number of trials and every factor."""
    rows = [
        row(name, trials, factor, rounds, seed)
        for name in DISTRIBUTIONS
        for trials in TRIALS
        for factor in FACTORS
    ]
    return {"schema": 1, "seed": seed, "rounds": rounds, "migrations": MIGRATIONS, "rows": rows}


SIMULATION = Simulation(
    description=__doc__, measure=measure, table=table, rounds=2000, of="comparisons", out=OUT
)


if __name__ == "__main__":
    SIMULATION.main()
