"""The schedule of looks, at exact instants: no drift, no pile, none asked twice at once, none starved."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.attest.monitor.schedule import Slot, choose, passed, phase_ns, slot, wait_ns

NOBODY: frozenset[str] = frozenset()


def at(key: str, first_ns: int = 0, interval_ns: int = 100, turn: int = 0) -> Slot:
    return Slot(key=key, subject=key, first_ns=first_ns, interval_ns=interval_ns, turn=turn)


def test_a_look_is_due_at_its_moment_and_not_one_nanosecond_before() -> None:
    one = at("a", first_ns=50)

    assert choose([one], 49, busy=NOBODY, free=1) == ()
    (turn,) = choose([one], 50, busy=NOBODY, free=1)
    assert (turn.due_ns, turn.missed, turn.slot.due_ns) == (50, 0, 150)


def test_what_is_late_does_not_move_the_grid() -> None:
    (turn,) = choose([at("a")], 99, busy=NOBODY, free=1)

    assert (turn.due_ns, turn.missed, turn.slot.due_ns) == (0, 0, 100)


def test_moments_that_passed_are_counted_and_given_up() -> None:
    (turn,) = choose([at("a")], 350, busy=NOBODY, free=1)

    assert (turn.due_ns, turn.missed, turn.slot.due_ns) == (300, 3, 400)
    assert choose([turn.slot], 350, busy=NOBODY, free=1) == ()


def test_the_longest_due_comes_first_and_no_more_than_are_free() -> None:
    slots = [at("late", first_ns=10), at("later", first_ns=20), at("first", first_ns=5)]

    assert [turn.slot.key for turn in choose(slots, 30, busy=NOBODY, free=2)] == ["first", "late"]
    assert choose(slots, 30, busy=NOBODY, free=0) == ()


def test_one_subject_is_never_looked_at_twice_at_once() -> None:
    both = [replace(at("a/tpm"), subject="a"), replace(at("a/hyperwall"), subject="a"), at("b")]

    assert [turn.slot.subject for turn in choose(both, 0, busy=NOBODY, free=9)] == ["a", "b"]
    assert [turn.slot.subject for turn in choose(both, 0, busy={"a"}, free=9)] == ["b"]


def test_who_waits_for_the_other_watch_of_its_subject_is_next() -> None:
    slots = {one.key: one for one in (replace(at("a/1"), subject="a"), replace(at("a/2"), subject="a"))}
    order = []
    for now_ns in (0, 10, 100, 110):
        (turn,) = choose(slots.values(), now_ns, busy=NOBODY, free=1)
        slots[turn.slot.key] = turn.slot
        order.append(turn.slot.key)

    assert order == ["a/1", "a/2", "a/1", "a/2"]


@pytest.mark.parametrize(
    ("now_ns", "busy", "expected"),
    [(0, NOBODY, 50), (50, NOBODY, 0), (70, NOBODY, 0), (70, {"a"}, 20), (70, {"a", "b"}, None)],
)
def test_how_long_until_the_next(now_ns: int, busy: frozenset[str], expected: int | None) -> None:
    assert wait_ns([at("a", first_ns=50), at("b", first_ns=90)], now_ns, busy=busy) == expected


def test_an_interval_of_nothing_is_none() -> None:
    with pytest.raises(ValueError, match="interval"):
        at("a", interval_ns=0)


def test_a_thousand_with_one_interval_do_not_come_together() -> None:
    interval_ns = 30 * 10**9
    seconds = Counter(phase_ns(f"host-{n}/tpm", interval_ns) // 10**9 for n in range(1000))

    assert len(seconds) == 30
    assert max(seconds.values()) < 70
    assert phase_ns("host-1/tpm", interval_ns) == phase_ns("host-1/tpm", interval_ns)


def test_the_first_look_comes_within_one_interval() -> None:
    one = slot("a/tpm", "a", start_ns=1_000, interval_ns=100)

    assert 1_000 <= one.due_ns < 1_100


def test_a_storm_of_a_thousand_is_served_in_order_of_what_was_due_and_all_of_it() -> None:
    slots = {f"h{n:04}": at(f"h{n:04}", first_ns=n % 7, interval_ns=10**6) for n in range(1000)}
    served: list[tuple[int, str]] = []
    while turns := choose(slots.values(), 1_000, busy=NOBODY, free=8):
        assert len(turns) <= 8
        served += [(turn.due_ns, turn.slot.key) for turn in turns]
        slots |= {turn.slot.key: turn.slot for turn in turns}

    assert served == sorted(served)
    assert len({key for _due, key in served}) == len(served) == 1000


grids = st.builds(
    Slot,
    key=st.uuids().map(str),
    subject=st.sampled_from("abcdef"),
    first_ns=st.integers(0, 500),
    interval_ns=st.integers(1, 200),
)


@given(
    st.lists(grids, max_size=8, unique_by=lambda one: one.key),
    st.lists(
        st.tuples(st.integers(0, 300), st.sets(st.sampled_from("abcdef")), st.integers(0, 4)), max_size=20
    ),
)
def test_every_moment_is_served_or_counted_and_every_look_is_on_the_grid(
    slots: list[Slot], steps: list[tuple[int, set[str], int]]
) -> None:
    standing = {one.key: one for one in slots}
    account = dict.fromkeys(standing, 0)
    now_ns = 0
    for later_ns, busy, free in steps:
        now_ns += later_ns
        turns = choose(standing.values(), now_ns, busy=busy, free=free)
        assert len(turns) <= free
        assert len({turn.slot.subject for turn in turns}) == len(turns)
        assert not busy & {turn.slot.subject for turn in turns}
        for turn in turns:
            before = standing[turn.slot.key]
            assert (turn.due_ns - before.first_ns) % before.interval_ns == 0
            assert turn.due_ns <= now_ns < turn.slot.due_ns <= now_ns + before.interval_ns
            account[turn.slot.key] += 1 + turn.missed
            standing[turn.slot.key] = turn.slot
    assert account == {key: one.turn for key, one in standing.items()}


def test_a_phase_that_is_given_counts_instead_of_the_drawn_one() -> None:
    given = [slot("a/trial", "a", start_ns=50, interval_ns=90, phase=part) for part in (0.0, 1 / 3, 2 / 3)]

    assert [one.first_ns for one in given] == [50, 80, 110]


@pytest.mark.parametrize(("now_ns", "count"), [(49, 0), (50, 0), (139, 0), (140, 1), (229, 1), (230, 2)])
def test_moments_that_wait_for_a_look_are_counted(now_ns: int, count: int) -> None:
    one = Slot(key="a/trial", subject="a", first_ns=50, interval_ns=90, turn=1)

    assert passed(one, now_ns) == count
