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

OWN_MIB = 192
"""What a standard guest's memory holds next to its page cache: an idle guest of 1 GiB had 140 MiB of its own
that were not zero, and its kernel keeps some memory free."""


def refused_memory(guest: Guest, *, attested: bool) -> str | None:
    """Why a guest is too small for its image, or None."""
    if guest.image == "small" and attested and guest.memory_mib < LEAST_ATTESTED_MIB:
        return (
            f"memory_mib: {guest.memory_mib} with image: small and attest: a small guest with its attester "
            f"needs {LEAST_ATTESTED_MIB}"
        )
    return None


def refused_cache(guest: Guest, page_cache_mib: int | None) -> str | None:
    """Why the memory of a guest cannot hold so large a page cache, or None."""
    if page_cache_mib is None:
        return None
    if guest.image == "small":
        return f"page_cache_mib: {page_cache_mib} with image: small, which has no disk to read"
    most = guest.memory_mib - OWN_MIB
    if page_cache_mib > most:
        return (
            f"page_cache_mib: {page_cache_mib} in a guest of {guest.memory_mib} MiB, which holds at most "
            f"{max(most, 0)}: its kernel and services take {OWN_MIB}"
        )
    return None


def refused_workload(guest: Guest, name: str) -> str | None:
    """Why the image of `guest` cannot run the workload `name`, or None."""
    if guest.image == "small" and name not in SMALL_WORKLOADS:
        return f"the workload {name!r} does not run in the small image, which has no servers"
    if guest.image == "standard" and name == WRITER:
        return f"the workload {name!r} needs guest.image: small, which alone has its program"
    return None
