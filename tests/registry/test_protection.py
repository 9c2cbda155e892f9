"""Requests of VMs: one at a time, changeable, with history."""

from __future__ import annotations

from typing import Any

import pytest

from harness.registry.errors import RegistryError
from harness.registry.protection import StoredRequest
from harness.registry.registry import Registry, open_registry
from tests.registry.subjects import SteppedPresent, moment

BASIC: dict[str, Any] = {"options": {"1": ["c", "i"]}, "packages": []}
MORE: dict[str, Any] = {"options": {"1": ["c"], "2": ["i"]}, "packages": ["medical"]}


def test_a_vm_has_the_request_that_was_set_last(registry: Registry, present: SteppedPresent) -> None:
    assert registry.protection.current("vm-1") is None
    first = registry.protection.set("vm-1", BASIC, by="customer", why="new")
    assert first == StoredRequest(number=1, vm="vm-1", body=BASIC, by="customer", why="new", at=moment())
    present.at = moment(9)
    second = registry.protection.set("vm-1", MORE, by="provider", why="more  is\nneeded")
    assert (second.number, second.body, second.why, second.at) == (2, MORE, "more is needed", moment(9))
    assert registry.protection.current("vm-1") == second
    assert registry.protection.history("vm-1") == (first, second)


def test_a_request_may_be_withdrawn_and_set_again(registry: Registry) -> None:
    registry.protection.set("vm-1", BASIC, by="customer", why="new")
    gone = registry.protection.withdraw("vm-1", by="customer", why="no longer")
    assert (gone.number, gone.body) == (2, None)
    assert registry.protection.current("vm-1") is None
    again = registry.protection.set("vm-1", BASIC, by="customer", why="after all")
    assert registry.protection.current("vm-1") == again
    assert [one.body for one in registry.protection.history("vm-1")] == [BASIC, None, BASIC]


def test_what_was_never_asked_for_cannot_be_withdrawn(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="no request to withdraw"):
        registry.protection.withdraw("vm-1", by="customer", why="x")
    registry.protection.set("vm-1", BASIC, by="customer", why="new")
    registry.protection.withdraw("vm-1", by="customer", why="x")
    with pytest.raises(RegistryError, match="no request to withdraw"):
        registry.protection.withdraw("vm-1", by="customer", why="x")
    assert len(registry.protection.history("vm-1")) == 2


def test_requests_are_each_vms_own(registry: Registry) -> None:
    assert registry.protection.latest() == 0
    second = registry.protection.set("vm-2", BASIC, by="customer", why="new")
    registry.protection.set("vm-1", BASIC, by="customer", why="new")
    first = registry.protection.set("vm-1", MORE, by="customer", why="more")
    registry.protection.set("vm-3", BASIC, by="customer", why="new")
    registry.protection.withdraw("vm-3", by="customer", why="ended")
    now = [registry.protection.current(vm) for vm in ("vm-1", "vm-2", "vm-3")]
    assert now == [first, second, None]
    assert registry.protection.latest() == 5
    assert registry.protection.history("vm-4") == ()


def test_another_program_sees_that_something_changed(registry: Registry, url: str) -> None:
    with open_registry(url) as other:
        before = other.protection.latest()
        registry.protection.set("vm-1", BASIC, by="customer", why="new")
        assert other.protection.latest() > before
        assert other.protection.current("vm-1") == registry.protection.current("vm-1")


@pytest.mark.parametrize(
    ("vm", "body", "by", "why"),
    [
        ("", BASIC, "customer", "new"),
        ("vm 1", BASIC, "customer", "new"),
        ("../vm", BASIC, "customer", "new"),
        ("vm-1", {"x": float("inf")}, "customer", "new"),
        ("vm-1", {"x": {1, 2}}, "customer", "new"),
        ("vm-1", BASIC, " ", "new"),
        ("vm-1", BASIC, "customer", ""),
        ("vm-1", BASIC, "customer", "bell\a"),
    ],
)
def test_what_is_no_request_is_refused_and_not_stored(
    registry: Registry, vm: str, body: Any, by: str, why: str
) -> None:
    with pytest.raises(RegistryError):
        registry.protection.set(vm, body, by=by, why=why)
    assert registry.protection.latest() == 0
