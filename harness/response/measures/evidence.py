"""What the journal says of one response: its stamps and its words, read whole.

Metrics are functions of the values made here. Reading never judges and never guesses: a stamp that nobody
recorded raises :class:`NotMeasured` with the reason where somebody asks for it. A response that decided more
than once, because its destination was lost on the way, is read by its first detection and its last decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.evidence.attempt import Attempt, Migration, migration_number, number
from harness.evidence.journal import Event
from harness.evidence.metric import NotApplicable, NotMeasured
from harness.json_types import Json

OBSERVER = "response"
"""Who says so in the journal."""
MOVING_TARGET = "moving-target"
"""The scenario, and the cause, that answers to nothing that happened: there is nothing to detect."""
MOVE = "move"
"""The action that is a migration; every other one is carried out where the guest is."""
STAGES = ("validate", "start", "enrol", "attest", "place")
"""The stages of a guest's deployment, in their order."""
ABOUT = ("provoked", "detected", "decided", "accepted", "acted", "arrived", "closed", "missed")
"""The events of a response, in their order, without their prefix."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Response:
    """One response of an attempt: what the journal says about the number `n`."""

    attempt: Attempt
    n: int

    @property
    def scenario(self) -> str | None:
        """What the trial demonstrates, or None for a trial that demonstrates no response."""
        return scenario(self.attempt)

    @property
    def migration(self) -> Migration | None:
        """The migration that followed, or None where none was begun."""
        known = Migration.known(self.attempt, self.n)
        return Migration(attempt=self.attempt, n=self.n) if known else None

    @property
    def action(self) -> str | None:
        """What was decided: ``move``, ``hold``, ``suspend`` or ``shut-down``; None where nothing was."""
        for event in (self.last("acted"), self.last("decided")):
            action = None if event is None else event.data.get("action")
            if isinstance(action, str):
                return action
        return None

    @property
    def unprovoked(self) -> bool:
        """Whether it answers to nothing that happened: the moves of moving-target defence."""
        return MOVING_TARGET in (self.scenario, self.said("detected", "cause"))

    def first(self, kind: str) -> Event | None:
        """The first ``response.<kind>`` of this response, or None."""
        return next(iter(self._all(kind)), None)

    def last(self, kind: str) -> Event | None:
        """The last one, or None."""
        found = self._all(kind)
        return found[-1] if found else None

    def _all(self, kind: str) -> list[Event]:
        events = self.attempt.all(f"{OBSERVER}.{kind}")
        return [event for event in events if migration_number(event) == self.n]

    def said(self, kind: str, key: str) -> Json:
        """What the last event of that kind says under `key`; the first one for what was detected."""
        event = self.first(kind) if kind == "detected" else self.last(kind)
        return None if event is None else event.data.get(key)

    def text(self, kind: str, key: str) -> str | None:
        """The same where it is text, or None."""
        value = self.said(kind, key)
        return value if isinstance(value, str) else None

    @property
    def provoked_ns(self) -> int:
        """When what it answers to had happened for certain; raises where nothing was provoked."""
        self._must_be_provoked()
        return self._stamp("provoked", "latest_ns")

    @property
    def provoked_width_ns(self) -> int:
        """For how long before :attr:`provoked_ns` it may have happened already."""
        self._must_be_provoked()
        return max(0, self.provoked_ns - self._stamp("provoked", "earliest_ns"))

    def _must_be_provoked(self) -> None:
        if self.unprovoked:
            raise NotApplicable("moving-target defence answers to nothing that happened")

    @property
    def evidence_ns(self) -> int:
        """When the evidence was there that shows it."""
        return self._stamp("detected", "evidence_ns")

    @property
    def result_ns(self) -> int:
        """When the result made of that evidence was there."""
        return self._stamp("detected", "result_ns")

    @property
    def decided_ns(self) -> int:
        """When the decision was durable."""
        return self._event("decided").t_ns

    @property
    def accepted_ns(self) -> int:
        """When the source's libvirt was seen to hold the migration's job."""
        self._must_move()
        return self._event("accepted").t_ns

    @property
    def arrived_ns(self) -> int:
        """When the verdict on the guest at its destination was stored."""
        self._must_move()
        return self._event("arrived").t_ns

    @property
    def acted_ns(self) -> int:
        """When what was decided in place of a migration had been carried out."""
        if self.action == MOVE:
            raise NotApplicable("the guest was moved")
        event = self._event("acted")
        if event.data.get("ok") is not True:
            raise NotMeasured(f"{self.action} failed: {event.data.get('error') or 'no reason given'}")
        return event.t_ns

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
        requote = self.said("decided", "requote")
        own = [number(requote, "quote_ns")] if isinstance(requote, Mapping) else []
        arrived = self.last("arrived")
        own.append(None if arrived is None else number(arrived.data, "quotes_ns"))
        if None in own:
            raise NotMeasured("the journal does not say how long the TPMs took for their quotes")
        return round(sum(one for one in own if one is not None))

    @property
    def last_ns(self) -> int:
        """The last thing that is known of it."""
        stamps = [event.t_ns for kind in ABOUT if (event := self.last(kind)) is not None]
        return max(stamps, default=0)

    def _must_move(self) -> None:
        if self.action not in (MOVE, None):
            raise NotApplicable(f"the guest was not moved: {self.action}")

    def _event(self, kind: str) -> Event:
        event = self.first(kind) if kind == "detected" else self.last(kind)
        if event is None:
            raise NotMeasured(self._without(f"the journal has no {OBSERVER}.{kind} of this response"))
        return event

    def _stamp(self, kind: str, key: str) -> int:
        value = self._event(kind).data.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise NotMeasured(f"{OBSERVER}.{kind} has no {key}")
        return value

    def _without(self, otherwise: str) -> str:
        """Why there is nothing: the response was missed, or closed early, or else what the caller says."""
        missed = self.last("missed")
        if missed is not None:
            return f"nothing followed: {missed.data.get('reason') or 'no reason given'}"
        closed = self.last("closed")
        if closed is not None and closed.data.get("state") in ("failed", "called-off", "abandoned"):
            return f"{closed.data['state']}: {closed.data.get('reason') or 'no reason given'}"
        return otherwise


def scenario(attempt: Attempt) -> str | None:
    """What the attempt's trial demonstrates, or None for a trial that demonstrates no response."""
    name = attempt.fact("attempt.started", "scenario")
    return name if isinstance(name, str) and name else None


def responses(attempt: Attempt) -> tuple[Response, ...]:
    """Every response of the attempt, missed ones too, by number."""
    kinds = {f"{OBSERVER}.{kind}" for kind in ABOUT}
    numbers = {migration_number(event) for event in attempt.events if event.kind in kinds}
    return tuple(Response(attempt=attempt, n=n) for n in sorted(n for n in numbers if n is not None))


def stages(attempt: Attempt) -> Mapping[str, int]:
    """What each stage of the guest's deployment took, ns; raises NotMeasured where that was not recorded."""
    found = attempt.first(f"{OBSERVER}.launched").data.get("stages_ns")
    if not isinstance(found, Mapping):
        raise NotMeasured("the deployment's stages were not recorded")
    known = {str(name): number(found, str(name)) for name in found}
    return {name: round(took) for name, took in known.items() if took is not None}


def names(values: Json) -> Sequence[str]:
    """A list of names as the journal has it; empty where it is none."""
    return [str(value) for value in values] if isinstance(values, (list, tuple)) else []
