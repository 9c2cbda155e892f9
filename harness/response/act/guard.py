"""One guest under guard: what the loop asks about it, what becomes of it, and the parts put together.

A trial and the service guard a guest alike; they differ in how long, and in whether a scenario is played.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from harness.attest.attester.contract import Attester
from harness.attest.evidence import KeyType
from harness.attest.examine.round import Examiner
from harness.attest.guest.continuity import bounds
from harness.attest.monitor.shared import SharedAttesters
from harness.attest.reference.policy import AppraisalPolicy, ReferenceValues
from harness.clock import Clock
from harness.errors import GuestError
from harness.evidence.events import ResponseWaiting, Value
from harness.evidence.journal import Event
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.migration.flight import Flights
from harness.pair_name import FIRST, GUEST
from harness.policy.capability import Table
from harness.policy.request import Request
from harness.registry.registry import Registry
from harness.registry.values import Placement
from harness.response.act.mover import GuestMover
from harness.response.act.prover import Prover
from harness.response.act.responder import Ended, Responder
from harness.response.act.servers import Servers, Watched
from harness.response.decide.assessment import Vm
from harness.response.decide.decide import Nowhere, Wait
from harness.response.policy import ResponsePolicy
from harness.rig.contract import Machine
from harness.rig.rig import Rig


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSettings:
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
class WatchedRig:
    """The servers of a rig, watched, and the channels to its machines.

    Attributes:
        shared: How its machines are asked, by their names in the registry.
        servers: What they make of the servers.
        attesters: The hosts' attesters by role, and the guests' by their names in the registry; they connect
            when they are first used.
    """

    shared: SharedAttesters
    servers: Servers
    attesters: Mapping[str, Attester]


class Guard:
    """Knows one guest for the loop.

    Attributes:
        settings: By what it is guarded.
        gone: Whether the guest was shut down.
        rig: The machines, seen from this guest.
        registry: Where its requests and places are.
        record: Where events go.
    """

    def __init__(
        self, rig: Rig, registry: Registry, settings: GuardSettings, record: Record, interrupt: Interrupt
    ) -> None:
        self.settings = settings
        self.gone = False
        self.rig = rig
        self.registry = registry
        self.record = record
        self._interrupt = interrupt
        self._placed_ns = record.clock.now_ns()

    @property
    def clock(self) -> Clock:
        """The controller's."""
        return self.record.clock

    def tell(self, value: Value, *, t_ns: int | None = None) -> Event:
        """Journal an event of the response, and return it."""
        return self.record.of(self.rig.subject.name).add(value, t_ns=t_ns)

    def prover(self, watched_rig: WatchedRig, vm_uuid: str) -> Prover:
        """Proves where the guest is."""
        return prover(self.settings, watched_rig, vm_uuid, self.clock)

    def responding(
        self, prover: Prover, flights: Flights, planned_s: Callable[[int], float]
    ) -> tuple[GuestMover, Responder]:
        """What moves the guest, and what carries decisions about it out; its stay counts from here.

        Args:
            prover: Has seen the guest where it is.
            flights: Its migrations.
            planned_s: When the response of that number was due, s after the beginning.
        """
        mover = GuestMover(self.rig, flights, self.record, self.tell, planned_s)
        responder = Responder(
            self.registry,
            prover,
            mover,
            self.tell,
            self.clock,
            owner=self.settings.owner,
            max_window_ns=self.settings.response.max_window_ns,
        )
        self._placed_ns = self.clock.now_ns()
        return mover, responder

    def vms(self) -> Mapping[str, Vm]:
        """The guest, as long as it is there and asks for something."""
        name = self.settings.vm
        stored = self.registry.protection.current(name)
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
        """Where the guest was placed last.

        Raises:
            GuestError: It never was; a guest is placed before its loop begins.
        """
        found = self.registry.placement(vm)
        if found is None:
            raise GuestError(
                "the registry does not say where the guest is",
                where=vm,
                remedy="`sodbench guest launch` deploys a guest and places it",
            )
        return found

    def ended(self, ended: Ended) -> None:
        """A response of it is over."""
        self._placed_ns = self.clock.now_ns()
        self.gone = ended.state == "shut-down"
        self._interrupt.wake.set()

    def waits(self, answer: Wait | Nowhere) -> None:
        """It is in trouble and does not move for now; journalled."""
        why = answer.why if isinstance(answer, Wait) else answer.alarm
        self.tell(ResponseWaiting(vm=answer.vm, cause=answer.cause.value, why=why))


@contextmanager
def watched(
    rig: Rig,
    registry: Registry,
    settings: GuardSettings,
    clock: Clock,
    *,
    opened: Callable[[str, Machine, ExitStack], Attester],
    guests: Mapping[str, Machine] | None = None,
    on_change: Callable[[], None] = lambda: None,
) -> Iterator[WatchedRig]:
    """The rig's servers, watched for the length of the block.

    Args:
        rig: The machines.
        registry: Where properties are kept and read.
        settings: By what they are watched.
        clock: The controller's.
        opened: A standing channel to the attester of the machine of that name, closed with the stack.
        guests: The guests by their names in the registry; None for the rig's one, as the settings name it.
        on_change: Told, from a monitor's thread, that a server's standing changed.
    """
    guests = {settings.vm: rig.guest} if guests is None else guests
    roles = dict.fromkeys(guests, GUEST)
    examiner = Examiner(
        registry,
        lambda name: settings.policies[roles.get(name, name)],
        lambda name: settings.references[roles.get(name, name)],
        clock,
    )
    with ExitStack() as stack:
        machines = {**rig.hosts, **guests}
        attesters = {name: opened(name, machine, stack) for name, machine in machines.items()}
        shared = SharedAttesters(examiner, attesters, clock)
        servers = Servers(
            [Watched(name=role, monitors=settings.monitors[role]) for role in rig.hosts],
            shared,
            shared.means(settings.key, lambda name: settings.accepted.get(name, 0)),
            registry,
            settings.table,
            interval_s=settings.interval_s,
            clock=clock,
            on_change=on_change,
            warning_counts=_warning_counts(settings),
        )
        stack.enter_context(servers.monitor)
        servers.monitor.start()
        yield WatchedRig(shared=shared, servers=servers, attesters=attesters)


def _warning_counts(settings: GuardSettings) -> bool:
    """Whether a host with a warning is good enough; where their policies differ, only if all say so."""
    hosts = (one for role, one in settings.policies.items() if role != GUEST)
    return all(one.warning_counts for one in hosts)


def prover(settings: GuardSettings, watched_rig: WatchedRig, vm_uuid: str, clock: Clock) -> Prover:
    """Proves where the guest of that UUID is."""
    return Prover(
        watched_rig.shared,
        settings.vm,
        key=settings.key,
        vm_uuid=vm_uuid,
        bounds=bounds(settings.policies[FIRST], settings.response.max_window_s),
        clock=clock,
        guest_warning_counts=settings.policies[GUEST].warning_counts,
    )
