"""Whether a VM is well where it is, judged from the present alone, so that an unreported change is seen too.

Nothing here has a memory: the same VM, fleet and moment give the same answer, regardless of what happened
before. What follows from the answer is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.policy.fleet import Fleet
from harness.policy.request import Request
from harness.policy.validation import satisfied
from harness.response.decide.cause import Cause, why_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Vm:
    """A VM that runs, or is stopped, somewhere.

    Attributes:
        name: Its name.
        host: The server that it is on.
        request: What its customer asks for now.
        request_number: The request's number in the registry; a later request has a greater one.
        placed_ns: When it arrived where it is, controller's CLOCK_MONOTONIC.
        turn: How often it has arrived anywhere, its start included.
    """

    name: str
    host: str
    request: Request
    request_number: int
    placed_ns: int
    turn: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Why a VM is not to stay where it is.

    Attributes:
        vm: Which one.
        cause: In a word.
        why: In a sentence.
        satisfied: Whether its server satisfies its request all the same.
    """

    vm: Vm
    cause: Cause
    why: str
    satisfied: bool = False


def assess(vm: Vm, fleet: Fleet, now_ns: int, *, complied: int = 0) -> Finding | None:
    """What is wrong with the VM's place; None where its server satisfies its request.

    Args:
        vm: Which one.
        fleet: The servers as they are known now.
        now_ns: The moment, controller's CLOCK_MONOTONIC.
        complied: The newest request that the VM was seen to be satisfied with where it is; 0 for none.
    """
    refusal = satisfied(vm.request, fleet, vm.host, now_ns)
    if refusal is None:
        return None
    cause = why_of(
        fleet.get(vm.host),
        new_request=vm.request_number > complied,
        now_ns=now_ns,
        warning_counts=fleet.warning_counts,
    )
    return Finding(vm=vm, cause=cause, why=refusal.why)
