"""Which migration is aborted, where another guest's is over and waits for its final counts alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.evidence.journal import Event, Journal, read
from harness.evidence.observers.contract import Scene
from harness.evidence.observers.job import JobStatistics
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.migration.flight import Flights
from harness.migration.options import MigrationOptions
from harness.migration.schedule import PlannedMigration
from harness.migration.several import SeveralFlights
from harness.rig.guest import domain
from harness.rig.played.clock import PlayedClock
from harness.rig.played.script import FailingMigration, Script
from harness.rig.played.session import BEGIN_NS, open_rig

GUESTS = ("first", "second")
SCRIPT = Script(fail=[FailingMigration(n=1, after_s=1.0)], migration_s=5.0)
"""A migration that fails has no final counts: they are awaited for 2 s after its return."""


@contextmanager
def two_guests(folder: Path) -> Iterator[tuple[SeveralFlights, Record]]:
    """The first guest's migration, number 1, returned 0.2 s ago, and the second's is under way."""
    clock = PlayedClock(BEGIN_NS)
    rig = open_rig(SCRIPT, clock)
    flights, planned = {}, []
    with Journal(folder / "journal.jsonl", clock) as journal:
        record = Record(journal=journal, clock=clock, folder=folder, trial="001-idle", attempt=1)
        for n, guest in enumerate(rig.pair.guests(GUESTS), start=1):
            view, job = rig.of(guest), JobStatistics()
            spec = view.specify(memory_mib=256, vcpus=1)
            domain.boot(view.hypervisors.connect()["a"], view.hosts["a"], spec)
            connections = view.hypervisors.connect()
            job.start(
                Scene(
                    hosts=view.hosts, client=view.client, guest=guest, connections=connections, heartbeat_hz=1
                ),
                record,
            )
            flights[guest.name] = Flights(view, MigrationOptions(), record, job, Interrupt())
            planned.append(PlannedMigration(n=n, at_s=0.0, guest=guest.name))
        moved = SeveralFlights(flights, planned)
        moved.start(1, 0.0)
        clock.wait(1.2, threading.Event())
        moved.start(2, 0.0)
        clock.wait(0.8, threading.Event())
        yield moved, record
        moved.settle()


def aborted(record: Record) -> list[tuple[object, object]]:
    events: list[Event] = read(record.folder / "journal.jsonl")
    return [(one.data["guest"], one.data["n"]) for one in events if one.kind == "migration.aborted"]


def test_the_time_limit_ends_the_migration_that_is_under_way_and_no_other(tmp_path: Path) -> None:
    with two_guests(tmp_path) as (moved, record):
        moved.watch_limit(1.0)
        assert aborted(record) == []
        moved.watch_limit(0.5)
        moved.watch_limit(0.5)
    assert aborted(record) == [("second", 2)]


def test_what_ends_the_attempt_aborts_the_migration_that_is_under_way_and_no_other(tmp_path: Path) -> None:
    with two_guests(tmp_path) as (moved, record):
        moved.abandon()
    assert aborted(record) == [("second", 2)]
    returned = [one for one in read(tmp_path / "journal.jsonl") if one.kind == "migration.returned"]
    assert [(one.data["guest"], one.data["n"], one.data["ok"]) for one in returned] == [
        ("first", 1, False),
        ("second", 2, False),
    ]
    assert "canceled by client" in str(returned[1].data["error"])
