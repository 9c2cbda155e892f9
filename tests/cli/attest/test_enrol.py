"""`sodbench attest enrol`: who is enrolled, under which roots."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.attest.tpm import structures
from harness.cli.attest import machines as attest_machines
from harness.data_folder import data_folder
from harness.registry import places
from harness.registry.registry import open_registry
from harness.rig import pair as pairs
from harness.rig.pair import Pair
from tests.attest.ek_certificates import Authority, pem
from tests.attest.machine import Machine
from tests.cli.command import Attest

pytestmark = pytest.mark.programs


def test_hosts_are_enrolled_and_it_is_said_what_that_proves(attest: Attest) -> None:
    said = attest("enrol")
    assert (said.code, said.err) == (0, "")
    assert "a: enrolled in" in said.out
    assert "vouched for by CN=swtpm-localca" in said.out
    assert said.out.count(attest_machines.FROM_THE_MACHINE) == 2
    assert said.words.count("ecc-p256") == said.words.count("rsa-2048") == 2
    with open_registry(places.registry_url()) as registry:
        assert [one.id for one in registry.attesters()] == ["a", "b"]


def test_the_registry_is_the_users_alone(attest: Attest) -> None:
    assert attest("status").out == "No machine is enrolled: `sodbench attest enrol`.\n"
    assert not data_folder().exists()
    assert attest("enrol", "a", "--key", "ecc-p256").code == 0
    assert data_folder().stat().st_mode & 0o077 == 0


def test_the_registry_can_be_named(attest: Attest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/other.sqlite"
    assert attest("enrol", "a", "--key", "ecc-p256", "--registry", url).code == 0
    assert "No machine" in attest("status").out
    monkeypatch.setenv("SODBENCH_REGISTRY", url)
    assert "ecc-p256" in attest("status").out


def test_a_taken_identity_is_refused_with_the_remedy(enrolled: Attest) -> None:
    said = enrolled("enrol", "a")
    assert said.code == 14
    assert "identity-taken" in said.err
    assert "--renew" in said.err
    assert enrolled("enrol", "a", "--renew").code == 0


def test_named_roots_take_the_place_of_the_machines_own(
    attest: Attest, tmp_path: Path, machines: dict[str, Machine]
) -> None:
    roots = tmp_path / "roots"
    roots.mkdir()
    (roots / "maker.pem").write_bytes(pem(Authority().certificate))
    said = attest("enrol", "a", "--roots", roots)
    assert (said.code, "ek-chain" in said.err) == (14, True)

    found = machines["a"].authorities
    (roots / "lab.crt").write_bytes(pem(*found.roots))
    (roots / "lab-issuer.cer").write_bytes(pem(*found.intermediates))
    (roots / "readme.txt").write_text("not a certificate")
    said = attest("enrol", "a", "--roots", roots)
    assert said.code == 0
    assert attest_machines.FROM_THE_MACHINE not in said.out


def test_a_file_of_roots_that_cannot_be_read_is_named_and_the_others_count(
    attest: Attest, tmp_path: Path, machines: dict[str, Machine]
) -> None:
    found = machines["a"].authorities
    (tmp_path / "lab.pem").write_bytes(pem(*found.roots, *found.intermediates))
    (tmp_path / "broken.crt").write_bytes(b"rubbish")
    said = attest("enrol", "a", "--roots", tmp_path, "--key", "ecc-p256")
    assert said.code == 0
    assert said.err.count("warning") == 1
    assert str(tmp_path / "broken.crt") in said.err


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "not certificates in PEM"),
        (b"rubbish", "not certificates in PEM"),
        (None, "the roots cannot be read"),
    ],
)
def test_roots_that_are_none_are_an_error_in_a_file(
    attest: Attest, tmp_path: Path, content: bytes | None, what: str
) -> None:
    roots = tmp_path / "roots.pem"
    if content is not None:
        roots.write_bytes(content)
    said = attest("enrol", "a", "--roots", roots)
    assert (said.code, what in said.err) == (3, True)


def test_an_authority_without_its_root_is_no_root(
    attest: Attest, tmp_path: Path, machines: dict[str, Machine]
) -> None:
    roots = tmp_path / "issuer.pem"
    roots.write_bytes(pem(*machines["a"].authorities.intermediates))
    said = attest("enrol", "a", "--roots", roots)
    assert (said.code, "no root among them" in said.err) == (3, True)


def test_a_hardware_tpm_without_roots_has_nobody(
    attest: Attest, rig: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machine's own authority is never asked."""
    hardware = replace(rig, rig="pair", tpm={"a": "hardware", "b": "hardware"})
    monkeypatch.setattr(pairs, "load", lambda _inventory, **_: hardware)
    said = attest("enrol", "a")
    assert (said.code, "ek-chain" in said.err) == (14, True)
    assert "--roots" in said.err


def test_roots_of_the_inventory_are_used(
    attest: Attest, rig: Pair, machines: dict[str, Machine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = tmp_path / "roots.pem"
    found = machines["a"].authorities
    roots.write_bytes(pem(*found.roots, *found.intermediates))
    monkeypatch.setattr(pairs, "load", lambda _inventory, **_: replace(rig, attest_roots=roots))
    said = attest("enrol", "a", "--key", "ecc-p256")
    assert (said.code, attest_machines.FROM_THE_MACHINE in said.out) == (0, False)


def test_a_key_can_be_trusted_by_its_fingerprint(attest: Attest, machines: dict[str, Machine]) -> None:
    name = structures.name_of(machines["a"].attester.identify().ek_public["rsa-2048"]).hex()
    assert attest("enrol", "a", "--trust-ek", "00" * 32).code == 14
    said = attest("enrol", "a", "--trust-ek", name, "--key", "ecc-p256")
    assert said.code == 0
    assert "no certificate" in said.out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["enrol", "c"], "no machine 'c'"),
        (["enrol", "--trust-ek", "00" * 32], "--trust-ek names one TPM"),
        (["enrol", "a", "--trust-ek", "0x12"], "no SHA-256"),
        (["enrol", "--key", "rsa-1024"], "no type of key"),
        (["verify", "a", "--evidence", "x"], "leave the machine out"),
        (["verify", "--policy", "nonsense"], "no such policy"),
        (["reference", "--out", "x.yml"], "--out is for one machine"),
        (["policy", "nonsense"], "ready-made ones: default, guest, lab"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_asked(
    attest: Attest, arguments: list[str], text: str
) -> None:
    said = attest(*arguments)
    assert said.code == 2
    assert text in said.err
