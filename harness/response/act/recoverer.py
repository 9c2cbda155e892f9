"""A controller comes back: what was open is brought to an end before anything new is decided.

What is to be done is :func:`harness.response.decide.after_crash.recover`'s; this looks at the hosts, does the
one thing that it says, and looks again. Two looks in a row must agree, because hosts cannot be asked at one
moment.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

from harness.clock import NS_PER_S, Clock
from harness.errors import GuestError
from harness.evidence.events import ResponseRecovered
from harness.json_types import Json
from harness.registry.registry import Registry
from harness.registry.responses import StoredResponse
from harness.response.act.prover import Prover
from harness.response.act.responder import Tell
from harness.response.decide.after_crash import Domain, Found, Intent, OpenState, Recovery, Step, recover
from harness.rig.contract import (
    DomainState,
    Hypervisor,
    HypervisorError,
    NoDomainError,
    PausedReason,
    WrongStateError,
)
from harness.rig.guest.guest import Guest
from harness.rig.rig import Rig

LIMIT_S = 120.0
"""How long a look is repeated while something changes or a host is silent."""
_LOOK_S = 0.3

_STATES: Mapping[int, Domain] = MappingProxyType(
    {
        DomainState.RUNNING: Domain.RUNNING,
        DomainState.BLOCKED: Domain.RUNNING,
        DomainState.PAUSED: Domain.PAUSED,
        DomainState.SUSPENDED_BY_GUEST: Domain.PAUSED,
    }
)
_SPLIT = frozenset({PausedReason.POST_COPY, PausedReason.POST_COPY_FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    domains: Mapping[str, Domain]
    job: bool | None


class Recoverer:
    """Ends what a controller that is gone left open.

    Args:
        rig: The machines.
        registry: What was left open.
        prover: Proves where the guest is.
        tell: Journals what was done.
        clock: The controller's.
        owner: Who takes over.
    """

    def __init__(
        self, rig: Rig, registry: Registry, prover: Prover, tell: Tell, clock: Clock, *, owner: str
    ) -> None:
        self._rig = rig
        self._registry = registry
        self._prover = prover
        self._tell = tell
        self._clock = clock
        self._owner = owner

    def recover(self, vm: str) -> int:
        """Bring every open response of `vm` to its end; how many there were.

        Raises:
            GuestError: Only a person can tell what is to be done, or a host did not answer in time.
            RegistryError: The registry does not answer.
        """
        left = [one for one in self._registry.responses.open() if one.vm == vm]
        for one in left:
            self._registry.responses.adopt(
                one.number, owner=self._owner, why="its controller is gone: this one came after it"
            )
            self._end(one)
        return len(left)

    def _end(self, response: StoredResponse) -> None:
        end_ns = self._clock.now_ns() + round(LIMIT_S * NS_PER_S)
        while True:
            found = self._found(response, self._agreed(response))
            answer = recover(found)
            self._note(response, answer)
            if answer.step is Step.LOOK_AGAIN and self._clock.now_ns() < end_ns:
                self._clock.wait(1.0, threading.Event())
            elif answer.step in {Step.ASK, Step.LOOK_AGAIN}:
                raise self._only_a_person(response, answer)
            elif answer.step is Step.CLOSE:
                state = cast(str, answer.closed)
                self._registry.responses.advance(
                    response.number, state, {"why": answer.why}, owner=self._owner
                )
                return
            elif answer.step is Step.VERIFY:
                self._verify(response, found, answer)
                return
            elif self._clock.now_ns() < end_ns:
                self._act(answer)
            else:
                raise self._only_a_person(response, answer)

    def _only_a_person(self, response: StoredResponse, answer: Recovery) -> GuestError:
        return GuestError(
            f"response {response.number} was left open, and only a person can end it",
            where=response.vm,
            why=answer.why,
            remedy="look at both hosts (`virsh list --all`), end what must not be, and start again",
        )

    def _note(self, response: StoredResponse, answer: Recovery) -> None:
        said: dict[str, Json] = {
            "response": response.number,
            "step": answer.step.value,
            "hosts": list(answer.hosts),
            "why": answer.why,
        }
        recovered = ResponseRecovered(
            response=response.number, step=answer.step.value, hosts=list(answer.hosts), why=answer.why
        )
        self._tell(recovered)
        self._registry.audit.append("alarm" if answer.alarm else "recovery", response.vm, said)

    def _act(self, answer: Recovery) -> None:
        """Do it; what changed in between, so that it cannot be done, is seen at the next look."""
        connections = self._rig.hypervisors.connect()
        for host in answer.hosts:
            with contextlib.suppress(HypervisorError):
                domain = connections[host].domain(self._rig.subject.domain)
                if answer.step is Step.DESTROY:
                    domain.destroy()
                elif answer.step is Step.RESUME:
                    domain.resume()
                else:
                    domain.suspend()

    def _verify(self, response: StoredResponse, found: Found, answer: Recovery) -> None:
        destination = cast(str, found.destination)
        number, registry = response.number, self._registry
        place = registry.placement(response.vm)
        if place is None or place.host != destination:
            place = registry.place(response.vm, destination, 1 if place is None else place.epoch + 1)
        if found.state == "begun":
            registry.responses.advance(number, "migrating", {"why": answer.why}, owner=self._owner)
        if found.state != "arrived":
            registry.responses.advance(
                number, "arrived", {"epoch": place.epoch, "why": answer.why}, owner=self._owner
            )
        proved = self._prover.again(destination, place.epoch)
        said: dict[str, Json] = {
            "tier": proved.verdict.tier.value,
            "reason": proved.verdict.reason.value,
            "detail": proved.verdict.detail,
        }
        registry.responses.advance(number, "completed" if proved.good else "failed", said, owner=self._owner)

    # -- looks

    def _agreed(self, response: StoredResponse) -> _Seen:
        """What two looks in a row agree on."""
        seen = self._look(response)
        while True:
            self._clock.wait(_LOOK_S, threading.Event())
            again = self._look(response)
            if again == seen:
                return seen
            seen = again

    def _look(self, response: StoredResponse) -> _Seen:
        source = str(response.decision.get("source"))
        domains: dict[str, Domain] = {}
        jobs: list[bool | None] = []
        for host, connection in self._rig.hypervisors.connect().items():
            domains[host], job = _asked(connection, self._rig.subject, is_source=host == source)
            jobs.append(job)
        job = True if True in jobs else None if None in jobs else False
        return _Seen(domains=domains, job=job)

    def _found(self, response: StoredResponse, seen: _Seen) -> Found:
        decision = response.decision
        destination = decision.get("destination")
        place = self._registry.placement(response.vm)
        current = self._registry.responses.get(response.number)
        source = str(decision["source"])
        return Found(
            state=cast(OpenState, str((current or response).state)),
            intent=cast(Intent, decision["action"]),
            source=source,
            destination=None if destination is None else str(destination),
            domains=seen.domains,
            placed=source if place is None else place.host,
            job=seen.job,
            suspended=self._was_suspended(response),
        )

    def _was_suspended(self, response: StoredResponse) -> bool:
        """Whether the response before this one had suspended the guest."""
        before = (one for one in self._registry.responses.of(response.vm) if one.number < response.number)
        return any(one.state == "suspended" for one in list(before)[:1])


def _asked(connection: Hypervisor, guest: Guest, *, is_source: bool) -> tuple[Domain, bool | None]:
    """What a host says of the guest, and whether a job of it runs there."""
    try:
        domain = connection.domain(guest.domain)
        state, reason = domain.state()
        job = domain.job.running()
    except (NoDomainError, WrongStateError):
        return Domain.ABSENT, False
    except HypervisorError:
        return Domain.UNKNOWN, None
    if state == DomainState.PAUSED and reason in _SPLIT:
        return Domain.SPLIT, job
    if state == DomainState.PAUSED and reason == PausedReason.MIGRATION and not is_source:
        return Domain.INCOMING, job
    return _STATES.get(state, Domain.OFF), job
