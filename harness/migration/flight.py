"""One migration under way: started in a thread of its own, journalled at both ends, given up when told.

A schedule and a response both move a guest through this module, so that a migration is the same whatever
asked for it: the same driver, the same statistics, the same two events. The hypervisors are asked where the
guest is right before it moves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from harness.clock import NS_PER_S
from harness.errors import MigrationError, SodbenchError
from harness.evidence.events import MigrationAborted, MigrationReturned, MigrationStarted
from harness.evidence.observers.job import JobStatistics
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.json_types import Json
from harness.migration import driver
from harness.migration.obstacle import in_log
from harness.migration.options import MigrationOptions
from harness.rig.contract import Hypervisor, HypervisorError
from harness.rig.guest import domain
from harness.rig.rig import Rig

_LOGS = "/var/log/libvirt/qemu"
_LOG_BYTES = 65536
"""Of a QEMU's log, from its last start on, are read where a migration failed."""
_LAST_WAIT_S = 30.0
"""How long an aborted migration is awaited when everything ends."""

Report = Callable[[driver.Outcome], None]
"""Told how a migration ended, in its thread."""


class Flights:
    """The migrations of one attempt, one at a time."""

    def __init__(
        self, rig: Rig, options: MigrationOptions, record: Record, job: JobStatistics, interrupt: Interrupt
    ) -> None:
        self._rig = rig
        self._options = options
        self._record = record.of(rig.subject.name)
        self._job = job
        self._interrupt = interrupt
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._returned = threading.Event()
        self._n = 0
        self._source = ""
        self._fired_ns = 0
        self._given_up = False
        self._failure: BaseException | None = None
        self._runs: tuple[str, Callable[[], None]] | None = None

    @property
    def guest(self) -> str:
        """The name of the guest that is moved."""
        return self._rig.subject.name

    def guest_of(self, _n: int) -> str:
        """The name of the guest that a migration moves: always this one."""
        return self.guest

    def on_qemu_event(self, role: str, event: str, details: Mapping[str, Json]) -> None:
        """Told of every event of either host's QEMU (:mod:`harness.evidence.observers.qmp`)."""
        self._job.on_qemu_event(role, event, details)
        runs = self._runs
        if runs is not None and (role, event) == (runs[0], "RESUME"):
            runs[1]()

    def start(
        self,
        n: int,
        planned_s: float,
        destination: str | None = None,
        *,
        suspended: bool = False,
        report: Report | None = None,
        runs: Callable[[], None] | None = None,
    ) -> None:
        """Start migration `n`; returns once its start is journalled.

        Args:
            n: Its number in the attempt.
            planned_s: When it was due, in s after the window opened.
            destination: The host it goes to; None for the one that the guest is not on.
            suspended: Whether the guest may be suspended; it is then moved as it is.
            report: Told how it ended.
            runs: Called, in libvirt's event thread, when QEMU says that the guest runs at its destination
                while the migration is under way. It must return at once and not ask libvirt anything.

        Raises:
            GuestError: The guest is not where exactly one guest should be.
            MigrationError: libvirt does not take the options, or the guest is at the destination already.
        """
        connections, guest = self._rig.hypervisors.connect(), self._rig.subject
        source = domain.only_on(connections, guest)[0] if suspended else domain.active_on(connections, guest)
        goal = destination or next(role for role in connections if role != source)
        if goal == source:
            raise MigrationError(
                "the guest is where it was to be moved to", where=f"host {source}", why=f"migration {n}"
            )
        unfit = driver.send_ahead(connections[source], connections[goal], guest, self._rig.vtpm_key)
        try:
            driver.prepare(connections[source], guest, self._options)
        except HypervisorError as error:
            raise MigrationError(
                "the migration's options cannot be set", where=f"host {source}", why=str(error)
            ) from error
        migration = MigrationStarted(
            n=n,
            planned_s=planned_s,
            source=source,
            destination=goal,
            options={**self._options.model_dump(mode="json"), "tls": self._options.encrypted},
        )
        self.settle()
        self._n, self._source, self._given_up = n, source, False
        self._runs = None if runs is None else (goal, runs)
        # Its own: the last migration's thread may still be setting the one before.
        journalled, self._over, self._returned = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(
            target=self._migrate,
            args=(connections, migration, unfit, journalled, self._returned, self._over, report),
            name=f"migration-{n}",
            daemon=True,
        )
        self._thread.start()
        journalled.wait()

    def _migrate(
        self,
        connections: Mapping[str, Hypervisor],
        migration: MigrationStarted,
        unfit: str | None,
        journalled: threading.Event,
        returned: threading.Event,
        over: threading.Event,
        report: Report | None,
    ) -> None:
        n, source, destination = migration.n, migration.source, migration.destination
        try:
            with self._job.watch(n, source, destination):
                self._fired_ns = self._record.clock.now_ns()
                self._record.add(migration, t_ns=self._fired_ns)
                journalled.set()
                outcome = (
                    driver.stays(unfit, self._record.clock)
                    if unfit is not None
                    else driver.migrate(
                        connections[source],
                        connections[destination],
                        self._rig.subject,
                        self._options,
                        address=self._rig.pair.migration_address[destination],
                        clock=self._record.clock,
                    )
                )
                returned.set()
                outcome = self._explained(outcome, destination)
                end = MigrationReturned(n=n, ok=outcome.ok, error=outcome.error, obstacle=outcome.obstacle)
                self._record.add(end, t_ns=outcome.returned_ns)
                self._interrupt.wake.set()
                if report is not None:
                    report(outcome)
        except BaseException as error:  # noqa: BLE001 - handed to the runner's thread, which raises it
            self._failure = error
        finally:
            self._runs = None
            journalled.set()
            returned.set()
            over.set()
            self._interrupt.wake.set()

    def _explained(self, outcome: driver.Outcome, destination: str) -> driver.Outcome:
        """The outcome, with the obstacle that the destination's QEMU names where the source heard of none."""
        if outcome.ok or outcome.obstacle or self._given_up or not self._options.encrypted:
            return outcome
        log = f"tail -c {_LOG_BYTES} {_LOGS}/{self._rig.subject.domain}.log"
        try:
            _, said, _ = self._rig.hosts[destination].attempt(log, limit="answer_s")
        except SodbenchError:  # it says nothing, and why the migration failed is journalled anyway
            return outcome
        return replace(outcome, obstacle=in_log(said))

    def check(self) -> None:
        """Raise what ended a migration's thread, if anything did."""
        if self._failure is not None:
            raise self._failure

    def settle(self) -> None:
        """Wait until the last migration's final counts are in: they come shortly after its return."""
        if self._thread is not None:
            while not self._record.clock.wait(_LAST_WAIT_S, self._over):
                continue
            self._thread.join()

    def watch_limit(self, limit_s: float) -> None:
        """Give up a migration that is not over within `limit_s`; its outcome is then a failed one."""
        if not self._under_way or self._given_up:
            return
        if (self._record.clock.now_ns() - self._fired_ns) / NS_PER_S > limit_s:
            self.abort(f"not over within {limit_s:g} s (schedule.migration_timeout_s)")

    @property
    def _under_way(self) -> bool:
        """Whether the call has not returned; its thread lives on until the final counts are in."""
        return self._thread is not None and self._thread.is_alive() and not self._returned.is_set()

    def abort(self, reason: str, n: int | None = None) -> None:
        """Ask the running migration to stop, and record that; a failed return follows."""
        self._given_up = True
        self._record.add(MigrationAborted(n=self._n if n is None else n, reason=reason))
        driver.cancel(self._rig.hypervisors.connect()[self._source], self._rig.subject)

    def abandon(self) -> None:
        """Leave no migration behind: abort the running one, and wait until its final counts are in."""
        try:
            self.cut_short()
        finally:
            self.await_end()

    def cut_short(self) -> None:
        """Abort the running migration, if there is one, because the attempt ends."""
        if not self._under_way:
            return
        try:
            self._record.add(MigrationAborted(n=self._n, reason="the attempt was cut short"))
        finally:  # also where nothing can be recorded any more
            try:
                driver.cancel(self._rig.hypervisors.connect()[self._source], self._rig.subject)
            except SodbenchError as error:
                self._record.failed("runner", f"the migration could not be aborted: {error}")

    def await_end(self) -> None:
        """Wait for the end of a migration that was cut short; not for ever."""
        if self._thread is not None and self._thread.is_alive():
            self._record.clock.wait(_LAST_WAIT_S, self._over)
