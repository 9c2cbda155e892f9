"""Everything that a decision depends on, as one value: the servers and VMs, the history, the open responses.

A state is built from what is true now; nothing in it says what happened last. So a decision after a crash,
after an unreported change, or after ten changes at once is the same as after one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from harness.clock import NS_PER_S
from harness.policy.fleet import Fleet
from harness.response.decide.assessment import Finding, Vm, assess
from harness.response.decide.cause import Cause
from harness.response.decide.hysteresis import ServerHistory, VmHistory, troubled, well
from harness.response.decide.moving_target import next_move_ns
from harness.response.policy import ResponsePolicy

NEW_VM = VmHistory()
"""The history of a VM of which nothing is remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """A response that has begun and not ended.

    Attributes:
        vm: Whose it is; nothing else is decided about it meanwhile.
        source: Where the VM was.
        destination: Where it goes; None where it is not moved.
    """

    vm: str
    source: str
    destination: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a decision is based on.

    Attributes:
        policy: The provider's.
        fleet: The servers; its clock is advanced to the moment that is asked about, and nothing else of it is
            changed here.
        vms: The VMs that have a request, by name.
        servers: What is remembered of servers; one that is missing was never bad.
        histories: What is remembered of VMs.
        under_way: Open responses, by VM.
        seed: Moving targets are drawn from it.
    """

    policy: ResponsePolicy
    fleet: Fleet
    vms: Mapping[str, Vm]
    servers: Mapping[str, ServerHistory] = field(default_factory=dict)
    histories: Mapping[str, VmHistory] = field(default_factory=dict)
    under_way: Mapping[str, UnderWay] = field(default_factory=dict)
    seed: int

    def history(self, vm: str) -> VmHistory:
        """What is remembered of the VM."""
        return self.histories.get(vm, NEW_VM)


def looked(state: State, now_ns: int) -> State:
    """The state after each VM was looked at: how long who has been in trouble, or well.

    To be called before each decision. A VM with a response under way is left as it is until that has ended.
    """
    histories = dict(state.histories)
    for name, vm in state.vms.items():
        if name in state.under_way:
            continue
        history = state.history(name)
        if trouble(state, vm, now_ns) is None:
            histories[name] = well(history, vm.request_number, now_ns, state.policy)
        else:
            histories[name] = troubled(history, now_ns)
    return replace(state, histories=histories)


def trouble(state: State, vm: Vm, now_ns: int) -> Finding | None:
    """Why the VM is not to stay as it is; None where it is well.

    A VM that was suspended is in trouble until it runs again, even where its server has become good
    meanwhile: only a move, or a person, lets it run.
    """
    history = state.history(vm.name)
    found = assess(vm, state.fleet, now_ns, complied=history.complied)
    done = history.held
    if found is None and done is not None and done.what == "suspend":
        why = f"it was suspended, and {vm.host} satisfies its request again: it may be resumed there"
        return Finding(vm=vm, cause=done.cause, why=why, satisfied=True)
    return found


def due_ns(state: State, vm: Vm) -> int | None:
    """When the VM is to move without a reason; None where the policy has no moving targets."""
    target = state.policy.moving_target
    if target is None:
        return None
    return next_move_ns(state.seed, vm.name, vm.turn, vm.placed_ns, target)


def finding(state: State, vm: Vm, now_ns: int) -> Finding | None:
    """Why something is to be done about the VM now; None where nothing is."""
    found = trouble(state, vm, now_ns)
    if found is not None:
        return found
    due = due_ns(state, vm)
    if due is None or due > now_ns:
        return None
    stayed_s = (now_ns - vm.placed_ns) / NS_PER_S
    why = f"it has been on {vm.host} for {stayed_s:.1f} s"
    return Finding(vm=vm, cause=Cause.MOVING_TARGET, why=why, satisfied=True)
