"""Which VM goes first: the policy's order, a total one, in which no guest waits without end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.response.decide.assessment import Finding, Vm
from harness.response.decide.cause import Cause
from harness.response.decide.order import Claim, key
from tests.response.fleets import policy, s, vm


def claim(one: Vm, since_ns: int = 0, cause: Cause = Cause.VIOLATION) -> Claim:
    return Claim(finding=Finding(vm=one, cause=cause, why="it is"), since_ns=since_ns)


def names(claims: list[Claim], now_ns: int = 0, **changes: Any) -> list[str]:
    chosen = policy(**changes)
    return [one.finding.vm.name for one in sorted(claims, key=lambda claim: key(claim, chosen, now_ns))]


LAX_OLD = vm("lax-old", options=["1"], number=1)
LAX_NEW = vm("lax-new", options=["1"], number=9)
STRICT_NEW = vm("strict-new", options=["1", "2", "3"], number=8)
MIDDLE = vm("middle", options=["1", "2:c"], number=5)
ALL = [claim(one) for one in (LAX_NEW, MIDDLE, LAX_OLD, STRICT_NEW)]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("strictest-first", ["strict-new", "middle", "lax-old", "lax-new"]),
        ("oldest-request", ["lax-old", "middle", "strict-new", "lax-new"]),
        ("name", ["lax-new", "lax-old", "middle", "strict-new"]),
    ],
)
def test_the_policy_says_who_goes_first(order: str, expected: list[str]) -> None:
    assert names(ALL, order=order) == expected


def test_who_has_waited_too_long_goes_before_the_order_the_longest_first() -> None:
    now_ns = s(100)
    claims = [claim(STRICT_NEW, s(60)), claim(LAX_OLD, s(40)), claim(LAX_NEW, s(30)), claim(MIDDLE, s(50))]

    assert names(claims, now_ns, max_wait_s=50) == ["lax-new", "lax-old", "strict-new", "middle"]


def test_a_wait_up_to_the_limit_changes_nothing() -> None:
    claims = [claim(STRICT_NEW, s(100)), claim(LAX_OLD, s(50))]

    assert names(claims, s(100), max_wait_s=50) == ["strict-new", "lax-old"]
    assert names(claims, s(100) + 1, max_wait_s=50) == ["lax-old", "strict-new"]


def test_trouble_goes_before_moving_targets_however_long_they_are_due() -> None:
    due = claim(STRICT_NEW, 0, Cause.MOVING_TARGET)
    assert names([due, claim(LAX_NEW, s(900))], s(1000)) == ["lax-new", "strict-new"]


def test_moving_targets_go_in_the_order_in_which_they_were_due() -> None:
    claims = [claim(STRICT_NEW, s(20), Cause.MOVING_TARGET), claim(LAX_NEW, s(10), Cause.MOVING_TARGET)]
    assert names(claims, s(21)) == ["lax-new", "strict-new"]


claims = st.lists(
    st.builds(
        claim,
        st.builds(vm, st.text("abc", max_size=2), number=st.integers(1, 3)),
        st.integers(0, s(100)),
        st.sampled_from(Cause),
    ),
    max_size=6,
    unique_by=lambda one: one.finding.vm.name,
)


@given(claims, st.permutations(range(6)), st.sampled_from(["strictest-first", "oldest-request", "name"]))
def test_the_order_is_total(found: list[Claim], shuffle: list[int], order: str) -> None:
    shuffled = [found[index] for index in shuffle if index < len(found)]
    assert names(found, s(100), order=order) == names(shuffled, s(100), order=order)
