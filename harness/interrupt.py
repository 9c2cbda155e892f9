"""Ctrl-C: once ends the trial cleanly, twice aborts at once; the machines are put back either way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from harness.errors import InterruptedRunError


class Interrupt:
    """Whether the user asked to stop. `wake` is also set by others who want the waiting runner to look up."""

    def __init__(self) -> None:
        self.wake = threading.Event()
        self._asked = False

    def ask(self) -> None:
        """The user wants to stop."""
        self._asked = True
        self.wake.set()

    @property
    def asked(self) -> bool:
        """Whether the user wants to stop."""
        return self._asked

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
    """SIGINT and SIGTERM ask `interrupt`; a second one raises KeyboardInterrupt where the runner is."""

    def handle(_signal: int, _frame: FrameType | None) -> None:
        if interrupt.asked:
            raise KeyboardInterrupt
        interrupt.ask()

    old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
