"""How the command line shows a tier."""

from __future__ import annotations

from harness.attest.reasons import Tier
from harness.cli.terminal import Styled


def shown(tier: Tier) -> Styled:
    """The tier's word: green if anything may be based on it, yellow if only with a warning, else red."""
    if tier.trusted(warning_counts=False):
        return Styled(tier.value, "green")
    return Styled(tier.value, "yellow" if tier.believed else "bold red")
