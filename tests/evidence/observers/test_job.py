"""Job statistics: which migration they are of, and what is left out when the guest has moved on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.clock import MonotonicClock
from harness.evidence.events import MigrationReturned
from harness.evidence.journal import Event, Journal, read
from harness.evidence.observers import job as module
from harness.evidence.observers.job import JobStatistics
from harness.evidence.record import Record
from harness.json_types import Json
from harness.rig.contract import HypervisorError


class PlayedHypervisor:
    """A host whose job statistics are `stats`; asked after the guest has left, it raises."""

    def __init__(self, stats: Mapping[str, Json] | None) -> None:
        self.stats = stats
        self.told: Callable[[str, Mapping[str, Json]], None] = lambda _domain, _stats: None

    def on_completed(self, told: Callable[[str, Mapping[str, Json]], None]) -> Callable[[], None]:
        self.told = told
        return lambda: None

    def domain(self, name: str) -> Any:
        assert name == "sodbench-guest"
        return SimpleNamespace(job=self)

    def statistics(self, *, completed: bool = False) -> Mapping[str, Json]:
        if self.stats is None:
            raise HypervisorError("no domain", where="host a")
        return {**self.stats, "completed": completed}

    def qemu(self, command: str) -> Json:
        assert command == "query-migrate"
        return {"total-time": 120, "downtime": 7}


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    monkeypatch.setattr(module, "PERIOD_S", 0.005)
    monkeypatch.setattr(module, "_EVENT_GRACE_S", 0.05)
    clock = MonotonicClock()
    journal = Journal(tmp_path / "journal.jsonl", clock)
    return Record(journal=journal, clock=clock, folder=tmp_path, trial="001-idle", attempt=1)


def started(record: Record, **hosts: PlayedHypervisor) -> JobStatistics:
    observer = JobStatistics()
    scene: Any = SimpleNamespace(
        connections=hosts, guest=SimpleNamespace(name="guest", domain="sodbench-guest")
    )
    observer.start(scene, record)
    return observer


def told(record: Record, kind: str) -> list[Event]:
    return [one for one in read(record.folder / "journal.jsonl") if one.kind == kind]


def await_told(record: Record, kind: str) -> None:
    for _ in range(1000):
        if told(record, kind):
            return
        record.clock.wait(0.01, threading.Event())


def test_a_migration_is_sampled_on_its_source_and_counted_three_ways_at_its_end(
    record: Record,
) -> None:
    a, b = PlayedHypervisor({"downtime": 1}), PlayedHypervisor({"downtime": 2})
    observer = started(record, a=a, b=b)
    with observer.watch(3, "a", "b"):
        await_told(record, "job.sampled")
        observer.on_qemu_event("b", "MIGRATION", {"status": "completed"})
        observer.on_qemu_event("a", "MIGRATION", {"status": "active"})
        observer.on_qemu_event("a", "MIGRATION", {"status": "completed"})
        await_told(record, "qemu.completed")
        a.told("another-guest", {"downtime": 9})
        a.told("sodbench-guest", {"downtime": 3})
    sampled = told(record, "job.sampled")[0].data
    assert (sampled["n"], sampled["stats"]) == (3, {"downtime": 1, "completed": False})
    completed = [
        (one.data["origin"], one.data["host"], one.data["stats"]) for one in told(record, "job.completed")
    ]
    assert completed == [("event", "a", {"downtime": 3}), ("kept", "b", {"downtime": 2, "completed": True})]
    (qemu,) = told(record, "qemu.completed")
    assert (qemu.data["n"], qemu.data["downtime_ms"], qemu.data["setup_time_ms"]) == (3, 7, None)


def test_what_comes_outside_of_a_migration_belongs_to_none(record: Record) -> None:
    a, b = PlayedHypervisor({}), PlayedHypervisor(None)
    observer = started(record, a=a, b=b)
    a.told("sodbench-guest", {"downtime": 3})
    observer.on_qemu_event("a", "MIGRATION", {"status": "completed"})
    with observer.watch(1, "a", "b"):
        pass
    a.told("sodbench-guest", {"downtime": 3})
    assert [*told(record, "job.completed"), *told(record, "qemu.completed")] == []


def test_an_observer_that_did_not_start_lets_the_migration_go_on(record: Record) -> None:
    with JobStatistics().watch(1, "a", "b"):
        record.add(MigrationReturned(n=1, ok=True, error=None))
    assert [one.kind for one in read(record.folder / "journal.jsonl")] == ["migration.returned"]
