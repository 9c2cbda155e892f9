"""What the journal says of one response: its stamps and its words, read whole.

Metrics are functions of the values made here. Reading never judges and never guesses: a stamp that was
not recorded raises :class:`NotMeasured` with the reason where it is asked for. A response that decided more
than once, because its destination was lost on the way, is read by its first detection and its last decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from harness.evidence.attempt import Attempt, Migration, number
from harness.evidence.events import (
    OfResponse,
    ResponseAccepted,
    ResponseActed,
    ResponseArrived,
    ResponseClosed,
    ResponseDecided,
    ResponseDetected,
    ResponseLaunched,
    ResponseMissed,
    ResponseProvoked,
)
from harness.evidence.journal import Event
from harness.evidence.metric import NotApplicable, NotMeasured

MOVING_TARGET = "moving-target"
"""The scenario, and the cause, that answers to nothing that happened: there is nothing to detect."""
MOVE = "move"
"""The action that is a migration; every other one is carried out where the guest is."""
STAGES = ("validate", "start", "enrol", "attest", "place")
"""The stages of a guest's deployment, in their order."""
ABOUT: tuple[type[OfResponse], ...] = (
    ResponseProvoked,
    ResponseDetected,
    ResponseDecided,
    ResponseAccepted,
    ResponseActed,
    ResponseArrived,
    ResponseClosed,
    ResponseMissed,
)
"""The events of a response, in their order."""

R = TypeVar("R", bound=OfResponse)


