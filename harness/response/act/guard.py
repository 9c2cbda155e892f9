"""One guest under guard: what the loop asks about it, what becomes of it, and the parts put together.

A trial and the service guard a guest alike; they differ in how long, and in whether somebody does it harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from harness.attest.attester.channel import channel
from harness.attest.attester.contract import Attester
from harness.attest.evidence import KeyType
from harness.attest.examine.round import Examiner
from harness.attest.guest.continuity import bounds
from harness.attest.reference.policy import AppraisalPolicy, ReferenceValues
from harness.clock import Clock
from harness.evidence.events import ResponseWaiting, Value
from harness.evidence.journal import Event
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.migration.flight import Flights
from harness.policy.capability import Table
from harness.policy.request import Request
from harness.registry.registry import Registry
from harness.registry.values import Placement
from harness.response.act.loop import Loop, Settings
from harness.response.act.mover import Hands
from harness.response.act.prover import Prover
from harness.response.act.responder import Decided, Ended, Responder
from harness.response.act.servers import Looks, Servers, Watched
from harness.response.decide.assessment import Vm
from harness.response.decide.decide import Nowhere, Wait
from harness.response.decide.hysteresis import VmHistory
from harness.response.policy import ResponsePolicy
from harness.rig.rig import Rig


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """By what a guest is guarded.

    Attributes:
        vm: The guest's name in the registry.
        monitors: What watches each host; the first of a host stands for its architecture.
        key: The type of attestation key that is asked.
        policies: Appraisal policies by machine: ``a``, ``b`` and ``guest``.
        references: Reference values, likewise.
        response: The response policy.
        table: The architectures that there are.
        interval_s: From one look at a server to the next.
        accepted: Memory violations that were looked at and accepted, by host; looked up at each look.
        seed: Moving targets are drawn from it.
        owner: Names this controller in the registry.
    """

    vm: str
    monitors: Mapping[str, tuple[str, ...]]
    key: KeyType
    policies: Mapping[str, AppraisalPolicy]
    references: Mapping[str, ReferenceValues]
    response: ResponsePolicy
    table: Table
    interval_s: float
    accepted: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watchtower:
    """The servers of a rig, watched, and the channels to its machines.

    Attributes:
        looks: How monitors look.
        servers: What they make of the servers.
        attesters: The hosts' attesters by role, and the guest's; they connect when they are first used.
    """

    looks: Looks
    servers: Servers
    attesters: Mapping[str, Attester]


class Guard:
    """Knows one guest for the loop, and remembers how its responses ended.

    Attributes:
        terms: By what it is guarded.
        closed: How each response ended, by its number.
        last_end_ns: When the last one did; 0 before.
        gone: Whether the guest was shut down.
    """

    def __init__(
        self, rig: Rig, registry: Registry, terms: Terms, record: Record, interrupt: Interrupt
    ) -> None:
        self.terms = terms
        self.closed: dict[int, Ended] = {}
        self.last_end_ns = 0
        self.gone = False
        self._rig = rig
        self._registry = registry
        self._record = record
        self._interrupt = interrupt
        self._placed_ns = record.clock.now_ns()
        self._loop: Loop | None = None

    @property
    def clock(self) -> Clock:
        """The controller's."""
        return self._record.clock

    def tell(self, value: Value, *, t_ns: int | None = None) -> Event:
        """Journal an event of the response and return it."""
        return self._record.of(self._rig.subject.name).add(value, t_ns=t_ns)

    @contextmanager
    def watch(self) -> Iterator[Watchtower]:
        """Watch the rig's servers for the length of the block."""
        terms, record = self.terms, self._record
        roles = {terms.vm: "guest"}
        examiner = Examiner(
            self._registry,
            lambda name: terms.policies[roles.get(name, name)],
            lambda name: terms.references[roles.get(name, name)],
            record.clock,
        )
        with ExitStack() as stack:
            machines = {**self._rig.hosts, "guest": self._rig.guest}
            attesters = {role: channel(host, record, stack) for role, host in machines.items()}
            watched = [
                Watched(name=role, attester=attesters[role], monitors=terms.monitors[role])
                for role in self._rig.hosts
            ]
            accepted = terms.accepted
            looks = Looks(watched, examiner, terms.key, lambda name: accepted.get(name, 0), record.clock)
            servers = Servers(
                watched,
                looks,
                self._registry,
                terms.table,
                interval_s=terms.interval_s,
                clock=record.clock,
                on_change=self._changed,
                warning_counts=self._warning_counts,
            )
            stack.enter_context(servers.monitor)
            servers.monitor.start()
            yield Watchtower(looks=looks, servers=servers, attesters=attesters)

    @property
    def _warning_counts(self) -> bool:
        """Whether a host with a warning is good enough; where their policies differ, only if all say so."""
        hosts = (one for role, one in self.terms.policies.items() if role != "guest")
        return all(one.warning_counts for one in hosts)

    def prover(self, tower: Watchtower, vm_uuid: str) -> Prover:
        """Proves where the guest is."""
        return Prover(
            tower.looks,
            (self.terms.vm, tower.attesters["guest"]),
            vm_uuid=vm_uuid,
            bounds=bounds(self.terms.policies["a"], self.terms.response.max_window_s),
            clock=self.clock,
            guest_warning_counts=self.terms.policies["guest"].warning_counts,
        )

    def begin(
        self,
        tower: Watchtower,
        prover: Prover,
        flights: Flights,
        planned_s: Callable[[int], float],
        history: VmHistory | None = None,
    ) -> Loop:
        """The loop that guards the guest, begun.

        Args:
            tower: The servers.
            prover: Has seen the guest where it is.
            flights: Its migrations.
            planned_s: When the response of that number was due, s after the beginning.
            history: What is remembered of the guest from before; None for nothing.
        """
        terms = self.terms
        hands = Hands(self._rig, flights, self._record, self.tell, planned_s)
        responder = Responder(
            self._registry,
            prover,
            hands,
            self.tell,
            self.clock,
            owner=terms.owner,
            max_window_ns=terms.response.max_window_ns,
        )
        loop = self._loop = Loop(
            Settings(policy=terms.response, seed=terms.seed),
            tower.servers,
            self,
            responder,
            hands,
            self.clock,
            on_wait=self._waits,
            on_end=self._over,
            histories=None if history is None else {terms.vm: history},
        )
        self._placed_ns = self.clock.now_ns()
        loop.start()
        return loop

    def _changed(self) -> None:
        """A monitor found something: nobody waits for the next turn."""
        if self._loop is not None:
            self._loop.wake.set()

    def vms(self) -> Mapping[str, Vm]:
        """The guest, as long as it is there and asks for something."""
        name = self.terms.vm
        stored = self._registry.protection.current(name)
        if stored is None or self.gone:
            return {}
        place = self.placement(name)
        vm = Vm(
            name=name,
            host=place.host,
            request=Request.from_json(stored.body),
            request_number=stored.number,
            placed_ns=self._placed_ns,
            turn=place.epoch,
        )
        return {name: vm}

    def placement(self, vm: str) -> Placement:
        """Where the guest was placed last."""
        found = self._registry.placement(vm)
        assert found is not None  # it is placed before the loop begins
        return found

    def _over(self, decided: Decided, ended: Ended) -> None:
        self._placed_ns = self.last_end_ns = self.clock.now_ns()
        self.gone = ended.state == "shut-down"
        self.closed[decided.n] = ended
        self._interrupt.wake.set()

    def _waits(self, answer: Wait | Nowhere) -> None:
        why = answer.why if isinstance(answer, Wait) else answer.alarm
        self.tell(ResponseWaiting(vm=answer.vm, cause=answer.cause.value, why=why))
