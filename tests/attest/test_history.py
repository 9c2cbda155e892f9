"""Clones and snapshots put back, among the sightings of guests that simply run."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from harness.attest.guest.continuity import Sighting
from harness.attest.guest.history import Contradiction, review
from harness.attest.reasons import Reason
from harness.attest.tpm.structures import ClockInfo

S = 10**9
MS = 10**6


def seen(
    at_s: float,
    clock_ms: int,
    *,
    host: str = "a",
    epoch: int = 1,
    resets: int = 1,
    restarts: int = 0,
    uncertainty_ms: float = 0,
    entries: int | None = None,
    name: bytes = b"vak",
) -> Sighting:
    return Sighting(
        vak_name=name,
        host=host,
        epoch=epoch,
        clock=ClockInfo(clock_ms=clock_ms, reset_count=resets, restart_count=restarts, safe=True),
        generated_ns=round(at_s * S),
        uncertainty_ns=round(uncertainty_ms * MS),
        ima_entries=entries,
    )


def find_clones(sightings: Iterable[Sighting]) -> tuple[Contradiction, ...]:
    return tuple(one for one in review(sightings) if one.reason is Reason.GUEST_CLONED)


def find_rollbacks(sightings: Iterable[Sighting]) -> tuple[Contradiction, ...]:
    return tuple(one for one in review(sightings) if one.reason is Reason.GUEST_ROLLED_BACK)


def test_a_guest_that_runs_reboots_suspends_and_moves_is_one_guest() -> None:
    history = [
        seen(0, 1_000),
        seen(10, 11_000),
        seen(20, 21_000, host="b", epoch=2),
        seen(30, 500, host="b", epoch=2, resets=2),
        seen(40, 10_500, host="b", epoch=2, resets=2, restarts=1),
        seen(50, 20_500, host="a", epoch=3, resets=2, restarts=1),
    ]

    assert review(history) == ()


def test_one_key_on_two_hosts_in_one_epoch_is_a_clone() -> None:
    first, second = seen(0, 1_000), seen(10, 11_000, host="b")
    third = seen(20, 21_000, host="b")

    (found,) = find_clones([second, third, first])
    assert (found.reason, found.first, found.second) == (Reason.GUEST_CLONED, first, second)
    assert "epoch 1" in found.why


def test_two_keys_may_share_an_epoch() -> None:
    assert review([seen(0, 1_000), seen(1, 500, host="b", name=b"other")]) == ()


def test_a_guest_that_stayed_behind_after_its_move_is_a_clone() -> None:
    moved, stayed = seen(10, 11_000, host="b", epoch=2), seen(20, 21_000)

    (found,) = find_clones([seen(0, 1_000), moved, stayed, seen(30, 31_000)])
    assert (found.first, found.second) == (moved, stayed)


def test_every_older_epoch_is_held_against_the_newest_and_not_the_last() -> None:
    history = [
        seen(0, 1_000, host="c", epoch=3),
        seen(10, 11_000, host="a", epoch=1),
        seen(20, 21_000, host="b", epoch=2),
    ]

    assert [one.second.epoch for one in find_clones(history)] == [1, 2]


def test_sightings_whose_order_is_not_certain_do_not_show_an_old_epoch() -> None:
    history = [seen(10, 11_000, host="b", epoch=2, uncertainty_ms=6), seen(10.01, 11_010, uncertainty_ms=6)]

    assert review(history) == ()


def test_a_snapshot_put_back_shows_once_by_its_clock() -> None:
    peak, back = seen(20, 21_000), seen(30, 6_000)
    history = [
        seen(0, 1_000),
        seen(10, 11_000),
        peak,
        back,
        seen(40, 16_000),
        seen(50, 26_000),
        seen(60, 36_000),
    ]

    (found,) = review(history)
    assert (found.reason, found.first, found.second) == (Reason.GUEST_ROLLED_BACK, peak, back)
    assert find_rollbacks(history) == (found,)
    assert find_clones(history) == ()


def test_each_further_time_it_is_put_back_is_told() -> None:
    history = [seen(0, 50_000), seen(10, 20_000), seen(20, 30_000), seen(30, 20_000)]

    assert len(find_rollbacks(history)) == 2


def test_counters_that_went_back_are_a_rollback_whatever_the_clock() -> None:
    resets = review([seen(0, 1_000, resets=5), seen(10, 11_000, resets=4)])
    restarts = review([seen(0, 1_000, restarts=2), seen(10, 11_000, restarts=1)])

    assert [one.reason for one in (*resets, *restarts)] == [Reason.GUEST_ROLLED_BACK] * 2


def test_a_clock_that_stood_still_while_time_passed_is_a_rollback() -> None:
    assert len(find_rollbacks([seen(0, 1_000), seen(0.0021, 1_000)])) == 1
    assert review([seen(0, 1_000), seen(0.002, 1_000)]) == ()


def test_a_log_that_became_shorter_shows_what_the_clock_hides() -> None:
    """The state put back of a vTPM by libtpms goes on with the time that has passed since it was saved."""
    history = [seen(0, 1_000, entries=10), seen(10, 11_000, entries=30), seen(20, 21_000, entries=12)]

    (found,) = find_rollbacks([*history, seen(30, 31_000, entries=13)])
    assert found.second == history[2]
    assert "30 to 12" in found.why


def test_a_log_starts_anew_after_a_reset_and_goes_on_after_a_resume() -> None:
    reboot = [seen(0, 1_000, entries=30), seen(10, 11_000, resets=2, entries=5)]
    resume = [seen(0, 1_000, entries=30), seen(10, 11_000, restarts=1, entries=5)]

    assert review(reboot) == ()
    assert len(find_rollbacks(resume)) == 1


def test_a_log_that_was_not_asked_for_once_hides_nothing() -> None:
    history = [seen(0, 1_000, entries=30), seen(10, 11_000), seen(20, 21_000, entries=5)]

    assert len(find_rollbacks(history)) == 1


def test_two_clocks_that_take_turns_are_a_clone_and_no_rollback() -> None:
    history = [seen(0, 50_000), seen(1, 20_000), seen(2, 52_000), seen(3, 22_000), seen(4, 54_000)]

    (found,) = review(history)
    assert (found.reason, found.first, found.second) == (Reason.GUEST_CLONED, history[1], history[2])


def test_a_clock_may_run_as_fast_as_the_specification_lets_it_after_a_rollback() -> None:
    slow = [seen(0, 50_000), seen(10, 45_000), seen(20, 45_000 + 13_225)]
    fast = [*slow[:2], seen(20, 45_000 + 13_228)]

    assert [one.reason for one in review(slow)] == [Reason.GUEST_ROLLED_BACK]
    assert [one.reason for one in review(fast)] == [Reason.GUEST_CLONED]


def test_two_clocks_at_one_moment_are_a_clone() -> None:
    near = [seen(0, 1_000, uncertainty_ms=5), seen(0.001, 1_012, uncertainty_ms=5)]
    apart = [near[0], seen(0.001, 9_000, uncertainty_ms=5)]

    assert review(near) == ()
    assert [one.reason for one in review(apart)] == [Reason.GUEST_CLONED]


def test_no_history_and_one_sighting_show_nothing() -> None:
    assert review([]) == ()
    assert review([seen(0, 0)]) == ()
    assert review([seen(0, 0), seen(0, 0)]) == ()


@st.composite
def lives(draw: st.DrawFn) -> list[Sighting]:
    """A guest that runs, moves, suspends and reboots, its clock as slow or fast as a TPM's may be."""
    rate = draw(st.floats(1 / 1.15**2, 1.15**2))
    at_s, clock_ms, resets, restarts, epoch, entries = 0.0, draw(st.integers(0, 10**6)), 1, 0, 1, 5
    history = []
    for event in draw(
        st.lists(st.sampled_from(["run", "run", "run", "move", "suspend", "reboot"]), max_size=20)
    ):
        span_s = draw(st.floats(0.05, 100))
        at_s += span_s
        clock_ms += round(span_s * 1000 * rate)
        entries += draw(st.integers(0, 3))
        if event == "move":
            epoch += 1
        elif event == "suspend":
            restarts += 1
        elif event == "reboot":
            resets, restarts, entries = resets + 1, 0, draw(st.integers(0, 5))
        uncertainty_ms = draw(st.floats(0, 5))
        error_s = draw(st.floats(-1, 1)) * uncertainty_ms / 1000
        history.append(
            seen(
                at_s + error_s,
                clock_ms,
                host="ab"[epoch % 2],
                epoch=epoch,
                resets=resets,
                restarts=restarts,
                uncertainty_ms=uncertainty_ms + 1e-3,
                entries=entries,
            )
        )
    return history


