"""A controller comes back: what is on two hosts, what the registry has, and how each case ends.

The hosts are played; the table that decides has tests of its own, and the lab kills real controllers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.attest.reasons import Reason, Tier
from harness.attest.verdict import Verdict
from harness.errors import GuestError
from harness.evidence.events import Value
from harness.json_types import Json
from harness.registry.registry import Registry, open_registry
from harness.response.act.prover import Arrived
from harness.response.act.recoverer import Recoverer
from harness.rig.contract import DomainState, NoDomainError, PausedReason
from harness.rig.guest.guest import Guest
from tests.registry.blank import blank
from tests.registry.subjects import enrolment
from tests.synthetic.clocks import SteppedClock

VM = "guest"
RUNNING = (DomainState.RUNNING, 0)
PAUSED = (DomainState.PAUSED, PausedReason.USER)
MIGRATING = (DomainState.PAUSED, PausedReason.MIGRATION)


@dataclass
class Host:
    """One host's hypervisor, which knows one domain or none."""

    at: tuple[int, int] | None
    jobs: list[bool] = field(default_factory=list)
    did: list[str] = field(default_factory=list)

    def domain(self, _name: str) -> Host:
        if self.at is None:
            raise NoDomainError("no domain")
        return self

    @property
    def job(self) -> Host:
        return self

    def state(self) -> tuple[int, int]:
        assert self.at is not None
        return self.at

    def running(self) -> bool:
        return self.jobs.pop(0) if self.jobs else False

    def destroy(self) -> None:
        self.did.append("destroy")
        self.at = None

    def resume(self) -> None:
        self.did.append("resume")
        self.at = RUNNING

    def suspend(self) -> None:
        self.did.append("suspend")
        self.at = PAUSED


GUEST = Guest(name="guest", domain="sodbench-guest", mac="52:54:00:5d:be:4c", address="198.18.0.100")


@dataclass
class Hosts:
    """A rig as far as it is asked here."""

    a: Host
    b: Host
    subject: Guest = GUEST

    @property
    def hypervisors(self) -> Hosts:
        return self

    def connect(self) -> Mapping[str, Host]:
        return {"a": self.a, "b": self.b}


@dataclass
class Prover:
    """Says of the guest what the test says."""

    reason: Reason = Reason.ACCEPTED
    asked: list[tuple[str, int]] = field(default_factory=list)

    def again(self, server: str, epoch: int) -> Arrived:
        self.asked.append((server, epoch))
        tier = Tier.AFFIRMING if self.reason is Reason.ACCEPTED else Tier.CONTRAINDICATED
        verdict = Verdict(tier=tier, reason=self.reason)
        return Arrived(verdict=verdict, window_ns=None, same_key=None, quotes_ns=0)


@dataclass
class Left:
    """What a controller left behind that is gone."""

    registry: Registry
    prover: Prover = field(default_factory=Prover)
    said: list[Mapping[str, Json]] = field(default_factory=list)

    def open(self, *states: str, action: str = "move") -> int:
        decision: dict[str, Json] = {"source": "a", "destination": "b", "action": action}
        found = self.registry.responses.begin(VM, owner="dead", trigger={}, decision=decision)
        for state in states:
            self.registry.responses.advance(found.number, state, {}, owner="dead")
        return found.number

    def recover(self, hosts: Hosts) -> int:
        def tell(value: Value, *, t_ns: int | None = None) -> None:
            del t_ns
            self.said.append(value.to_data())

        clock: Any = SteppedClock()
        rig: Any = hosts
        prover: Any = self.prover
        return Recoverer(rig, self.registry, prover, tell, clock, owner="new").recover(VM)

    def state(self, number: int) -> str:
        found = self.registry.responses.get(number)
        assert found is not None
        return found.state.value


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Left]:
    with open_registry(blank(tmp_path)) as registry:
        for name in ("a", "b"):
            registry.enrol(enrolment(name))
        registry.enrol(enrolment(VM, kind="guest"))
        registry.place(VM, "a", 1)
        yield Left(registry)


def test_nothing_left_is_nothing_to_do(left: Left) -> None:
    assert left.recover(Hosts(Host(RUNNING), Host(None))) == 0


def test_killed_before_the_call_it_is_abandoned_and_decided_anew(left: Left) -> None:
    number, hosts = left.open(), Hosts(Host(RUNNING), Host(None))
    assert left.recover(hosts) == 1
    assert (left.state(number), hosts.a.did, hosts.b.did) == ("abandoned", [], [])
    assert left.registry.responses.open() == ()


def test_killed_while_it_moved_the_end_is_waited_for_and_proved(left: Left) -> None:
    number = left.open("migrating")
    hosts = Hosts(Host(None), Host(MIGRATING))

    class Leaving(Host):
        """Its job runs for some looks; then the guest is on b."""

        def running(self) -> bool:
            said = super().running()
            if not self.jobs:
                hosts.b.at, self.at = RUNNING, None
            return said

    hosts.a = Leaving(RUNNING, jobs=[True, True, True])
    assert left.recover(hosts) == 1
    assert left.state(number) == "completed"
    place = left.registry.placement(VM)
    assert place is not None
    assert (place.host, place.epoch, left.prover.asked) == ("b", 2, [("b", 2)])


def test_a_copy_that_never_ran_is_destroyed_and_the_guest_goes_on_where_it_was(left: Left) -> None:
    number, hosts = left.open("migrating"), Hosts(Host(MIGRATING), Host(MIGRATING))
    left.recover(hosts)
    assert (hosts.b.did, hosts.a.did) == (["destroy"], ["resume"])
    assert left.state(number) == "failed"


def test_what_runs_twice_is_stopped_where_the_registry_does_not_place_it(left: Left) -> None:
    number, hosts = left.open("migrating"), Hosts(Host(RUNNING), Host(RUNNING))
    with pytest.raises(GuestError, match="only a person"):
        left.recover(hosts)
    assert (hosts.a.did, hosts.b.did) == ([], ["suspend"])
    assert left.state(number) == "migrating"
    assert [one.kind for one in left.registry.audit.entries()].count("alarm") >= 1


def test_a_guest_that_is_another_after_the_crash_is_a_failed_response(left: Left) -> None:
    left.prover.reason = Reason.GUEST_RESTARTED
    number = left.open("migrating")
    left.recover(Hosts(Host(None), Host(RUNNING)))
    assert left.state(number) == "failed"


def test_arrived_and_killed_before_the_proof_it_is_proved_now(left: Left) -> None:
    number = left.open("migrating", "arrived")
    left.registry.place(VM, "b", 2)
    left.recover(Hosts(Host(None), Host(RUNNING)))
    assert left.state(number) == "completed"
    assert left.prover.asked == [("b", 2)]


def test_who_took_over_and_why_is_kept(left: Left) -> None:
    number = left.open()
    left.recover(Hosts(Host(RUNNING), Host(None)))
    found = left.registry.responses.get(number)
    assert found is not None
    assert found.owner == "new"
    kinds = [one.kind for one in left.registry.audit.entries()]
    assert "recovery" in kinds


def test_a_second_crash_in_the_middle_of_the_recovery_changes_nothing(left: Left) -> None:
    number, hosts = left.open("migrating"), Hosts(Host(MIGRATING), Host(MIGRATING))
    failing: Any = hosts.a

    def die() -> None:
        raise KeyboardInterrupt

    failing.resume = die
    with pytest.raises(KeyboardInterrupt):
        left.recover(hosts)
    assert hosts.b.at is None
    del failing.__dict__["resume"]
    left.recover(hosts)
    assert (left.state(number), hosts.a.did) == ("failed", ["resume"])
