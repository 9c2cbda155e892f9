"""The measured window: it begins with its own event, whoever else says something at that moment."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from harness.campaign.plan import Plan, Trial
from harness.campaign.run.window import Window
from harness.evidence.journal import Event, Journal, read
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.migration.flight import Flights
from tests.synthetic.clocks import SteppedClock

S = 1_000_000_000
WINDOW_S = 5.0


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


class NoFlights:
    """No migration is ever under way."""

    def watch_limit(self, limit_s: float) -> None:
        pass

    def check(self) -> None:
        pass

    def settle(self) -> None:
        pass


@pytest.fixture
def record(tmp_path: Path) -> Record:
    clock = SteppedClock(now=100 * S)
    history = Busy(clock)
    journal = Journal(tmp_path / "journal.jsonl", clock)
    made = Record(journal=journal, clock=clock, folder=tmp_path, trial="001-idle", attempt=1, history=history)
    history.record = made
    return made


def trial() -> Trial:
    return Trial(
        id="001-idle",
        workload="idle",
        options={},
        repetition=1,
        kind="control",
        start="boot",
        baseline_s=0,
        window_s=WINDOW_S,
        settle_timeout_s=1,
        migrations=(),
        reference_points_s=(),
    )


class SmallPlan:
    """What a window reads of a plan."""

    overlap = "skip"
    migration_timeout_s = 60.0


def test_the_window_begins_with_its_own_event_and_lasts_as_planned(record: Record) -> None:
    window = Window(cast(Plan, SmallPlan()), trial(), record, cast(Flights, NoFlights()), Interrupt())
    window.run()
    found = {event.kind: event for event in read(record.folder / "journal.jsonl")}
    assert [*found] == ["window.opened", "observer.failed", "window.closed"]
    assert found["observer.failed"].t_ns - found["window.opened"].t_ns == S
    assert found["window.closed"].t_ns - found["window.opened"].t_ns == round(WINDOW_S * S)


def test_a_record_gives_back_the_event_that_it_wrote(record: Record) -> None:
    opened = record.add("runner", "window.opened", {"window_s": WINDOW_S})
    other = record.add("qmp", "qmp.event", {"event": "STOP"}, t_ns=7)
    assert [opened, other] == [
        event
        for event in read(record.folder / "journal.jsonl")
        if event.kind in {"window.opened", "qmp.event"}
    ]
    assert other.t_ns == 7
