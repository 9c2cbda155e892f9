"""Which VM goes first where many have to go: a total order that nobody can be at the end of for ever.

One link carries one migration at its best, so a bad server is left one VM at a time. The policy says who
comes first. Whoever has been in trouble for longer than the policy lets a VM wait comes before everybody
who has not, the longest first: new arrivals at the head of the policy's order then overtake no more.
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
    """Somebody who wants the link.

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
