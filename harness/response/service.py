"""The response loop as a service: one guest of a rig is guarded for as long as somebody lets it.

What was left open by a controller that is gone is ended first. Everything that happens is journalled as in a
trial, by the same observers. When the loop cannot go on, it ends with the reason: a guest that nobody guards
must not seem to be guarded.
"""

from __future__ import annotations

from contextlib import ExitStack

from harness.attest.monitor.schedule import LIFE_IN_INTERVALS
from harness.clock import NS_PER_S, Clock
from harness.errors import GuestError, PrerequisiteError
from harness.evidence.events import GuardStarted, GuardStopped
from harness.evidence.observers.contract import Scene
from harness.evidence.observers.job import JobStatistics
from harness.evidence.observers.qmp import Qmp
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.migration.flight import Flights
from harness.migration.options import MigrationOptions
from harness.registry.registry import Registry
from harness.response.act import launching
from harness.response.act.guard import Guard, Terms, Watchtower
from harness.response.act.loop import Loop
from harness.response.act.prover import Prover
from harness.response.act.recoverer import Recoverer
from harness.response.decide.cause import Cause
from harness.response.decide.hysteresis import Held, VmHistory
from harness.rig.guest import domain
from harness.rig.rig import Rig

_LOOK_UP_S = 0.5
_FIRST_LOOK_S = 0.05
MIGRATION_LIMIT_S = 300.0
"""After which a move is given up."""


class Service:
    """Guards the guest of a rig. :meth:`run` does all of it.

    Args:
        rig: The machines.
        registry: Requests, places, responses.
        terms: By what.
        record: Where events go.
        interrupt: Ends it.
    """

    def __init__(
        self, rig: Rig, registry: Registry, terms: Terms, record: Record, interrupt: Interrupt
    ) -> None:
        self._rig = rig
        self._registry = registry
        self._record = record
        self._interrupt = interrupt
        self._guard = Guard(rig, registry, terms, record, interrupt)
        self._vm, self._owner = terms.vm, terms.owner

    def run(self, ends_s: float | None = None) -> None:
        """Guard the guest until the interrupt, for `ends_s`, or until it was shut down.

        Raises:
            GuestError: The guest is not where exactly one guest should be, or not what it should be; or what
                was left open only a person can end.
            PrerequisiteError: There is no guest to guard, or nothing is asked for it.
            RegistryError: The registry does not answer.
            ResponseOpenError: Another controller responds for this guest.
        """
        self._require()
        guard = self._guard
        with guard.watch() as tower, ExitStack() as stack:
            prover = guard.prover(tower, self._uuid())
            recoverer = Recoverer(
                self._rig, self._registry, prover, guard.tell, self._clock, owner=self._owner
            )
            recovered = recoverer.recover(self._vm)
            history = self._settle_in(prover)
            self._first_looks(tower)
            guard.tell(GuardStarted(vm=self._vm, recovered=recovered))
            flights, began_ns = self._flights(stack), self._clock.now_ns()
            loop = guard.begin(
                tower,
                prover,
                flights,
                lambda _n: (self._clock.now_ns() - began_ns) / NS_PER_S,
                history,
            )
            try:
                self._until(loop, flights, ends_s)
            except BaseException:
                flights.abandon()
                raise
            finally:
                loop.stop()
                guard.tell(GuardStopped(vm=self._vm))
            loop.check()

    @property
    def _clock(self) -> Clock:
        return self._record.clock

    def _require(self) -> None:
        """There is something to guard."""
        if self._registry.attester(self._vm) is None:
            raise PrerequisiteError(
                "the guest is not enrolled",
                where=self._vm,
                remedy="`sodbench guest launch` deploys one; `sodbench attest enrol guest` one that runs",
            )
        if self._registry.protection.current(self._vm) is None:
            raise PrerequisiteError(
                "nothing is asked for the guest, so that every server would do",
                where=self._vm,
                remedy=f"sodbench policy request {self._vm} --option 1 --why ...",
            )

    def _uuid(self) -> str:
        connections = self._rig.hypervisors.connect()
        found = domain.locate(connections, self._rig.subject)
        if not found:
            raise PrerequisiteError(
                "there is no guest to guard", where="a, b", remedy="`sodbench guest launch` deploys one"
            )
        return str(connections[next(iter(found))].domain(self._rig.subject.domain).uuid())

    def _settle_in(self, prover: Prover) -> VmHistory:
        """The guest is where the registry has it, or its place is put right; and it is what it should be.

        What is remembered of it: that a response had suspended it, so that it is not what a person stopped.
        """
        here, runs = domain.only_on(self._rig.hypervisors.connect(), self._rig.subject)
        last = self._registry.placement(self._vm)
        epoch = last.epoch if last is not None and last.host == here else None
        if epoch is None:
            epoch = launching.placed(self._registry, self._vm, here)
            if last is not None:
                why = f"it was placed on {last.host} and is on {here}"
                self._registry.audit.append("alarm", self._vm, {"why": why, "epoch": epoch})
        if runs:
            launching.proved(prover, self._vm, here, epoch)
            return VmHistory()
        return self._suspended(here)

    def _first_looks(self, tower: Watchtower) -> None:
        """Wait until each server was looked at: before that it is not silent, it was not asked.

        Who has not answered within the life of a look is silent.
        """
        terms = self._guard.terms
        end_ns = self._clock.now_ns() + round(LIFE_IN_INTERVALS * terms.interval_s * NS_PER_S)
        while not tower.servers.all_known() and self._clock.now_ns() < end_ns:
            if self._interrupt.asked:
                return
            self._interrupt.wake.clear()
            self._clock.wait(_FIRST_LOOK_S, self._interrupt.wake)

    def _suspended(self, here: str) -> VmHistory:
        """What a response that suspended the guest left behind.

        Raises:
            GuestError: No response did.
        """
        newest = next(iter(self._registry.responses.of(self._vm, limit=1)), None)
        if newest is None or newest.state != "suspended":
            raise GuestError(
                "the guest is stopped, and no response stopped it",
                where=f"host {here}",
                remedy=f"`virsh resume {self._rig.subject.domain}` there, if it is to run",
            )
        asked = self._registry.protection.current(self._vm)
        cause = Cause(str(newest.trigger["cause"]))
        number = 0 if asked is None else asked.number
        return VmHistory(held=Held(what="suspend", cause=cause, request_number=number))

    def _flights(self, stack: ExitStack) -> Flights:
        """Migrations with the observers of a trial."""
        job = JobStatistics()
        scene = Scene(
            hosts=self._rig.hosts,
            client=self._rig.client,
            guest=self._rig.subject,
            connections=self._rig.hypervisors.connect(),
            heartbeat_hz=1,
        )
        flights = Flights(self._rig, MigrationOptions(), self._record, job, self._interrupt)
        for observer in (job, Qmp(flights.on_qemu_event)):
            stack.callback(observer.stop)
            observer.start(scene, self._record)
        return flights

    def _until(self, loop: Loop, flights: Flights, ends_s: float | None) -> None:
        end_ns = None if ends_s is None else self._clock.now_ns() + round(ends_s * NS_PER_S)
        while not self._interrupt.asked and not self._guard.gone:
            if end_ns is not None and self._clock.now_ns() >= end_ns:
                return
            self._interrupt.wake.clear()
            self._clock.wait(_LOOK_UP_S, self._interrupt.wake)
            loop.check()
            flights.check()
            flights.watch_limit(MIGRATION_LIMIT_S)
