"""Several guests on a violated server: who leaves when, over the real loop, responders and registry.

The order is computed here from what was asked for each guest, by code of the tests' own. Movers and TPMs are
played, so that a move can fail or last as long as a test says.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.attest.reasons import Reason
from harness.clock import sleep
from harness.evidence.events import Value
from harness.json_types import Json
from harness.policy.fleet import Fleet
from harness.policy.request import Request, request
from harness.registry.registry import Registry, open_registry
from harness.registry.values import Placement
from harness.response.act import guards
from harness.response.act.guards import Dispatch
from harness.response.act.loop import Loop, Settings
from harness.response.act.responder import Decided, Ended, Responder
from harness.response.decide import decide
from harness.response.decide.assessment import Vm
from harness.response.decide.order import Claim, Key, key
from harness.response.policy import ResponsePolicy
from tests.registry.blank import blank
from tests.registry.subjects import enrolment
from tests.response.fleets import TABLE, accused, server
from tests.response.played_stage import CLOCK, Hands, Outlook, Prover, quick

ASKED = {"plain": ["1"], "middle": ["1", "2:c"], "strict": ["1", "2"]}
"""What is asked for each guest, in the order in which it was asked."""
PROTECTIONS = {"1": 1, "2": 3, "2:c": 1}
"""How many protections each option stands for, as the paper's Table I counts them."""


def strictest_first(asked: Mapping[str, Sequence[str]]) -> list[str]:
    """Who leaves when, by the number of protections; of equals, whoever asked first."""
    return sorted(asked, key=lambda name: -sum(PROTECTIONS[one] for one in asked[name]))


@dataclass
class Servers(Outlook):
    """Servers of which b may lack what is asked for a guest."""

    withdrawn: tuple[str, ...] = ()

    def fleet(self, running: Mapping[str, int]) -> Fleet:
        fleet = Fleet(TABLE)
        for name, trust in self.trusts.items():
            gone = request(self.withdrawn).cells if name == "b" and self.withdrawn else frozenset()
            fleet.update(server(name, trust=trust, running_vms=running.get(name, 0), withdrawn=gone))
        return fleet


@dataclass
class Gang:
    """Three guests on a, under one loop."""

    registry: Registry
    servers: Servers = field(default_factory=Servers)
    movers: dict[str, Hands] = field(default_factory=lambda: {name: Hands() for name in ASKED})
    said: list[tuple[str, str, Mapping[str, Json]]] = field(default_factory=list)
    ends: list[tuple[str, str, str]] = field(default_factory=list)
    loop: Loop | None = None

    def vms(self) -> Mapping[str, Vm]:
        found = {}
        for name in ASKED:
            stored = self.registry.protection.current(name)
            assert stored is not None
            found[name] = Vm(
                name=name,
                host=self.placement(name).host,
                request=Request.from_json(stored.body),
                request_number=stored.number,
                placed_ns=0,
            )
        return found

    def placement(self, vm: str) -> Placement:
        found = self.registry.placement(vm)
        assert found is not None
        return found

    def _responder(self, vm: str, given: ResponsePolicy) -> Responder:
        def tell(value: Value, *, t_ns: int | None = None) -> None:
            del t_ns
            self.said.append((vm, value.KIND, value.to_data()))

        return Responder(
            self.registry,
            Prover(),
            self.movers[vm],
            tell,
            CLOCK,
            owner="this",
            max_window_ns=given.max_window_ns,
        )

    def _over(self, decided: Decided, ended: Ended) -> None:
        self.ends.append((decided.vm, ended.state, ended.host))

    def violate(self, given: ResponsePolicy | None = None) -> None:
        """The server that all of them are on is violated, and the loop begins to look."""
        given = given or quick()
        self.servers.trusts["a"] = accused(Reason.MEMORY_VIOLATION)
        self.loop = Loop(
            Settings(policy=given, seed=1, poll_s=0.01),
            self.servers,
            self,
            Dispatch({vm: self._responder(vm, given) for vm in ASKED}),
            self.movers.__getitem__,
            CLOCK,
            on_end=self._over,
        )
        self.loop.start()

    def await_ends(self, count: int, limit_s: float = 30.0) -> None:
        end_ns = CLOCK.now_ns() + round(limit_s * 1e9)
        while len(self.ends) < count and CLOCK.now_ns() < end_ns:
            assert self.loop is not None
            self.loop.check()
            sleep(0.005)
        assert len(self.ends) >= count, self.said

    def left(self) -> list[str]:
        """The guests in the order in which their moves were decided, as they were journalled."""
        return [vm for vm, kind, data in self.said if kind == "response.decided" and data["action"] == "move"]


@pytest.fixture
def gang(tmp_path: Path) -> Iterator[Gang]:
    with open_registry(blank(tmp_path)) as registry:
        for name in ("a", "b"):
            registry.enrol(enrolment(name))
        for name, options in ASKED.items():
            registry.enrol(enrolment(name, kind="guest"))
            registry.place(name, "a", 1)
            registry.protection.set(name, request(options).to_json(), by="customer", why="test")
        found = Gang(registry)
        yield found
        if found.loop is not None:
            found.loop.stop()


