"""The shared test of steadiness: two stretches that agree, and nothing that is dead or drifts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.workloads.steadiness import DRIFT, SPAN, level


@pytest.mark.parametrize(
    ("work", "steady"),
    [
        ([], False),
        ([10.0] * (2 * SPAN - 1), False),
        ([10.0] * (2 * SPAN), True),
        ([1.0, 2.0, 4.0, 8.0, 16.0, 32.0], False),
        ([0.0] * (2 * SPAN), False),
        ([0.0, 0.0, 0.0, 10.0, 10.0, 10.0], False),
        ([10.0, 10.0, 10.0, 0.0, 0.0, 0.0], False),
        # Single reports that differ by half do not matter, their sums do.
        ([5.0, 10.0, 15.0, 15.0, 10.0, 5.0], True),
        ([500.0, 1.0] + [10.0] * (2 * SPAN), True),
    ],
)
def test_two_stretches_must_agree_and_do_something(work: list[float], steady: bool) -> None:
    assert level(work) is steady


def test_the_drift_is_a_share_of_the_mean_of_both() -> None:
    assert level([7.0] * SPAN + [9.0] * SPAN)
    assert not level([7.0] * SPAN + [9.1] * SPAN)
    assert level([7.0] * SPAN + [9.1] * SPAN, drift=2 * DRIFT)


def test_the_span_can_be_chosen() -> None:
    assert level([10.0, 10.0], span=1)
    assert not level([10.0] * 7, span=4)


@given(st.lists(st.floats(min_value=0, max_value=1e12)), st.lists(st.floats(min_value=0, max_value=1e12)))
def test_what_was_long_before_does_not_matter(before: list[float], last: list[float]) -> None:
    recent = last[-2 * SPAN :]
    if len(recent) == 2 * SPAN:
        assert level(before + recent) == level(recent)


@given(st.lists(st.floats(min_value=0.01, max_value=1e9), min_size=2 * SPAN, max_size=2 * SPAN))
def test_time_has_no_direction(work: list[float]) -> None:
    assert level(work) == level(work[SPAN:] + work[:SPAN])
