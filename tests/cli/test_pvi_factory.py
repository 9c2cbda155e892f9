"""`sodbench pvi init`, `issue`, `revoke`, `lists` and `check`, run as a user runs them."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from harness.attest.evidence import RefusedError
from harness.errors import InputFileError, PrerequisiteError, UsageError
from harness.registry.audit.chain import AuditError
from harness.registry.registry import open_registry
from tests.cli.command import Pvi, Sodbench
from tests.pvi.factory.places import PASSPHRASE, VM
from tests.registry.subjects import enrolment


def test_a_factory_certifies_and_revokes_and_its_log_says_so(
    pvi: Pvi, sodbench: Sodbench, tmp_path: Path
) -> None:
    said = pvi.owner("init", "shop")
    assert said.code == 0, said.err
    assert "warning: this machine is virtual (kvm)" in said.err
    assert "Random numbers: dice." in said.out
    assert "Its keys are in files, locked by a passphrase." in said.out
    own = tmp_path / "own"
    vtpm = ("issue", "vtpm-endorsement", "vm-1", "--key", tmp_path / "bare", "--uuid", VM, "--out", own)
    assert pvi.owner(*vtpm).code == 0
    identity = ("issue", "vm-identity", "vm-1", "--key", tmp_path / "request", "--uuid", VM)
    said = pvi.owner(*identity, "--endorsement", own, "--out", own)
    assert said.code == 0, said.err
    serial = said.words[said.words.index("serial") + 1].rstrip(",")
    trust = ("--trust", pvi.folder / "trust")
    said = pvi("check", "vm-identity", own, *trust)
    assert (said.code, said.err) == (0, "")
    assert "a factory of kind: virtual" in said.out
    assert pvi("check", "vpn", own, *trust).code == RefusedError.exit_code
    assert pvi.owner("revoke", serial, "--reason", "key-compromise").code == 0
    said = pvi("check", "vm-identity", own, *trust)
    assert said.code == RefusedError.exit_code
    assert "has revoked" in said.err
    assert pvi.owner("lists", "--root").code == 0
    assert sodbench("audit", "verify").code == 0
    shown = sodbench("audit", "show", "--kind", "pvi", "--json").value
    assert [one["body"]["does"] for one in shown] == ["init", "issue", "issue", "revoke", "lists"]
    assert all(one["body"].get("factory", "virtual") == "virtual" for one in shown)
    assert PASSPHRASE not in str(shown)


def test_a_list_that_went_back_is_refused(pvi: Pvi, tmp_path: Path) -> None:
    own, trust = tmp_path / "own", pvi.folder / "trust"
    pvi.owner("init", "shop")
    asked = ("issue", "vpn", "client-1", "--key", tmp_path / "request", "--address", "192.0.2.9")
    assert pvi.owner(*asked, "--out", own).code == 0
    before = (trust / "issuing.crl").read_bytes()
    assert pvi.owner("lists").code == 0
    assert pvi("check", "vpn", own, "--trust", trust).code == 0
    (trust / "issuing.crl").write_bytes(before)
    said = pvi("check", "vpn", own, "--trust", trust)
    assert said.code == InputFileError.exit_code
    assert "went back" in said.err


def test_a_factory_is_not_made_on_a_machine_of_its_infrastructure(pvi: Pvi, tmp_path: Path) -> None:
    with open_registry(f"sqlite:///{tmp_path}/registry.sqlite") as registry:
        registry.enrol(enrolment("a"))
    said = pvi.owner("init", "shop")
    assert said.code == PrerequisiteError.exit_code
    assert "host a" in said.err
    assert not pvi.folder.exists()


def test_a_machine_that_became_a_host_is_used_no_more(pvi: Pvi, tmp_path: Path) -> None:
    assert pvi.owner("init", "shop").code == 0
    with open_registry(f"sqlite:///{tmp_path}/registry.sqlite") as registry:
        registry.enrol(enrolment("a"))
    assert pvi.owner("lists").code == PrerequisiteError.exit_code


def test_a_passphrase_comes_from_a_file_of_the_users_alone_or_a_terminal(pvi: Pvi, tmp_path: Path) -> None:
    said = pvi("init", "shop", "--folder", pvi.folder)
    assert said.code == UsageError.exit_code
    assert "--passphrase-file" in said.err
    (tmp_path / "passphrase").chmod(0o644)
    said = pvi.owner("init", "shop")
    assert said.code == PrerequisiteError.exit_code
    assert "readable by others" in said.err
    assert not pvi.folder.exists()


def test_a_factory_in_a_tpm_that_is_not_there_is_not_made(pvi: Pvi) -> None:
    said = pvi.owner("init", "shop", "--tpm", "swtpm:path=/nowhere")
    assert said.code == PrerequisiteError.exit_code
    assert "in the TPM cannot be used" in said.err
    assert not pvi.folder.exists()


@pytest.mark.parametrize("profile", ["vpn", "vtpm-endorsement"])
def test_what_is_no_key_is_refused(pvi: Pvi, tmp_path: Path, profile: str) -> None:
    pvi.owner("init", "shop")
    wrong = tmp_path / ("bare" if profile == "vpn" else "request")
    for place in (wrong, tmp_path, tmp_path / "missing"):
        said = pvi.owner("issue", profile, "x", "--key", place, "--out", tmp_path / "own")
        assert said.code == InputFileError.exit_code
    assert not (tmp_path / "own").exists()


def test_a_request_that_another_key_signed_is_refused(pvi: Pvi, tmp_path: Path) -> None:
    der = bytearray(x509.load_pem_x509_csr((tmp_path / "request").read_bytes()).public_bytes(Encoding.DER))
    der[-1] ^= 1
    damaged = x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)
    (tmp_path / "request").write_bytes(damaged)
    asked = ("issue", "vpn", "x", "--key", tmp_path / "request", "--address", "192.0.2.9")
    said = pvi.owner(*asked, "--out", tmp_path / "own")
    assert said.code == InputFileError.exit_code
    assert "not signed with its own key" in said.err


def test_a_vms_life_is_shown_and_proved_without_the_registry(
    pvi: Pvi, sodbench: Sodbench, tmp_path: Path
) -> None:
    pvi.owner("init", "shop")
    own, log = tmp_path / "own", tmp_path / "log"
    vtpm = ("issue", "vtpm-endorsement", "vm-1", "--key", tmp_path / "bare", "--uuid", VM, "--out", own)
    assert pvi.owner(*vtpm).code == 0
    issue = ("issue", "vm-identity", "vm-1", "--key", tmp_path / "request", "--uuid", VM)
    assert pvi.owner(*issue, "--endorsement", own, "--out", tmp_path / "identity").code == 0
    said = pvi("identity", "show", "vm-1", "--folder", pvi.folder)
    assert (said.code, said.err) == (0, "")
    assert f"UUID {VM}" in said.out
    assert sodbench("audit", "export", "--out", log).code == 0
    proof = ("--log", log, "--certificates", pvi.folder / "issued", "--trust", pvi.folder / "trust")
    said = pvi("identity", "verify", "vm-1", *proof)
    assert (said.code, said.err) == (0, "")
    head = said.words[-1].rstrip(".")
    assert pvi("identity", "verify", "vm-1", *proof, "--head", head).code == 0
    assert pvi("identity", "verify", "vm-1", *proof, "--head", f"{head[:-1]}x").code == UsageError.exit_code
    assert pvi("identity", "verify", "vm-2", *proof).code == RefusedError.exit_code
    (newest,) = (one for one in (pvi.folder / "issued").iterdir() if "vm-1" in _holder(one))
    newest.unlink()
    said = pvi("identity", "verify", "vm-1", *proof)
    assert said.code == RefusedError.exit_code
    assert "is missing or another" in said.out
    log.write_text(log.read_text().replace("vm-1", "vm-9"))
    assert pvi("identity", "verify", "vm-1", *proof).code == AuditError.exit_code


def _holder(file: Path) -> str:
    return x509.load_pem_x509_certificate(file.read_bytes()).subject.rfc4514_string()
