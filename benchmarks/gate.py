"""How often a gate gives a false alarm, misses a regression, and decides at all: simulated.

A baseline and a run of a gate with several primary metrics are drawn from one known distribution; one metric
of the run is worse by a stated multiple of the smallest effect of interest. They go through the functions of
``sodbench gate``. No machine is needed; the same seed gives the same bytes but for machine and commit.

Run it with ``python -m benchmarks.gate``.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import provenance
from benchmarks.coverage import DISTRIBUTIONS
from harness.analysis.gate import judgement

TRIALS: Sequence[int] = (3, 4, 6, 10, 20)
METRICS = 4
MIGRATIONS = 5
SMALLEST = 0.10
MULTIPLES: Sequence[float] = (0.0, 1.0, 1.2, 2.0, 5.0)
SEED = 20130101
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


def main() -> None:
    """Simulate, print, and write the JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=10_000, help="gates simulated for each row")
    arguments.add_argument("--seed", type=int, default=SEED)
    arguments.add_argument("--out", type=Path, default=OUT)
    arguments.add_argument("--table", action="store_true", help="print the stored rows as Markdown, no more")
    given = arguments.parse_args()
    if not given.table:
        made = provenance.here("numpy", "scipy")
        rows = [
            row(name, trials, multiple, given.rounds, given.seed)
            for name in DISTRIBUTIONS
            for trials in TRIALS
            for multiple in MULTIPLES
        ]
        shape = {"schema": 1, "seed": given.seed, "rounds": given.rounds, "migrations": MIGRATIONS}
        shape |= {"metrics": METRICS, "smallest_effect": SMALLEST}
        given.out.write_text(json.dumps({**made, **shape, "rows": rows}, indent=2) + "\n")
    print(table(json.loads(given.out.read_text())))


if __name__ == "__main__":
    main()
