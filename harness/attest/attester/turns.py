"""One caller at a time, in the order in which they asked; who has to wait does so by the controller's clock.

A lock of the standard library is waited for outside the clock. Where time is played, it stands still for a
caller that waits so, and the caller that has the lock never comes to its end.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import AbstractContextManager
from types import TracebackType

from harness.clock import NS_PER_S, Clock

_LOOK_S = 3600.0
"""How long one wait without a limit lasts before the next begins."""


class Turns(AbstractContextManager["Turns"]):
    """A lock whose holders follow each other in order.

    Args:
        clock: The controller's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._callers: deque[threading.Event] = deque()

    def take(self, limit_s: float | None = None) -> bool:
        """Wait for this caller's turn, for `limit_s` at most; whether it has come. :meth:`give` ends it."""
        mine = threading.Event()
        with self._lock:
            self._callers.append(mine)
            self._call_first()
        try:
            came = self._wait(mine, limit_s)
        except BaseException:
            self._leave(mine)
            raise
        if not came:
            self._leave(mine)
        return came

    def give(self) -> None:
        """End the turn: the next caller has it."""
        with self._lock:
            self._callers.popleft()
            self._call_first()

    def __enter__(self) -> Turns:
        self.take()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.give()

    def _wait(self, mine: threading.Event, limit_s: float | None) -> bool:
        end_ns = None if limit_s is None else self._clock.now_ns() + round(limit_s * NS_PER_S)
        while not mine.is_set():
            left_s = _LOOK_S if end_ns is None else (end_ns - self._clock.now_ns()) / NS_PER_S
            if left_s <= 0:
                return False
            self._clock.wait(left_s, mine)
        return True

    def _leave(self, mine: threading.Event) -> None:
        with self._lock:
            self._callers.remove(mine)
            self._call_first()

    def _call_first(self) -> None:
        if self._callers:
            self._callers[0].set()