@given(lives(), st.randoms(use_true_random=False))
def test_no_life_of_one_guest_is_an_attack_in_whatever_order_it_is_told(
    history: list[Sighting], order: random.Random
) -> None:
    shuffled = list(history)
    order.shuffle(shuffled)

    assert review(shuffled) == ()


@given(lives().filter(lambda history: len(history) > 1), st.data())
def test_every_state_put_back_is_found(history: list[Sighting], data: st.DataObject) -> None:
    """Any earlier state shown again, later than all others, contradicts the last one."""
    old = data.draw(st.sampled_from(history[:-1]))
    last_ns = history[-1].latest_ns
    again = replace(
        old, host=history[-1].host, epoch=history[-1].epoch, generated_ns=last_ns + S, uncertainty_ns=5 * MS
    )

    assert any(one.second == again for one in find_rollbacks([*history, again]))


@given(lives().filter(bool), st.integers(1, 10**6))
def test_every_clone_on_another_host_in_the_same_epoch_is_found(
    history: list[Sighting], later_ns: int
) -> None:
    last = history[-1]
    clone = replace(last, host="elsewhere", generated_ns=last.generated_ns + later_ns)

    assert any({one.first, one.second} == {last, clone} for one in find_clones([*history, clone])) or any(
        one.second == clone for one in find_clones([*history, clone])
    )
