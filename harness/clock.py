"""Time: the only module that reads clocks or sleeps.

All stamps in a journal are nanoseconds of the controller's ``CLOCK_MONOTONIC``. Stamps taken on another
machine stay in that machine's clock in the evidence; a :class:`ClockOffset` says how to map
them, and with what uncertainty. Wall clocks are never compared across machines.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

NS_PER_S = 1_000_000_000


class Clock(Protocol):
    """What the runner needs of time; tests pass a clock of their own."""

    def now_ns(self) -> int:
        """Nanoseconds of a clock that never steps."""
        ...

    def wait(self, seconds: float, wake: threading.Event) -> bool:
        """Sleep until `seconds` have passed or `wake` is set; True when woken."""
        ...


class MonotonicClock:
    """The controller's CLOCK_MONOTONIC."""

    def now_ns(self) -> int:
        """Nanoseconds since an arbitrary start, never stepped (clock_gettime(2))."""
        return time.monotonic_ns()

    def wait(self, seconds: float, wake: threading.Event) -> bool:
        """Sleep at most `seconds`, less when `wake` is set; True when woken."""
        return wake.wait(max(0.0, seconds))


def sleep(seconds: float) -> None:
    """Sleep `seconds`; for polling loops outside a trial. Every sleep in the harness passes here."""
    time.sleep(max(0.0, seconds))


def realtime_ns() -> int:
    """The controller's wall clock in nanoseconds; for names, manifests and instants that outlive a boot."""
    return time.time_ns()


def boot_id() -> str:
    """The running kernel's boot id: machines that share it share CLOCK_MONOTONIC exactly (proc(5))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockOffset:
    """How stamps of one machine's clocks map to the controller's monotonic clock.

    ``controller_ns = machine_ns + offset_ns`` within ``uncertainty_ns`` (half the best round trip, after
    RFC 5905's on-wire protocol; 0 where both run on one kernel). ``boot_id`` is the machine's boot when it
    was asked, or empty where it did not say.
    """

    machine: str
    monotonic_offset_ns: int
    realtime_offset_ns: int
    uncertainty_ns: int
    same_kernel: bool
    boot_id: str = ""
