"""The window: what its director says is done and recorded in that order, from its own event on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from harness.errors import InterruptedRunError, MigrationError
from harness.evidence.events import MigrationAborted, MigrationReturned, WindowOpened
from harness.evidence.journal import Event, Journal, read
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
from harness.migration.schedule import PlannedMigration, directed
from harness.migration.window import Window
from tests.synthetic.clocks import SteppedClock
from tests.synthetic.vocabulary import said

S = 1_000_000_000
WINDOW_S = 5.0
LIMIT_S = 60.0


class Busy(list[Event]):
    """The history of an attempt in which an observer fails just as the window opens, a second later."""

    def __init__(self, clock: SteppedClock) -> None:
        super().__init__()
        self._clock = clock
        self.record: Record | None = None

    def append(self, event: Event) -> None:
        super().append(event)
        if event.kind == "window.opened" and self.record is not None:
            self._clock.now += S
            self.record.failed("heartbeat", "the client does not answer")


class PlayedFlights:
    """Migrations that are over `length_s` after their start; the order of what was asked of them."""

    def guest_of(self, n: int) -> str:
        return "guest"

    def __init__(self, record: Record, length_s: float = 1.0, fails: bool = False) -> None:
        self.record = record
        self.length_s = length_s
        self.fails = fails
        self.did: list[str] = []
        self._ends: tuple[int, int] | None = None

    def start(self, n: int, planned_s: float) -> None:
        self.did.append(f"start {n}")
        if self.fails:
            raise MigrationError("libvirt does not take the options", where="host a")
        self.record.add(said("migration.started", n=n, planned_s=planned_s))
        self._ends = n, self.record.clock.now_ns() + round(self.length_s * S)

    def abort(self, reason: str, n: int) -> None:
        self.did.append(f"abort {n}")
        self.record.add(MigrationAborted(n=n, reason=reason))

    def abandon(self) -> None:
        self.did.append("abandon")

    def watch_limit(self, limit_s: float) -> None:
        assert limit_s == LIMIT_S

    def check(self) -> None:
        if self._ends is not None and self.record.clock.now_ns() >= self._ends[1]:
            self.record.add(MigrationReturned(n=self._ends[0], ok=True, error=None), t_ns=self._ends[1])
            self._ends = None

    def settle(self) -> None:
        self.did.append("settle")


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock(now=100 * S)


@pytest.fixture
def record(tmp_path: Path, clock: SteppedClock) -> Record:
    history = Busy(clock)
    journal = Journal(tmp_path / "journal.jsonl", clock)
    made = Record(journal=journal, clock=clock, folder=tmp_path, trial="001-idle", attempt=1, history=history)
    history.record = made
    return made


def window(record: Record, flights: PlayedFlights, interrupt: Interrupt | None = None) -> Window:
    return Window(record, cast(Flights, flights), interrupt or Interrupt(), limit_s=LIMIT_S)


def follow(answers: Sequence[Action]) -> Director:
    """A director that says these, one after another."""
    left = list(answers)
    return lambda _now: left.pop(0)


def journalled(record: Record) -> list[Event]:
    return read(record.folder / "journal.jsonl")


def test_the_window_begins_with_its_own_event_and_lasts_as_planned(record: Record) -> None:
    one = window(record, PlayedFlights(record))
    with one.opened(WINDOW_S) as opened:
        one.carry_out(opened, directed((), "skip", WINDOW_S))
    found = {event.kind: event for event in journalled(record)}
    assert [*found] == ["window.opened", "observer.failed", "window.closed"]
    assert found["observer.failed"].t_ns - found["window.opened"].t_ns == S
    assert found["window.closed"].t_ns - found["window.opened"].t_ns == round(WINDOW_S * S)
    assert found["window.closed"].data == {"late_s": 0.0}


def test_a_record_gives_back_the_event_that_it_wrote(record: Record) -> None:
    opened = record.add(WindowOpened(window_s=WINDOW_S))
    other = record.add(said("qmp.event", event="STOP"), t_ns=7)
    written = [event for event in journalled(record) if event.kind in {"window.opened", "qmp.event"}]
    assert [opened, other] == written
    assert other.t_ns == 7


def test_a_record_remembers_what_decides_and_nothing_else(record: Record) -> None:
    record.add(said("qmp.event", event="STOP"))
    record.add(said("response.closed", n=1))
    record.add(said("migration.started", n=1))
    assert [event.kind for event in record.history] == ["response.closed", "migration.started"]


def test_every_answer_is_carried_out_and_recorded_in_its_order(record: Record) -> None:
    flights, acted = PlayedFlights(record, length_s=0.1), list[Action]()
    answers: list[Action] = [
        Delay(2, 1.0, "later"),
        Fire(1, 0.0),
        Abort(1, "another was due"),
        Skip(3, 2.0, "taken"),
        Provoke(1),
        Miss(1, "nothing followed"),
        Undo(),
        Wait(0.2),
        Close(),
    ]
    one = window(record, flights)
    one.carry_out(record.add(said("window.opened")), follow(answers), act=acted.append)
    assert [event.kind for event in journalled(record)][2:] == [
        "migration.delayed",
        "migration.started",
        "migration.aborted",
        "migration.skipped",
        "response.missed",
        "migration.returned",
    ]
    assert flights.did == ["start 1", "abort 1"]
    assert acted == [Provoke(1), Undo()]


def test_a_director_is_shown_what_its_last_answer_did(record: Record) -> None:
    seen: list[tuple[float, list[str]]] = []

    def director(now: Now) -> Action:
        seen.append((now.now_s, [event.kind for event in now.history]))
        answers: list[Action] = [Wait(0.25), Fire(1, 0.25), Close()]
        return answers[len(seen) - 1]

    one = window(record, PlayedFlights(record))
    one.carry_out(record.add(said("window.opened")), director)
    before = ["window.opened", "observer.failed"]
    assert seen == [(1.0, before), (1.25, before), (1.25, [*before, "migration.started"])]


def test_no_wait_is_longer_than_half_a_second(record: Record, clock: SteppedClock) -> None:
    opened = record.add(said("window.opened"))
    begin = clock.now
    window(record, PlayedFlights(record)).carry_out(opened, follow([Wait(60.0), Close()]))
    assert clock.now - begin == S // 2


def test_a_migration_that_outlasts_the_window_is_awaited_and_by_how_much_is_said(record: Record) -> None:
    flights = PlayedFlights(record, length_s=6.0)
    one = window(record, flights)
    with one.opened(WINDOW_S) as opened:
        one.carry_out(opened, directed(_planned(2.0), "delay", WINDOW_S))
    closed = journalled(record)[-1]
    assert (closed.kind, flights.did[-1]) == ("window.closed", "settle")
    assert closed.data["late_s"] == pytest.approx(3.0)


def test_what_ends_a_window_early_leaves_no_migration_behind_and_no_end(record: Record) -> None:
    flights, interrupt = PlayedFlights(record), Interrupt()
    one = window(record, flights, interrupt)
    interrupt.ask()
    with pytest.raises(InterruptedRunError), one.opened(WINDOW_S) as opened:
        one.carry_out(opened, directed(_planned(0.0), "skip", WINDOW_S), checks=(interrupt.check,))
    assert flights.did == ["start 1", "abandon"]
    assert journalled(record)[-1].kind == "migration.started"


def test_a_migration_that_cannot_start_ends_the_window(record: Record) -> None:
    flights = PlayedFlights(record, fails=True)
    with pytest.raises(MigrationError):
        window(record, flights).carry_out(record.add(said("window.opened")), follow([Fire(1, 0.0)]))
    assert flights.did == ["start 1", "abandon"]


def test_a_director_that_ends_by_itself_on_the_users_wish_is_not_interrupted(record: Record) -> None:
    interrupt = Interrupt()
    interrupt.ask()
    opened = record.add(said("guard.started"))
    one = window(record, PlayedFlights(record), interrupt)
    one.carry_out(opened, lambda now: Close() if now.asked_to_stop else Wait(1.0))


def test_a_window_without_a_scenario_provokes_nothing(record: Record) -> None:
    flights = PlayedFlights(record)
    with pytest.raises(ValueError, match="Provoke"):
        window(record, flights).carry_out(record.add(said("window.opened")), follow([Provoke(1)]))
    assert flights.did == ["abandon"]


def _planned(*points_s: float) -> list[PlannedMigration]:
    return [PlannedMigration(n=n, at_s=at_s) for n, at_s in enumerate(points_s, start=1)]
