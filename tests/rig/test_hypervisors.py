"""libvirt behind the machine contract, on the driver that libvirt brings for tests: no QEMU, no root."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import libvirt
import pytest

from harness.errors import UnreachableError
from harness.rig import hypervisors
from harness.rig.contract import DomainState, HypervisorError, NoDomainError, PausedReason, WrongStateError
from harness.rig.hypervisors import LibvirtHost, LibvirtHosts


@pytest.fixture
def host() -> Iterator[LibvirtHost]:
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    connection = libvirt.open("test:///default")
    yield LibvirtHost(connection)
    connection.close()


def test_the_contracts_numbers_are_libvirts() -> None:
    assert {one: int(one) for one in DomainState} == {
        DomainState.RUNNING: libvirt.VIR_DOMAIN_RUNNING,
        DomainState.BLOCKED: libvirt.VIR_DOMAIN_BLOCKED,
        DomainState.PAUSED: libvirt.VIR_DOMAIN_PAUSED,
        DomainState.OFF: libvirt.VIR_DOMAIN_SHUTOFF,
        DomainState.SUSPENDED_BY_GUEST: libvirt.VIR_DOMAIN_PMSUSPENDED,
    }
    assert {one: int(one) for one in PausedReason} == {
        PausedReason.USER: libvirt.VIR_DOMAIN_PAUSED_USER,
        PausedReason.MIGRATION: libvirt.VIR_DOMAIN_PAUSED_MIGRATION,
        PausedReason.POST_COPY: libvirt.VIR_DOMAIN_PAUSED_POSTCOPY,
        PausedReason.POST_COPY_FAILED: libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED,
    }


def test_a_domain_is_suspended_resumed_and_ended(host: LibvirtHost) -> None:
    domain = host.domain("test")
    assert domain.state()[0] == DomainState.RUNNING
    domain.suspend()
    assert domain.state() == (DomainState.PAUSED, PausedReason.USER)
    domain.resume()
    assert domain.state()[0] == DomainState.RUNNING
    assert len(domain.uuid()) == 36
    assert host.version() > 0
    domain.destroy()
    assert domain.state()[0] == DomainState.OFF


def test_a_host_lists_its_domains_those_that_are_off_too(host: LibvirtHost) -> None:
    assert host.domains() == ["test"]
    host.domain("test").destroy()
    assert host.domains() == ["test"]


def test_a_domain_that_is_not_there_and_one_in_the_wrong_state_are_told_apart(host: LibvirtHost) -> None:
    with pytest.raises(NoDomainError, match="not found"):
        host.domain("nowhere")
    domain = host.domain("test")
    domain.destroy()
    with pytest.raises(WrongStateError):
        domain.destroy()


def test_what_a_hypervisor_cannot_do_is_an_error_of_the_contract(host: LibvirtHost) -> None:
    with pytest.raises(HypervisorError, match="not supported"):
        host.domain("test").job.cancel()
    with pytest.raises(HypervisorError):
        host.start("<nonsense/>")


def test_a_subscription_ends_and_may_end_twice(host: LibvirtHost) -> None:
    libvirt.virEventRegisterDefaultImpl()
    told: list[str] = []
    end = host.on_completed(lambda name, _stats: told.append(name))
    end()
    end()
    assert told == []


def test_several_may_ask_to_be_told_of_completed_jobs(host: LibvirtHost) -> None:
    """libvirt itself refuses a second subscription of one connection to one kind of event."""
    libvirt.virEventRegisterDefaultImpl()
    ends = [host.on_completed(lambda _name, _stats: None) for _ in range(3)]
    for end in ends:
        end()
    host.on_completed(lambda _name, _stats: None)()


class OneSubscription:
    """A connection that has one subscription at a time."""

    def __init__(self) -> None:
        self.events: list[Callable[..., None]] = []
        self.removed: list[int] = []

    def domainEventRegisterAny(  # noqa: N802  (libvirt's name)
        self, _domain: None, _kind: int, event: Callable[..., None], _opaque: None
    ) -> int:
        self.events.append(event)
        return len(self.events)

    def domainEventDeregisterAny(self, number: int) -> None:  # noqa: N802  (libvirt's name)
        self.removed.append(number)


def test_each_that_asks_is_told_until_it_ends(host: LibvirtHost) -> None:
    connection, domain = OneSubscription(), host.connection.lookupByName("test")
    asked, told = LibvirtHost(connection), []
    first = asked.on_completed(lambda name, stats: told.append(("first", name, stats)))
    second = asked.on_completed(lambda name, stats: told.append(("second", name, stats)))
    (event,) = connection.events
    event(None, domain, {"downtime": 3}, None)
    assert told == [("first", "test", {"downtime": 3}), ("second", "test", {"downtime": 3})]
    first()
    first()
    assert connection.removed == []
    event(None, domain, {}, None)
    assert [name for name, _, _ in told[2:]] == ["second"]
    second()
    assert connection.removed == [1]
    asked.on_completed(lambda _name, _stats: None)
    assert len(connection.events) == 2


def test_both_hosts_are_asked_at_once_and_the_one_that_answered_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    together, asked, down = threading.Barrier(2), list[str](), {"b"}

    def opened(_hosts: LibvirtHosts, role: str) -> libvirt.virConnect:
        asked.append(role)
        if len(down) == 1:
            together.wait(20)
        if role in down:
            raise UnreachableError("libvirt does not answer", where=f"host {role}")
        return libvirt.open("test:///default")

    monkeypatch.setattr(hypervisors, "ssh_command_text", lambda _machine: "")
    monkeypatch.setattr(LibvirtHosts, "_open", opened)
    pair: Any = SimpleNamespace(machines={"a": None, "b": None})
    with LibvirtHosts(pair) as hosts:
        with pytest.raises(UnreachableError, match="host b"):
            hosts.connect()
        assert sorted(asked) == ["a", "b"]
        down.clear()
        assert set(hosts.connect()) == {"a", "b"}
        assert sorted(asked) == ["a", "b", "b"]
