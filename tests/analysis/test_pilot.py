"""Variance components, costs and the trials that suffice, from values with known truths."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from harness.analysis import pilot
from harness.analysis.gate.judgement import judged, worsening
from harness.analysis.pilot import Components, Cost
from harness.evidence.journal import Event


def values(trials: int, migrations: int, between: float, within: float, seed: int = 1) -> Any:
    draw = np.random.default_rng(seed)
    shifts = between * draw.standard_normal((trials, 1))
    return np.exp(shifts + within * draw.standard_normal((trials, migrations)))


def test_the_components_are_those_that_were_put_in() -> None:
    found = pilot.components(values(400, 5, 0.2, 0.1))
    assert found is not None and found.within is not None and found.share is not None
    assert found.between**0.5 == pytest.approx(0.2, rel=0.1)
    assert found.within**0.5 == pytest.approx(0.1, rel=0.05)
    assert found.share == pytest.approx(0.8, abs=0.05)


def test_what_does_not_differ_between_trials_is_not_below_0() -> None:
    assert all(
        (found := pilot.components(values(4, 5, 0.0, 0.1, seed))) is not None and found.between >= 0
        for seed in range(20)
    )


def test_one_migration_a_trial_has_no_variance_within() -> None:
    found = pilot.components(values(8, 1, 0.2, 0.1))
    assert found is not None and found.within is None and found.share is None


@pytest.mark.parametrize("trials", [[[1.0], [2.0]], [[1.0], [0.0], [2.0]], []])
def test_too_few_trials_and_zeros_give_none(trials: list[list[float]]) -> None:
    assert pilot.components(trials) is None


def test_so_many_trials_do_find_the_effect() -> None:
    known = Components(trials=400, migrations=5, between=0.05**2, within=0.05**2)
    trials = pilot.needed(known, 0.1, 5)
    assert trials is not None
    draws = np.log(np.median(values(2 * 2000 * trials, 5, 0.05, 0.05), axis=1)).reshape(2, 2000, 1, trials)
    found = worsening(draws[0], draws[1] + math.log1p(0.1), lower_is_better=True)
    _, regressed, _ = judged(found, np.array(math.log1p(0.1)))
    assert 0.75 < regressed.mean() < 0.9


def test_a_smaller_effect_a_smaller_pilot_and_fewer_migrations_need_more_trials() -> None:
    known = Components(trials=20, migrations=5, between=0.1**2, within=0.1**2)
    few = Components(trials=4, migrations=5, between=0.1**2, within=0.1**2)
    base = pilot.needed(known, 0.1, 5) or 0
    for more in (pilot.needed(known, 0.05, 5), pilot.needed(few, 0.1, 5), pilot.needed(known, 0.1, 1)):
        assert more is not None and more > base
    assert pilot.needed(Components(trials=3, migrations=1, between=4.0, within=None), 0.01, 1) is None


def test_the_cheapest_design_follows_from_the_costs() -> None:
    known = Components(trials=20, migrations=5, between=0.02**2, within=0.2**2)
    cheap, dear = Cost(trial_s=300, migration_s=5), Cost(trial_s=5, migration_s=300)
    many, one = pilot.best(known, cheap, 0.1), pilot.best(known, dear, 0.1)
    assert many is not None and one is not None
    assert many.migrations > one.migrations and many.trials < one.trials
    assert many.takes_s == cheap.of(2 * many.trials, many.migrations)


def test_costs_are_read_from_the_journal() -> None:
    kinds = {"attempt.started": 0, "window.opened": 40, "window.closed": 60, "attempt.finished": 65}
    events = [
        Event(seq=n, t_ns=int(at * 1e9), observer="runner", kind=kind, trial="001-idle", attempt=1, data={})
        for n, (kind, at) in enumerate(kinds.items())
    ]
    assert pilot.costs(events, {"001-idle": 4}) == Cost(trial_s=45, migration_s=5)
    assert pilot.costs(events[:-1], {"001-idle": 4}) is None
