"""A decision in one call, as tests of it ask for it: servers, VMs and what is remembered, at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.attest.reasons import Reason
from harness.policy.server import Server
from harness.response.decide.assessment import Vm
from harness.response.decide.decide import Action, decide
from harness.response.decide.hysteresis import ServerHistory
from harness.response.decide.situation import looked
from tests.response.fleets import accused, s, state, vm

VIOLATED = accused(Reason.MEMORY_VIOLATION)
NOW_NS = s(1000)


def decided(servers: list[Server], *vms: Vm, now_ns: int = NOW_NS, **given: Any) -> Mapping[str, Action]:
    actions = decide(looked(state(servers, vms, **given), now_ns), now_ns)
    assert len({one.vm for one in actions}) == len(actions)
    return {one.vm: one for one in actions}


def the(kind: type[Any], actions: Mapping[str, Action], name: str = "vm-1") -> Any:
    action = actions[name]
    assert isinstance(action, kind), action
    return action


def crowd(count: int, host: str = "a") -> list[Vm]:
    return [vm(f"vm-{n}", host, number=n) for n in range(count)]


def bad_until(good_again_ns: int) -> dict[str, ServerHistory]:
    return {"b": ServerHistory(good=True, good_again_ns=good_again_ns)}
