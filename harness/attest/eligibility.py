"""Where a guest may go, as far as attestation says: the relying party's first question, and its last resort.

A host that nothing is known of is no host to go to. Where none is left the answer is a refusal that names
each host's reason, never the least bad of them. What a customer asks of a host beyond that is not decided
here.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.attest.evidence import RefusedError
from harness.attest.reasons import Reason, Tier
from harness.attest.result import AttestationResult
from harness.attest.verdict import NOTHING_KNOWN

AFFIRMING = frozenset({Tier.AFFIRMING})


def destinations(
    results: Mapping[str, AttestationResult | None],
    *,
    leaving: str | None,
    now_ns: int,
    tiers: frozenset[Tier] = AFFIRMING,
) -> tuple[str, ...]:
    """The hosts that may take the guest now, in the order of `results`; at least one.

    Args:
        results: Each host's latest result; None where there is none.
        leaving: The host that the guest is on; None for a guest that is not placed yet.
        now_ns: The moment at which results must count, on the clock they expire by.
        tiers: What a host must be.

    Raises:
        RefusedError: ``no-eligible-host``, with the reason of each.
        ValueError: `tiers` would take a host that nothing good is known of.
    """
    if not tiers or tiers & {Tier.NONE, Tier.CONTRAINDICATED}:
        raise ValueError("a guest goes only where something good is known")
    found, refused = [], []
    for host, result in results.items():
        verdict = NOTHING_KNOWN if result is None else result.verdict.at(now_ns)
        why = "there is no result" if result is None else verdict.reason
        if host != leaving and verdict.tier in tiers:
            found.append(host)
        else:
            refused.append(f"{host}: {'the guest is on it' if host == leaving else why}")
    if not found:
        raise RefusedError(Reason.NO_ELIGIBLE_HOST, "; ".join(refused) or "there is no host")
    return tuple(found)
