"""The written rule: which intervals give which verdict."""

from __future__ import annotations

import pytest

from harness.analysis.claims.model import Expected, Experiment, Relation
from harness.analysis.claims.rule import Verdict, judge, worst


def experiment(
    *, headline: bool = False, relation: Relation | None = None, given: bool = False
) -> Experiment:
    return Experiment(
        campaigns=("paper",),
        metric="total_time",
        workloads=("app",),
        expected=Expected(value=10.0, tolerance=0.2),
        relation=relation,
        headline=headline,
        given=given,
    )


def trials(centre: float, count: int = 6) -> list[list[float]]:
    return [[centre * (1 + 0.004 * at), centre * (1 - 0.003 * at)] for at in range(count)]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("centre", [10.0, 99.0])
def test_one_or_two_trials_show_nothing(count: int, centre: float) -> None:
    found = judge(experiment(), trials(centre, count), [])
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "no interval" in found.why


@pytest.mark.parametrize(
    ("centre", "verdict"),
    [
        (10.0, Verdict.REPRODUCED),
        (11.8, Verdict.REPRODUCED),
        (12.0, Verdict.INCONCLUSIVE),
        (12.5, Verdict.NOT_REPRODUCED),
        (7.0, Verdict.NOT_REPRODUCED),
    ],
)
def test_the_interval_is_set_against_the_band(centre: float, verdict: Verdict) -> None:
    assert judge(experiment(), trials(centre), []).verdict is verdict


@pytest.mark.parametrize(
    ("other", "verdict"),
    [(1.0, Verdict.RELATION), (4.0, Verdict.NOT_REPRODUCED), (2.5, Verdict.INCONCLUSIVE)],
)
def test_a_missed_value_may_still_hold_in_relation(other: float, verdict: Verdict) -> None:
    related = experiment(relation=Relation(to="idle", low=2.0))
    assert judge(related, trials(5.0), trials(other)).verdict is verdict


def test_a_relation_without_enough_trials_is_not_shown() -> None:
    related = experiment(relation=Relation(to="idle", low=2.0))
    assert judge(related, trials(5.0), trials(1.0, 2)).verdict is Verdict.INCONCLUSIVE
    assert judge(related, trials(5.0), []).verdict is Verdict.INCONCLUSIVE


def test_a_headline_takes_six_trials_to_confirm_and_three_to_refute() -> None:
    headline = experiment(headline=True)
    assert judge(headline, trials(10.0, 5), []).verdict is Verdict.INCONCLUSIVE
    assert judge(headline, trials(10.0, 6), []).verdict is Verdict.REPRODUCED
    assert judge(headline, trials(5.0, 3), []).verdict is Verdict.NOT_REPRODUCED


def test_trials_of_two_kinds_show_nothing() -> None:
    mixed = [[9.0, 9.01], [9.02, 9.01], [9.0, 9.03], [11.0, 11.01], [11.02, 11.0], [11.01, 11.0]]
    assert judge(experiment(), mixed, []).verdict is Verdict.INCONCLUSIVE


def test_each_workload_must_satisfy_the_claim() -> None:
    assert worst([Verdict.REPRODUCED, Verdict.NOT_TESTED, Verdict.NOT_REPRODUCED]) is Verdict.NOT_REPRODUCED
    assert worst([Verdict.REPRODUCED, Verdict.RELATION]) is Verdict.RELATION
    assert worst([Verdict.REPRODUCED, Verdict.NOT_TESTED]) is Verdict.NOT_TESTED


@pytest.mark.parametrize(
    ("centre", "count", "verdict"),
    [(10.0, 6, Verdict.SET), (10.0, 2, Verdict.INCONCLUSIVE), (12.5, 6, Verdict.INCONCLUSIVE)],
)
def test_what_the_campaign_sets_is_never_reproduced(centre: float, count: int, verdict: Verdict) -> None:
    assert judge(experiment(given=True), trials(centre, count), []).verdict is verdict


def test_a_value_that_is_set_has_no_relation_and_is_no_headline() -> None:
    with pytest.raises(ValueError, match="neither a relation nor a headline"):
        experiment(given=True, headline=True)
    with pytest.raises(ValueError, match="neither a relation nor a headline"):
        experiment(given=True, relation=Relation(to="idle", low=2.0))
