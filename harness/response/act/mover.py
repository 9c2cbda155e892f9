"""Moves, suspends and ends the guest for a response loop, and sees when a move was accepted.

A move is a flight like any other of the harness: same driver, same observers, same events. Accepted is the
moment at which the source's libvirt is seen to hold the migration's job.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from harness.clock import Clock
from harness.errors import GuestError
from harness.evidence.account import Move
from harness.evidence.events import ResponseAccepted
from harness.evidence.record import Record
from harness.migration.driver import Outcome
from harness.migration.flight import Flights
from harness.response.act.responder import Moved, Tell
from harness.rig.contract import Hypervisor, HypervisorError
from harness.rig.guest import domain as guest
from harness.rig.rig import Rig

_POLL_S = 0.002
"""How often the source is asked whether it holds the job: a question costs it some tenths of a ms."""
_LOOK_UP_S = 0.1


class GuestMover:
    """Moves and stops the one guest of a rig.

    Args:
        rig: The machines.
        flights: The migrations of this attempt.
        record: Where events go.
        tell: Journals an event of the response.
        planned_s: When the response of that number was due, s after the window opened.
    """

    def __init__(
        self, rig: Rig, flights: Flights, record: Record, tell: Tell, planned_s: Callable[[int], float]
    ) -> None:
        self._rig = rig
        self._flights = flights
        self._record = record
        self._tell = tell
        self._planned_s = planned_s
        self._lock = threading.Lock()
        self._under_way: int | None = None
        self._destination: str | None = None
        self._called_off: str | None = None

    @property
    def _clock(self) -> Clock:
        return self._record.clock

    @property
    def destination(self) -> str | None:
        """Where the move under way goes; None where none is."""
        return self._destination

    def move(self, n: int, destination: str, runs: Callable[[], None]) -> Moved:
        """Move the guest; blocks until libvirt says how it ended. A suspended one runs on where it arrives.

        Args:
            n: The response's number.
            destination: Where to.
            runs: Called when the guest's QEMU there says that it runs; not for a suspended one.

        Raises:
            GuestError: The guest is not where exactly one guest should be.
            MigrationError: libvirt does not take the options.
        """
        over, ended = threading.Event(), list[Outcome]()

        def report(outcome: Outcome) -> None:
            ended.append(outcome)
            over.set()

        connections = self._rig.hypervisors.connect()
        here, running = guest.only_on(connections, self._rig.subject)
        source = connections[here]
        with self._lock:
            self._under_way, self._destination, self._called_off = n, destination, None
        try:
            accepting = threading.Thread(
                target=self._await_acceptance, args=(n, source, over), name=f"accepted-{n}", daemon=True
            )
            accepting.start()
            self._flights.start(
                n, self._planned_s(n), destination, suspended=not running, report=report, runs=runs
            )
            while not self._clock.wait(_LOOK_UP_S, over):
                self._flights.check()
        finally:
            over.set()
            with self._lock:
                self._under_way = self._destination = None
        accepting.join()
        if ended[0].ok and not running:
            self._resume(destination)
        return Moved(began_ns=self._began_ns(n), outcome=ended[0], called_off=self._called_off)

    def _began_ns(self, n: int) -> int:
        return Move(attempt=self._record.account, n=n).started_ns

    def _await_acceptance(self, n: int, source: Hypervisor, over: threading.Event) -> None:
        try:
            job = source.domain(self._rig.subject.domain).job
            while not self._clock.wait(_POLL_S, over):
                if job.running():
                    self._tell(ResponseAccepted(n=n), t_ns=self._clock.now_ns())
                    return
        except HypervisorError as error:
            # A migration that was over before it was seen: it stays unknown when it was accepted.
            self._record.failed("response", f"response {n}: its acceptance was not seen: {error}")

    def call_off(self, reason: str) -> bool:
        """Ask the move that is under way to stop; whether there was one. Too late is no error: it arrives."""
        with self._lock:
            if self._under_way is None or self._called_off is not None:
                return False
            self._called_off = reason
            n = self._under_way
        self._flights.abort(reason, n)
        return True

    def stop(self, what: str) -> str | None:
        """Suspend the guest, or shut it down, where it is; what went wrong, or None."""
        connections = self._rig.hypervisors.connect()
        try:
            domain = connections[guest.only_on(connections, self._rig.subject)[0]].domain(
                self._rig.subject.domain
            )
            if what == "suspend":
                domain.suspend()
            else:
                # Ended at once and not asked: a guest that may be in wrong hands is given no time.
                domain.destroy()
        except HypervisorError as error:
            return str(error)
        return None

    def _resume(self, host: str) -> None:
        try:
            self._rig.hypervisors.connect()[host].domain(self._rig.subject.domain).resume()
        except HypervisorError as error:
            raise GuestError(
                "the suspended guest cannot be resumed", where=f"host {host}", why=str(error)
            ) from error
