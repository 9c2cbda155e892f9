from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.campaign.plan import Plan, expand, from_json
from harness.errors import RecordError
from tests.synthetic.campaigns import MINIMAL, campaign

ONE_PER_RUN = MINIMAL + "  mode: one-per-run\n"


def test_back_and_forth_puts_all_points_into_one_trial() -> None:
    plan = expand(campaign())
    assert [trial.id[:4] for trial in plan.trials] == ["001-", "002-"]
    for trial in plan.trials:
        assert trial.id.endswith(trial.workload)
        assert [(item.n, item.at_s) for item in trial.migrations] == [(1, 0.0), (2, 12.0), (3, 24.0)]
        assert (trial.kind, trial.baseline_s, trial.window_s, trial.start) == ("migrations", 10, 60, "boot")


def test_one_per_run_makes_a_trial_of_each_point() -> None:
    plan = expand(campaign(base=ONE_PER_RUN))
    moved = Counter((trial.workload, *[item.at_s for item in trial.migrations]) for trial in plan.trials)
    assert moved == Counter((name, at_s) for name in ("idle", "file") for at_s in (0.0, 12.0, 24.0))
    assert {item.n for trial in plan.trials for item in trial.migrations} == {1}


@given(
    seed=st.integers(0, 2**63 - 1),
    repetitions=st.integers(1, 6),
    control=st.integers(0, 8),
    base=st.sampled_from([MINIMAL, ONE_PER_RUN]),
)
def test_every_block_is_complete_and_the_plan_follows_from_the_seed(
    seed: int, repetitions: int, control: int, base: str
) -> None:
    asked = campaign(f"seed: {seed}\nrepetitions: {repetitions}\ncontrol: {control}\n", base=base)
    plan = expand(asked)
    assert expand(asked).hash == plan.hash
    assert len({trial.id for trial in plan.trials}) == len(plan.trials)
    assert [trial.repetition for trial in plan.trials] == sorted(trial.repetition for trial in plan.trials)
    runs = 1 if base == MINIMAL else 3
    blocks = Counter((t.repetition, t.workload) for t in plan.trials if t.kind == "migrations")
    assert set(blocks.values()) == {runs}
    assert len(blocks) == repetitions * 2
    controls = [trial for trial in plan.trials if trial.kind == "control"]
    assert Counter(trial.workload for trial in controls) == Counter({"idle": control, "file": control})
    assert all(trial.migrations == () for trial in controls)
    shares = Counter(trial.repetition for trial in controls if trial.workload == "idle")
    counts = [shares[repetition] for repetition in range(1, repetitions + 1)]
    assert max(counts) - min(counts) <= 1, "controls are spread evenly over the blocks"


def test_the_order_depends_on_the_seed() -> None:
    orders = {
        tuple(trial.workload for trial in expand(campaign(f"seed: {seed}\nrepetitions: 4\n")).trials)
        for seed in range(20)
    }
    assert len(orders) > 5


def test_a_plan_survives_json_and_keeps_its_hash() -> None:
    plan = expand(campaign("control: 1\nmigration: {bandwidth_mib_s: 32}\n"))
    again = from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    assert again.hash == plan.hash
    assert expand(campaign("control: 1\n")).hash != plan.hash


def test_the_hash_is_stable_across_versions() -> None:
    """Changes only when the plan's fields change; then PLAN_VERSION does, too."""
    assert expand(campaign()).hash == "3a6fa0cd95a6a6015a991fec6bd38de51a1dab61f12f9d24d9c15e0c7d24fc11"


@pytest.mark.parametrize(
    "change",
    [{"version": 1}, {"trials": [{}]}, {"surprise": 1}, {"seed": "1"}],
)
def test_what_is_no_plan_is_refused(change: dict[str, int | str | list[dict[str, int]]]) -> None:
    stored = {**expand(campaign()).to_json(), **change}
    with pytest.raises(RecordError, match="not a plan of this version") as caught:
        from_json(stored)
    assert next(iter(change)) in caught.value.why


def test_a_trial_is_found_by_its_id() -> None:
    plan: Plan = expand(campaign())
    assert plan.trial(plan.trials[1].id) is plan.trials[1]
    with pytest.raises(KeyError):
        plan.trial("009-none")


def test_a_control_trial_is_cut_where_the_others_migrate() -> None:
    for trial in expand(campaign("control: 1\n")).trials:
        points = tuple(one.at_s for one in trial.migrations)
        assert (points or trial.reference_points_s) == (0, 12, 24)
        assert bool(points) != bool(trial.reference_points_s)


GUARDED = """\
attest: {interval_s: 1, keys: [ecc-p256], policy: lab}
respond: {scenarios: [violation, request]}
"""


def test_a_guarded_guest_has_a_trial_for_each_workload_and_scenario() -> None:
    plan = expand(campaign(GUARDED + "control: 1\n"))
    played = Counter((trial.workload, trial.scenario) for trial in plan.trials if trial.kind == "migrations")
    assert played == Counter((w, s) for w in ("idle", "file") for s in ("violation", "request"))
    assert {trial.scenario for trial in plan.trials if trial.kind == "control"} == {None}
    assert from_json(plan.to_json()) == plan


def test_a_plan_without_responses_has_no_word_of_them() -> None:
    stored = json.dumps(expand(campaign()).to_json())
    assert "respond" not in stored
    assert "scenario" not in stored
