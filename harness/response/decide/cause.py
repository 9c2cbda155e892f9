"""Why a VM is in trouble, in one word: the cause by which a report counts and which a customer sees first.

The cause follows from the present: what is known of the server now, and whether the request is one with which
the VM was ever satisfied there. Where more than one thing is wrong the server's trust comes first, because
the statements of an untrusted server about itself do not count.
"""

from __future__ import annotations

from enum import StrEnum

from harness.attest.reasons import Reason, Tier
from harness.policy.server import Server, believed


class Cause(StrEnum):
    """What set off a response."""

    VIOLATION = "violation"
    """The server's trust evidence shows that memory was violated."""
    ATTESTATION = "attestation"
    """The server was attested and something was found wrong."""
    SILENCE = "silence"
    """Nothing is known of the server any more: no answer, or the last result expired."""
    REQUEST = "request"
    """The customer asks for something that the server does not give."""
    PROPERTIES = "properties"
    """The server no longer gives what it gave."""
    MOVING_TARGET = "moving-target"
    """Nothing is wrong: the VM is to move at random times."""


FLED = frozenset({Cause.VIOLATION, Cause.ATTESTATION, Cause.SILENCE, Cause.PROPERTIES})
"""Causes that lie with the server: a VM that leaves for one of them has fled and does not soon go back."""


def why_of(server: Server | None, *, new_request: bool, now_ns: int, warning_counts: bool = False) -> Cause:
    """The cause of trouble on `server`, which does not satisfy a VM's request.

    Args:
        server: What is known of the server now; None where there is no such server any more.
        new_request: Whether the VM was never satisfied with its present request where it is.
        now_ns: The moment, on the clock that evidence expires by.
        warning_counts: Whether a server with a reservation is good enough.
    """
    found = believed(server, now_ns)
    if found.tier is Tier.NONE:
        return Cause.SILENCE
    if found.tier.trusted(warning_counts=warning_counts):
        return Cause.REQUEST if new_request else Cause.PROPERTIES
    return Cause.VIOLATION if found.reason is Reason.MEMORY_VIOLATION else Cause.ATTESTATION
