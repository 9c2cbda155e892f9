"""What the guests of one played host share: its death, the wire, and how the script counts them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import cast

import pytest

from harness.evidence.journal import Journal, read
from harness.evidence.observers.job import JobStatistics
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.migration.flight import Flights
from harness.migration.options import MigrationOptions
from harness.rig.guest import domain
from harness.rig.played.clock import PlayedClock
from harness.rig.played.hypervisor import PlayedHost
from harness.rig.played.script import HostDies, Script
from harness.rig.played.session import BEGIN_NS, open_rig

SENT_BYTES = 1_000_000
SCRIPT = Script(
    migration_s=3.0,
    blackout_s=0.5,
    sent_bytes=SENT_BYTES,
    die=[HostDies(host="a", guest=3, after_s=5.0)],
)


def test_a_host_that_dies_during_the_second_move_takes_all_guests_that_are_still_there(
    tmp_path: Path,
) -> None:
    clock = PlayedClock(BEGIN_NS)
    rig = open_rig(SCRIPT, clock)
    host = cast(PlayedHost, rig.hypervisors.connect()["a"])
    views = [rig.of(guest) for guest in rig.pair.guests(["first", "second", "third"])]
    closed: dict[str, str] = {}
    with Journal(tmp_path / "journal.jsonl", clock) as journal:
        record = Record(journal=journal, clock=clock, folder=tmp_path, trial="001-idle", attempt=1)
        for view in views:
            spec = view.specify(memory_mib=256, vcpus=1)
            domain.boot(view.hypervisors.connect()["a"], view.hosts["a"], spec)

            def on_close(reason: str, name: str = view.subject.name) -> None:
                closed[name] = reason

            view.guest.stream("exec dbench -t 60 4", lambda _t_ns, _line: None, on_close=on_close)
        flights = [Flights(view, MigrationOptions(), record, JobStatistics(), Interrupt()) for view in views]
        flights[0].start(1, 0.0)
        clock.wait(1.25, threading.Event())
        assert host.world.sent("a") == SENT_BYTES // 2
        flights[0].settle()
        assert host.world.sent("a") == SENT_BYTES
        flights[1].start(2, 3.0)
        clock.wait(1.25, threading.Event())
        assert host.world.sent("a") == SENT_BYTES * 3 // 2
        flights[1].settle()
    returned = [one.data for one in read(tmp_path / "journal.jsonl") if one.kind == "migration.returned"]
    assert [(one["guest"], one["ok"]) for one in returned] == [("first", True), ("second", False)]
    assert "No route to host" in str(returned[1]["error"])
    assert clock.now_ns() == pytest.approx(BEGIN_NS + 5_000_000_000, abs=1_000_000)
    assert [view.guest.answers() for view in views] == [True, False, False]
    assert set(closed) == {"second", "third"}
    assert host.world.sent("a") == pytest.approx(SENT_BYTES * (1 + (5.0 - 3.05) / 2.5), rel=0.01)
