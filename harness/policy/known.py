"""What the registry knows of the servers, as values for policy validation.

A server is trusted only as far as the worst statement about it, by its newest attestation result and by each
of its monitors, and only if an accepted result has not expired. A simulated monitor can remove trust and mark
a server; it never adds trust. This module reads the registry and changes nothing in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.attest.monitor.kinds.contract import ARCHITECTURE_TYPE
from harness.attest.monitor.watch import TRUST_TIER
from harness.attest.reasons import Reason, Tier
from harness.attest.verdict import NOTHING_KNOWN, Verdict, gravest
from harness.json_types import Json
from harness.policy.server import Server
from harness.policy.threats import CELLS, COLUMNS, Cell

if TYPE_CHECKING:
    from harness.attest.identity.enrolled import EnrolledIdentity
    from harness.instant import Instant
    from harness.registry.registry import Registry
    from harness.registry.values import Property, StoredResult

WITHDRAWN = "withdrawn_cells"
"""The server property with the withdrawn cells.

Their names in a list, or that list as ``cells`` next to the reason as ``why``.
"""

_OF_ATTESTATION = "tpm"
"""The monitor that says what the attestation's result says, and nothing of its own."""


def servers(registry: Registry) -> tuple[Server, ...]:
    """All servers that are enrolled, by name."""
    running = Counter(
        placed.host
        for guest in registry.attesters()
        if guest.kind == "guest" and (placed := registry.placement(guest.id)) is not None
    )
    hosts = sorted(one.id for one in registry.attesters() if one.kind == "host")
    return tuple(replace(server(registry, name), running_vms=running[name]) for name in hosts)


def server(registry: Registry, name: str) -> Server:
    """The server `name` as it is known now, whether or not it is enrolled; its VMs are not counted."""
    now, stored = registry.now(), registry.properties(name)
    architecture = stored[ARCHITECTURE_TYPE].value if ARCHITECTURE_TYPE in stored else None
    latest = registry.latest(name)
    by_evidence = attested(registry.attester(name), latest, now)
    worst = gravest([by_evidence, *_monitored(stored, latest, now)])
    # Only an accepted result has an end: a monitor that says nothing worse adds none of its own.
    ends_ns = by_evidence.expires_ns if worst.tier.believed else None
    return Server(
        name=name,
        architecture=architecture if isinstance(architecture, str) else None,
        verdict=replace(worst, expires_ns=ends_ns),
        withdrawn=withdrawn_cells(stored),
        simulated=any(one.simulated for one in stored.values()),
    )


def withdrawn_cells(stored: Mapping[str, Property]) -> frozenset[Cell]:
    """The cells that any monitor or provider withdrew, from a server's properties by name.

    An unreadable property withdraws all of them: it was meant to withdraw something.
    """
    found: set[Cell] = set()
    for name, one in stored.items():
        if _plain(name) != WITHDRAWN:
            continue
        named = withdrawal(one.value)
        found |= set(CELLS) if named is None else named
    return frozenset(found)


def withdrawal(value: Json) -> frozenset[Cell] | None:
    """The cells that the value of a property `WITHDRAWN` names; None where it cannot be read."""
    listed = value.get("cells") if isinstance(value, Mapping) else value
    if not isinstance(listed, list):
        return None
    if not all(isinstance(one, str) and one in COLUMNS for one in listed):
        return None
    return frozenset(COLUMNS[str(one)] for one in listed)


def attested(who: EnrolledIdentity | None, latest: StoredResult | None, now: Instant) -> Verdict:
    """What attestation says now: the newest result while it holds, and what is known of the identity.

    Args:
        who: The identity; None if no machine is enrolled under its name.
        latest: The newest result of the identity; None if it was never attested.
        now: The current time.
    """
    if who is None:
        return Verdict(tier=Tier.NONE, reason=Reason.NOT_ENROLLED)
    if who.revoked:
        return Verdict(tier=Tier.CONTRAINDICATED, reason=Reason.REVOKED)
    if who.held and (latest is None or latest.tier is not Tier.CONTRAINDICATED):
        return Verdict(tier=Tier.CONTRAINDICATED, reason=Reason.HELD_CONTRAINDICATED)
    if latest is None:
        return NOTHING_KNOWN
    detail = latest.body.get("detail")
    found = Verdict(
        tier=latest.tier,
        reason=_reason(latest.reason),
        detail=detail if isinstance(detail, str) else "",
        expires_ns=_ends_ns(latest, now) if latest.fresh(now) else None,
    )
    return found.at(now.monotonic_ns)


def _monitored(
    stored: Mapping[str, Property], latest: StoredResult | None, now: Instant
) -> Iterator[Verdict]:
    """What each monitor said last of the server."""
    for name, one in stored.items():
        if _plain(name) != TRUST_TIER or _overtaken(one, latest, now):
            continue
        value = one.value if isinstance(one.value, Mapping) else {}
        tier, reason = value.get("tier"), value.get("reason")
        known = isinstance(tier, str) and tier in set(Tier)
        yield Verdict(
            tier=Tier(str(tier)) if known else Tier.NONE,
            reason=_reason(reason),
            detail=f"by the monitor {one.source}{' (simulated)' if one.simulated else ''}",
        )


def _overtaken(one: Property, latest: StoredResult | None, now: Instant) -> bool:
    """Whether a monitor of attestations referred to an older result than the newest one."""
    if one.source != _OF_ATTESTATION or latest is None:
        return False
    said_ns, found_ns = one.since.age_ns(now), latest.generated.age_ns(now)
    return said_ns is not None and found_ns is not None and found_ns <= said_ns


def _ends_ns(latest: StoredResult, now: Instant) -> int:
    """When a result that holds now ends, on this boot's monotonic clock."""
    age_ns, expires = latest.generated.age_ns(now), latest.expires
    if age_ns is None or expires is None:
        return now.monotonic_ns
    if now.boot_id == expires.boot_id:
        return expires.monotonic_ns
    return now.monotonic_ns + expires.realtime_ns - latest.generated.realtime_ns - age_ns


def _plain(name: str) -> str:
    """A property's name without the monitor before it."""
    return name.rpartition(".")[2]


def _reason(value: Json) -> Reason:
    """The reason with that code; a later program's code that is unknown here means that nothing is known."""
    return Reason(value) if isinstance(value, str) and value in set(Reason) else Reason.NOTHING_APPRAISED
