"""Whom an event is about: the guest that a record was narrowed to, or the attempt."""

from __future__ import annotations

from pathlib import Path

from harness.evidence.events import WindowOpened
from harness.evidence.journal import Journal, read
from harness.evidence.record import Record
from tests.synthetic.clocks import SteppedClock
from tests.synthetic.vocabulary import said


def test_an_event_of_a_guest_names_it_and_one_of_the_attempt_names_none(tmp_path: Path) -> None:
    clock = SteppedClock()
    with Journal(tmp_path / "journal.jsonl", clock) as journal:
        record = Record(journal=journal, clock=clock, folder=tmp_path, trial="001-idle", attempt=1)
        record.add(WindowOpened(window_s=1))
        record.of("g1").add(said("migration.started", n=1))
        record.of("g2").failed("qmp", "it does not answer")
    found = [event.data.get("guest") for event in read(tmp_path / "journal.jsonl")]
    assert found == [None, "g1", "g2"]
    assert [event.kind for event in record.history] == [
        "window.opened",
        "migration.started",
        "observer.failed",
    ]
