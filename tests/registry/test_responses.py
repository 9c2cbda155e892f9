"""Responses: one open of a VM, one owner of a response, and no step that does not follow."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from harness.attest.evidence import RefusedError
from harness.registry.errors import RegistryError, ResponseOpenError, ResponseOwnerError
from harness.registry.registry import Registry, open_registry, sqlite_url
from harness.registry.response_states import FINAL, FOLLOWING, ResponseState
from harness.registry.responses import StoredResponse
from tests import budgets
from tests.registry.subjects import SteppedPresent, enrolment, moment

TRIGGER: dict[str, Any] = {"cause": "violation", "server": "host-a"}
DECISION: dict[str, Any] = {"action": "move", "destination": "host-b", "refused": {}}
S = ResponseState


def begin(registry: Registry, vm: str = "vm-1", owner: str = "watch-1") -> StoredResponse:
    return registry.responses.begin(vm, owner=owner, trigger=TRIGGER, decision=DECISION)


def path_to(state: ResponseState) -> list[ResponseState]:
    """States on the way to one, from the first."""
    ways: dict[ResponseState, list[ResponseState]] = {S.BEGUN: []}
    for _ in FOLLOWING:
        for known in tuple(ways):
            for following in FOLLOWING[known]:
                ways.setdefault(following, [*ways[known], following])
    return ways[state]


def at(registry: Registry, state: ResponseState, vm: str = "vm-1") -> StoredResponse:
    """A response in a state."""
    found = begin(registry, vm)
    for step in path_to(state):
        found = registry.responses.advance(found.number, step, {}, owner="watch-1")
    return found


# the states


def test_every_state_is_reached_and_the_open_ones_are_three() -> None:
    assert {state for state in S if path_to(state) or state is S.BEGUN} == set(FOLLOWING) == set(S)
    assert set(S) - FINAL == {S.BEGUN, S.MIGRATING, S.ARRIVED}


def test_a_vm_is_somewhere_else_only_after_a_migration() -> None:
    assert [state for state in S if S.ARRIVED in FOLLOWING[state]] == [S.MIGRATING]
    assert [state for state in S if S.COMPLETED in FOLLOWING[state]] == [S.ARRIVED]
    assert S.CALLED_OFF not in FOLLOWING[S.ARRIVED]


def test_every_open_state_can_be_given_up() -> None:
    assert all(FOLLOWING[state] >= {S.FAILED, S.ABANDONED} for state in set(S) - FINAL)


# one after the other


def test_a_response_is_kept_with_all_its_steps(registry: Registry, present: SteppedPresent) -> None:
    begun = begin(registry)
    assert begun == StoredResponse(
        number=1,
        vm="vm-1",
        owner="watch-1",
        state=S.BEGUN,
        trigger=TRIGGER,
        decision=DECISION,
        begun=moment(),
        changed=moment(),
    )
    assert begun.open
    assert registry.responses.open() == (begun,)
    for second, state in enumerate((S.MIGRATING, S.ARRIVED, S.COMPLETED), start=1):
        present.at = moment(second)
        last = registry.responses.advance(1, state, {"n": second}, owner="watch-1")
    assert (last.state, last.open, last.begun, last.changed) == (S.COMPLETED, False, moment(), moment(3))
    assert registry.responses.get(1) == last
    assert registry.responses.open() == ()
    steps = registry.responses.steps(1)
    assert [(one.state, one.at) for one in steps] == [
        (state, moment(second)) for second, state in enumerate((S.BEGUN, S.MIGRATING, S.ARRIVED, S.COMPLETED))
    ]
    assert [one.detail for one in steps[1:]] == [{"n": 1}, {"n": 2}, {"n": 3}]


@pytest.mark.parametrize("state", S)
def test_only_a_state_that_follows_is_taken(registry: Registry, state: ResponseState) -> None:
    for wanted in FOLLOWING[state]:
        number = at(registry, state, f"vm-{wanted}").number
        after = registry.responses.advance(number, wanted, {}, owner="watch-1")
        assert (after.state, after.open) == (wanted, wanted not in FINAL)
    found = at(registry, state)
    before = registry.responses.steps(found.number)
    for wanted in set(S) - FOLLOWING[state]:
        why = "closed" if state in FINAL else f"{state} cannot become {wanted}"
        with pytest.raises(RegistryError, match=why):
            registry.responses.advance(found.number, wanted, {}, owner="watch-1")
    assert registry.responses.get(found.number) == found
    assert registry.responses.steps(found.number) == before


def test_what_is_no_state_and_no_response_is_refused(registry: Registry) -> None:
    number = begin(registry).number
    with pytest.raises(RegistryError, match="cannot be 'teleported'"):
        registry.responses.advance(number, "teleported", {}, owner="watch-1")
    with pytest.raises(RegistryError, match="no response 7"):
        registry.responses.advance(7, "migrating", {}, owner="watch-1")
    with pytest.raises(RegistryError, match="no response 7"):
        registry.responses.adopt(7, owner="watch-1", why="restarted")
    with pytest.raises(RegistryError, match="not JSON"):
        registry.responses.advance(number, "migrating", {"x": float("nan")}, owner="watch-1")
    assert registry.responses.get(7) is None
    assert registry.responses.steps(7) == ()
    assert len(registry.responses.steps(number)) == 1


@pytest.mark.parametrize(("vm", "owner"), [("", "watch-1"), ("vm 1", "watch-1"), ("vm-1", "")])
def test_a_response_needs_names(registry: Registry, vm: str, owner: str) -> None:
    with pytest.raises(RegistryError):
        begin(registry, vm, owner)
    assert registry.responses.open() == ()


# one open of a VM


@pytest.mark.parametrize("state", sorted(set(S) - FINAL))
def test_a_vm_has_one_open_response(registry: Registry, state: ResponseState) -> None:
    found = at(registry, state)
    with pytest.raises(ResponseOpenError, match="open already") as caught:
        begin(registry, owner="watch-2")
    assert caught.value.exit_code == 18
    assert f"response {found.number} is {state}" in caught.value.why
    assert registry.responses.of("vm-1") == (found,)
    assert begin(registry, "vm-2").number > found.number


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_closed_response_makes_way(registry: Registry, state: ResponseState) -> None:
    closed = at(registry, state)
    begun = begin(registry)
    assert registry.responses.of("vm-1") == (begun, closed)
    assert registry.responses.of("vm-1", limit=1) == (begun,)
    assert registry.responses.of("vm-2") == ()


# one owner


def test_only_its_owner_advances_a_response(registry: Registry) -> None:
    found = begin(registry)
    with pytest.raises(ResponseOwnerError, match="another's"):
        registry.responses.advance(found.number, "migrating", {}, owner="watch-2")
    assert registry.responses.get(found.number) == found


def test_a_response_that_was_adopted_is_the_new_owners_alone(
    registry: Registry, present: SteppedPresent
) -> None:
    found = at(registry, S.MIGRATING)
    present.at = moment(5)
    adopted = registry.responses.adopt(found.number, owner="watch-2", why="watch-1 is gone")
    assert (adopted.owner, adopted.state, adopted.changed) == ("watch-2", S.MIGRATING, moment(5))
    assert adopted.trigger == TRIGGER
    for state in ("arrived", "begun"):  # the former owner learns that before anything else
        with pytest.raises(ResponseOwnerError):
            registry.responses.advance(found.number, state, {}, owner="watch-1")
    registry.responses.advance(found.number, "arrived", {}, owner="watch-2")
    step = registry.responses.steps(found.number)[2]
    assert (step.state, step.owner) == (S.MIGRATING, "watch-2")
    assert step.detail == {"adopted_from": "watch-1", "why": "watch-1 is gone"}


# two steps at once


def test_a_decision_to_migrate_is_two_steps_in_one(registry: Registry) -> None:
    found = registry.responses.begin(
        "vm-1", owner="watch-1", trigger=TRIGGER, decision=DECISION, migrating={"destination": "host-b"}
    )
    assert found.state is S.MIGRATING
    steps = registry.responses.steps(found.number)
    assert [(one.state, dict(one.detail)) for one in steps] == [
        (S.BEGUN, {"vm": "vm-1", "trigger": TRIGGER, "decision": DECISION}),
        (S.MIGRATING, {"destination": "host-b"}),
    ]
    registry.audit.verify()


def test_an_arrival_is_a_place_and_a_step_at_once(registry: Registry) -> None:
    registry.enrol(enrolment("host-b"))
    registry.enrol(enrolment("vm-1", kind="guest"))
    found = at(registry, S.MIGRATING)
    place = registry.responses.arrive(found.number, "host-b", 2, owner="watch-1")
    assert (place.host, place.epoch) == ("host-b", 2)
    assert registry.placement("vm-1") == place
    stored = registry.responses.get(found.number)
    assert stored is not None
    assert stored.state is S.ARRIVED
    registry.audit.verify()


def test_an_arrival_that_cannot_be_is_neither(registry: Registry) -> None:
    registry.enrol(enrolment("host-b"))
    registry.enrol(enrolment("vm-1", kind="guest"))
    registry.place("vm-1", "host-b", 5)
    found = at(registry, S.MIGRATING)
    with pytest.raises(RefusedError):
        registry.responses.arrive(found.number, "host-b", 5, owner="watch-1")
    with pytest.raises(ResponseOwnerError):
        registry.responses.arrive(found.number, "host-b", 6, owner="watch-2")
    stored = registry.responses.get(found.number)
    assert stored is not None
    assert stored.state is S.MIGRATING
    assert len(registry.placements("vm-1")) == 1


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_closed_response_is_nobodys_to_adopt(registry: Registry, state: ResponseState) -> None:
    found = at(registry, state)
    with pytest.raises(RegistryError, match="closed"):
        registry.responses.adopt(found.number, owner="watch-2", why="restarted")
    assert registry.responses.get(found.number) == found


def test_an_adoption_needs_a_reason(registry: Registry) -> None:
    number = begin(registry).number
    with pytest.raises(RegistryError, match="a reason"):
        registry.responses.adopt(number, owner="watch-2", why=" ")


# after any sequence of calls

VMS = st.sampled_from(["vm-1", "vm-2"])
OWNERS = st.sampled_from(["watch-1", "watch-2"])


class Machine(RuleBasedStateMachine):
    """The responses compared with a model that is a state and an owner each."""

    template: Path
    numbers = Bundle("numbers")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="sodbench-registry-"))
        self.model: dict[int, tuple[str, ResponseState, str]] = {}
        self.steps = 0
        self.registry: Registry

    @initialize()
    def start(self) -> None:
        shutil.copy(self.template, self.folder / "registry.sqlite")
        self.reopen()

    def teardown(self) -> None:
        self.registry.close()
        shutil.rmtree(self.folder)

    def open_of(self, vm: str) -> int | None:
        found = [number for number, (of, state, _) in self.model.items() if of == vm and state not in FINAL]
        assert len(found) <= 1
        return found[0] if found else None

    @rule(target=numbers, vm=VMS, owner=OWNERS)
    def begin(self, vm: str, owner: str) -> int:
        there = self.open_of(vm)
        if there is not None:
            with pytest.raises(ResponseOpenError):
                begin(self.registry, vm, owner)
            return there
        number = begin(self.registry, vm, owner).number
        self.model[number] = (vm, S.BEGUN, owner)
        self.steps += 1
        return number

    @rule(number=numbers, state=st.sampled_from(S), owner=OWNERS)
    def advance(self, number: int, state: ResponseState, owner: str) -> None:
        vm, now, its = self.model[number]
        if owner == its and state in FOLLOWING[now]:
            self.registry.responses.advance(number, state, {}, owner=owner)
            self.model[number] = (vm, state, owner)
            self.steps += 1
            return
        with pytest.raises(ResponseOwnerError if owner != its else RegistryError):
            self.registry.responses.advance(number, state, {}, owner=owner)

    @rule(number=numbers)
    def go_on(self, number: int) -> None:
        _, now, its = self.model[number]
        following = {S.BEGUN: S.MIGRATING, S.MIGRATING: S.ARRIVED, S.ARRIVED: S.COMPLETED}
        if now in following:
            self.advance(number, following[now], its)

    @rule(number=numbers, owner=OWNERS)
    def adopt(self, number: int, owner: str) -> None:
        vm, now, _ = self.model[number]
        if now in FINAL:
            with pytest.raises(RegistryError):
                self.registry.responses.adopt(number, owner=owner, why="restarted")
            return
        self.registry.responses.adopt(number, owner=owner, why="restarted")
        self.model[number] = (vm, now, owner)
        self.steps += 1

    @rule(number=consumes(numbers))
    def forget(self, number: int) -> None:
        """So that later rules draw newer ones."""

    @rule()
    def reopen(self) -> None:
        if hasattr(self, "registry"):
            self.registry.close()
        self.registry = open_registry(sqlite_url(self.folder / "registry.sqlite"))

    @invariant()
    def it_stands_where_the_model_does(self) -> None:
        found = {number: self.registry.responses.get(number) for number in self.model}
        assert {
            number: (one.vm, one.state, one.owner) for number, one in found.items() if one is not None
        } == self.model
        opened = {one.number for one in self.registry.responses.open()}
        assert opened == {number for number, (_, state, _) in self.model.items() if state not in FINAL}
        assert sum(len(self.registry.responses.steps(number)) for number in self.model) == self.steps

    @invariant()
    def the_log_is_whole(self) -> None:
        assert self.registry.audit.verify().number == 1 + self.steps


@budgets.examples(some=5, whole=15)
def test_responses_stand_where_their_steps_lead_after_any_sequence_of_calls(
    tmp_path: Path, examples: int
) -> None:
    template = tmp_path / "registry.sqlite"
    open_registry(sqlite_url(template)).close()
    machine = type("Prepared", (Machine,), {"template": template})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