def test_all_of_them_leave_in_the_order_of_what_was_asked_for_them(gang: Gang) -> None:
    gang.violate()
    gang.await_ends(3)
    assert gang.left() == strictest_first(ASKED)
    assert [(vm, gang.placement(vm).host) for vm in ASKED] == [(vm, "b") for vm in ASKED]
    assert {state for _, state, _ in gang.ends} == {"completed"}


def test_a_policy_that_orders_them_the_other_way_round_is_found_out(
    gang: Gang, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reversed_key(claim: Claim, policy: ResponsePolicy, now_ns: int) -> Key:
        idle, since, chosen, name = key(claim, policy, now_ns)
        return idle, since, tuple(-one for one in chosen), name

    monkeypatch.setattr(decide, "key", reversed_key)
    gang.violate()
    gang.await_ends(3)
    assert gang.left() == strictest_first(ASKED)[::-1]
    assert gang.left() != strictest_first(ASKED)


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_no_more_move_at_once_than_the_policy_says_and_as_many_as_it_says_do(
    gang: Gang, at_once: int
) -> None:
    moving, most, lock = list[str](), list[int](), threading.Lock()
    full = threading.Barrier(at_once)

    def during(vm: str) -> None:
        with lock:
            moving.append(vm)
            most.append(len(moving))
        if len(most) <= at_once:
            full.wait(10)
        sleep(0.05)
        with lock:
            moving.remove(vm)

    for vm, mover in gang.movers.items():
        mover.during = lambda _destination, vm=vm: during(vm)  # type: ignore[misc]
    gang.violate(quick(concurrent_migrations=at_once))
    gang.await_ends(3)
    assert max(most) == at_once
    assert sorted(gang.left()[:at_once]) == sorted(strictest_first(ASKED)[:at_once])


def test_the_second_guests_move_fails_and_the_others_leave_all_the_same(gang: Gang) -> None:
    gang.movers["middle"].outcomes = ["the link is down"]
    gang.violate()
    gang.await_ends(4)
    assert [one for one in gang.ends if one[0] != "middle"] == [
        ("strict", "completed", "b"),
        ("plain", "completed", "b"),
    ]
    assert [one[1:] for one in gang.ends if one[0] == "middle"] == [("failed", "a"), ("completed", "b")]
    closed = [(vm, data["state"]) for vm, kind, data in gang.said if kind == "response.closed"]
    assert closed[:2] == [("strict", "completed"), ("middle", "failed")]


def test_a_guest_that_no_server_satisfies_is_held_and_keeps_nobody_else(gang: Gang) -> None:
    gang.servers.withdrawn = ("2",)
    gang.violate()
    gang.await_ends(3)
    ends = {vm: (state, host) for vm, state, host in gang.ends}
    assert ends == {"strict": ("held", "a"), "middle": ("held", "a"), "plain": ("completed", "b")}
    acted = [(vm, data["action"]) for vm, kind, data in gang.said if kind == "response.acted"]
    assert sorted(acted) == [("middle", "hold"), ("strict", "hold")]
    assert gang.movers["strict"].moves == gang.movers["middle"].moves == []


def test_each_word_about_a_guest_is_journalled_as_its_own_and_no_number_twice(gang: Gang) -> None:
    gang.violate()
    gang.await_ends(3)
    kinds = ["response.detected", "response.decided", "response.arrived", "response.closed"]
    numbers = set()
    for vm in ASKED:
        own = [(kind, data["n"]) for name, kind, data in gang.said if name == vm]
        assert [kind for kind, _ in own] == kinds
        numbers |= {n for _, n in own}
    assert numbers == {1, 2, 3}


def test_a_move_whose_destination_is_lost_is_called_off_and_no_other_guests(gang: Gang) -> None:
    """Each guest's mover is asked about that guest's own destination."""
    under_way, lost = threading.Event(), threading.Event()

    def during(_destination: str) -> None:
        under_way.set()
        lost.wait(10)
        sleep(0.3)

    gang.movers["strict"].during = during
    gang.violate()
    assert under_way.wait(10)
    gang.servers.trusts["b"] = accused(Reason.MEMORY_VIOLATION)
    lost.set()
    gang.await_ends(3)
    assert next(one for one in gang.ends if one[0] == "strict") == ("strict", "called-off", "a")
    assert [gang.movers[vm].called_off for vm in ("middle", "plain")] == [None, None]


def test_what_is_journalled_of_an_attester_names_the_guest_that_it_is_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def guard(name: str) -> Any:
        rig = SimpleNamespace(subject=SimpleNamespace(name=name), guest=name)
        record = SimpleNamespace(of=lambda guest: f"of {guest}", clock=CLOCK)
        settings = SimpleNamespace(vm=f"run:{name}")
        return SimpleNamespace(rig=rig, record=record, settings=settings, registry=None, clock=CLOCK)

    every = [guard(name) for name in ASKED]
    monkeypatch.setattr(guards, "channel", lambda _machine, record, _stack: record)
    monkeypatch.setattr(guards, "watched", lambda *_given, opened, **_more: opened)
    opened: Any = guards.Guards(every).watch()
    assert [opened(f"run:{name}", None, None) for name in ASKED] == [f"of {name}" for name in ASKED]
    assert opened("a", None, None) is every[0].record
