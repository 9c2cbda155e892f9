"""Each migration option, for real: the guest moves, and the hypervisor says that it did it that way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from conftest import Lab
from harness.clock import MonotonicClock
from harness.evidence.journal import Event, Journal, read
from harness.evidence.observers.contract import Scene
from harness.evidence.observers.job import JobStatistics
from harness.evidence.observers.qmp import Qmp
from harness.evidence.record import Record
from harness.migration import driver
from harness.migration.options import MigrationOptions
from harness.registry import places
from harness.rig import pair as pairs
from harness.rig.contract import HypervisorError
from harness.rig.guest import domain as guest
from harness.rig.guest import snapshot, vtpm
from harness.rig.rig import Rig
from harness.rig.session import open_rig

pytestmark = pytest.mark.lab

_OTHER = {"a": "b", "b": "a"}


@pytest.fixture(scope="module")
def rig(lab: Lab) -> Iterator[Rig]:
    """The rig with a running guest: the saved one of the smoke campaign, or a booted one."""
    # With the user's key, as a run has it: a saved guest is its controller's own.
    key = vtpm.key(places.vtpm_key_file())
    with open_rig(pairs.load(lab.inventory), "the options test", MonotonicClock(), vtpm_key=key) as opened:
        spec = opened.specify(memory_mib=1024, vcpus=1)
        host, connection = opened.hosts["a"], opened.hypervisors.connect()["a"]
        opened.clear(spec)
        folder = snapshot.place(spec, opened.pair.storage_path, connection.version())
        if snapshot.exists(host, folder):
            snapshot.restore(connection, host, spec, folder)
        else:
            guest.boot(connection, host, spec)
        guest.await_login(opened.guest, host, spec, timeout_s=300, clock=MonotonicClock())
        try:
            yield opened
        finally:
            opened.clear(spec)


@dataclass(frozen=True, slots=True)
class Settings:
    """How QEMU on the source is set, asked while it migrates."""

    capabilities: set[str]
    downtime_limit_ms: int
    bandwidth_bytes_s: int


class Watch:
    """Asks the source's QEMU how it is set, again and again for as long as a block runs."""

    def __init__(self, rig: Rig, source: str) -> None:
        self._connection = rig.hypervisors.connect()[source]
        self._domain = rig.subject.domain
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._over = threading.Event()
        self.seen: list[Settings] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def _ask(self) -> None:
        while not self._over.wait(0.1):
            try:
                switched = self._query("query-migrate-capabilities")
                limits = self._query("query-migrate-parameters")
            except HypervisorError:  # it is busy, or has moved on: the block's end ends this
                continue
            on = {one["capability"] for one in switched if one["state"]}
            self.seen.append(Settings(on, limits["downtime-limit"], limits["max-bandwidth"]))

    def _query(self, command: str) -> Any:
        return self._connection.domain(self._domain).job.qemu(command)

    def __exit__(self, *details: object) -> None:
        self._over.set()
        self._thread.join()


CASES = [
    ({}, set()),
    ({"downtime_limit_ms": 123}, set()),
    ({"bandwidth_mib_s": 60}, set()),
    ({"auto_converge": True, "auto_converge_initial_percent": 30}, {"auto-converge"}),
    ({"xbzrle": True, "xbzrle_cache_mib": 64}, {"xbzrle"}),
    ({"parallel_connections": 2}, {"multifd"}),
    ({"mode": "post-copy", "post_copy_after_s": 1.0}, {"postcopy-ram"}),
]


@dataclass(frozen=True, slots=True)
class Moved:
    """One migration: how it ended, what was seen of it."""

    outcome: driver.Outcome
    destination: str
    settings: list[Settings]
    events: list[Event]


def move(rig: Rig, folder: Path, options: MigrationOptions) -> Moved:
    connections = rig.hypervisors.connect()
    source = guest.active_on(connections, rig.subject)
    destination = _OTHER[source]
    clock = MonotonicClock()
    with Journal(folder / "journal.jsonl", clock) as journal, ExitStack() as stack:
        record = Record(journal=journal, clock=clock, folder=folder, trial="options", attempt=1)
        scene = Scene(
            hosts=rig.hosts, client=rig.client, guest=rig.subject, connections=connections, heartbeat_hz=1
        )
        job = JobStatistics()
        for observer in (job, Qmp(job.on_qemu_event)):
            stack.callback(observer.stop)
            observer.start(scene, record)
        driver.prepare(connections[source], rig.subject, options)
        with job.watch(1, source, destination), Watch(rig, source) as watch:
            outcome = driver.migrate(
                connections[source],
                connections[destination],
                rig.subject,
                options,
                address=rig.pair.migration_address[destination],
                clock=clock,
            )
    return Moved(outcome, destination, watch.seen, read(folder / "journal.jsonl"))


@pytest.mark.parametrize(("given", "expected"), CASES, ids=lambda value: ",".join(value) or "plain")
def test_the_guest_moves_as_it_was_told(
    rig: Rig, tmp_path: Path, given: dict[str, object], expected: set[str]
) -> None:
    options = MigrationOptions.model_validate(given)
    moved = move(rig, tmp_path, options)
    assert moved.outcome.ok, moved.outcome.error
    assert guest.active_on(rig.hypervisors.connect(), rig.subject) == moved.destination
    assert rig.guest.run("echo alive", root=False).strip() == "alive"
    assert any(expected <= one.capabilities for one in moved.settings), moved.settings
    if options.downtime_limit_ms:
        assert options.downtime_limit_ms in {one.downtime_limit_ms for one in moved.settings}
    if options.bandwidth_mib_s:
        assert options.bandwidth_mib_s * 2**20 in {one.bandwidth_bytes_s for one in moved.settings}
    statuses = {
        str(details.get("status"))
        for one in moved.events
        if one.kind == "qmp.event" and isinstance(details := one.data["details"], dict)
    }
    assert ("postcopy-active" in statuses) == (options.mode == "post-copy")


def test_a_bandwidth_is_kept_to(rig: Rig, tmp_path: Path) -> None:
    limit_bytes_s = 40 * 2**20
    moved = move(rig, tmp_path, MigrationOptions(bandwidth_mib_s=40))
    assert moved.outcome.ok, moved.outcome.error
    stats = next(one.data["stats"] for one in moved.events if one.kind == "job.completed")
    assert isinstance(stats, dict)
    sent, took_s = float(str(stats["data_processed"])), float(str(stats["time_elapsed"])) / 1000
    assert sent / took_s < 1.1 * limit_bytes_s
    # How near it comes to its limit is the machine's affair; that it is no lower one, QEMU says.
    assert limit_bytes_s in {one.bandwidth_bytes_s for one in moved.settings}
