"""Small fleets to decide upon: servers of the shipped table's architectures, and VMs that ask for options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.attest.reasons import Reason, Tier
from harness.attest.verdict import Verdict
from harness.clock import NS_PER_S
from harness.policy.capability_file import load_table
from harness.policy.fleet import Fleet
from harness.policy.request import request
from harness.policy.server import Server
from harness.policy.threats import COLUMNS, Cell
from harness.response.decide.assessment import Vm
from harness.response.decide.hysteresis import ServerHistory, VmHistory
from harness.response.decide.situation import State, UnderWay
from harness.response.policy import ResponsePolicy

TABLE = load_table()
LATER_NS = 10**18
"""A moment after every test."""

HYPERVISOR_C = COLUMNS["hypervisor_c"]
OTHER_VMS_C = COLUMNS["other_vms_c"]


def s(seconds: float) -> int:
    """Seconds as ns."""
    return round(seconds * NS_PER_S)


def good(expires_ns: int = LATER_NS) -> Verdict:
    return Verdict(tier=Tier.AFFIRMING, reason=Reason.ACCEPTED, expires_ns=expires_ns)


def accused(reason: Reason = Reason.PCR_VALUE) -> Verdict:
    return Verdict(tier=Tier.CONTRAINDICATED, reason=reason, detail="not what it was")


def silent() -> Verdict:
    return Verdict(tier=Tier.NONE, reason=Reason.ATTESTER_UNREACHABLE, detail="no answer")


def warned(expires_ns: int = LATER_NS) -> Verdict:
    return Verdict(tier=Tier.WARNING, reason=Reason.CLOCK_NOT_SAFE, expires_ns=expires_ns)


def server(
    name: str,
    architecture: str | None = "HyperWall",
    trust: Verdict | None = None,
    *,
    running_vms: int = 0,
    withdrawn: Iterable[Cell] = (),
) -> Server:
    return Server(
        name=name,
        architecture=architecture,
        verdict=good() if trust is None else trust,
        running_vms=running_vms,
        withdrawn=frozenset(withdrawn),
    )


def vm(
    name: str = "vm-1",
    host: str = "a",
    options: Iterable[str] = ("1", "2"),
    *,
    number: int = 0,
    placed_ns: int = 0,
    turn: int = 1,
) -> Vm:
    """A VM that asks for what it was placed by, unless `number` says that its request is a later one."""
    return Vm(
        name=name,
        host=host,
        request=request(tuple(options)),
        request_number=number,
        placed_ns=placed_ns,
        turn=turn,
    )


def policy(**changes: Any) -> ResponsePolicy:
    values: dict[str, Any] = {
        "version": 1,
        "name": "test",
        "nowhere": "hold",
        "settle_s": 10,
        "return_after_s": 100,
        "max_moves": 3,
        "per_s": 1000,
        "retry_after_s": 5,
        "max_wait_s": 50,
    }
    return ResponsePolicy.model_validate({**values, **changes})


def state(
    servers: Iterable[Server],
    vms: Iterable[Vm],
    *,
    histories: Mapping[str, VmHistory] | None = None,
    past: Mapping[str, ServerHistory] | None = None,
    under_way: Iterable[UnderWay] = (),
    warning_counts: bool = False,
    seed: int = 1,
    **changes: Any,
) -> State:
    """The state of these servers and VMs, by :func:`policy` with `changes`."""
    return State(
        policy=policy(**changes),
        fleet=Fleet(TABLE, servers, warning_counts=warning_counts),
        vms={one.name: one for one in vms},
        servers=past or {},
        histories=histories or {},
        under_way={one.vm: one for one in under_way},
        seed=seed,
    )
