"""Where a VM may go: what validation allows, less what the past forbids for a while.

Everything here narrows and orders what :mod:`harness.policy.validation` found eligible; nothing is ever
added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from harness.policy.threats import Cell
from harness.policy.validation import Validated
from harness.response.decide.assessment import Finding
from harness.response.decide.cause import Cause
from harness.response.decide.hysteresis import VmHistory, barred_until_ns, failed_before, settled_ns
from harness.response.decide.moving_target import shuffled
from harness.response.decide.situation import State

MOST_CANDIDATES = 8
"""How many destinations are named at most: each is attested before it is used, and the first is as a rule."""

MOST_NAMED = 20
"""In a fleet of so many servers each gets its own reason; in a larger one those alike are named together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Where a VM may go.

    Attributes:
        now: Servers that may receive it now, best first.
        later: Servers that satisfy its request and may not receive it yet, with the reason; not all of many.
        first_ns: When the first of those may; None where there is none.
        first_why: Why not sooner.
    """

    now: tuple[str, ...]
    later: Mapping[str, str]
    first_ns: int | None
    first_why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """What of the past matters for one VM."""

    state: State
    vm: str
    history: VmHistory
    cells: frozenset[Cell]

    def limits(self, server: str) -> tuple[int, int]:
        """Until when the server settles, and until when the VM stays away from it; 0 where it does not."""
        settled = settled_ns(self.state.servers.get(server), self.cells, self.state.policy)
        away = barred_until_ns(self.history, server, self.state.policy)
        return settled or 0, away or 0

    def why(self, server: str) -> str:
        """Why the server may not receive the VM yet: of two reasons the one that lasts longer."""
        settled, away = self.limits(server)
        if settled >= away:
            return f"{server} was bad and has to be good for {self.state.policy.settle_s:g} s first"
        return f"{self.vm} fled {server} and stays away for {self.state.policy.return_after_s:g} s"


def ways(state: State, found: Finding, verdict: Validated, now_ns: int) -> Ways:
    """Where the VM may go, best first: those it failed to reach last, a moving target in drawn order."""
    vm, history = found.vm, state.history(found.vm.name)
    past = _Past(state=state, vm=vm.name, history=history, cells=vm.request.cells)
    failed = failed_before(history)
    good: list[str] = []
    again: list[str] = []
    later: dict[str, int] = {}
    for name in verdict.eligible:
        until_ns = max(past.limits(name))
        if until_ns > now_ns:
            later[name] = until_ns
        elif name in failed:
            again.append(name)
        else:
            good.append(name)
        if len(good) == MOST_CANDIDATES:
            break
    if found.cause is Cause.MOVING_TARGET:
        good = list(shuffled(state.seed, vm.name, vm.turn, good))
    again.sort(key=failed.index)
    first = min(later, key=lambda name: (later[name], name), default=None)
    return Ways(
        now=(*good, *again)[:MOST_CANDIDATES],
        later={name: past.why(name) for name in islice(later, MOST_NAMED)},
        first_ns=None if first is None else later[first],
        first_why="" if first is None else past.why(first),
    )


def refused(state: State, verdict: Validated) -> dict[str, str]:
    """What each other server lacks, by name; in a large fleet by the first of those alike."""
    if len(state.fleet) <= MOST_NAMED:
        return {name: one.why for name, one in sorted(verdict.refused.items()) if name != verdict.here}
    alike = (one for one in verdict.summary() if one.count > 1 or one.example.server != verdict.here)
    named = islice(alike, MOST_NAMED)
    return {one.example.server: f"{one.example.why}{_alike(one.count)}" for one in named}


def _alike(count: int) -> str:
    return f" (and {count - 1} more like it)" if count > 1 else ""
