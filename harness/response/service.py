"""The response loop as a service: guards one guest of a rig until it is told to stop.

What a controller that is gone left open is ended first. Everything that happens is journalled as in a trial,
by the same observers and through the same window. When the loop cannot go on, the service ends with the
reason: an unguarded guest must not seem to be guarded.
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
from harness.migration.actions import Close, Now, Wait
from harness.migration.flight import Flights
from harness.migration.options import MigrationOptions
from harness.migration.window import LOOK_UP_S, Window
from harness.registry.registry import Registry
from harness.response.act import launching
from harness.response.act.guard import Guard, GuardSettings, WatchedRig
from harness.response.act.guards import Guards, Ready
from harness.response.act.prover import Prover
from harness.response.act.recoverer import Recoverer
from harness.response.decide.cause import Cause
from harness.response.decide.hysteresis import Held, VmHistory
from harness.rig.guest import domain
from harness.rig.rig import Rig

_FIRST_LOOK_S = 0.05
MIGRATION_LIMIT_S = 300.0
"""After which a move is given up."""


class Service:
    """Guards the guest of a rig. :meth:`run` does all of it.

    Args:
        rig: The machines.
        registry: Requests, places, responses.
        settings: By what.
        record: Where events go.
        interrupt: Ends it.
    """

    def __init__(
        self, rig: Rig, registry: Registry, settings: GuardSettings, record: Record, interrupt: Interrupt
    ) -> None:
        self._rig = rig
        self._registry = registry
        self._record = record
        self._interrupt = interrupt
        self._guard = Guard(rig, registry, settings, record, interrupt)
        self._vm, self._owner = settings.vm, settings.owner

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
        guards = Guards([guard])
        with guards.watch() as watched_rig, ExitStack() as stack:
            prover = guard.prover(watched_rig, self._uuid())
            recoverer = Recoverer(
                self._rig, self._registry, prover, guard.tell, self._clock, owner=self._owner
            )
            recovered = recoverer.recover(self._vm)
            history = self._settle_in(prover)
            self._first_looks(watched_rig)
            opened = guard.tell(GuardStarted(vm=self._vm, recovered=recovered))
            flights = self._flights(stack)

            def since_opened_s(_n: int) -> float:
                return (self._clock.now_ns() - opened.t_ns) / NS_PER_S

            window = Window(self._record, flights, self._interrupt, limit_s=MIGRATION_LIMIT_S)
            stack.callback(guard.tell, GuardStopped(vm=self._vm))
            ready = Ready(guard=guard, prover=prover, flights=flights, history=history)
            loop = stack.enter_context(guards.guarding(watched_rig, [ready], since_opened_s))
            window.carry_out(
                opened, lambda now: next_action(now, ends_s, gone=guard.gone), checks=(loop.check,)
            )

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
        """The guest is where the registry has it, or its place is corrected; and it is what it should be.

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

    def _first_looks(self, watched_rig: WatchedRig) -> None:
        """Wait until each server was looked at: before that it is not silent, it was not asked.

        Who has not answered within the life of a look is silent.
        """
        settings = self._guard.settings
        end_ns = self._clock.now_ns() + round(LIFE_IN_INTERVALS * settings.interval_s * NS_PER_S)
        while not watched_rig.servers.all_known() and self._clock.now_ns() < end_ns:
            if self._interrupt.asked:
                return
            self._interrupt.pause(self._clock, _FIRST_LOOK_S)

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


def next_action(now: Now, ends_s: float | None, *, gone: bool) -> Wait | Close:
    """The service's director, pure: guard until the user stops it, for `ends_s`, or while the guest is there.

    Args:
        now: The moment; a service needs nothing of its history.
        ends_s: For how long, in s after ``guard.started``; None for ever.
        gone: Whether the guest was shut down.
    """
    if now.asked_to_stop or gone or (ends_s is not None and now.now_s >= ends_s):
        return Close()
    return Wait(LOOK_UP_S if ends_s is None else min(LOOK_UP_S, ends_s - now.now_s))
