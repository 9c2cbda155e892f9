"""Ctrl-C: once ends the trial cleanly, twice aborts at once; the machines are put back either way."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from harness.clock import Clock
from harness.errors import InterruptedRunError

_LAST_WAIT_S = 1.0


class Interrupt:
    """Whether the user asked to stop. `wake` is also set by others who want the waiting runner to look up."""

    def __init__(self) -> None:
        self.wake = threading.Event()
        self._asked = False

    def ask(self) -> None:
        """The user wants to stop. Not to be called in a signal handler: see :func:`on_signals`."""
        self.note()
        self.wake.set()

    def note(self) -> None:
        """The same, without waking anybody: all that a signal handler may do."""
        self._asked = True

    @property
    def asked(self) -> bool:
        """Whether the user wants to stop."""
        return self._asked

    def pause(self, clock: Clock, seconds: float) -> None:
        """Wait `seconds`, less when something wakes the runner; not at all once the user wants to stop."""
        self.wake.clear()
        if not self._asked:
            clock.wait(seconds, self.wake)

    def check(self) -> None:
        """Raise if the user wants to stop.

        Raises:
            InterruptedRunError: They do.
        """
        if self._asked:
            raise InterruptedRunError(
                "interrupted", remedy="`sodbench resume` goes on with the trial that was cut short"
            )


@contextmanager
def on_signals(interrupt: Interrupt) -> Iterator[Interrupt]:
    """SIGINT and SIGTERM ask `interrupt`; a second one raises KeyboardInterrupt where the runner is.

    A handler runs in the main thread, between any two of its steps: also while that thread holds the lock of
    `interrupt.wake`, for which the handler would wait for ever. So the handler only notes the wish and hands
    it over, by a queue whose `put` may be interrupted by itself, to a thread that wakes the runner.
    """
    asks: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        if interrupt.asked:
            raise KeyboardInterrupt
        interrupt.note()
        asks.put(True)

    def relay() -> None:
        while asks.get():
            interrupt.wake.set()

    relaying = threading.Thread(target=relay, name="interrupt", daemon=True)
    relaying.start()
    old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        asks.put(False)
        # Bounded: a second signal may have cut the runner off between taking and giving back the lock.
        relaying.join(_LAST_WAIT_S)


@contextmanager
def terminated() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt where the program is, as Ctrl-C does."""
    old = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)
