"""A clock for tests that stands still until it is told to go on."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from harness.clock import NS_PER_S


@dataclass
class SteppedClock:
    """Time passes by waiting alone."""

    now: int = 0

    def now_ns(self) -> int:
        return self.now

    def wait(self, seconds: float, wake: threading.Event) -> bool:
        if wake.is_set():
            return True
        self.now += round(seconds * NS_PER_S)
        return False
