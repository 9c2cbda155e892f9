"""A source that heard only that its connection is gone: the destination's QEMU says why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.evidence.events import MigrationReturned
from harness.evidence.journal import Journal, read
from harness.evidence.observers.job import JobStatistics
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.migration import driver
from harness.migration.flight import Flights
from harness.migration.obstacle import in_log
from harness.migration.options import MigrationOptions
from harness.rig.guest import domain
from harness.rig.played.clock import PlayedClock
from harness.rig.played.machines import Installed
from harness.rig.played.script import Script
from harness.rig.played.session import BEGIN_NS, open_rig

HEARD = "operation failed: job 'migration out' failed: Unable to read from socket: Connection reset by peer"
START = (
    "2026-11-28 11:51:42.178+0000: starting up libvirt version: 9.0.0, qemu version: 10.0.2\n"
    "/usr/bin/qemu-system-x86_64 \\\n"
    '-object \'{"qom-type":"tls-creds-x509","id":"objlibvirt_migrate_tls0","verify-peer":true}\' \\\n'
    "char device redirected to /dev/pts/1 (label charserial0)\n"
)
REFUSED = "2026-11-28T11:51:42.865837Z qemu-system-x86_64: The certificate hasn't got a known issuer\n"
"""Recorded from QEMU 10.0 at the destination, as is :data:`HEARD` of the source of the same migration."""
BROKEN = (
    "2026-11-28T11:47:54.881603Z qemu-system-x86_64: Cannot read from TLS channel: "
    "The TLS connection was non-properly terminated.\n"
)
"""Recorded from QEMU 10.0 at the destination of a migration whose source was gone."""
ENDED = (
    "2026-11-28 11:51:42.876+0000: shutting down, reason=failed\n"
    "2026-11-28T11:51:42.877596Z qemu-system-x86_64: terminating on signal 15 from pid 3072\n"
)


@pytest.mark.parametrize(
    ("log", "found"),
    [
        (START + REFUSED + ENDED, "certificate"),
        (START + ENDED, None),
        (START + BROKEN + ENDED, None),
        # What an earlier arrival of the guest was refused for says nothing of this one.
        (START + REFUSED + ENDED + START + ENDED, None),
        # Of a log whose last start is not in what was read, nothing is known.
        (REFUSED + ENDED, None),
        ("", None),
    ],
)
def test_the_log_names_the_obstacle_of_the_last_arrival(log: str, found: str | None) -> None:
    assert in_log(log) == found


def failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str, tls: bool | None = None
) -> MigrationReturned:
    """A migration that fails with an error that names nothing, while b's QEMU wrote `log`."""
    clock = PlayedClock(BEGIN_NS)
    installed = Installed(
        outputs=(
            (re.compile("/var/log/libvirt/qemu/sodbench-guest.log"), lambda role: log if role == "b" else ""),
        )
    )
    rig = open_rig(Script(migration_s=1.0), clock, installed)

    def migrate(*_what: object, **_how: object) -> driver.Outcome:
        return driver.Outcome(ok=False, returned_ns=clock.now_ns(), error=HEARD)

    monkeypatch.setattr(driver, "migrate", migrate)
    with Journal(tmp_path / "journal.jsonl", clock) as journal:
        record = Record(journal=journal, clock=clock, folder=tmp_path, trial="001-idle", attempt=1)
        spec = rig.specify(memory_mib=256, vcpus=1)
        domain.boot(rig.hypervisors.connect()["a"], rig.hosts["a"], spec)
        flight = Flights(rig, MigrationOptions(tls=tls), record, JobStatistics(), Interrupt())
        flight.start(1, 0.0)
        flight.settle()
    (said,) = (
        one.says(MigrationReturned)
        for one in read(tmp_path / "journal.jsonl")
        if one.kind == "migration.returned"
    )
    assert said is not None
    assert said.error == HEARD
    return said


def test_the_journal_has_the_obstacle_that_the_destination_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert failed(tmp_path, monkeypatch, START + REFUSED + ENDED).obstacle == "certificate"


def test_a_destination_that_names_none_leaves_it_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert failed(tmp_path, monkeypatch, START + ENDED).obstacle is None


def test_a_migration_in_the_clear_has_no_such_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert failed(tmp_path, monkeypatch, START + REFUSED + ENDED, tls=False).obstacle is None
