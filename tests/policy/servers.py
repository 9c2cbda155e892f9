"""Servers for tests: trusted ones, and such as nothing may be believed of."""

from __future__ import annotations

from dataclasses import replace

from harness.attest.reasons import Reason, Tier
from harness.attest.verdict import Verdict
from harness.policy.capability_file import load_table
from harness.policy.server import Server
from harness.policy.threats import COLUMNS

TABLE = load_table()
NOW_NS = 1_000_000
END_NS = 2_000_000

GOOD = Verdict(tier=Tier.AFFIRMING, reason=Reason.ACCEPTED, expires_ns=END_NS)
WARNED = Verdict(tier=Tier.WARNING, reason=Reason.SOFTWARE_TPM, expires_ns=END_NS)
EXPIRED = replace(GOOD, expires_ns=NOW_NS)
SILENT = Verdict(tier=Tier.NONE, reason=Reason.MONITOR_SILENT)
BAD = Verdict(tier=Tier.CONTRAINDICATED, reason=Reason.MEMORY_VIOLATION, detail="3 of them")


def server(
    name: str, architecture: str | None = "HyperWall", verdict: Verdict = GOOD, vms: int = 0, *withdrawn: str
) -> Server:
    """A server of that architecture from which the named cells are withdrawn."""
    return Server(
        name=name,
        architecture=architecture,
        verdict=verdict,
        running_vms=vms,
        withdrawn=frozenset(COLUMNS[one] for one in withdrawn),
    )
