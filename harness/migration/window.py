"""Carries out what a director decides: the one interpreter for schedules, scenarios and the service.

The director is pure and is asked again and again; the window waits, acts and records. Every decision is in
the journal before the next question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import assert_never

from harness.clock import NS_PER_S
from harness.evidence.events import (
    MigrationDelayed,
    MigrationReturned,
    MigrationSkipped,
    ResponseMissed,
    WindowClosed,
    WindowOpened,
)
from harness.evidence.journal import Event
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.migration.actions import (
    Abort,
    Action,
    Close,
    Delay,
    Director,
    Fire,
    Miss,
    Now,
    Provoke,
    Skip,
    Undo,
    Wait,
)
from harness.migration.flight import Flights
from harness.migration.several import SeveralFlights

LOOK_UP_S = 0.5
"""The longest wait without a look at the checks and at the time limit of a migration."""

Act = Callable[[Provoke | Undo], None]
"""Does to a server what a scenario says, or undoes it."""


def nothing_to_provoke(action: Provoke | Undo) -> None:
    """For a window without a scenario, whose director never answers so.

    Raises:
        ValueError: It did.
    """
    raise ValueError(f"a window without a scenario cannot carry out {action}")


class Window:
    """One stretch of time in which a guest is moved.

    Args:
        record: Where events go; its history is what directors are shown.
        flights: The guest's migrations.
        interrupt: Wakes the window; ends it where a check or the director says so.
        limit_s: After so many seconds a migration is given up.
    """

    def __init__(
        self, record: Record, flights: Flights | SeveralFlights, interrupt: Interrupt, *, limit_s: float
    ) -> None:
        self._record = record
        self._flights = flights
        self._interrupt = interrupt
        self._limit_s = limit_s

    @contextmanager
    def opened(self, window_s: float, points_s: Sequence[float] | None = None) -> Iterator[Event]:
        """A measured window of `window_s` seconds: its first event, which is t = 0, and at the end its last.

        Args:
            window_s: Its planned length in s.
            points_s: In a control trial, where the other trials migrate; in s after t = 0.
        """
        opened = self._record.add(WindowOpened(window_s=window_s, points_s=points_s))
        yield opened
        self._flights.settle()
        self._record.add(WindowClosed(late_s=self._late_s(opened, window_s)))

    def _late_s(self, opened: Event, window_s: float) -> float:
        """How long after the planned end a migration was still under way, in s; 0 when none was."""
        returned = [one.t_ns for one in self._record.account.all(MigrationReturned)]
        last_s = (max(returned, default=opened.t_ns) - opened.t_ns) / NS_PER_S
        return max(0.0, last_s - window_s)

    def carry_out(
        self,
        opened: Event,
        director: Director,
        *,
        act: Act = nothing_to_provoke,
        checks: Sequence[Callable[[], None]] = (),
    ) -> None:
        """Do what `director` says until it closes the window. Whatever ends it leaves no migration behind.

        Args:
            opened: The event at t = 0.
            director: Says what next.
            act: Carries out what a scenario does.
            checks: Called after each action; each raises what ends the window.

        Raises:
            GuestError: The guest is not where exactly one guest should be.
            MigrationError: libvirt does not take the migration's options.
        """
        try:
            while not isinstance(action := self._next(opened, director), Close):
                self._carry_out(action, act)
                for check in checks:
                    check()
                self._flights.watch_limit(self._limit_s)
                self._flights.check()
        except BaseException:
            self._flights.abandon()
            raise

    def _next(self, opened: Event, director: Director) -> Action:
        # Cleared before the question: what happens after it wakes the wait that may be the answer.
        self._interrupt.wake.clear()
        now_s = (self._record.clock.now_ns() - opened.t_ns) / NS_PER_S
        history = tuple(self._record.history)
        return director(Now(now_s=now_s, history=history, asked_to_stop=self._interrupt.asked))

    def _carry_out(self, action: Action, act: Act) -> None:
        record = self._record
        match action:
            case Wait(seconds):
                record.clock.wait(min(seconds, LOOK_UP_S), self._interrupt.wake)
            case Fire(n, planned_s):
                self._flights.start(n, planned_s)
            case Skip(n, planned_s, reason):
                skipped = MigrationSkipped(n=n, planned_s=planned_s, reason=reason)
                record.of(self._flights.guest_of(n)).add(skipped)
            case Delay(n, planned_s, reason):
                delayed = MigrationDelayed(n=n, planned_s=planned_s, reason=reason)
                record.of(self._flights.guest_of(n)).add(delayed)
            case Abort(n, reason):
                self._flights.abort(reason, n)
            case Provoke() | Undo():
                act(action)
            case Miss(n, reason):
                record.of(self._flights.guest_of(n)).add(ResponseMissed(n=n, reason=reason))
            case Close():
                return
            case _:
                assert_never(action)
