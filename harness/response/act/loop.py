"""The loop that keeps guests where they are protected: looks at what is true now, decides, has it done.

Every turn begins again from what is stored and what the monitors hold; what woke the loop decides nothing.
Responses are carried out in threads of their own while the loop goes on looking: a move is called off when
its destination is no longer good while the guest is on its way; too late for that, the destination is left
again. The loop remembers only what keeps flapping evidence from moving guests back and forth.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.attest.reasons import Tier
from harness.clock import NS_PER_S, Clock
from harness.json_types import Json
from harness.policy.fleet import Fleet
from harness.policy.validation import satisfied
from harness.registry.values import Placement
from harness.response.act.responder import Decided, Detected, Ended
from harness.response.act.servers import Noticed
from harness.response.decide.assessment import Vm
from harness.response.decide.cause import Cause
from harness.response.decide.decide import Action, Nowhere, Relocate, Wait, decide, next_look_ns
from harness.response.decide.hysteresis import Held, ServerHistory, Tried, VmHistory, attempted, held, noted
from harness.response.decide.situation import State, UnderWay, looked
from harness.response.policy import ResponsePolicy

POLL_S = 0.2
"""How often what others store in the registry is looked for; monitors wake the loop by themselves."""


class Guarded(Protocol):
    """The VMs that are guarded, as the registry has them."""

    def vms(self) -> Mapping[str, Vm]:
        """Every VM that runs and has a request, by name."""
        ...

    def placement(self, vm: str) -> Placement:
        """Where the VM was placed last."""
        ...


class Outlook(Protocol):
    """What is known of the servers; :class:`harness.response.act.servers.Servers` is one."""

    def fleet(self, running: Mapping[str, int]) -> Fleet:
        """The servers now; `running` says how many VMs each has."""
        ...

    def noticed(self, server: str) -> Noticed | None:
        """The last change of the server's standing."""
        ...


class Carrier(Protocol):
    """Carries decisions out; :class:`harness.response.act.responder.Responder` does it for one VM."""

    def respond(self, decided: Decided) -> Ended:
        """Carry `decided` out to its end."""
        ...


class Recall(Protocol):
    """What can call the move of one VM off."""

    @property
    def destination(self) -> str | None:
        """Where the move under way goes; None where none is."""
        ...

    def call_off(self, reason: str) -> bool:
        """Ask the move under way to stop; whether there was one to ask."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the loop decides.

    Attributes:
        policy: The provider's response policy.
        seed: Moving targets are drawn from it.
        poll_s: How often the registry is looked at.
    """

    policy: ResponsePolicy
    seed: int
    poll_s: float = POLL_S


