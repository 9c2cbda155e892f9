"""How often a cost is shown to lie within its margin, or beyond it, when it does and when it does not.

Blocks of work with a known cost are drawn against blocks without and go through the function that judges the
cost in a report. To compare: how often the cost's median lay within the largest swing of the control's
blocks, which is no test, for more and noisier blocks pass it more easily. No machine is needed; the same seed
gives the same bytes but for machine and commit.

Run it with ``python -m benchmarks.equivalence``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.simulation import Simulation
from harness.analysis.stats import equivalence
from harness.analysis.stats.equivalence import Outcome

MARGIN = 0.05
BLOCKS: Sequence[int] = (8, 16, 32)
NOISE: Sequence[float] = (0.02, 0.06, 0.10)
COSTS: Sequence[float] = (0.0, 0.02, 0.05, 0.10)
OUT = Path("benchmarks/measured/equivalence.json")


def row(blocks: int, noise: float, cost: float, rounds: int, seed: int) -> dict[str, Any]:
    """What `rounds` comparisons of that many blocks each gave, as shares."""
    draw = np.random.default_rng([seed, blocks, round(1000 * noise), round(1000 * cost)])
    control = 1 + noise * draw.standard_normal((rounds, blocks))
    treated = (1 - cost) * (1 + noise * draw.standard_normal((rounds, blocks)))
    found = [
        equivalence.cost(one.tolist(), other.tolist()) for one, other in zip(control, treated, strict=True)
    ]
    outcomes = [one.outcome(MARGIN) for one in found]
    held = [one.low is not None and one.high is not None and one.low <= cost <= one.high for one in found]
    middle = np.median(control, axis=1, keepdims=True)
    swing = np.abs(1 - control / middle).max(axis=1)
    lost = np.median(1 - treated / middle, axis=1)
    return {
        "blocks": blocks,
        "noise": noise,
        "cost": cost,
        "coverage": round(sum(held) / rounds, 4),
        **{outcome.name.lower(): round(outcomes.count(outcome) / rounds, 4) for outcome in _JUDGED},
        "below_swing": round(float(np.mean(lost < swing)), 4),
    }


_JUDGED = (Outcome.WITHIN, Outcome.NOT_SHOWN, Outcome.BEYOND)


def table(found: Mapping[str, Any]) -> str:
    """The rows in Markdown."""
    lines = [
        "| true cost | noise | blocks | within | not shown | beyond | within the control's largest swing |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['cost']:.0%} | {row['noise']:.0%} | {row['blocks']} | {row['within']:.3f} "
        f"| {row['not_shown']:.3f} | {row['beyond']:.3f} | {row['below_swing']:.3f} |"
        for row in found["rows"]
    ]
    return "\n".join(lines)


def measure(rounds: int, seed: int) -> dict[str, Any]:
    """Every cost with every noise and every number of blocks."""
    rows = [row(blocks, noise, cost, rounds, seed) for cost in COSTS for noise in NOISE for blocks in BLOCKS]
    return {"schema": 1, "seed": seed, "rounds": rounds, "margin": MARGIN, "rows": rows}


SIMULATION = Simulation(
    description=__doc__, measure=measure, table=table, rounds=10_000, of="comparisons", out=OUT
)


if __name__ == "__main__":
    SIMULATION.main()
