"""`sodbench pvi`: certificates are checked and logs paired, each with its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from harness.clock import realtime_ns
from harness.errors import AlteredError, RecordError, RemainsError, UnreconciledError, UsageError
from harness.evidence import signature
from harness.pvi import destruction
from harness.pvi.destruction import KIND, Fate, Finding, Remains
from harness.pvi.factory import factory as factories
from harness.pvi.factory import locked_key, signer
from harness.pvi.factory.factory import TRUST
from harness.pvi.factory.trust import CertificateRefusedError
from tests.cli.command import Sodbench
from tests.pvi.factory.places import CHEAP, HERE, HOUR_NS, PASSPHRASE, Log, Place
from tests.pvi.test_package import GUEST
from tests.pvi.test_reconcile import line


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A factory that was made an hour ago."""
    monkeypatch.setattr(locked_key, "COST", CHEAP)
    made = Place(tmp_path / "pvi", Log(), now_ns=realtime_ns() - HOUR_NS)
    factories.make(made.folder, "shop", PASSPHRASE, HERE, made.log, made.now_ns)
    return made


def _certified(folder: Path, place: Place, swap: Fate, ended_ns: int | None = None) -> Path:
    findings = [
        Finding(remains=one, fate=swap if one is Remains.SWAP else Fate.DESTROYED, why="the test says so")
        for one in Remains
    ]
    ended_ns = place.now_ns if ended_ns is None else ended_ns
    made = destruction.certificate(GUEST, "host-a", findings, began_ns=1, ended_ns=ended_ns)
    with place.open() as factory:
        return destruction.write(folder, made, factory.signer())


def test_a_certificate_is_shown_and_ends_by_what_it_says(
    sodbench: Sodbench, tmp_path: Path, place: Place
) -> None:
    arguments = ("pvi", "certificate", tmp_path, "--trust", place.folder / TRUST)
    _certified(tmp_path, place, Fate.NEVER_THERE)
    said = sodbench(*arguments)
    assert (said.code, said.err) == (0, "")
    assert GUEST in said.out
    assert "never-there" in said.line("swap")
    _certified(tmp_path, place, Fate.UNKNOWN)
    said = sodbench(*arguments)
    assert said.code == RemainsError.exit_code
    assert "not shown to be gone: swap" in said.err
    file = tmp_path / destruction.FILE
    file.write_text(file.read_text().replace("unknown", "destroyed"))
    assert sodbench(*arguments).code == AlteredError.exit_code


def test_a_certificate_that_no_signing_key_of_the_factory_vouches_for_is_refused(
    sodbench: Sodbench, tmp_path: Path, place: Place
) -> None:
    arguments = ("pvi", "certificate", tmp_path, "--trust", place.folder / TRUST)
    assert sodbench(*arguments).code == AlteredError.exit_code
    _certified(tmp_path, place, Fate.DESTROYED, ended_ns=2)
    assert sodbench(*arguments).code == CertificateRefusedError.exit_code
    destruction.write(
        tmp_path,
        destruction.read(
            tmp_path, signer.find(place.folder / TRUST, signature.hint(tmp_path, kind=KIND)).key
        ),
        ec.generate_private_key(ec.SECP256R1()),
    )
    said = sodbench(*arguments)
    assert said.code == CertificateRefusedError.exit_code
    assert "no signing key of this SHA-256" in said.err


def _log(path: Path, side: str, *events: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in ({"log": side, "version": 1}, *events)))
    return path


def test_logs_that_agree_end_with_0(sodbench: Sodbench, tmp_path: Path) -> None:
    inside = _log(tmp_path / "inside", "inside", line("pause.ordered", 99))
    outside = _log(tmp_path / "outside", "outside", line("guest.paused", 100), line("other", 1))
    said = sodbench("pvi", "reconcile", inside, outside)
    assert (said.code, said.err) == (0, "")
    assert said.out.split(".")[0] == "1 pair; no rule speaks of 1 event"


def test_what_one_log_has_alone_is_named(sodbench: Sodbench, tmp_path: Path) -> None:
    inside = _log(tmp_path / "inside", "inside")
    outside = _log(tmp_path / "outside", "outside", *(line("guest.paused", 100) for _ in range(101)))
    said = sodbench("pvi", "reconcile", inside, outside)
    assert said.code == UnreconciledError.exit_code
    assert "1970-01-01 00:01:40.000" in said.out
    assert "a pause without an order" in said.out
    assert "1 more" in said.out
    assert "101 events" in said.err
    listed = sodbench("pvi", "reconcile", inside, outside, "--json")
    assert listed.code == UnreconciledError.exit_code
    assert [one["line"] for one in listed.value["oddities"]] == list(range(2, 103))


def test_a_vague_clock_is_the_users_to_say(sodbench: Sodbench, tmp_path: Path) -> None:
    inside = _log(tmp_path / "inside", "inside", line("pause.ordered", 99, 9))
    outside = _log(tmp_path / "outside", "outside", line("guest.paused", 100))
    assert sodbench("pvi", "reconcile", inside, outside).code == UnreconciledError.exit_code
    assert sodbench("pvi", "reconcile", inside, outside, "--vague-s", "10").code == 0
    assert sodbench("pvi", "reconcile", inside, outside, "--vague-s", "nan").code == UsageError.exit_code


def test_logs_that_are_swapped_or_damaged_are_refused(sodbench: Sodbench, tmp_path: Path) -> None:
    inside = _log(tmp_path / "inside", "inside")
    outside = _log(tmp_path / "outside", "outside")
    said = sodbench("pvi", "reconcile", outside, inside)
    assert said.code == RecordError.exit_code
    assert "it is the log of the outside" in said.err
    assert sodbench("pvi", "reconcile", inside).code == UsageError.exit_code
