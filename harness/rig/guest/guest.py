"""A guest as a value: what tells it apart from every other guest of a rig."""

from __future__ import annotations

from dataclasses import dataclass

MOST = 16
"""Guests of one rig at once, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """One guest of a rig, before and after each of its boots.

    A boot makes a new machine with a new UUID and a new TPM, so the UUID is
    :class:`harness.rig.guest.domain.GuestSpec`'s.

    Attributes:
        name: What the evidence calls it.
        domain: Its libvirt domain. The harness makes, finds and destroys no other.
        mac: Its network card's address.
        address: Its IPv4 address.
    """

    name: str
    domain: str
    mac: str
    address: str
