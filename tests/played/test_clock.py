"""Time that is played: it goes on when all wait, to the next moment, and not before."""

from __future__ import annotations

import threading
import time

import pytest

from harness.rig.played import clock as clocks
from harness.rig.played.clock import PlayedClock

NEVER = threading.Event()


def test_a_wait_of_an_hour_takes_no_time_and_ends_at_its_moment() -> None:
    clock = PlayedClock(5)
    assert clock.wait(3600, NEVER) is False
    assert clock.now_ns() == 3_600_000_000_005


def test_what_is_scheduled_happens_at_its_moment_and_in_order() -> None:
    clock, seen = PlayedClock(0), list[tuple[str, int]]()
    clock.at(2_000_000_000, lambda: seen.append(("second", clock.now_ns())))
    clock.at(1_000_000_000, lambda: seen.append(("first", clock.now_ns())))
    end = clock.every(2.5, lambda: seen.append(("again", clock.now_ns())))
    clock.wait(6, NEVER)
    end()
    clock.wait(6, NEVER)
    assert seen == [
        ("first", 1_000_000_000),
        ("second", 2_000_000_000),
        ("again", 2_500_000_000),
        ("again", 5_000_000_000),
    ]


def test_who_is_woken_loses_no_time() -> None:
    clock, wake = PlayedClock(0), threading.Event()
    clock.at(1_000_000_000, wake.set)
    assert clock.wait(3600, wake) is True
    assert clock.now_ns() == 1_000_000_000


def test_time_stands_still_while_another_thread_of_the_run_works() -> None:
    clock, go, seen = PlayedClock(0), threading.Event(), list[int]()

    def work() -> None:
        go.wait()
        seen.append(clock.now_ns())
        clock.wait(2, NEVER)
        seen.append(clock.now_ns())

    worker = threading.Thread(target=work)
    worker.start()
    threading.Timer(0.05, go.set).start()  # of a library's class: time does not wait for it
    clock.wait(10, NEVER)
    worker.join()
    assert seen == [0, 2_000_000_000]


def test_threads_that_wait_for_one_moment_run_one_after_another_in_the_order_of_their_waiting() -> None:
    clock, seen, names = PlayedClock(0), list[str](), [str(number) for number in range(8)]

    def work(name: str) -> None:
        clock.wait(1, NEVER)
        seen.append(f"begins {name}")
        time.sleep(0.002)  # real time: another thread could run
        seen.append(f"ends {name}")

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
        time.sleep(0.01)  # so that it waits before the next one does
    clock.wait(2, NEVER)
    assert seen == [f"{what} {name}" for name in names for what in ("begins", "ends")]


def test_a_thread_whose_moment_has_come_is_not_held_up_by_one_that_waits_for_it_otherwise() -> None:
    clock = PlayedClock(0)
    worker = threading.Thread(target=lambda: clock.wait(0, NEVER))
    worker.start()
    worker.join(20)
    assert not worker.is_alive()


def test_a_run_that_waits_for_something_else_for_ever_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "_PATIENCE_POLLS", 50)
    clock, over = PlayedClock(0), threading.Event()
    stuck = threading.Thread(target=over.wait, name="stuck")
    stuck.start()
    with pytest.raises(RuntimeError, match="stands still: stuck"):
        clock.wait(1, NEVER)
    over.set()
    stuck.join()


def test_threads_from_before_the_clock_do_not_hold_it_up() -> None:
    over = threading.Event()
    older = threading.Thread(target=over.wait)
    older.start()
    assert PlayedClock(0).wait(60, NEVER) is False
    over.set()
    older.join()
