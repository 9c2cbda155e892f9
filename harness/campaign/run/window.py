"""The window of a trial: migrations fired when the schedule says so, each in a thread of its own.

The schedule is pure and is asked again and again; this module only waits, fires and records. Every decision
is in the journal before the next one is asked for.
"""

from __future__ import annotations

from typing import assert_never

from harness.campaign.plan import Plan, Trial
from harness.clock import NS_PER_S
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.json_types import Json
from harness.migration.flight import Flights
from harness.migration.schedule import Abort, Action, Delay, Done, Fire, Skip, Wait, next_action

_LOOK_UP_S = 0.5
"""The longest the loop sleeps without looking at the interrupt and the migration's time limit."""


class Window:
    """One attempt's window. `run` returns when it is over and nothing is under way."""

    def __init__(
        self, plan: Plan, trial: Trial, record: Record, flights: Flights, interrupt: Interrupt
    ) -> None:
        self._plan = plan
        self._trial = trial
        self._record = record
        self._flights = flights
        self._interrupt = interrupt

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
        opened = self._record.add("runner", "window.opened", opening).t_ns
        try:
            while not isinstance(action := self._next(opened), Done):
                self._carry_out(action)
                self._interrupt.check()
                self._flights.watch_limit(self._plan.migration_timeout_s)
                self._flights.check()
        except BaseException:
            self._flights.abandon()
            raise
        self._flights.settle()
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
                self._flights.start(n, planned_s)
            case Skip(n, planned_s, reason):
                record.add("runner", "migration.skipped", {"n": n, "planned_s": planned_s, "reason": reason})
            case Delay(n, planned_s, reason):
                record.add("runner", "migration.delayed", {"n": n, "planned_s": planned_s, "reason": reason})
            case Abort(n, reason):
                self._flights.abort(reason, n)
            case Done():
                return
            case _:
                assert_never(action)
