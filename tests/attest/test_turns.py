"""Who asks one machine follows each other in order, and waits by the clock."""

from __future__ import annotations

import threading

from harness.attest.attester.turns import Turns
from harness.clock import MonotonicClock
from harness.rig.played.clock import PlayedClock

NEVER = threading.Event()


def test_callers_have_their_turns_in_the_order_of_their_asking_and_time_goes_on() -> None:
    clock, seen = PlayedClock(0), list[tuple[str, int]]()
    turns = Turns(clock)

    def ask(name: str, asks_at_s: float, lasts_s: float) -> None:
        clock.wait(asks_at_s, NEVER)
        with turns:
            seen.append((name, clock.now_ns()))
            clock.wait(lasts_s, NEVER)

    asked = [("first", 1.0, 5.0), ("third", 3.0, 1.0), ("second", 2.0, 1.0)]
    threads = [threading.Thread(target=ask, args=one) for one in asked]
    for thread in threads:
        thread.start()
    clock.wait(60, NEVER)
    assert seen == [("first", 1_000_000_000), ("second", 6_000_000_000), ("third", 7_000_000_000)]


def test_who_waited_long_enough_goes_and_the_next_has_the_turn() -> None:
    turns = Turns(MonotonicClock())
    assert turns.take()
    assert turns.take(0.01) is False
    turns.give()
    assert turns.take(0.01) is True
    assert turns.take(0.0) is False
    turns.give()
