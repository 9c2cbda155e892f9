"""The decision about every VM that is in trouble or due: one pure function of the whole state.

It is triggered by levels, not by edges. Each call examines the whole state and states for each VM what should
happen at this moment, regardless of earlier answers and of whether they were carried out; the caller ensures
that each is carried out once. No VM can be forgotten, because no list of pending VMs can be lost.

A VM is never sent to a server that does not satisfy its request now. Where limits of the policy forbid a
possible move, the answer states until when.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from harness.policy.validation import relocate
from harness.response.decide.assessment import Finding
from harness.response.decide.cause import Cause
from harness.response.decide.hysteresis import Held, may_move_ns
from harness.response.decide.order import Claim, key
from harness.response.decide.situation import State, due_ns, finding
from harness.response.decide.ways import refused, ways
from harness.response.policy import Resort


@dataclass(frozen=True, slots=True, kw_only=True)
class Relocate:
    """The VM is to be moved, now.

    Attributes:
        vm: Which one.
        cause: Why.
        finding: The same, whole.
        candidates: Where to, best first; at least one. Each satisfies the request at this moment.
        refused: Why the others are not candidates, by name; servers alike share an entry in a large fleet.
    """

    vm: str
    cause: Cause
    finding: Finding
    candidates: tuple[str, ...]
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nowhere:
    """The VM can go nowhere, now.

    Attributes:
        vm: Which one.
        cause: Why it should go.
        finding: The same, whole.
        what: What is to be done with it.
        alarm: What a person has to be told: what is wrong, and why no other server is eligible. It may tell
            how long ago something was, so that it reads otherwise at each look.
        known: Whether that was done and told already; then nothing is to be done again.
        until_ns: When a limit ends that alone stands in the way; None where something has to change.
        refused: Why no other server is eligible, as of :class:`Relocate`.
    """

    vm: str
    cause: Cause
    finding: Finding
    what: Resort
    alarm: str
    known: bool
    until_ns: int | None = None
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """The VM is to be moved, but not yet.

    Attributes:
        vm: Which one.
        cause: Why it should go.
        until_ns: When to ask again at the latest; None where something has to change first.
        why: What it waits for.
    """

    vm: str
    cause: Cause
    until_ns: int | None
    why: str


Action: TypeAlias = Relocate | Nowhere | Wait


def decide(state: State, now_ns: int) -> tuple[Action, ...]:
    """One action for each VM that is in trouble or due and has no response under way.

    Moves come first, in the order in which they are to be begun, then the others in the policy's order. There
    are never more moves than the policy lets be under way together with those that are.

    Args:
        state: All there is, as :func:`harness.response.decide.situation.looked` left it.
        now_ns: The moment, controller's CLOCK_MONOTONIC.
    """
    state.fleet.advance(now_ns)
    claims = [
        Claim(finding=found, since_ns=_since_ns(state, found, now_ns))
        for name, vm in state.vms.items()
        if name not in state.under_way and (found := finding(state, vm, now_ns)) is not None
    ]
    claims.sort(key=lambda claim: key(claim, state.policy, now_ns))
    moving = sum(1 for one in state.under_way.values() if one.destination is not None)
    free = max(0, state.policy.concurrent_migrations - moving)
    moves: list[Relocate] = []
    others: list[Nowhere | Wait] = []
    for claim in claims:
        action = _answer(state, claim, now_ns)
        if not isinstance(action, Relocate):
            others.append(action)
        elif len(moves) < free:
            moves.append(action)
        else:
            others.append(Wait(vm=action.vm, cause=action.cause, until_ns=None, why=_queue(state, moves)))
    return (*moves, *others)


def next_look_ns(state: State, actions: Iterable[Action], now_ns: int) -> int | None:
    """When to decide again at the latest though nothing changes: a limit ends, or a moving target is due.

    What is known of a server also expires without an event; the caller keeps the fleet and knows when.
    None where only a change can alter anything.
    """
    ends = [one.until_ns for one in actions if not isinstance(one, Relocate) and one.until_ns is not None]
    dues = [due for vm in state.vms.values() if (due := due_ns(state, vm)) is not None and due > now_ns]
    return min((*ends, *dues), default=None)


def _since_ns(state: State, found: Finding, now_ns: int) -> int:
    """Since when a VM needs the link."""
    due = due_ns(state, found.vm) if found.cause is Cause.MOVING_TARGET else None
    since_ns = due if due is not None else state.history(found.vm.name).troubled_since_ns
    return now_ns if since_ns is None else since_ns


def _queue(state: State, moves: Iterable[Relocate]) -> str:
    moving = [one.vm for one in state.under_way.values() if one.destination is not None]
    return f"the link is taken by {', '.join(sorted((*moving, *(one.vm for one in moves))))}"


def _answer(state: State, claim: Claim, now_ns: int) -> Action:
    """What is to be done about one VM if the link is free."""
    found, policy = claim.finding, state.policy
    vm, idle = found.vm, found.cause is Cause.MOVING_TARGET
    verdict = relocate(vm.request, state.fleet, vm.host, now_ns)
    open_ways = ways(state, found, verdict, now_ns)
    if not open_ways.now and open_ways.first_ns is None:
        return _stuck(state, found, refused(state, verdict), None, policy.nowhere)
    from_ns, why = (now_ns, "") if open_ways.now else (open_ways.first_ns or now_ns, open_ways.first_why)
    limit = may_move_ns(state.history(vm.name), found.cause, policy)
    if limit is not None and limit[0] > from_ns:
        from_ns, why = limit
    others = {**({} if idle else refused(state, verdict)), **open_ways.later}
    if from_ns <= now_ns:
        return Relocate(
            vm=vm.name, cause=found.cause, finding=found, candidates=open_ways.now, refused=others
        )
    if idle or from_ns - claim.since_ns <= policy.max_wait_ns:
        return Wait(vm=vm.name, cause=found.cause, until_ns=from_ns, why=why)
    others |= {name: f"{name} satisfies it, but {why}" for name in open_ways.now}
    return _stuck(state, found, others, from_ns, "suspend" if policy.nowhere == "suspend" else "hold")


def _stuck(
    state: State, found: Finding, others: Mapping[str, str], until_ns: int | None, what: Resort
) -> Nowhere | Wait:
    """The answer for a VM that can go nowhere now.

    A moving target stays where it is, which is no harm; a VM that was suspended is not let run by an alarm.
    """
    vm, history = found.vm, state.history(found.vm.name)
    if found.cause is Cause.MOVING_TARGET:
        return Wait(vm=vm.name, cause=found.cause, until_ns=until_ns, why="no other server satisfies it")
    if history.suspended and (what != "shut-down" or found.satisfied):
        what = "suspend"
    done = Held(what=what, cause=found.cause, request_number=vm.request_number)
    reasons = "; ".join(others.values()) or "there is no other server"
    return Nowhere(
        vm=vm.name,
        cause=found.cause,
        finding=found,
        what=what,
        alarm=f"{vm.name} on {vm.host} can go nowhere. {found.cause}: {found.why}. Elsewhere: {reasons}",
        known=history.held == done,
        until_ns=until_ns,
        refused=others,
    )
