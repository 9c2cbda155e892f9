"""How often the intervals of reports hold the truth, and how wide they are: simulated, for few trials.

Trials are drawn from known distributions, several migrations each, and go through the functions that make a
report's intervals. The truth is the median of the trials' medians, from a million trials more. What stands
next to each interval, to compare: Student's t interval of the mean of all migrations, as if none shared a
trial. No machine is needed; the same seed gives the same bytes but for machine and commit.

Run it with ``python -m benchmarks.coverage``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.simulation import Simulation
from harness.analysis.stats import trials as inference

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, int], Array]
"""Trials times migrations values, drawn."""

TRIALS: Sequence[int] = (3, 4, 5, 6, 8, 10, 15)
MIGRATIONS: Sequence[int] = (2, 5, 10)
TRUTH_TRIALS = 1_000_000
FLAGGED = 1000
"""Of so many campaigns it is asked whether their trials look bimodal, which takes longer than the rest."""
OUT = Path("benchmarks/measured/coverage.json")


def normal(draw: np.random.Generator, trials: int, migrations: int) -> Array:
    """Mean 1, standard deviation 0.1, of which trials make 40 % of the variance."""
    return 1 + 0.1 * _nested(draw, trials, migrations, 0.4)


def lognormal(draw: np.random.Generator, trials: int, migrations: int) -> Array:
    """The logarithm has a standard deviation of 0.8, of which trials make 40 % of the variance."""
    return np.exp(0.8 * _nested(draw, trials, migrations, 0.4))


def clustered(draw: np.random.Generator, trials: int, migrations: int) -> Array:
    """The logarithm has a standard deviation of 0.3, of which trials make 90 % of the variance."""
    return np.exp(0.3 * _nested(draw, trials, migrations, 0.9))


def bimodal_migrations(draw: np.random.Generator, trials: int, migrations: int) -> Array:
    """One migration in five takes five times as long, in any trial; standard deviation 5 % around both."""
    slow = draw.random((trials, migrations)) < 0.2
    return np.where(slow, 5.0, 1.0) * (1 + 0.05 * _nested(draw, trials, migrations, 0.4))


def bimodal_trials(draw: np.random.Generator, trials: int, migrations: int) -> Array:
    """One trial in five takes five times as long, with all of its migrations; 5 % around both."""
    slow = draw.random((trials, 1)) < 0.2
    return np.where(slow, 5.0, 1.0) * (1 + 0.05 * _nested(draw, trials, migrations, 0.4))


def even_trials(draw: np.random.Generator, trials: int, migrations: int) -> Array:
    """As before, but two trials in five."""
    slow = draw.random((trials, 1)) < 0.4
    return np.where(slow, 5.0, 1.0) * (1 + 0.05 * _nested(draw, trials, migrations, 0.4))


def _nested(draw: np.random.Generator, trials: int, migrations: int, share: float) -> Array:
    """Standard normal values of which trials make `share` of the variance (the intraclass correlation)."""
    between, within = draw.standard_normal((trials, 1)), draw.standard_normal((trials, migrations))
    return math.sqrt(share) * between + math.sqrt(1 - share) * within


DISTRIBUTIONS: Mapping[str, Draw] = MappingProxyType(
    {
        "normal": normal,
        "lognormal": lognormal,
        "clustered": clustered,
        "bimodal migrations": bimodal_migrations,
        "bimodal trials, 80/20": bimodal_trials,
        "bimodal trials, 60/40": even_trials,
    }
)
TWO_KINDS = frozenset({"bimodal trials, 80/20", "bimodal trials, 60/40"})
"""The distributions of which trials that look bimodal are suspected."""


@cache
def truths(of: Draw, migrations: int, seed: int) -> tuple[float, float]:
    """The median of the trials' medians, and the mean of all migrations."""
    values = of(np.random.default_rng(seed), TRUTH_TRIALS, migrations)
    return float(np.median(np.median(values, axis=1))), float(np.mean(values))


def row(name: str, trials: int, migrations: int, rounds: int, seed: int) -> dict[str, Any]:
    """What `rounds` campaigns of that shape gave: coverage and width, relative to the truth."""
    of = DISTRIBUTIONS[name]
    centre, mean = truths(of, migrations, seed)
    draw = np.random.default_rng([seed, trials, migrations, list(DISTRIBUTIONS).index(name)])
    values = of(draw, rounds * trials, migrations).reshape(rounds, trials, migrations)
    medians = np.median(values, axis=2)
    found = [inference.trial_interval(one, logarithmic=True, signed=False) for one in medians]
    low, high = np.array([one for one in found if one is not None]).T
    flags = [inference.two_modes(list(one), logarithmic=True) for one in values[:FLAGGED]]
    pooled = values.reshape(rounds, -1)
    half = stats.t.ppf(0.975, pooled.shape[1] - 1) * pooled.std(axis=1, ddof=1) / math.sqrt(pooled.shape[1])
    return {
        "distribution": name,
        "trials": trials,
        "migrations": migrations,
        "coverage": _share((low <= centre) & (centre <= high)),
        "width": round(float(np.median(high - low)) / centre, 4),
        "looks_bimodal": _share(np.array(flags)),
        "pooled_coverage": _share(np.abs(pooled.mean(axis=1) - mean) <= half),
        "pooled_width": round(float(np.median(2 * half)) / mean, 4),
    }


def _share(held: NDArray[np.bool_]) -> float:
    return round(float(np.mean(held)), 4)


def least(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Trials to the least coverage over the distributions of one kind of trials, and over those of two."""
    found = {}
    for trials in dict.fromkeys(row["trials"] for row in rows):
        mine = [row for row in rows if row["trials"] == trials]
        found[str(trials)] = [
            min(row["coverage"] for row in mine if (row["distribution"] in TWO_KINDS) is two)
            for two in (False, True)
        ]
    return found


def measure(rounds: int, seed: int) -> dict[str, Any]:
    """Every distribution with every number of trials and of migrations."""
    rows = [
        row(name, trials, migrations, rounds, seed)
        for name in DISTRIBUTIONS
        for trials in TRIALS
        for migrations in MIGRATIONS
    ]
    return {
        "schema": 1,
        "seed": seed,
        "rounds": rounds,
        "flagged": FLAGGED,
        "least": least(rows),
        "rows": rows,
    }


def table(found: Mapping[str, Any]) -> str:
    """The rows in Markdown, each distribution and number of trials once: coverage and width by migrations."""
    head = [f"{migrations} a trial" for migrations in MIGRATIONS]
    lines = [
        f"| distribution | trials | {' | '.join(head)} | looks bimodal |",
        f"| :--- | ---: | {' | '.join(['---:'] * len(head))} | ---: |",
    ]
    for name in DISTRIBUTIONS:
        for trials in TRIALS:
            mine = [row for row in found["rows"] if (row["distribution"], row["trials"]) == (name, trials)]
            cells = [
                f"{row['coverage']:.3f} ({row['width']:.2f}); {row['pooled_coverage']:.2f}" for row in mine
            ]
            flagged = max(row["looks_bimodal"] for row in mine)
            lines.append(f"| {name} | {trials} | {' | '.join(cells)} | {flagged:.2f} |")
    return "\n".join(lines)


SIMULATION = Simulation(
    description=__doc__, measure=measure, table=table, rounds=4000, of="campaigns", out=OUT
)


if __name__ == "__main__":
    SIMULATION.main()
