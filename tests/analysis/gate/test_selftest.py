"""Trials of one run against each other: how many gates they make, and the bound they allow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.analysis.gate.declared import Gate
from harness.analysis.gate.selftest import Tried, against_itself
from harness.errors import InconclusiveError
from tests.analysis.gate.made import primary

GATE = Gate(primary=(primary(),))


def run(trials: int = 12, workloads: tuple[str, ...] = ("file", "idle"), spread: float = 0.02) -> Any:
    """A table and a plan."""
    draw = np.random.default_rng(1)
    plan = [
        {"id": f"{n:03d}-{name}", "workload": name, "kind": "migrations"}
        for n, name in enumerate(name for name in workloads for _ in range(trials))
    ]
    rows = [
        {
            "trial": one["id"], "workload": one["workload"], "kind": "migrations", "verdict": "valid",
            "migration": n, "metric": "total_time", "unit": "s", "reason": None,
            "value": float(3 * (1 + spread * draw.standard_normal())),
        }
        for one in plan
        for n in (1, 2)
    ]  # fmt: skip
    return pd.DataFrame(rows), plan


def test_half_against_half_is_one_gate() -> None:
    table, plan = run()
    tried = against_itself(GATE, table, plan, seed=1)
    assert (tried.trials, tried.outcomes) == (6, ("passed",))
    assert tried.most == pytest.approx(0.95)


def test_smaller_sets_make_more_gates_and_a_tighter_bound() -> None:
    table, plan = run(trials=60)
    tried = against_itself(GATE, table, plan, seed=1, trials=3)
    assert (tried.trials, len(tried.outcomes)) == (3, 10)
    assert tried.alarms == 0 and tried.most == pytest.approx(1 - 0.05 ** (1 / 10))


def test_the_same_seed_draws_the_same_trials() -> None:
    table, plan = run(trials=24, spread=0.1)
    seeds = [against_itself(GATE, table, plan, seed=seed, trials=3).outcomes for seed in (1, 1, 2, 3, 4, 5)]
    assert seeds[0] == seeds[1]
    assert len(set(seeds)) > 1


@pytest.mark.parametrize(("trials", "asked", "needed"), [(5, None, 6), (8, 5, 10)])
def test_too_few_trials_are_told(trials: int, asked: int | None, needed: int) -> None:
    table, plan = run(trials=trials)
    with pytest.raises(InconclusiveError) as caught:
        against_itself(GATE, table, plan, seed=1, trials=asked)
    assert f"has {trials} valid trials, and {needed} are needed" in caught.value.why


def test_trials_that_are_not_valid_are_left_out() -> None:
    table, plan = run(trials=7)
    table.loc[table["trial"].eq(plan[0]["id"]), "verdict"] = "invalid"
    assert against_itself(GATE, table, plan, seed=1).outcomes == ("passed",)


def test_too_many_false_alarms_are_told_from_chance() -> None:
    assert not Tried(trials=3, outcomes=("regressed",)).too_many
    assert Tried(trials=3, outcomes=("regressed",) * 2).too_many
    assert not Tried(trials=3, outcomes=("regressed", *("passed",) * 30)).too_many
    assert Tried(trials=3, outcomes=("regressed",) * 4 + ("inconclusive",) * 10).too_many
    assert Tried(trials=3, outcomes=("regressed",)).most == 1.0
