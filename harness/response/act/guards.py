"""The guests that one loop guards: what it asks of a guest goes to that guest's guard.

Several guests share the watch of the hosts, the loop, and the order in which the policy lets them have the
link. Everything else is each guest's own: its place, its prover, its migrations, and the events about it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from harness.attest.attester.channel import channel
from harness.attest.attester.contract import Attester
from harness.evidence.events import Value
from harness.evidence.journal import Event
from harness.migration.flight import Flights
from harness.registry.values import Placement
from harness.response.act.guard import Guard, WatchedRig, watched
from harness.response.act.loop import Loop, Settings
from harness.response.act.mover import GuestMover
from harness.response.act.prover import Prover
from harness.response.act.responder import Decided, Ended, Responder
from harness.response.decide.assessment import Vm
from harness.response.decide.decide import Nowhere, Wait
from harness.response.decide.hysteresis import VmHistory
from harness.rig.contract import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A guest that is up, placed and proved.

    Attributes:
        guard: Knows it.
        prover: Has seen it where it is.
        flights: Its migrations.
        history: What is remembered of it from before; None for nothing.
    """

    guard: Guard
    prover: Prover
    flights: Flights
    history: VmHistory | None = None


class Guards:
    """One guest under guard, or several.

    Args:
        guards: Each guest's; at least one. They agree in all settings but the guest's name.
    """

    def __init__(self, guards: Sequence[Guard]) -> None:
        self._guards = {one.settings.vm: one for one in guards}
        self._first = guards[0]
        self._wake = threading.Event()

    @property
    def each(self) -> tuple[Guard, ...]:
        """The guards, in their order."""
        return tuple(self._guards.values())

    @property
    def names(self) -> tuple[str, ...]:
        """The guests' names in the registry, in their order."""
        return tuple(self._guards)

    def tell(self, value: Value, *, t_ns: int | None = None) -> Event:
        """Journal an event of the response that is about every guest, and return it."""
        if len(self._guards) == 1:
            return self._first.tell(value, t_ns=t_ns)
        return self._first.record.add(value, t_ns=t_ns)

    @property
    def gone(self) -> bool:
        """Whether a guest was shut down."""
        return any(one.gone for one in self._guards.values())

    def watch(self) -> AbstractContextManager[WatchedRig]:
        """Watch the rig's servers for the length of a block."""
        first = self._first
        return watched(
            first.rig,
            first.registry,
            first.settings,
            first.clock,
            opened=self._channel,
            guests={vm: one.rig.guest for vm, one in self._guards.items()},
            on_change=self._wake.set,
        )

    def _channel(self, name: str, machine: Machine, stack: ExitStack) -> Attester:
        """A channel to the machine of that name; what is journalled of a guest's names the guest."""
        record, guard = self._first.record, self._guards.get(name)
        return channel(machine, record if guard is None else record.of(guard.rig.subject.name), stack)

    @contextmanager
    def guarding(
        self, watched_rig: WatchedRig, ready: Sequence[Ready], planned_s: Callable[[int], float]
    ) -> Iterator[Loop]:
        """The loop that guards the guests for the length of the block; a response under way is ended first.

        Args:
            watched_rig: The servers.
            ready: The guests.
            planned_s: When the response of that number was due, s after the beginning.

        Raises:
            SodbenchError: What ended the loop, where the block did not raise it.
        """
        movers: dict[str, GuestMover] = {}
        responders: dict[str, Responder] = {}
        for one in ready:
            vm = one.guard.settings.vm
            movers[vm], responders[vm] = one.guard.responding(one.prover, one.flights, planned_s)
        settings = self._first.settings
        loop = Loop(
            Settings(policy=settings.response, seed=settings.seed),
            watched_rig.servers,
            self,
            Dispatch(responders),
            movers.__getitem__,
            self._first.clock,
            on_wait=self._waits,
            on_end=self._ended,
            histories={one.guard.settings.vm: one.history for one in ready if one.history is not None},
            wake=self._wake,
        )
        loop.start()
        try:
            yield loop
        finally:
            loop.stop()
        loop.check()

    def vms(self) -> Mapping[str, Vm]:
        """The guests that are there and ask for something, by their names in the registry."""
        return {name: vm for one in self._guards.values() for name, vm in one.vms().items()}

    def placement(self, vm: str) -> Placement:
        """Where the guest was placed last.

        Raises:
            GuestError: It never was.
        """
        return self._guards[vm].placement(vm)

    def _ended(self, decided: Decided, ended: Ended) -> None:
        self._guards[decided.vm].ended(ended)

    def _waits(self, answer: Wait | Nowhere) -> None:
        self._guards[answer.vm].waits(answer)


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Hands each decision to the responder of the guest that it is about."""

    responders: Mapping[str, Responder]

    def respond(self, decided: Decided) -> Ended:
        """Carry `decided` out to its end, as :meth:`Responder.respond` does."""
        return self.responders[decided.vm].respond(decided)
