from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from harness.errors import InterruptedRunError
from harness.interrupt import Interrupt, on_signals

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def test_until_somebody_asks_nothing_happens() -> None:
    interrupt = Interrupt()
    interrupt.check()
    assert not interrupt.asked
    assert not interrupt.wake.is_set()


def test_waking_the_runner_is_not_asking_it_to_stop() -> None:
    interrupt = Interrupt()
    interrupt.wake.set()
    interrupt.check()
    assert not interrupt.asked


def test_who_asks_wakes_the_runner_which_then_stops() -> None:
    interrupt = Interrupt()
    interrupt.ask()
    assert interrupt.wake.is_set()
    with pytest.raises(InterruptedRunError, match="interrupted") as caught:
        interrupt.check()
    assert (caught.value.exit_code, "sodbench resume" in caught.value.remedy) == (130, True)


def test_an_interrupt_is_not_forgotten_when_the_runner_has_looked_up() -> None:
    interrupt = Interrupt()
    interrupt.ask()
    interrupt.wake.clear()
    assert interrupt.asked


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_asks_and_the_second_aborts(number: int) -> None:
    with on_signals(Interrupt()) as interrupt:
        os.kill(os.getpid(), number)
        assert interrupt.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


def test_the_two_signals_count_together() -> None:
    with on_signals(Interrupt()):
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_handlers_from_before_are_put_back_whatever_happens() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(RuntimeError), on_signals(Interrupt()):
        assert [signal.getsignal(number) for number in SIGNALS] != before
        raise RuntimeError
    assert [signal.getsignal(number) for number in SIGNALS] == before


ROUNDS = 150
WAITER = """
import sys
from harness.errors import InterruptedRunError
from harness.interrupt import Interrupt, on_signals

for number in range(int(sys.argv[1])):
    with on_signals(Interrupt()) as interrupt:
        print(number, flush=True)
        try:
            while True:
                interrupt.wake.clear()
                interrupt.check()
                interrupt.wake.wait(0.00001)
        except InterruptedRunError:
            pass
print("over", flush=True)
"""


def test_the_first_signal_ends_a_wait_wherever_in_it_the_runner_is() -> None:
    """A process waits as the runner does and is signalled over and over, at no moment in particular."""
    with subprocess.Popen(
        [sys.executable, "-c", WAITER, str(ROUNDS)], stdout=subprocess.PIPE, text=True
    ) as waiter:
        assert waiter.stdout is not None
        hangs = threading.Timer(60, waiter.kill)
        hangs.start()
        try:
            for number in range(ROUNDS):
                assert waiter.stdout.readline() == f"{number}\n"
                time.sleep(0.0005 * (number % 7))
                waiter.send_signal(SIGNALS[number % 2])
            last = waiter.stdout.readline()
        finally:
            hangs.cancel()
            waiter.kill()
    assert last == "over\n"


def test_a_runner_that_waits_long_is_woken_at_once() -> None:
    with on_signals(Interrupt()) as interrupt:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        assert interrupt.wake.wait(30)
        assert interrupt.asked
