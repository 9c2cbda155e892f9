"""What the registry knows of a server, as the statement that is written into its host's aggregate.

A statement holds no longer than the evidence that it is based on, and never longer than one may hold. It is
written at intervals well below its life: a monitor that falls silent leaves no host trusted.
"""

from __future__ import annotations

from harness.clock import NS_PER_S
from harness.instant import Instant
from harness.policy.nova.statement import MOST_LIFE_NS, Statement
from harness.policy.server import Server

LIFE_NS = 120 * NS_PER_S
"""How long a statement holds where nothing shortens it."""


def statement(server: Server, host: str, now: Instant, life_ns: int = LIFE_NS) -> Statement:
    """What is stated now of a server.

    Args:
        server: As the registry knows it, its end on the controller's CLOCK_MONOTONIC.
        host: The same machine, as Nova calls it.
        now: The controller's clocks.
        life_ns: How long the statement holds at most.
    """
    found = server.verdict.at(now.monotonic_ns)
    left_ns = min(life_ns, MOST_LIFE_NS)
    if found.tier.believed and found.expires_ns is not None:
        left_ns = min(left_ns, found.expires_ns - now.monotonic_ns)
    return Statement(
        host=host,
        server=server.name,
        architecture=server.architecture,
        tier=found.tier,
        reason=found.reason,
        withdrawn=server.withdrawn,
        simulated=server.simulated,
        generated_ns=now.realtime_ns,
        expires_ns=now.realtime_ns + left_ns,
    )
