"""Each of several measured guests moves with its own TPM's secret; what keeps one is said of it alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.evidence.events import MigrationReturned, MigrationStarted
from harness.evidence.journal import Journal, read
from harness.evidence.observers.job import JobStatistics
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.migration.flight import Flights
from harness.migration.options import MigrationOptions
from harness.rig.contract import HypervisorError
from harness.rig.guest import domain, vtpm
from harness.rig.played.clock import PlayedClock
from harness.rig.played.hypervisor import PlayedDomain, PlayedHost
from harness.rig.played.script import Script
from harness.rig.played.session import BEGIN_NS, open_rig
from harness.rig.rig import Rig

KEY = b"k" * 32
NAMES = ("first", "second", "third")


class Secrets:
    """What both played hosts hold: (host, domain) to the secret's UUID and value."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.refused: str | None = None

    def set(self, host: PlayedHost, secret: str, name: str, value: bytes) -> None:
        if (host.role, name) == ("b", self.refused):
            raise HypervisorError(f"Secret not found: no secret with matching uuid '{secret}'")
        self.held[host.role, name] = (secret, value)

    def of(self, asked: PlayedDomain) -> str:
        return self.held[asked.host.role, asked.name][0]


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    found = Secrets()

    def of(asked: PlayedDomain) -> str:
        return found.of(asked)

    def set_secret(host: PlayedHost, secret: str, name: str, value: bytes) -> None:
        found.set(host, secret, name, value)

    monkeypatch.setattr(PlayedDomain, "secret", of)
    monkeypatch.setattr(PlayedHost, "set_secret", set_secret)
    return found


def moved(tmp_path: Path, *, options: MigrationOptions, key: bytes = KEY) -> dict[str, tuple[str, str]]:
    """Boot three measured guests on a and move each, at once; where each runs then, and its domain's name."""
    clock = PlayedClock(BEGIN_NS)
    rig = replace(open_rig(Script(migration_s=1.0), clock), vtpm_key=KEY)
    views: list[Rig] = [rig.of(guest) for guest in rig.pair.guests(NAMES)]
    connections = rig.hypervisors.connect()
    with Journal(tmp_path / "journal.jsonl", clock) as journal:
        record = Record(journal=journal, clock=clock, folder=tmp_path, trial="001-idle", attempt=1)
        for view in views:
            spec = view.specify(memory_mib=256, vcpus=1, tpm=True)
            assert spec.encrypted
            domain.boot(connections["a"], view.hosts["a"], spec)
        flights = [
            Flights(replace(view, vtpm_key=key), options, record, JobStatistics(), Interrupt())
            for view in views
        ]
        for n, flight in enumerate(flights, start=1):
            flight.start(n, 0.0)
        for flight in flights:
            flight.settle()
    return {
        view.subject.name: (domain.active_on(connections, view.subject), view.subject.domain)
        for view in views
    }


def returned(tmp_path: Path) -> dict[str, MigrationReturned]:
    events = [(one, one.says(MigrationReturned)) for one in read(tmp_path / "journal.jsonl")]
    return {str(one.data["guest"]): said for one, said in events if said is not None}


def test_each_guests_secret_is_at_the_destination_before_it_leaves(secrets: Secrets, tmp_path: Path) -> None:
    found = moved(tmp_path, options=MigrationOptions())
    assert {host for host, _ in found.values()} == {"b"}
    at_b = {name: held for (host, name), held in secrets.held.items() if host == "b"}
    at_a = {name: held for (host, name), held in secrets.held.items() if host == "a"}
    assert at_b == at_a and set(at_b) == {name for _, name in found.values()}
    assert len({secret for secret, _ in at_b.values()}) == len({value for _, value in at_b.values()}) == 3
    assert all(value == vtpm.passphrase(KEY, secret) for secret, value in at_b.values())


def test_a_secret_that_the_destination_refuses_keeps_that_guest_alone(
    secrets: Secrets, tmp_path: Path
) -> None:
    secrets.refused = "sodbench-guest-second"
    found = moved(tmp_path, options=MigrationOptions())
    assert {name: host for name, (host, _) in found.items()} == {"first": "b", "second": "a", "third": "b"}
    assert found["second"][1] == secrets.refused
    said = returned(tmp_path)
    assert {name: one.obstacle for name, one in said.items()} == {
        "first": None,
        "second": "vtpm-secret",
        "third": None,
    }
    assert {name: one.ok for name, one in said.items()} == {"first": True, "second": False, "third": True}


def test_a_controller_without_the_key_moves_none_of_them(secrets: Secrets, tmp_path: Path) -> None:
    found = moved(tmp_path, options=MigrationOptions(), key=b"")
    assert {host for host, _ in found.values()} == {"a"}
    assert [one.obstacle for one in returned(tmp_path).values()] == ["vtpm-secret"] * 3


@pytest.mark.parametrize(("tls", "encrypted"), [(None, True), (False, False)])
def test_each_guests_migration_is_encrypted_as_the_campaign_says(
    secrets: Secrets, tmp_path: Path, tls: bool | None, encrypted: bool
) -> None:
    moved(tmp_path, options=MigrationOptions(tls=tls))
    events = read(tmp_path / "journal.jsonl")
    started = {one.data["guest"]: one.says(MigrationStarted) for one in events if one.says(MigrationStarted)}
    assert {name: said and said.options["tls"] for name, said in started.items()} == dict.fromkeys(
        NAMES, encrypted
    )
