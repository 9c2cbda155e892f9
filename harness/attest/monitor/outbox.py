"""Changes on their way to listeners: each listener has a queue and a thread of its own.

A listener that hangs or raises delays no other listener, and is reported. Changes are delivered in the order
in which they were found, each once; none is dropped.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from harness.attest.monitor.fault import Fault, attempt
from harness.attest.monitor.standing import Change, Listener
from harness.clock import Clock

_LOOK_S = 3600.0
"""How long one wait for a change lasts before the next begins."""


class Outbox:
    """The changes that one listener has not been told of yet.

    Attributes:
        ended: Set once it was closed and everything was delivered by :meth:`run`.

    Args:
        listener: Who is told.
        clock: The controller's.
        on_fault: Called from the delivering thread with this outbox and what the listener raised.
    """

    def __init__(
        self,
        listener: Listener,
        clock: Clock,
        on_fault: Callable[[Outbox, Fault], None],
    ) -> None:
        self._listener = listener
        self._clock = clock
        self._on_fault = on_fault
        self._waiting: deque[Change] = deque()
        self._delivering = threading.Lock()
        self._state = threading.Lock()
        self._changed = threading.Event()
        self._since_ns: int | None = None
        self._closed = False
        self.ended = threading.Event()

    def put(self, change: Change) -> None:
        """Tell the listener of `change` soon; returns at once."""
        with self._state:
            self._waiting.append(change)
        self._changed.set()

    def drain(self) -> None:
        """Tell the listener of everything that waits, in the caller's thread."""
        with self._delivering:
            while (change := self._next()) is not None:
                ended = attempt(lambda told=change: self._listener(told))  # type: ignore[misc]
                with self._state:
                    self._since_ns = None
                if isinstance(ended, Fault):
                    self._on_fault(self, ended)

    def _next(self) -> Change | None:
        with self._state:
            if not self._waiting:
                return None
            self._since_ns = self._clock.now_ns()
            return self._waiting.popleft()

    def run(self) -> None:
        """Deliver until the outbox is closed and empty."""
        while not self._is_over():
            self._clock.wait(_LOOK_S, self._changed)
            self._changed.clear()
            self.drain()
        self.ended.set()

    def _is_over(self) -> bool:
        with self._state:
            return self._closed and not self._waiting

    def close(self) -> None:
        """No more changes will come; what waits is still delivered."""
        with self._state:
            self._closed = True
        self._changed.set()

    def busy_ns(self, now_ns: int) -> int:
        """For how long the listener has been at the change it was last told of; 0 where it is at none."""
        with self._state:
            return 0 if self._since_ns is None else now_ns - self._since_ns
