"""A stage for the response loop: a guest on a, with servers, a mover and a prover that act as the test says.

Its registry is a real one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from harness.attest.examine.outcome import LinkedRound
from harness.attest.guest.continuity import Quoted
from harness.attest.measures.timings import Span
from harness.attest.reasons import Reason, Tier
from harness.attest.verdict import Verdict
from harness.clock import MonotonicClock, sleep
from harness.evidence.events import Value
from harness.json_types import Json
from harness.migration.driver import Outcome
from harness.policy.fleet import Fleet
from harness.policy.request import Request
from harness.registry.registry import Registry
from harness.registry.values import Placement
from harness.response.act.arriving import Arriving
from harness.response.act.loop import Loop, Settings
from harness.response.act.prover import Arrived, Requoted
from harness.response.act.responder import Decided, Ended, Moved, Responder
from harness.response.decide.assessment import Vm
from harness.response.policy import ResponsePolicy
from tests.response.fleets import TABLE, good, policy, server

VM = "guest"
CLOCK = MonotonicClock()
NOTHING = LinkedRound(guest=cast(Any, None), host=None, linked=None, checked_ns=0)
"""What a played look finds; no test reads it."""


@dataclass
class Outlook:
    """Servers that are what the test says."""

    trusts: dict[str, Verdict] = field(default_factory=lambda: {"a": good(10**19), "b": good(10**19)})

    def fleet(self, running: Mapping[str, int]) -> Fleet:
        fleet = Fleet(TABLE)
        for name, trust in self.trusts.items():
            fleet.update(server(name, trust=trust, running_vms=running.get(name, 0)))
        return fleet

    def noticed(self, server: str) -> None:
        """No look found it."""


@dataclass
class Hands:
    """A mover whose moves end as the test says."""

    outcomes: list[str | None] = field(default_factory=list)
    during: Callable[[str], None] = lambda _destination: None
    destination: str | None = None
    moves: list[tuple[int, str]] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    called_off: str | None = None
    too_late: bool = False
    seen_to_run: bool = True

    def move(self, n: int, destination: str, runs: Callable[[], None]) -> Moved:
        self.moves.append((n, destination))
        self.destination, self.called_off = destination, None
        began_ns = CLOCK.now_ns()
        self.during(destination)
        if self.seen_to_run:
            runs()
            runs()
        self.destination = None
        error = self.outcomes.pop(0) if self.outcomes else None
        if self.called_off is not None and not self.too_late:
            error = "operation aborted"
        outcome = Outcome(ok=error is None, returned_ns=CLOCK.now_ns(), error=error)
        return Moved(began_ns=began_ns, outcome=outcome, called_off=self.called_off)

    def call_off(self, reason: str) -> bool:
        self.called_off = reason
        return True

    def stop(self, what: str) -> str | None:
        self.stops.append(what)
        return None


@dataclass
class Prover:
    """TPMs that say what the test says."""

    bad: set[str] = field(default_factory=set)
    arrived: Reason = Reason.ACCEPTED
    old_ns: int = 0
    looks: list[tuple[str, int]] = field(default_factory=list)

    def requote(self, server: str) -> Requoted:
        bad = server in self.bad
        tier, reason = (Tier.CONTRAINDICATED, Reason.PCR_VALUE) if bad else (Tier.AFFIRMING, Reason.ACCEPTED)
        quoted = Quoted(host=server, tier=tier, reason=reason, generated_ns=CLOCK.now_ns() - self.old_ns)
        return Requoted(quoted=quoted, good=not bad, detail="", latency_ns=1, quote_ns=1)

    def arriving(self, server: str, epoch: int) -> Arriving:
        return Arriving(lambda: self._look(server, epoch), CLOCK)

    def _look(self, server: str, epoch: int) -> LinkedRound:
        self.looks.append((server, epoch))
        return NOTHING

    def arrival(self, arriving: Arriving, chosen: Quoted, source: str, over: Span, epoch: int) -> Arrived:
        assert arriving.found() is NOTHING
        good = self.arrived is Reason.ACCEPTED
        return Arrived(
            verdict=Verdict(tier=Tier.AFFIRMING if good else Tier.CONTRAINDICATED, reason=self.arrived),
            window_ns=1,
            same_key=True,
            quotes_ns=1,
        )


@dataclass
class Stage:
    """One guest on a, guarded."""

    registry: Registry
    outlook: Outlook = field(default_factory=Outlook)
    hands: Hands = field(default_factory=Hands)
    prover: Prover = field(default_factory=Prover)
    said: list[tuple[str, Mapping[str, Json]]] = field(default_factory=list)
    ends: list[Ended] = field(default_factory=list)
    gone: bool = False
    loop: Loop | None = None

    def vms(self) -> Mapping[str, Vm]:
        stored = self.registry.protection.current(VM)
        if stored is None or self.gone:
            return {}
        place = self.placement(VM)
        return {
            VM: Vm(
                name=VM,
                host=place.host,
                request=Request.from_json(stored.body),
                request_number=stored.number,
                placed_ns=0,
            )
        }

    def placement(self, vm: str) -> Placement:
        found = self.registry.placement(vm)
        assert found is not None
        return found

    def tell(self, value: Value, *, t_ns: int | None = None) -> None:
        self.said.append((value.KIND, value.to_data()))

    def _over(self, decided: Decided, ended: Ended) -> None:
        self.gone = ended.state == "shut-down"
        self.ends.append(ended)

    def guard(self, given: ResponsePolicy | None = None) -> Loop:
        responder = Responder(
            self.registry,
            self.prover,
            self.hands,
            self.tell,
            CLOCK,
            owner="this",
            max_window_ns=(given or quick()).max_window_ns,
        )
        self.loop = Loop(
            Settings(policy=given or quick(), seed=1, poll_s=0.01),
            self.outlook,
            self,
            responder,
            lambda _vm: self.hands,
            CLOCK,
            on_end=self._over,
        )
        self.loop.start()
        return self.loop

    def await_ends(self, count: int, limit_s: float = 10.0) -> Sequence[Ended]:
        end_ns = CLOCK.now_ns() + round(limit_s * 1e9)
        while len(self.ends) < count and CLOCK.now_ns() < end_ns:
            assert self.loop is not None
            self.loop.check()
            sleep(0.005)
        assert len(self.ends) >= count, self.said
        return self.ends

    def states(self) -> list[str]:
        """Every state of every response, oldest first."""
        newest_first = self.registry.responses.of(VM)
        return [
            step.state.value
            for one in reversed(newest_first)
            for step in self.registry.responses.steps(one.number)
        ]


def quick(**more: Any) -> ResponsePolicy:
    """A policy whose limits end at once."""
    times: dict[str, Any] = {"settle_s": 0.0, "return_after_s": 0.0, "retry_after_s": 0.05, "per_s": 60.0}
    return policy(**{**times, "max_moves": 10, **more})
