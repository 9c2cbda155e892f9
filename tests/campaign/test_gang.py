"""Several guests in a campaign file: who they are, in which order they move, and what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.campaign import plan as plans
from harness.campaign.file import loads
from harness.campaign.gang import memory_problem
from harness.campaign.preflight import problems
from harness.campaign.run.guarded import _policy
from harness.errors import CampaignError
from tests.response.fleets import policy

ONE = """\
name: several
workloads: [idle]
schedule: {window_s: 60, points_s: [0, 30]}
"""
THREE = ONE + "guests: {count: 3}\n"


def refusal(text: str) -> str:
    with pytest.raises(CampaignError) as caught:
        loads(text, "several.yml")
    return str(caught.value)


def test_a_count_stands_for_guests_that_differ_in_nothing() -> None:
    plan = plans.expand(loads(THREE, "several.yml"))
    assert [(one.name, one.memory_mib, one.vcpus) for one in plan.guests] == [
        (name, 1024, 1) for name in ("g1", "g2", "g3")
    ]


def test_at_each_point_all_guests_move_and_each_move_has_a_number_of_its_own() -> None:
    (trial,) = plans.expand(loads(THREE, "several.yml")).trials
    assert [(one.n, one.at_s, one.guest) for one in trial.migrations] == [
        (1, 0, "g1"), (2, 0, "g2"), (3, 0, "g3"), (4, 30, "g1"), (5, 30, "g2"), (6, 30, "g3"),
    ]  # fmt: skip


def test_a_plan_of_several_guests_reads_back_equal_and_one_of_one_guest_says_nothing_of_them() -> None:
    several = plans.expand(loads(THREE, "several.yml"))
    assert plans.from_json(several.to_json()) == several
    one = plans.expand(loads(ONE, "one.yml")).to_json()
    assert "guests" not in one
    assert '"guest":"' not in json.dumps(one, separators=(",", ":"))


GUARDED = """\
attest: {}
respond: {scenarios: [violation]}
guests: {each: [{name: plain}, {name: strict, request: ["1", "2"]}]MORE}
"""


def test_guarded_guests_leave_when_their_host_is_violated_and_each_asks_for_its_own() -> None:
    plan = plans.expand(loads(ONE + GUARDED.replace("MORE", ""), "several.yml"))
    assert [(one.name, one.request) for one in plan.guests] == [("plain", ("1",)), ("strict", ("1", "2"))]
    (trial,) = plan.trials
    assert [(one.n, one.at_s, one.guest) for one in trial.migrations] == [(1, 0, None), (2, 30, None)]
    assert plan.order is None
    assert plans.from_json(plan.to_json()) == plan


def test_the_campaigns_order_and_concurrency_replace_the_response_policys() -> None:
    text = ONE + GUARDED.replace("MORE", ", order: name, concurrency: 2")
    plan = plans.expand(loads(text, "several.yml"))
    given = policy(order="oldest-request", concurrent_migrations=5)
    adapted = _policy(given, "violation", plan)
    assert (adapted.order, adapted.concurrent_migrations) == ("name", 2)
    silent = plans.expand(loads(ONE + GUARDED.replace("MORE", ""), "several.yml"))
    adapted = _policy(given, "violation", silent)
    assert (adapted.order, adapted.concurrent_migrations) == ("oldest-request", 1)


def test_plans_of_scheduled_guests_say_nothing_of_requests() -> None:
    said = json.dumps(plans.expand(loads(THREE, "several.yml")).to_json())
    assert '"request"' not in said and '"order"' not in said


def test_one_at_a_time_leaves_the_plan_as_it_was_and_more_are_in_it() -> None:
    assert "concurrency" not in plans.expand(loads(THREE, "several.yml")).to_json()
    two = plans.expand(loads(ONE + "guests: {count: 3, concurrency: 2}\n", "several.yml"))
    assert two.concurrency == 2
    assert plans.from_json(two.to_json()) == two


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("guests: {count: 1}", "2 to 16 guests"),
        ("guests: {each: [{name: a1}, {name: a1}]}", "each name once; a1 is there twice"),
        ("guests: {each: [{name: guest}, {name: a1}]}", "other names than guest"),
        ("guests: {each: [{name: a1}, {name: a2, memory: 1}]}", "unknown key"),
        ("guests: {each: [{name: a1}, {name: a2, request: ['99']}]}", "a request that is not refused"),
        ("guests: {count: 2, concurrency: 3}", "concurrency: 3 with 2 guests"),
        ("guests: {count: 2, concurrency: 0}", "guests.concurrency"),
        ("guests: {count: 2}\nstart: snapshot", "several guests are booted"),
        (
            "guests: {count: 2}\nattest: {}\nrespond: {scenarios: [violation, suspend]}",
            "the scenario suspend with guests",
        ),
        (
            'guests: {count: 2}\nattest: {}\nrespond: {scenarios: [violation], request: ["1"]}',
            "each guest has a request of its own",
        ),
    ],
)
def test_what_cannot_be_is_refused(more: str, said: str) -> None:
    assert said in refusal(ONE + more + "\n")


def test_guests_leave_one_after_another_so_nothing_is_skipped_or_aborted() -> None:
    text = THREE.replace("points_s: [0, 30]", "points_s: [0, 30], overlap: skip")
    assert "write overlap: delay" in refusal(text)


@given(sizes=st.lists(st.integers(128, 4096), min_size=2, max_size=16), have=st.integers(1, 10**6))
def test_guests_fit_where_their_memory_and_that_of_their_qemus_does(sizes: list[int], have: int) -> None:
    fits = sum(sizes) + 64 * len(sizes) <= have
    assert (memory_problem(sizes, have * 2**20) is None) == fits


def test_hosts_that_are_too_small_or_do_not_say_are_named() -> None:
    facts = {"a": {"memory_bytes": 2**30}, "b": {}}
    found = problems(facts, storage_need_bytes=0, needs={}, guests_mib=[512, 512])
    said = {one.where: one.what for one in found if "memory" in one.what}
    assert said == {
        "host a": "1024 MiB of memory, and 2 guests need 1152 MiB there",
        "host b": "memory unknown",
    }
