"""Which VM goes first where several must go: a total order in which no VM waits forever.

One link carries one migration at its best, so VMs leave a bad server one at a time. The policy says which
comes first. A VM that has been in trouble for longer than the policy lets it wait comes before all that have
not, the longest first: new arrivals at the head of the policy's order then no longer overtake it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from harness.response.decide.assessment import Finding
from harness.response.decide.cause import Cause
from harness.response.policy import ResponsePolicy

Key: TypeAlias = tuple[bool, int, tuple[int, ...], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A VM that needs the link.

    Attributes:
        finding: Why.
        since_ns: Since when; for a moving target, the moment that was drawn for it.
    """

    finding: Finding
    since_ns: int


def key(claim: Claim, policy: ResponsePolicy, now_ns: int) -> Key:
    """What claims are sorted by, lowest first; no two of different VMs are equal.

    In this order: trouble before moving targets, who has waited too long, the policy's order, the name.
    """
    vm, idle = claim.finding.vm, claim.finding.cause is Cause.MOVING_TARGET
    late = idle or now_ns - claim.since_ns > policy.max_wait_ns
    chosen: tuple[int, ...] = ()
    if policy.order == "strictest-first":
        chosen = (-len(vm.request.cells), vm.request_number)
    elif policy.order == "oldest-request":
        chosen = (vm.request_number,)
    return idle, claim.since_ns if late else now_ns, chosen, vm.name
