"""One response, from the decision to its end: recorded before it is acted on, proved after.

The destination is asked once more, the decision is stored, the guest is moved, and what arrived is proved to
be what left. The registry learns of every step before the next one is taken, so that a successor after a
killed controller finds out how far it got; it refuses a second response of a VM that has one. Nothing is
tried twice here: a response that fails has failed, and what follows is another decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.attest.guest.continuity import Quoted
from harness.attest.measures.timings import Span
from harness.clock import NS_PER_S, Clock
from harness.evidence.events import (
    ResponseActed,
    ResponseArrived,
    ResponseClosed,
    ResponseDecided,
    ResponseDetected,
    Value,
)
from harness.json_types import Json
from harness.migration.driver import Outcome
from harness.registry.registry import Registry
from harness.response.act.arriving import Arriving
from harness.response.act.prover import Arrived, Requoted
from harness.response.decide.cause import Cause


class Tell(Protocol):
    """Journals an event of the response; `t_ns` where it is not now."""

    def __call__(self, value: Value, *, t_ns: int | None = None) -> object:
        """Append the event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How a move ended.

    Attributes:
        began_ns: The call to migrate.
        outcome: How libvirt says that it ended.
        called_off: Why it was called off while it was under way; None where it was not.
    """

    began_ns: int
    outcome: Outcome
    called_off: str | None = None


class Proof(Protocol):
    """Who proves where the guest goes and where it is; :class:`harness.response.act.prover.Prover` does."""

    def requote(self, server: str) -> Requoted:
        """Ask a destination once more, right before it is used."""
        ...

    def arriving(self, server: str, epoch: int) -> Arriving:
        """The look at the guest on `server`, to be begun when it is seen to run there."""
        ...

    def arrival(self, arriving: Arriving, chosen: Quoted, source: str, over: Span, epoch: int) -> Arrived:
        """Whether the guest that arrived is the one that left, and its new server still good."""
        ...


class Mover(Protocol):
    """What carries a decision out."""

    def move(self, n: int, destination: str, runs: Callable[[], None]) -> Moved:
        """Move the guest; blocks until it is over. The moment of the job's acceptance is told from here.

        `runs` is called when the guest is seen to run at its destination; maybe never, even if it does.
        """
        ...

    def stop(self, what: str) -> str | None:
        """Suspend the guest (``suspend``) or end it (``shut-down``) where it is; what went wrong, or None."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """What made a response necessary, as it is journalled.

    Attributes:
        cause: The kind of trigger.
        server: Whose change it was; None where it was none's.
        monitor: Which monitor found it; None likewise.
        reason: In a code.
        detail: In words.
        simulated: Whether a monitor found it that only plays its hardware.
        asked_ns: The look was begun.
        evidence_ns: What it found had arrived.
        result_ns: The verdict was made.
        told_ns: The loop was told.
    """

    cause: Cause
    server: str | None
    monitor: str | None
    reason: str
    detail: str
    simulated: bool
    asked_ns: int
    evidence_ns: int
    result_ns: int
    told_ns: int

    def to_json(self) -> dict[str, Json]:
        """The trigger as the registry and the journal keep it."""
        return {
            "cause": self.cause.value,
            "server": self.server,
            "monitor": self.monitor,
            "reason": self.reason,
            "detail": self.detail,
            "simulated": self.simulated,
            "asked_ns": self.asked_ns,
            "evidence_ns": self.evidence_ns,
            "result_ns": self.result_ns,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision that is to be carried out.

    Attributes:
        n: The response's number in its trial.
        vm: The VM's name in the registry.
        source: The server it is on.
        epoch: Of its stay there.
        action: ``move``, ``hold``, ``suspend`` or ``shut-down``.
        candidates: Where it may go, best first.
        refused: Every other server's reason.
        detected: What it answers.
        validated_ns: When the validation was over.
        request_number: The request that it was validated for.
    """

    n: int
    vm: str
    source: str
    epoch: int
    action: str
    candidates: Sequence[str]
    refused: Mapping[str, str]
    detected: Detected
    validated_ns: int
    request_number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a response ended.

    Attributes:
        state: As in the registry; ``not-begun`` where no destination was left after the second look.
        host: Where the VM is now, as far as the response knows.
        destination: Where it was to go; None where it was to go nowhere.
        reason: Why, in one sentence.
    """

    state: str
    host: str
    destination: str | None
    reason: str


class Responder:
    """Carries decisions out, one at a time.

    Args:
        registry: Where responses are kept.
        prover: Proves where the guest goes and where it is.
        mover: Moves it.
        tell: Journals what happens.
        clock: The controller's.
        owner: Names this controller in the registry.
        max_window_ns: How old a destination's own quote may be when the guest is sent there, at most.
    """

    def __init__(
        self,
        registry: Registry,
        prover: Proof,
        mover: Mover,
        tell: Tell,
        clock: Clock,
        *,
        owner: str,
        max_window_ns: int,
    ) -> None:
        self._max_window_ns = max_window_ns
        self._registry = registry
        self._prover = prover
        self._mover = mover
        self._tell = tell
        self._clock = clock
        self._owner = owner

    def respond(self, decided: Decided) -> Ended:
        """Carry `decided` out to its end.

        Raises:
            ResponseOpenError: The VM has a response under way, of another controller.
            RegistryError: The registry does not answer.
            SodbenchError: The rig is gone, or nothing can be journalled any more.
        """
        detected = decided.detected
        told = ResponseDetected.model_validate({"n": decided.n, **detected.to_json()})
        self._tell(told, t_ns=detected.told_ns)
        if decided.action != "move":
            return self._stopped(decided)
        refused = dict(decided.refused)
        for candidate in decided.candidates:
            quoted = self._prover.requote(candidate)
            found, late = quoted.quoted, self._late(quoted)
            if quoted.good and late is None:
                return self._moved(decided, candidate, quoted, refused)
            said = f"asked once more it is {found.tier}: {found.reason} {quoted.detail}".strip()
            refused[candidate] = late if quoted.good and late is not None else said
        reason = "; ".join(f"{name}: {why}" for name, why in refused.items())
        self._close(decided.n, None, "not-begun", f"no destination was left ({reason})")
        return Ended(state="not-begun", host=decided.source, destination=None, reason=reason)

    def _late(self, quoted: Requoted) -> str | None:
        """Why a destination's quote is too old to send the guest there now; None where it is not.

        What it said held when it was quoted; by how much that moment may be off counts against it.
        """
        found = quoted.quoted
        if found.generated_ns is None:
            return "nothing says when it was quoted"
        age_ns = self._clock.now_ns() - found.generated_ns + found.uncertainty_ns
        if age_ns <= self._max_window_ns:
            return None
        return (
            f"its quote is {age_ns / NS_PER_S:.3f} s old where at most {self._max_window_ns / NS_PER_S:g} s "
            "are allowed (max_window_s)"
        )

    # -- a move

    def _moved(
        self, decided: Decided, destination: str, quoted: Requoted, refused: Mapping[str, str]
    ) -> Ended:
        number, epoch = self._begun(decided, destination, quoted, refused), decided.epoch + 1
        late = self._late(quoted)
        if late is not None:
            # Storing the decision took that long: nothing was asked of libvirt yet.
            self._registry.responses.advance(number, "failed", {"error": late}, owner=self._owner)
            self._close(decided.n, number, "failed", late)
            return Ended(state="failed", host=decided.source, destination=destination, reason=late)
        with self._prover.arriving(destination, epoch) as arriving:
            moved = self._mover.move(decided.n, destination, arriving.begin)
            if moved.outcome.ok:
                self._registry.responses.arrive(number, destination, epoch, owner=self._owner)
                over = moved.began_ns, moved.outcome.returned_ns
                proved = self._prover.arrival(arriving, quoted.quoted, decided.source, over, epoch)
                return self._arrived(decided, destination, number, proved)
        why = moved.called_off or moved.outcome.error or "the migration failed"
        state = "called-off" if moved.called_off else "failed"
        self._registry.responses.advance(number, state, {"error": why}, owner=self._owner)
        self._close(decided.n, number, state, why)
        return Ended(state=state, host=decided.source, destination=destination, reason=why)

    def _begun(
        self, decided: Decided, destination: str | None, quoted: Requoted | None, refused: Mapping[str, str]
    ) -> int:
        """Store the decision; from here on no other controller responds for this VM."""
        about: dict[str, Json] = {
            "source": decided.source,
            "destination": destination,
            "action": decided.action,
            "candidates": list(decided.candidates),
            "refused": dict(refused),
            "validated_ns": decided.validated_ns,
            "requote": None if quoted is None else _requote(quoted),
        }
        stored = self._registry.responses.begin(
            decided.vm,
            owner=self._owner,
            trigger=decided.detected.to_json(),
            decision=about,
            # After a crash this entry must mean that the migration was asked for.
            migrating=None if destination is None else {"destination": destination},
        )
        said = {"n": decided.n, "response": stored.number, "vm": decided.vm, **about}
        self._tell(ResponseDecided.model_validate(said))
        return stored.number

    def _arrived(self, decided: Decided, destination: str, number: int, proved: Arrived) -> Ended:
        state = "completed" if proved.good else "failed"
        said: dict[str, Json] = {
            "tier": proved.verdict.tier.value,
            "reason": proved.verdict.reason.value,
            "window_ns": proved.window_ns,
            "same_key": proved.same_key,
        }
        detail = proved.verdict.detail
        self._registry.responses.advance(number, state, {**said, "detail": detail}, owner=self._owner)
        self._tell(ResponseArrived.model_validate({"n": decided.n, **said, "quotes_ns": proved.quotes_ns}))
        why = detail or ("the guest arrived as it left" if proved.good else proved.verdict.reason.value)
        self._close(decided.n, number, state, why)
        return Ended(state=state, host=destination, destination=destination, reason=why)

    # -- nowhere to go

    def _stopped(self, decided: Decided) -> Ended:
        """The policy's last resort; an alarm in any case."""
        number = self._begun(decided, None, None, decided.refused)
        final = {"hold": "held", "suspend": "suspended", "shut-down": "shut-down"}[decided.action]
        wrong = None if decided.action == "hold" else self._mover.stop(decided.action)
        acted: dict[str, Json] = {"action": decided.action, "ok": wrong is None, "error": wrong}
        self._tell(ResponseActed(n=decided.n, action=decided.action, ok=wrong is None, error=wrong))
        state = final if wrong is None else "failed"
        self._registry.responses.advance(number, state, acted, owner=self._owner)
        reasons = "; ".join(f"{name}: {why}" for name, why in decided.refused.items())
        why = f"no server is left ({reasons})" if wrong is None else wrong
        self._registry.audit.append("alarm", decided.vm, {"response": number, "why": why})
        self._close(decided.n, number, state, why)
        return Ended(state=state, host=decided.source, destination=None, reason=why)

    def _close(self, n: int, number: int | None, state: str, reason: str) -> None:
        self._tell(ResponseClosed(n=n, response=number, state=state, reason=reason))


def _requote(quoted: Requoted) -> dict[str, Json]:
    return {
        "tier": quoted.quoted.tier.value,
        "reason": quoted.quoted.reason.value,
        "latency_ns": quoted.latency_ns,
        "quote_ns": quoted.quote_ns,
    }
