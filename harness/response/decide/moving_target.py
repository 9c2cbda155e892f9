"""When a moving target moves next, and where: drawn, but the same after every restart.

An attacker can wait for a VM that stays where it is, but not for one that moves at unpredictable times
(Security on Demand, section III-E). The draw is a hash over the seed, the VM and the number of its arrivals:
no generator's state must survive a crash, and a run can be repeated. The seed predicts every move.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from harness.response.policy import MovingTarget


def next_move_ns(seed: int, vm: str, turn: int, since_ns: int, target: MovingTarget) -> int:
    """When the VM is to move, in ns on the clock of `since_ns`.

    Args:
        seed: The secret of this defence.
        vm: The VM's name.
        turn: How often it has arrived somewhere; each arrival draws again.
        since_ns: When it arrived where it is.
        target: The range; both ends can be drawn.
    """
    span_ns = target.max_ns - target.min_ns
    return since_ns + target.min_ns + _draw(seed, vm, turn, "time") % (span_ns + 1)


def shuffled(seed: int, vm: str, turn: int, servers: Sequence[str]) -> tuple[str, ...]:
    """The servers in an order that only the seed predicts; the same for the same arguments."""
    return tuple(sorted(servers, key=lambda name: (_draw(seed, vm, turn, f"to {name}"), name)))


def _draw(seed: int, vm: str, turn: int, purpose: str) -> int:
    """A whole number below 2^256, evenly spread; names of any length or content cannot be confused."""
    text = repr((seed, vm, turn, purpose)).encode(errors="backslashreplace")
    return int.from_bytes(hashlib.sha256(text).digest(), "big")
