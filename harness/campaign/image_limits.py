"""What a campaign cannot ask of the image that its guest boots.

Pure: keys in, sentences out. The small image has neither disk nor servers, and its attester needs room.
"""

from __future__ import annotations

from harness.campaign.model import Guest

SMALL_WORKLOADS = ("idle", "memory")
"""What the small image can run."""
WRITER = "memory"
"""The workload whose program is in the small image alone."""
LEAST_ATTESTED_MIB = 192
"""A small guest with its attester: its initramfs may take half of the memory, and does in 160."""


def refused_memory(guest: Guest, *, attested: bool) -> str | None:
    """Why a guest is too small for its image, or None."""
    if guest.image == "small" and attested and guest.memory_mib < LEAST_ATTESTED_MIB:
        return (
            f"memory_mib: {guest.memory_mib} with image: small and attest: a small guest with its attester "
            f"needs {LEAST_ATTESTED_MIB}"
        )
    return None


def refused_workload(guest: Guest, name: str) -> str | None:
    """Why the image of `guest` cannot run the workload `name`, or None."""
    if guest.image == "small" and name not in SMALL_WORKLOADS:
        return f"the workload {name!r} does not run in the small image, which has no servers"
    if guest.image == "standard" and name == WRITER:
        return f"the workload {name!r} needs guest.image: small, which alone has its program"
    return None
