"""Moving targets: drawn within the range, from the last arrival, and the same after every restart."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from harness.response.decide.moving_target import next_move_ns, shuffled
from harness.response.policy import MovingTarget
from tests.response.fleets import s

RANGE = MovingTarget(min_s=10, max_s=30)
texts = st.text(max_size=8)


@given(st.integers(), texts, st.integers(0), st.integers(0), st.integers(1, 10**6), st.integers(0, 10**6))
def test_the_time_is_within_the_range_after_the_last_arrival(
    seed: int, vm: str, turn: int, since_ns: int, min_s: int, more_s: int
) -> None:
    target = MovingTarget(min_s=min_s, max_s=min_s + more_s)
    moment_ns = next_move_ns(seed, vm, turn, since_ns, target)

    assert since_ns + target.min_ns <= moment_ns <= since_ns + target.max_ns
    assert moment_ns == next_move_ns(seed, vm, turn, since_ns, target)
    assert next_move_ns(seed, vm, turn, since_ns + 7, target) == moment_ns + 7


def test_both_ends_can_be_drawn() -> None:
    tiny = MovingTarget(min_s=1e-9, max_s=3e-9)
    drawn = {next_move_ns(1, "vm", turn, 0, tiny) for turn in range(100)}

    assert drawn == {1, 2, 3}


def test_each_turn_vm_and_seed_draws_anew() -> None:
    of_turns = {next_move_ns(1, "vm", turn, 0, RANGE) for turn in range(100)}
    of_vms = {next_move_ns(1, f"vm-{n}", 1, 0, RANGE) for n in range(100)}
    of_seeds = {next_move_ns(seed, "vm", 1, 0, RANGE) for seed in range(100)}

    assert len(of_turns) == len(of_vms) == len(of_seeds) == 100


def test_the_times_are_spread_over_the_range() -> None:
    quarters = Counter((next_move_ns(5, "vm", turn, 0, RANGE) - s(10)) // s(5) for turn in range(2000))

    assert set(quarters) == {0, 1, 2, 3}
    assert all(400 < count < 600 for count in quarters.values())


def test_another_process_draws_the_same() -> None:
    code = (
        "from harness.response.decide.moving_target import next_move_ns, shuffled\n"
        "from harness.response.policy import MovingTarget\n"
        "target = MovingTarget(min_s=10, max_s=30)\n"
        "print(next_move_ns(3, 'vm', 4, 5, target), *shuffled(3, 'vm', 4, 'abcdef'))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    here = (next_move_ns(3, "vm", 4, 5, RANGE), *shuffled(3, "vm", 4, "abcdef"))
    assert told.split() == [str(one) for one in here]


def test_where_to_cannot_be_foretold_by_the_ranking() -> None:
    firsts = Counter(shuffled(1, "vm", turn, ("a", "b", "c"))[0] for turn in range(600))

    assert set(firsts) == {"a", "b", "c"}
    assert min(firsts.values()) > 150


@given(st.integers(), texts, st.integers(0), st.lists(texts, unique=True, max_size=6))
def test_no_server_is_lost_or_added_by_the_draw(seed: int, vm: str, turn: int, servers: list[str]) -> None:
    drawn = shuffled(seed, vm, turn, servers)

    assert sorted(drawn) == sorted(servers)
    assert drawn == shuffled(seed, vm, turn, tuple(reversed(servers)))
