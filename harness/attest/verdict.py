"""A verdict: how far a machine may be trusted, why, and until when.

The one value for what a verifier, a monitor, the registry or a response loop says of a machine. It needs the
standard library alone, so that policy validation can run inside another program.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from harness.attest import reasons
from harness.attest.reasons import Reason, Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found about a machine.

    Attributes:
        tier: How far it may be trusted.
        reason: Why; ``accepted`` if nothing was wrong.
        detail: The same in words; may be empty.
        generated_ns: When the verdict was made, controller's CLOCK_MONOTONIC; None if that is not known.
        expires_ns: When it ends, on the same clock; None if its source gave it no end.
    """

    tier: Tier
    reason: Reason
    detail: str = ""
    generated_ns: int | None = None
    expires_ns: int | None = None

    def at(self, now_ns: int) -> Verdict:
        """The verdict as it must be read at `now_ns`.

        A good verdict counts until it ends, and not at all without an end. A bad one does not expire.
        """
        if not self.tier.believed or (self.expires_ns is not None and now_ns < self.expires_ns):
            return self
        return self.lost(Reason.RESULT_EXPIRED)

    def lost(self, reason: Reason, detail: str = "") -> Verdict:
        """What is left of it when nothing new could be learnt: tier ``none``, but an accusation stays.

        Args:
            reason: Why nothing was learnt; an accusation keeps its own reason.
            detail: The same in words.
        """
        if self.tier is Tier.CONTRAINDICATED:
            return replace(self, detail=detail)
        return replace(self, tier=Tier.NONE, reason=reason, detail=detail)


NOTHING_KNOWN = Verdict(tier=Tier.NONE, reason=Reason.NOTHING_APPRAISED)
"""The verdict on a machine before anything was learnt of it."""


def gravest(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict with the least trust, the first of equals; :data:`NOTHING_KNOWN` if there are none."""
    found = tuple(verdicts)
    worst = reasons.gravest(one.tier for one in found)
    return next((one for one in found if one.tier is worst), NOTHING_KNOWN)