class Loop:
    """Guards VMs from :meth:`start` to :meth:`stop`.

    Args:
        settings: How it decides.
        servers: What its decisions are based on.
        guarded: About whom.
        responder: Carries decisions out.
        recall: What can call the move of the VM of that name off.
        clock: The controller's.
        on_wait: Told, once for each answer, of VMs that are in trouble and wait.
        on_end: Told how a response ended.
        histories: What is remembered of VMs from before; None for nothing.
        wake: Set by others to make it look at once; None for an event of its own.
    """

    def __init__(
        self,
        settings: Settings,
        servers: Outlook,
        guarded: Guarded,
        responder: Carrier,
        recall: Callable[[str], Recall],
        clock: Clock,
        *,
        on_wait: Callable[[Wait | Nowhere], None] = lambda _wait: None,
        on_end: Callable[[Decided, Ended], None] = lambda _decided, _ended: None,
        histories: Mapping[str, VmHistory] | None = None,
        wake: threading.Event | None = None,
    ) -> None:
        self._settings = settings
        self._servers = servers
        self._guarded = guarded
        self._responder = responder
        self._recall = recall
        self._clock = clock
        self._on_wait = on_wait
        self._on_end = on_end
        self.wake = wake or threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._working: list[threading.Thread] = []
        self._under_way: dict[str, UnderWay] = {}
        self._ended: deque[tuple[Decided, Ended]] = deque()
        self._histories: Mapping[str, VmHistory] = dict(histories or {})
        self._known: dict[str, ServerHistory] = {}
        self._said: dict[str, tuple[str, ...]] = {}
        self._next = 1
        self._warning_counts = False
        self._failure: BaseException | None = None

    @property
    def upcoming(self) -> int:
        """The number that the next response will have."""
        return self._next

    @property
    def busy(self) -> bool:
        """Whether a response is under way."""
        return bool(self._under_way)

    def start(self) -> None:
        """Begin. Returns at once."""
        self._thread = threading.Thread(target=self._run, name="response-loop", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Decide nothing more; a response that is under way is carried to its end first."""
        self._stopping.set()
        self.wake.set()
        if self._thread is not None:
            self._thread.join()
        for thread in self._working:
            thread.join()

    def check(self) -> None:
        """Raise what ended the loop, if anything did: a guest that is not guarded must not seem guarded."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.wake.clear()
                self._clock.wait(self._turn(), self.wake)
        except BaseException as error:  # noqa: BLE001 - raised again by `check`
            self._failure = error

    # -- a turn

    def _turn(self) -> float:
        """Look, decide, begin what is to be begun; how long in s until the next look at the latest."""
        seen_ns = self._clock.now_ns()
        self._take_in()
        vms = self._guarded.vms()
        fleet = self._servers.fleet(_running(vms))
        self._warning_counts = fleet.warning_counts
        now_ns = self._clock.now_ns()
        fleet.advance(now_ns)
        self._note(fleet, now_ns)
        self._watch_destination(vms, fleet, now_ns)
        state = looked(
            State(
                policy=self._settings.policy,
                fleet=fleet,
                vms=vms,
                servers=self._known,
                histories=self._histories,
                under_way=dict(self._under_way),
                seed=self._settings.seed,
            ),
            now_ns,
        )
        self._histories = state.histories
        actions = decide(state, now_ns)
        self._carry_out(actions, vms, seen_ns, now_ns)
        due_ns = next_look_ns(state, actions, now_ns)
        wait_s = self._settings.poll_s
        return wait_s if due_ns is None else min(wait_s, max(0.0, (due_ns - now_ns) / NS_PER_S))

    def _note(self, fleet: Fleet, now_ns: int) -> None:
        for name in fleet.names:
            server = fleet.get(name)
            if server is not None:
                self._known[name] = noted(
                    self._known.get(name), server, now_ns, warning_counts=fleet.warning_counts
                )

    def _watch_destination(self, vms: Mapping[str, Vm], fleet: Fleet, now_ns: int) -> None:
        """Call a move off whose destination no longer satisfies the guest."""
        moving = [one.vm for one in self._under_way.values() if one.destination is not None]
        for vm in (vms[name] for name in moving if name in vms):
            recall = self._recall(vm.name)
            destination = recall.destination
            refusal = None if destination is None else satisfied(vm.request, fleet, destination, now_ns)
            if refusal is not None:
                recall.call_off(f"the destination is not good any more: {refusal.why}")

    def _carry_out(self, actions: Sequence[Action], vms: Mapping[str, Vm], seen_ns: int, now_ns: int) -> None:
        for action in actions:
            # Nothing of a VM that has a response under way is among them, and no more moves than may be.
            if isinstance(action, Relocate):
                self._begin(self._decided(action, vms, action.candidates, "move", seen_ns, now_ns))
            elif isinstance(action, Nowhere) and not action.known:
                self._begin(self._decided(action, vms, (), action.what, seen_ns, now_ns))
            else:
                self._say(action)

    def _say(self, action: Wait | Nowhere) -> None:
        """Say what a VM waits for, once: an alarm's text tells for how long, and is another at each turn."""
        what = action.why if isinstance(action, Wait) else action.what
        said = (type(action).__name__, action.cause.value, what)
        if self._said.get(action.vm) != said:
            self._said[action.vm] = said
            self._on_wait(action)

    def _decided(
        self,
        action: Relocate | Nowhere,
        vms: Mapping[str, Vm],
        candidates: Sequence[str],
        what: str,
        seen_ns: int,
        now_ns: int,
    ) -> Decided:
        vm = vms[action.vm]
        number, self._next = self._next, self._next + 1
        return Decided(
            n=number,
            vm=action.vm,
            source=vm.host,
            epoch=self._guarded.placement(action.vm).epoch,
            action=what,
            candidates=candidates,
            refused=action.refused,
            detected=self._detected(action, vm, seen_ns, now_ns),
            validated_ns=self._clock.now_ns(),
            request_number=vm.request_number,
        )

    def _detected(self, action: Relocate | Nowhere, vm: Vm, seen_ns: int, now_ns: int) -> Detected:
        """What made it necessary: the look that found it, or what this turn read in the registry."""
        noticed = self._servers.noticed(vm.host)
        of_server = action.cause in {Cause.VIOLATION, Cause.ATTESTATION, Cause.SILENCE}
        # A server that has become good since is not what a guest on it is moved for.
        if of_server and noticed is not None and not self._counts(noticed.change.after):
            change, look = noticed.change, noticed.looked
            return Detected(
                cause=action.cause,
                server=vm.host,
                monitor=change.monitor,
                reason=change.reason.value,
                detail=change.detail,
                simulated=change.simulated,
                asked_ns=look.asked_ns,
                evidence_ns=look.evidence_ns,
                result_ns=look.result_ns,
                told_ns=noticed.told_ns,
            )
        lies_with = vm.host if action.cause is Cause.PROPERTIES else None
        return Detected(
            cause=action.cause,
            server=lies_with,
            monitor=None,
            reason=action.cause.value,
            detail=action.finding.why,
            simulated=False,
            asked_ns=seen_ns,
            evidence_ns=seen_ns,
            result_ns=now_ns,
            told_ns=now_ns,
        )

    def _counts(self, tier: Json) -> bool:
        """Whether a server whose verdict became this one is good."""
        known = isinstance(tier, str) and tier in set(Tier)
        return known and Tier(str(tier)).trusted(warning_counts=self._warning_counts)

    # -- a response, in a thread of its own

    def _begin(self, decided: Decided) -> None:
        destination = decided.candidates[0] if decided.candidates else None
        self._under_way[decided.vm] = UnderWay(vm=decided.vm, source=decided.source, destination=destination)
        self._said.pop(decided.vm, None)
        thread = threading.Thread(
            target=self._respond, args=(decided,), name=f"response-{decided.n}", daemon=True
        )
        self._working = [*(one for one in self._working if one.is_alive()), thread]
        thread.start()

    def _respond(self, decided: Decided) -> None:
        try:
            self._ended.append((decided, self._responder.respond(decided)))
        except BaseException as error:  # noqa: BLE001 - raised again by `check`
            self._failure = error
            self._stopping.set()
        self.wake.set()

    def _take_in(self) -> None:
        """Remember how the responses ended that were under way and are not any more."""
        while self._ended:
            decided, ended = self._ended.popleft()
            history = self._histories.get(decided.vm, VmHistory())
            self._histories = {**self._histories, decided.vm: self._after(history, decided, ended)}
            del self._under_way[decided.vm]
            self._on_end(decided, ended)

    def _after(self, history: VmHistory, decided: Decided, ended: Ended) -> VmHistory:
        cause = decided.detected.cause
        if decided.action == "move":
            tried = Tried(
                source=decided.source,
                destination=ended.destination or decided.candidates[0],
                cause=cause,
                ended_ns=self._clock.now_ns(),
                ok=ended.host == ended.destination,
            )
            return attempted(history, tried, self._settings.policy)
        if ended.state in {"held", "suspended"}:
            done = Held(what=decided.action, cause=cause, request_number=decided.request_number)
            return held(history, done)
        return history


def _running(vms: Mapping[str, Vm]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for vm in vms.values():
        counted[vm.host] = counted.get(vm.host, 0) + 1
    return counted
