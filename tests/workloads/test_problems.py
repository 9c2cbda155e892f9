"""What tools complain of is bounded, whatever they print."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.workloads.contract import Timeline
from harness.workloads.problems import KEPT, LENGTH, bounded


def test_equal_texts_are_counted_in_the_order_they_came() -> None:
    assert bounded(["b", "a", "b", "b"]) == ("b (3 times)", "a")


def test_what_is_left_out_is_counted() -> None:
    said = [*(f"kind {number}" for number in range(30)), "kind 29"]
    found = bounded(said)
    assert len(found) == KEPT
    assert found[:2] == ("kind 0", "kind 1")
    assert found[-1] == "and 24 more, 23 of them different"


def test_a_long_text_is_cut() -> None:
    (found,) = bounded(["x" * 5000])
    assert len(found) == LENGTH
    assert found.endswith("…")


def test_every_timeline_is_bounded_whatever_made_it() -> None:
    timeline = Timeline(work_unit="requests", period_s=1.0, problems=[f"no. {n}" for n in range(500)])
    assert len(timeline.problems) == KEPT


@given(st.lists(st.text(max_size=30), max_size=100))
def test_what_was_bounded_once_stays_as_it_is(said: list[str]) -> None:
    found = bounded(said)
    assert len(found) <= KEPT
    assert bool(found) == bool(said)
    assert bounded(found) == found