@dataclass(frozen=True, kw_only=True, eq=False)
class Response:
    """One response of an attempt: what the journal says about the number `n`."""

    attempt: Attempt
    n: int

    @property
    def scenario(self) -> str | None:
        """What the trial demonstrates, or None for a trial that demonstrates no response."""
        return self.attempt.scenario

    @property
    def migration(self) -> Migration | None:
        """The migration that followed, or None where none was begun."""
        return next((one for one in self.attempt.migrations if one.n == self.n), None)

    @property
    def guest(self) -> str | None:
        """The guest that it is about; None where the journal knows one guest only, or nothing followed."""
        told = (value for kind in ABOUT for _, value in self.attempt.told(kind) if value.n == self.n)
        return next((value.guest for value in told if value.guest is not None), None)

    @property
    def action(self) -> str | None:
        """What was decided: ``move``, ``hold``, ``suspend`` or ``shut-down``; None where nothing was."""
        said = self.said(ResponseActed) or self.said(ResponseDecided)
        return None if said is None else said.action

    @property
    def unprovoked(self) -> bool:
        """Whether it answers to nothing that happened: the moves of moving-target defence."""
        detected = self.said(ResponseDetected)
        return MOVING_TARGET in (self.scenario, detected and detected.cause)

    def said(self, kind: type[R]) -> R | None:
        """What the last event of that kind says of it, the first one for what was detected; or None."""
        found = self._found(kind)
        return None if found is None else found[1]

    def _found(self, kind: type[R]) -> tuple[Event, R] | None:
        told = [(event, value) for event, value in self.attempt.told(kind) if value.n == self.n]
        if not told and kind is ResponseProvoked:
            told = self._of_several(kind)
        if not told:
            return None
        return told[0] if kind is ResponseDetected else told[-1]

    def _of_several(self, kind: type[R]) -> list[tuple[Event, R]]:
        """What made several guests leave, of which this response is about one."""
        earlier = [(event, value) for event, value in self.attempt.told(kind) if value.n <= self.n]
        return [(event, value) for event, value in earlier if getattr(value, "of_several", False)]

    @property
    def missed(self) -> ResponseMissed | None:
        """That it did not come in time; None where it did, although another guest's did not."""
        provoked = self.said(ResponseProvoked)
        if provoked is not None and provoked.of_several and self.said(ResponseClosed) is not None:
            return None
        return self.said(ResponseMissed)

    @property
    def provoked_ns(self) -> int:
        """When what it answers to had happened for certain; raises where nothing was provoked."""
        self._must_be_provoked()
        return self._must_say(ResponseProvoked).latest_ns

    @property
    def provoked_width_ns(self) -> int:
        """For how long before :attr:`provoked_ns` it may have happened already."""
        self._must_be_provoked()
        return max(0, self.provoked_ns - self._must_say(ResponseProvoked).earliest_ns)

    def _must_be_provoked(self) -> None:
        if self.unprovoked:
            raise NotApplicable("moving-target defence answers to nothing that happened")

    @property
    def evidence_ns(self) -> int:
        """When the evidence was there that shows it."""
        return self._known(self._must_say(ResponseDetected).evidence_ns, "evidence_ns")

    @property
    def result_ns(self) -> int:
        """When the result made of that evidence was there."""
        return self._known(self._must_say(ResponseDetected).result_ns, "result_ns")

    def _known(self, stamp_ns: int | None, name: str) -> int:
        if stamp_ns is None:
            raise NotMeasured(f"{ResponseDetected.KIND} has no {name}")
        return stamp_ns

    @property
    def decided_ns(self) -> int:
        """When the decision was durable."""
        return self._stamp(ResponseDecided)

    @property
    def accepted_ns(self) -> int:
        """When the source's libvirt was seen to hold the migration's job."""
        self._must_move()
        return self._stamp(ResponseAccepted)

    @property
    def arrived_ns(self) -> int:
        """When the verdict on the guest at its destination was stored."""
        self._must_move()
        return self._stamp(ResponseArrived)

    @property
    def acted_ns(self) -> int:
        """When what was decided in place of a migration had been carried out."""
        if self.action == MOVE:
            raise NotApplicable("the guest was moved")
        acted = self._must_say(ResponseActed)
        if not acted.ok:
            raise NotMeasured(f"{self.action} failed: {acted.error or 'no reason given'}")
        return self._stamp(ResponseActed)

    @property
    def moved(self) -> Migration:
        """The migration that followed and succeeded; raises with the reason where none did."""
        self._must_move()
        migration = self.migration
        if migration is None:
            raise NotMeasured(self._without("no migration followed"))
        if migration.failure is not None:
            raise NotMeasured(f"the migration {migration.failure}")
        return migration

    @property
    def quotes_ns(self) -> int:
        """What the TPMs themselves took for quotes before the move and after its return, not during it."""
        decided, arrived = self.said(ResponseDecided), self.said(ResponseArrived)
        own = [] if decided is None or decided.requote is None else [number(decided.requote, "quote_ns")]
        own.append(None if arrived is None else arrived.quotes_ns)
        if None in own:
            raise NotMeasured("the journal does not say how long the TPMs took for their quotes")
        return round(sum(one for one in own if one is not None))

    @property
    def last_ns(self) -> int:
        """The last thing that is known of it."""
        stamps = [found[0].t_ns for kind in ABOUT if (found := self._found(kind)) is not None]
        return max(stamps, default=0)

    def _must_move(self) -> None:
        if self.action not in (MOVE, None):
            raise NotApplicable(f"the guest was not moved: {self.action}")

    def _must_say(self, kind: type[R]) -> R:
        return self._must_be_found(kind)[1]

    def _stamp(self, kind: type[OfResponse]) -> int:
        return self._must_be_found(kind)[0].t_ns

    def _must_be_found(self, kind: type[R]) -> tuple[Event, R]:
        found = self._found(kind)
        if found is None:
            raise NotMeasured(self._without(f"the journal has no {kind.KIND} of this response"))
        return found

    def _without(self, otherwise: str) -> str:
        """Why there is nothing: the response was missed, or closed early, or else what the caller says."""
        missed, closed = self.missed, self.said(ResponseClosed)
        if missed is not None:
            return f"nothing followed: {missed.reason or 'no reason given'}"
        if closed is not None and closed.state in ("failed", "called-off", "abandoned"):
            return f"{closed.state}: {closed.reason or 'no reason given'}"
        return otherwise


def responses(attempt: Attempt) -> tuple[Response, ...]:
    """Every response of the attempt, missed ones too, by number."""
    numbers = {value.n for kind in ABOUT for _, value in attempt.told(kind)}
    return tuple(Response(attempt=attempt, n=n) for n in sorted(numbers))


def stages(attempt: Attempt) -> Mapping[str, int]:
    """What each stage of the guest's deployment took, ns; raises NotMeasured where that was not recorded."""
    attempt.first(ResponseLaunched)
    launched = attempt.value(ResponseLaunched)
    if launched is None:
        raise NotMeasured("the deployment's stages were not recorded")
    return {name: took_ns for name, took_ns in launched.stages_ns.items() if took_ns is not None}
