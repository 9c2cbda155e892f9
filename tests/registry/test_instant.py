"""Ages and expiries across steps of the wall clock and across boots."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import NS_PER_S
from harness.instant import Instant, expired
from tests.registry.subjects import moment


@pytest.mark.parametrize("wall_s", [-900, 0, 11, 10_000], ids=lambda wall: f"wall clock at {wall}")
def test_within_a_boot_only_the_monotonic_clock_counts(wall_s: int) -> None:
    start = moment(5)
    assert start.age_ns(moment(11, wall_s=wall_s)) == 6 * NS_PER_S
    assert not expired(start, start.later(7 * NS_PER_S), moment(11, wall_s=wall_s))
    assert expired(start, start.later(6 * NS_PER_S), moment(11, wall_s=wall_s))


def test_across_boots_the_wall_clock_counts_and_the_monotonic_one_does_not() -> None:
    start = moment(5)
    after = moment(1, wall_s=11, boot="boot-2")
    assert start.age_ns(after) == 6 * NS_PER_S
    assert not expired(start, start.later(7 * NS_PER_S), after)
    assert expired(start, start.later(6 * NS_PER_S), after)


def test_a_wall_clock_that_went_back_over_an_instant_leaves_its_age_unknown_and_it_expired() -> None:
    start = moment(5)
    before = moment(100, wall_s=4.999, boot="boot-2")
    assert start.age_ns(before) is None
    assert expired(start, start.later(10**6 * NS_PER_S), before)


def test_a_moment_from_the_same_boots_future_is_no_fresh_one() -> None:
    start = moment(5)
    assert start.age_ns(moment(4)) is None
    assert expired(start, start.later(10 * NS_PER_S), moment(4))


def test_what_began_in_one_boot_and_ends_in_another_has_expired() -> None:
    assert expired(moment(5), moment(50, boot="boot-2"), moment(6))


def test_an_instant_is_not_older_than_itself() -> None:
    assert moment(5).age_ns(moment(5)) == 0
    assert expired(moment(5), moment(5), moment(5))


readings = st.integers(min_value=0, max_value=2**62)
instants = st.builds(
    Instant, realtime_ns=readings, monotonic_ns=readings, boot_id=st.sampled_from(["boot-1", "boot-2"])
)


@given(instants, st.integers(min_value=0, max_value=2**61), instants)
def test_nothing_is_fresh_without_a_known_age_below_its_lifetime(
    start: Instant, lifetime_ns: int, now: Instant
) -> None:
    age_ns = start.age_ns(now)
    fresh = not expired(start, start.later(lifetime_ns), now)
    assert fresh == (age_ns is not None and age_ns < lifetime_ns)


@given(instants, st.integers(min_value=0, max_value=2**61), st.integers(min_value=0, max_value=2**61))
def test_what_has_expired_stays_so_within_a_boot(start: Instant, lifetime_ns: int, later_ns: int) -> None:
    end = start.later(lifetime_ns)
    assert expired(start, end, end)
    assert expired(start, end, end.later(later_ns))
