"""Instants that outlive a boot: a wall clock's and a monotonic clock's reading, and the boot they belong to.

A nonce and a result expire, and a registry is read again after a reboot and after the clock was set.
Nothing here reads a clock, and nothing takes an unknown age for a small one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """One moment as two clocks told it.

    Attributes:
        realtime_ns: CLOCK_REALTIME, in ns since 1970-01-01 UTC; it can be set, forwards and backwards.
        monotonic_ns: CLOCK_MONOTONIC of the boot, in ns; it never steps and stands still while suspended.
        boot_id: The kernel's boot id (proc(5)); monotonic readings compare where it is equal and nowhere
            else.
    """

    realtime_ns: int
    monotonic_ns: int
    boot_id: str

    def later(self, ns: int) -> Instant:
        """The instant `ns` nanoseconds on, in both clocks."""
        return Instant(
            realtime_ns=self.realtime_ns + ns, monotonic_ns=self.monotonic_ns + ns, boot_id=self.boot_id
        )

    def age_ns(self, now: Instant) -> int | None:
        """How long ago this was, in ns, for an instant that was taken before `now`.

        Within one boot the monotonic clock says so, whatever has become of the wall clock. Across boots only
        the wall clock can.

        Returns:
            None where the clock that decides lies before the instant: it went backwards, so the age is
            unknown.
        """
        if now.boot_id == self.boot_id:
            age_ns = now.monotonic_ns - self.monotonic_ns
        else:
            age_ns = now.realtime_ns - self.realtime_ns
        return age_ns if age_ns >= 0 else None

    def __composite_values__(self) -> tuple[int, int, str]:
        """The columns it is stored in, in order; the name is the one that SQLAlchemy's composites ask for."""
        return self.realtime_ns, self.monotonic_ns, self.boot_id


def expired(start: Instant, end: Instant, now: Instant) -> bool:
    """Whether something that held from `start` to `end` no longer holds; also where that is unknown.

    `start` must have been taken by a clock and `end` be :meth:`Instant.later` than it. A wall clock that went
    back over `start` leaves the age unknown, and unknown is expired.
    """
    age_ns = start.age_ns(now)
    if age_ns is None or start.boot_id != end.boot_id:
        return True
    same_boot = now.boot_id == start.boot_id
    lifetime_ns = end.monotonic_ns - start.monotonic_ns if same_boot else end.realtime_ns - start.realtime_ns
    return age_ns >= lifetime_ns
