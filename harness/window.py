"""The window of a trial: migrations fired when the schedule says so, each in a thread of its own.

The schedule is pure and is asked again and again; this module only waits, fires and records. Every decision
is in the journal before the next one is asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import assert_never

import libvirt

from harness.clock import NS_PER_S
from harness.errors import MigrationError, SodbenchError
from harness.interrupt import Interrupt
from harness.journal import Json
from harness.migration import driver
from harness.migration.schedule import Abort, Action, Delay, Done, Fire, Skip, Wait, next_action
from harness.observers.contract import Record
from harness.observers.job import JobStatistics
from harness.plan import Plan, Trial
from harness.rig import guest
from harness.rig.session import Rig

_LOOK_UP_S = 0.5
"""The longest the loop sleeps without looking at the interrupt and the migration's time limit."""

_OTHER = {"a": "b", "b": "a"}


class Window:
    """One attempt's window. `run` returns when it is over and nothing is under way."""

    def __init__(
        self, rig: Rig, plan: Plan, trial: Trial, record: Record, job: JobStatistics, interrupt: Interrupt
    ) -> None:
        self._rig = rig
        self._plan = plan
        self._trial = trial
        self._record = record
        self._job = job
        self._interrupt = interrupt
        self._thread: threading.Thread | None = None
        self._source = ""
        self._fired_ns = 0
        self._given_up = False
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Open the window, carry out the schedule, close the window.

        Raises:
            GuestError: The guest is not where exactly one guest should be.
            MigrationError: libvirt does not take the migration's options.
            InterruptedRunError: The user asked to stop; a running migration was aborted first.
        """
        opening: dict[str, Json] = {"window_s": self._trial.window_s}
        if self._trial.kind == "control":
            opening["points_s"] = list(self._trial.reference_points_s)
        self._record.add("runner", "window.opened", opening)
        opened = self._record.history[-1].t_ns
        try:
            while not isinstance(action := self._next(opened), Done):
                self._carry_out(action)
                self._interrupt.check()
                self._watch_limit()
                if self._failure is not None:
                    raise self._failure
        except BaseException:
            self._abandon()
            raise
        self._settle()
        self._record.add("runner", "window.closed", {"late_s": self._late_s(opened)})

    def _late_s(self, opened: int) -> float:
        """How long after the planned end a migration was still under way, in s; 0 when none was."""
        returned = [one.t_ns for one in self._record.history if one.kind == "migration.returned"]
        last_s = (max(returned, default=opened) - opened) / NS_PER_S
        return max(0.0, last_s - self._trial.window_s)

    def _next(self, opened: int) -> Action:
        # Cleared before the question: what happens after it wakes the wait that may be the answer.
        self._interrupt.wake.clear()
        now_s = (self._record.clock.now_ns() - opened) / NS_PER_S
        return next_action(
            self._trial.migrations,
            self._plan.overlap,
            self._trial.window_s,
            now_s,
            tuple(self._record.history),
        )

    def _carry_out(self, action: Action) -> None:
        record = self._record
        match action:
            case Wait(seconds):
                record.clock.wait(min(seconds, _LOOK_UP_S), self._interrupt.wake)
            case Fire(n, planned_s):
                self._fire(n, planned_s)
            case Skip(n, planned_s, reason):
                record.add("runner", "migration.skipped", {"n": n, "planned_s": planned_s, "reason": reason})
            case Delay(n, planned_s, reason):
                record.add("runner", "migration.delayed", {"n": n, "planned_s": planned_s, "reason": reason})
            case Abort(n, reason):
                record.add("runner", "migration.aborted", {"n": n, "reason": reason})
                driver.cancel(self._rig.hypervisors.connect()[self._source])
            case Done():
                return
            case _:
                assert_never(action)

    def _fire(self, n: int, planned_s: float) -> None:
        """Start migration `n` in a thread of its own; returns once its start is journalled."""
        connections = self._rig.hypervisors.connect()
        source = guest.active_on(connections)
        destination = _OTHER[source]
        try:
            driver.prepare(connections[source], self._plan.migration)
        except libvirt.libvirtError as error:
            raise MigrationError(
                "the migration's options cannot be set", where=f"host {source}", why=str(error)
            ) from error
        data: dict[str, Json] = {
            "n": n,
            "planned_s": planned_s,
            "source": source,
            "destination": destination,
            "options": self._plan.migration.model_dump(mode="json"),
        }
        self._source, self._given_up = source, False
        self._settle()
        journalled = (
            threading.Event()
        )  # its own: the last migration's thread may still be setting the one before
        self._thread = threading.Thread(
            target=self._migrate, args=(connections, data, journalled), name=f"migration-{n}", daemon=True
        )
        self._thread.start()
        journalled.wait()

    def _migrate(
        self,
        connections: Mapping[str, libvirt.virConnect],
        data: Mapping[str, Json],
        journalled: threading.Event,
    ) -> None:
        n, source, destination = int(str(data["n"])), str(data["source"]), str(data["destination"])
        try:
            with self._job.watch(n, source, destination):
                self._fired_ns = self._record.clock.now_ns()
                self._record.add("runner", "migration.started", data, t_ns=self._fired_ns)
                journalled.set()
                outcome = driver.migrate(
                    connections[source],
                    connections[destination],
                    self._plan.migration,
                    address=self._rig.pair.migration_address[destination],
                    clock=self._record.clock,
                )
                returned: dict[str, Json] = {"n": n, "ok": outcome.ok, "error": outcome.error}
                self._record.add("runner", "migration.returned", returned, t_ns=outcome.returned_ns)
                self._interrupt.wake.set()
        except BaseException as error:  # noqa: BLE001 - handed to the runner's thread, which raises it
            self._failure = error
        finally:
            journalled.set()
            self._interrupt.wake.set()

    def _settle(self) -> None:
        """Wait until the last migration's final counts are in: they come shortly after its return."""
        if self._thread is not None:
            self._thread.join()

    def _watch_limit(self) -> None:
        """Give up a migration that outlasts the campaign's limit; its outcome is then a failed one."""
        if self._thread is None or not self._thread.is_alive() or self._given_up:
            return
        limit_s = self._plan.migration_timeout_s
        if (self._record.clock.now_ns() - self._fired_ns) / NS_PER_S > limit_s:
            self._given_up = True
            reason = f"not over within {limit_s:g} s (schedule.migration_timeout_s)"
            self._record.add("runner", "migration.aborted", {"n": self._current(), "reason": reason})
            driver.cancel(self._rig.hypervisors.connect()[self._source])

    def _current(self) -> int:
        started = [event for event in self._record.history if event.kind == "migration.started"]
        return int(str(started[-1].data["n"]))

    def _abandon(self) -> None:
        """Leave no migration behind: abort the running one and wait for its end."""
        if self._thread is None or not self._thread.is_alive():
            return
        data: dict[str, Json] = {"n": self._current(), "reason": "the attempt was cut short"}
        try:
            self._record.add("runner", "migration.aborted", data)
        finally:  # also where nothing can be recorded any more
            try:
                driver.cancel(self._rig.hypervisors.connect()[self._source])
            except SodbenchError as error:
                self._record.failed("runner", f"the migration could not be aborted: {error}")
            finally:
                self._thread.join(timeout=30.0)
