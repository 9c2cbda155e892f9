"""The order of a gate's decisions: what each cell shows, what is excused, and what follows for the run."""

from __future__ import annotations

from typing import Any

import pytest

from harness.analysis.gate.cells import Measured
from harness.analysis.gate.known_bad import Entry
from harness.analysis.gate.rows import Row, judge
from tests.analysis.gate.made import cell, side


def one(*sides: Measured, **keys: Any) -> Row:
    (row,) = judge([cell(sides[0], sides[1], **keys)]).rows
    return row


def test_no_change_passes() -> None:
    row = one(side(), side(seed=2))
    assert (row.outcome, row.reason, row.further) == ("passed", "", None)
    assert row.worse_high is not None and row.worse_high < 0.10


def test_what_is_better_passes() -> None:
    assert one(side(), side(2.0, seed=2)).outcome == "passed"


def test_twelve_percent_is_a_regression_where_ten_matter() -> None:
    row = one(side(), side(3.36, seed=2))
    assert row.outcome == "regressed"
    assert row.worse == pytest.approx(0.12, abs=0.03)
    assert row.p is not None and row.p < 0.001


def test_worse_by_less_than_matters_passes() -> None:
    row = one(side(spread=0.005), side(3.15, spread=0.005, seed=2))
    assert row.p is not None and row.p < 0.05
    assert row.outcome == "passed"


def test_the_better_direction_counts() -> None:
    assert one(side(), side(2.0, seed=2), better="higher").outcome == "regressed"
    assert one(side(), side(4.0, seed=2), better="higher").outcome == "passed"


def test_an_effect_in_the_metrics_unit_takes_zeros_and_negative_values() -> None:
    assert one(side(0.0, spread=0), side(0.0, spread=0), smallest_effect=0.05).outcome == "passed"
    row = one(side(0.0, spread=0), side(0.2, seed=2), smallest_effect=0.05)
    assert row.outcome == "regressed" and not row.in_percent
    assert row.worse == pytest.approx(0.2, abs=0.01)


def test_a_zero_has_no_percentage() -> None:
    row = one(side(0.0, spread=0), side(seed=2))
    assert row.outcome == "inconclusive" and "declare smallest_effect" in row.reason


@pytest.mark.parametrize(("baseline", "run", "further"), [(6, 2, 1), (6, 0, 3), (2, 6, None)])
def test_too_few_trials_are_inconclusive(baseline: int, run: int, further: int | None) -> None:
    row = one(side(trials=baseline), side(trials=run, seed=2))
    assert row.outcome == "inconclusive"
    assert f"the baseline has {baseline} and the run {run}" in row.reason
    assert row.further == further


def test_noise_is_inconclusive_and_says_how_many_trials_it_needs() -> None:
    row = one(side(trials=20, spread=0.08), side(3.18, trials=4, spread=0.08, seed=6))
    assert row.outcome == "inconclusive"
    assert row.further is not None and f"about {row.further} more trial" in row.reason


def test_that_many_further_trials_mostly_decide() -> None:
    decided = asked = 0
    for seed in range(0, 200, 2):
        row = one(side(trials=12, spread=0.08, seed=seed), side(trials=4, spread=0.08, seed=seed + 1))
        if row.further is not None:
            more = side(trials=4 + row.further, spread=0.08, seed=seed + 1)
            decided += one(side(trials=12, spread=0.08, seed=seed), more).outcome != "inconclusive"
            asked += 1
    assert asked >= 15
    assert decided >= 0.6 * asked


def test_a_baseline_that_is_too_noisy_is_told() -> None:
    row = one(side(trials=3, spread=0.4), side(trials=3, spread=0.4, seed=4))
    assert row.outcome == "inconclusive" and row.further is None
    assert "no number of further trials" in row.reason


def test_what_is_missing_does_not_pass() -> None:
    row = one(side(), side(seed=2, missing=3))
    assert (row.outcome, row.reason) == ("inconclusive", "3 of 15 migrations have no value: it failed")
    row = one(side(), side(seed=2, invalid=2))
    assert (row.outcome, row.reason) == ("inconclusive", "2 of 8 trials are not valid")


def test_what_the_baseline_lacks_as_well_is_no_obstacle() -> None:
    assert one(side(missing=3), side(seed=2, missing=3)).outcome == "passed"


def test_a_regression_is_told_whatever_is_missing() -> None:
    assert one(side(), side(6.0, seed=2, missing=3, invalid=1)).outcome == "regressed"


def test_no_value_says_why() -> None:
    row = one(side(), side(trials=0, missing=12))
    assert row.reason.endswith("3 each are needed: it failed") and row.further is None
    assert row.medians[1] is None


def test_regressions_are_corrected_over_the_whole_gate() -> None:
    cells = [cell(side(seed=2 * n), side(3.07, seed=2 * n + 1), workload=f"w{n}") for n in range(8)]
    alone = [judge([one]).rows[0].p or 0.0 for one in cells]
    together = [row.p or 0.0 for row in judge(cells).rows]
    assert min(together) == pytest.approx(min(1.0, 8 * min(alone)))


def test_one_regression_makes_the_run_regressed_and_one_doubt_inconclusive() -> None:
    good, bad = cell(side(), side(seed=2)), cell(side(), side(5.0, seed=3), workload="file")
    doubt = cell(side(), side(trials=2, seed=4), workload="web")
    assert judge([good]).outcome == "passed"
    assert judge([good, doubt]).outcome == "inconclusive"
    assert judge([good, doubt, bad]).outcome == "regressed"
    assert judge([good, doubt]).further == 1


def entry(**keys: Any) -> Entry:
    return Entry(
        **{"metric": "total_time", "reason": "a bug", "owner": "kim", "expires": "2026-12-01", **keys}
    )


def test_a_known_bad_entry_excuses_what_it_covers_and_nothing_else() -> None:
    cells = [
        cell(side(), side(5.0, seed=3), workload="file", variant="a"),
        cell(side(), side(5.0, seed=4), workload="file", variant="b"),
    ]
    both = judge(cells, [entry(workload="file")])
    assert both.outcome == "passed" and both.unused == ()
    assert [row.outcome for row in both.rows] == ["regressed", "regressed"]
    some = judge(cells, [entry(variant="a")])
    assert some.outcome == "regressed"
    assert [row.excused is None for row in some.rows] == [False, True]


def test_an_entry_that_excuses_nothing_is_told() -> None:
    result = judge([cell(side(), side(seed=2))], [entry()])
    assert result.outcome == "passed" and result.unused == (entry(),)
