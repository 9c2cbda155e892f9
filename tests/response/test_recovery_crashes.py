"""A migration whose controller dies at any point, and dies again: the VM never runs twice and is not lost.

The model follows libvirt's managed migration (prepare, perform, finish, confirm) and leaves open what the
daemons do once the controller's connections are gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from harness.response.decide.after_crash import Domain, Found, OpenState, Recovery, Step, recover

PHASES = ("begun", "asked", "prepared", "performed", "finished", "confirmed", "arrived")


@dataclass
class World:
    """Two hosts, the VM's copies on them, and what the registry has of its response."""

    suspended: bool
    state: OpenState = "begun"
    here: Domain = Domain.RUNNING
    there: Domain = Domain.ABSENT
    job: bool = False

    def __post_init__(self) -> None:
        if self.suspended:
            self.here = Domain.PAUSED

    def check(self) -> None:
        copies = (self.here, self.there)
        assert copies.count(Domain.RUNNING) <= 1
        assert Domain.RUNNING in copies or Domain.PAUSED in copies, "the VM's memory is lost"

    def go_on(self, phase: str) -> None:
        """The next phase of the migration, as long as the controller lives."""
        runs = Domain.PAUSED if self.suspended else Domain.RUNNING
        if phase == "asked":
            self.state = "migrating"
        elif phase == "prepared":
            self.there, self.job = Domain.INCOMING, True
        elif phase == "performed":
            self.here = Domain.PAUSED
        elif phase == "finished":
            self.there, self.job = runs, False
        elif phase == "confirmed":
            self.here = Domain.ABSENT
        elif phase == "arrived":
            self.state = "arrived"
        self.check()

    def connections_close(self, pick: Callable[[str, list[bool]], bool]) -> None:
        """What the daemons do when the controller is gone: clean up, or not, now or later."""
        if self.job and pick("the job ends", [True, False]):
            self.job = False
            if (
                self.here is Domain.PAUSED
                and not self.suspended
                and pick("the source resumes", [True, False])
            ):
                self.there, self.here = Domain.ABSENT, Domain.RUNNING
            elif pick("the copy is cleaned up", [True, False]):
                self.there = Domain.ABSENT
        self.check()

    def settle(self, pick: Callable[[str, list[bool]], bool]) -> None:
        """A job that went on without its controller ends."""
        self.job = False
        if pick("it fails", [True, False]):
            self.there = Domain.ABSENT
            self.here = Domain.PAUSED if self.suspended else Domain.RUNNING
        else:
            self.here, self.there = Domain.PAUSED, Domain.INCOMING
        self.check()

    def do(self, recovery: Recovery) -> None:
        for host in recovery.hosts:
            if recovery.step is Step.DESTROY:
                assert self.at(host) is not Domain.RUNNING
                self.put(host, Domain.ABSENT)
            elif recovery.step is Step.RESUME:
                self.put(host, Domain.RUNNING)
            elif recovery.step is Step.SUSPEND:
                self.put(host, Domain.PAUSED)
        self.check()

    def at(self, host: str) -> Domain:
        return self.here if host == "a" else self.there

    def put(self, host: str, domain: Domain) -> None:
        if host == "a":
            self.here = domain
        else:
            self.there = domain

    def found(self, silent: set[str]) -> Found:
        return Found(
            state=self.state,
            intent="move",
            source="a",
            destination="b",
            domains={host: Domain.UNKNOWN if host in silent else self.at(host) for host in "ab"},
            placed="b" if self.state == "arrived" else "a",
            job=None if "a" in silent else self.job,
            suspended=self.suspended,
        )


@given(st.data(), st.integers(0, len(PHASES)), st.booleans())
def test_wherever_the_controller_dies_the_vm_is_found_and_runs_once(
    data: st.DataObject, reached: int, suspended: bool
) -> None:
    def pick(label: str, choices: list[bool]) -> bool:
        return data.draw(st.sampled_from(choices), label=label)

    world = World(suspended=suspended)
    for phase in PHASES[1:reached]:
        world.go_on(phase)
    world.connections_close(pick)
    finished = world.there in {Domain.RUNNING, Domain.PAUSED}
    for look in range(12):
        silent = (
            data.draw(st.sets(st.sampled_from("ab")), label="hosts that do not answer") if look < 6 else set()
        )
        recovery = recover(world.found(silent))
        if recovery.step in {Step.CLOSE, Step.VERIFY, Step.ASK}:
            break
        if recovery.step is Step.LOOK_AGAIN and world.job and not silent:
            world.settle(pick)
        if pick("it lives to carry it out", [True, False]) or look >= 6:
            world.do(recovery)
    else:
        raise AssertionError("no end")
    if recovery.step is Step.CLOSE:
        assert not finished
        assert recovery.closed in {"failed", "abandoned"}
        assert (world.here, world.there) == (Domain.PAUSED if suspended else Domain.RUNNING, Domain.ABSENT)
    elif recovery.step is Step.VERIFY:
        assert finished
        assert (world.here, world.there) == (
            Domain.ABSENT,
            Domain.PAUSED if suspended else Domain.RUNNING,
        )
    else:
        assert suspended
        assert (world.here, world.there) == (Domain.PAUSED, Domain.PAUSED)
