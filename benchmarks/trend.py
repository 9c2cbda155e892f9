"""How often a trend shows a change where nothing changes, and how soon it shows one where a level does.

Nights are drawn with and without a step of their level, and go through the function that makes the page
(`harness/analysis/trend/changes.py`). Where nothing changes, one series is looked at alone: the chance of a
false change is that of the whole page, however many series it has. Where a level changes, eight are looked at
together, as two metrics of four workloads are. No machine is needed; the same seed gives the same rows.

Run it with ``python -m benchmarks.trend``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulation import Simulation
from harness.analysis.trend import changes

Array = NDArray[np.float64]

QUIET: Sequence[int] = (10, 30, 90, 365, 730)
"""Nights of a series in which nothing changes."""
BEFORE = 90
"""Nights before a step."""
SINCE: Sequence[int] = (3, 4, 5, 7, 14, 28)
"""Nights since the step, its own included."""
STEPS: Sequence[float] = (1.0, 2.0, 3.0, 5.0)
"""Steps in standard deviations of the nights."""
TOGETHER = 8
NEAR = 2
"""A change counts as found up to so many nights from where it is."""
CORRELATION = 0.5
OUT = Path("benchmarks/measured/trend.json")


def _following(draw: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Nights that follow the one before: an autoregressive series of variance 1."""
    values = draw.standard_normal(shape)
    for night in range(1, shape[1]):
        values[:, night] *= (1 - CORRELATION**2) ** 0.5
        values[:, night] += CORRELATION * values[:, night - 1]
    return values


def _standard(values: Array, deviation: float) -> Array:
    return values / deviation


DRAWN: Mapping[str, Callable[[np.random.Generator, tuple[int, int]], Array]] = {
    "normal": lambda draw, shape: draw.standard_normal(shape),
    "lognormal": lambda draw, shape: _standard(draw.lognormal(sigma=0.8, size=shape), 1.3065),
    "outliers": lambda draw, shape: _standard(draw.standard_t(3, size=shape), 3**0.5),
    "each follows the night before": _following,
}
"""Series of nights by name, all of standard deviation 1."""
STEPPED = ("normal", "lognormal", "outliers")


def series(kind: str, nights: int, step: float, since: int, rounds: int, seed: int) -> Array:
    """So many series of `nights`, the last `since` of them by `step` higher."""
    draw = np.random.default_rng([seed, list(DRAWN).index(kind), nights, round(10 * step), since])
    values = DRAWN[kind](draw, (rounds, nights))
    values[:, nights - since :] += step
    return values


def is_near(found: Sequence[int], night: int) -> bool:
    """Whether a change was found where it is."""
    return any(abs(one - night) <= NEAR for one in found)


def quiet_row(kind: str, nights: int, rounds: int, seed: int) -> dict[str, Any]:
    """How many of `rounds` series in which nothing changes show a change."""
    alarms = sum(bool(changes.found(row)) for row in series(kind, nights, 0.0, 0, rounds, seed).tolist())
    return {"kind": kind, "nights": nights, "changed": round(alarms / rounds, 4)}


def stepped_row(kind: str, step: float, rounds: int, seed: int) -> dict[str, Any]:
    """How many of `rounds` series show a step, by how many nights ago it was."""
    found = {}
    for since in SINCE:
        rows = series(kind, BEFORE + since, step, since, rounds, seed).tolist()
        seen = sum(is_near(changes.found(row, TOGETHER), BEFORE) for row in rows)
        found[str(since)] = round(seen / rounds, 4)
    return {"kind": kind, "step": step, "found": found}


def measure(rounds: int, seed: int) -> dict[str, Any]:
    """Every kind of nights, quiet and with every step."""
    return {
        "schema": 1,
        "seed": seed,
        "rounds": rounds,
        "level": changes.LEVEL,
        "quiet": [quiet_row(kind, nights, rounds, seed) for kind in DRAWN for nights in QUIET],
        "stepped": [stepped_row(kind, step, rounds, seed) for kind in STEPPED for step in STEPS],
    }


def table(found: Mapping[str, Any]) -> str:
    """Both tables in Markdown."""
    quiet = {(row["kind"], row["nights"]): row["changed"] for row in found["quiet"]}
    lines = [
        f"| nights without any change | {' | '.join(f'{nights} nights' for nights in QUIET)} |",
        f"| :--- |{' ---: |' * len(QUIET)}",
        *(f"| {kind} | {' | '.join(f'{quiet[kind, one]:.3f}' for one in QUIET)} |" for kind in DRAWN),
        "",
        f"| nights | step | {' | '.join(f'{since} nights' for since in SINCE)} |",
        f"| :--- | ---: |{' ---: |' * len(SINCE)}",
    ]
    lines += [
        f"| {row['kind']} | {row['step']:.0f} | "
        + " | ".join(f"{row['found'][str(since)]:.2f}" for since in SINCE)
        + " |"
        for row in found["stepped"]
    ]
    return "\n".join(lines)


SIMULATION = Simulation(description=__doc__, measure=measure, table=table, rounds=1000, of="series", out=OUT)


if __name__ == "__main__":
    SIMULATION.main()
