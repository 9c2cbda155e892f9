"""Registries with servers of which something is known, for tests of what becomes of it."""

from __future__ import annotations

from harness.attest.reasons import Reason, Tier
from harness.clock import NS_PER_S
from harness.registry.registry import Registry
from tests.registry.subjects import enrolment, key, result


def attested(
    registry: Registry,
    name: str,
    tier: Tier = Tier.AFFIRMING,
    reason: Reason = Reason.ACCEPTED,
    life_s: int = 60,
) -> None:
    """Store a result on the host `name`, which is enrolled where it is not yet."""
    if registry.attester(name) is None:
        registry.enrol(enrolment(name))
    now, told = registry.now(), result(name, tier, reason, detail="as the test asks")
    expires = now.later(life_s * NS_PER_S)
    if tier is not Tier.AFFIRMING:
        registry.record(told, generated=now, expires=expires)
        return
    made = key(f"tpm of {name}").name
    _, version = registry.memory(name, made)
    assert registry.accept(told, key_name=made, memory=None, version=version, generated=now, expires=expires)


def stated(
    registry: Registry, name: str, architecture: str, monitor: str = "tpm", simulated: bool = False
) -> None:
    """Have a monitor state what the server is."""
    registry.set_property(name, "architecture_type", architecture, source=monitor, simulated=simulated)


def said(
    registry: Registry, name: str, tier: Tier, reason: Reason, monitor: str = "hyperwall", first: bool = True
) -> None:
    """Have a monitor say how far the server may be trusted; all but ``tpm`` only play their hardware."""
    registry.set_property(
        name,
        "trust_tier" if first else f"{monitor}.trust_tier",
        {"tier": tier.value, "reason": reason.value},
        source=monitor,
        simulated=monitor != "tpm",
    )
