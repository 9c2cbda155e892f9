"""The program that runs on the client, as far as it needs neither locust nor a server."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.workloads.generators.locust_program import Grid, Pace, Tally, message, path, rank


def test_a_second_is_told_by_its_own_completions_only() -> None:
    tally = Tally()
    for number in range(100):
        tally.complete(10 + number / 100, number / 1000)
    tally.failed += 2
    figures = tally.take()
    assert (figures["completed"], figures["failed"]) == (100, 2)
    assert (figures["latency_p99_s"], figures["latency_max_s"]) == (0.098, 0.099)
    assert figures["latency_mean_s"] == pytest.approx(0.0495)
    assert figures["stall_s"] == pytest.approx(0.01)
    assert tally.take() == {
        "completed": 0,
        "failed": 0,
        "latency_max_s": None,
        "latency_mean_s": None,
        "latency_p99_s": None,
        "stall_s": None,
    }


def test_a_stall_is_told_in_the_second_in_which_it_ends() -> None:
    tally = Tally()
    tally.complete(1.0, 0.1)
    assert tally.take()["stall_s"] is None, "one completion has no other before it"
    assert tally.take()["stall_s"] is None
    tally.complete(6.5, 5.0)
    tally.complete(6.6, 0.1)
    assert tally.take()["stall_s"] == pytest.approx(5.5)


@given(st.lists(st.floats(min_value=0, max_value=1e6), min_size=1), st.floats(min_value=0.01, max_value=1))
def test_a_rank_is_not_exceeded_by_its_share(values: list[float], share: float) -> None:
    ordered = sorted(values)
    found = rank(ordered, share)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= share * len(ordered) * (1 - 1e-9)


def test_reports_keep_to_the_grid_however_late_one_is() -> None:
    grid, tally = Grid(100.0), Tally()
    assert grid.next_at() == 101.0
    assert (grid.report(101.2, tally)["second"], grid.next_at()) == (1, 102.0)
    late = grid.report(104.7, tally)
    assert late["late_s"] == pytest.approx(2.7)
    assert (late["second"], grid.next_at()) == (4, 105.0)


@given(
    st.floats(min_value=0.001, max_value=100),
    st.floats(min_value=0, max_value=1e5),
    st.floats(min_value=0, max_value=1e5),
)
def test_a_user_waits_at_most_a_period_and_keeps_its_place(period: float, phase: float, after: float) -> None:
    now = phase + after
    wait = Pace(period, phase).wait(now)
    assert 0 <= wait <= period * (1 + 1e-6)
    slots = (now + wait - phase) / period
    assert slots == pytest.approx(round(slots), abs=1e-4 * max(1.0, slots))


@pytest.mark.parametrize("size_kib", [1, 8, 64.5])
def test_a_message_has_its_size_and_no_line_of_a_dot(size_kib: float) -> None:
    text = message(size_kib)
    assert len(text) == pytest.approx(size_kib * 1024, abs=80)
    assert b"\r\n." not in text and text.endswith(b"\r\n") and text == message(size_kib)


def test_paths_are_drawn_from_both_ends_on() -> None:
    draw = random.Random(1)
    pages = {"before": "/static/0", "low": 10, "high": 12, "after": ".html"}
    assert {path(pages, draw) for _ in range(100)} == {f"/static/0{number}.html" for number in (10, 11, 12)}
    assert path({"before": "/", "low": None, "high": None, "after": ""}, draw) == "/"
