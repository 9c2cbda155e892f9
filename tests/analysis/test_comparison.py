"""Tables compared: which rows, in which order, and what is shown of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from harness.analysis import comparison
from harness.analysis.comparability import Side
from harness.evidence.folder import RunFolder


def table(factor: float = 1.0, trials: int = 6, seed: int = 1, workload: str = "idle") -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    made = [
        {
            "workload": workload, "metric": metric, "unit": unit, "better": "lower", "trial": f"{trial:03d}",
            "value": float(value * (factor if metric == "total_time" else 1.0)),
        }
        for metric, unit in (("iterations", "count"), ("blackout", "s"), ("total_time", "s"))
        for trial in range(trials)
        for value in 3 * (1 + 0.05 * draw.standard_normal(2))
    ]  # fmt: skip
    return pd.DataFrame(made)


def test_the_primary_metrics_come_first_and_what_differs_is_shown() -> None:
    rows = comparison.rows(table(), table(1.5, seed=2))
    assert [(row.metric, row.primary) for row in rows] == [
        ("total_time", True), ("blackout", True), ("iterations", False),
    ]  # fmt: skip
    assert [row.shown for row in rows] == [True, False, False]
    assert rows[0].found.ratio is not None and 1.4 < rows[0].found.ratio < 1.6


def test_primary_metrics_are_corrected_among_themselves() -> None:
    rows = comparison.rows(table(), table(1.05, seed=2))
    primary = [row for row in rows if row.primary]
    ps = [row.found.p or 0.0 for row in primary]
    assert min(row.adjusted or 0.0 for row in primary) == min(1.0, 2 * min(ps))
    (other,) = [row for row in rows if not row.primary]
    assert other.adjusted == other.found.p


def test_two_trials_show_nothing_however_large_the_difference() -> None:
    rows = comparison.rows(table(trials=2), table(9.0, trials=6, seed=2))
    assert not any(row.shown for row in rows)
    assert {row.adjusted for row in rows} == {None}


def test_what_only_one_side_has_is_in_no_row() -> None:
    both = pd.concat([table(), table(workload="file")])
    assert {row.workload for row in comparison.rows(both, table(seed=2))} == {"idle"}
    assert comparison.rows(table(workload="file"), table()) == []


def test_the_same_table_is_nowhere_shown_to_differ() -> None:
    assert not any(row.shown for row in comparison.rows(table(), table()))


def test_false_differences_among_the_primary_metrics_are_rare() -> None:
    wrong = sum(
        any(row.shown for row in comparison.rows(table(seed=2 * n), table(seed=2 * n + 1)) if row.primary)
        for n in range(60)
    )
    assert wrong <= 8


def test_values_are_of_valid_migrations_of_the_variant(tmp_path: object) -> None:
    del tmp_path
    made = table().assign(verdict="valid", kind="migrations", migration=1, variant="a")
    made = pd.concat([made, made.assign(variant="b"), made.assign(verdict="invalid"), made.assign(unit="")])
    side = Side(run=RunFolder(root=None), variant="a")  # type: ignore[arg-type]
    found = comparison.values(side, made)
    assert len(found) == len(table())
    assert set(found["variant"]) == {"a"}


def test_primary_metrics_are_those_that_are_declared() -> None:
    rows = comparison.rows(table(), table(1.5, seed=2), ("iterations", "blackout"))
    assert [(row.metric, row.primary) for row in rows] == [
        ("iterations", True), ("blackout", True), ("total_time", False),
    ]  # fmt: skip
