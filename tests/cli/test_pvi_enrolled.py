"""`sodbench pvi issue vm-identity` of a VM that is enrolled: the key that its vTPM has proved to have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from harness.attest.identity.enrolled import EnrolledKey, Enrolment
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.tpm.structures import name_of
from harness.errors import PrerequisiteError, UsageError
from harness.pvi.factory.trust import CertificateRefusedError
from harness.registry.registry import open_registry
from tests.cli.command import Pvi
from tests.pvi.factory.places import VM
from tests.registry.subjects import enrolment


@pytest.fixture(scope="module")
def vtpm() -> SoftwareTpm:
    """The VM's vTPM."""
    return SoftwareTpm("ecc-p256", ek=rsa.generate_private_key(65537, 2048))


def _enrolment(vtpm: SoftwareTpm, certificate: x509.Certificate | None) -> Enrolment:
    key = EnrolledKey(
        attester="vm-1",
        kind=vtpm.kind,
        public=vtpm.ak_public,
        name=vtpm.name,
        qualified_name=vtpm.qualified_name,
    )
    der = None if certificate is None else certificate.public_bytes(Encoding.DER)
    usual = enrolment("vm-1", kind="guest")
    return replace(usual, ek_name=name_of(vtpm.ek_public), ek_certificate=der, keys=(key,))


def _enrol(tmp_path: Path, found: Enrolment) -> None:
    with open_registry(f"sqlite:///{tmp_path}/registry.sqlite") as registry:
        registry.enrol(found)


@pytest.fixture
def endorsed(pvi: Pvi, vtpm: SoftwareTpm, tmp_path: Path) -> x509.Certificate:
    """The factory's endorsement of the vTPM."""
    pvi.owner("init", "shop")
    bare = vtpm.ek.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "bare").write_bytes(bare)
    out = tmp_path / "endorsement"
    asked = ("issue", "vtpm-endorsement", "vm-1", "--key", tmp_path / "bare", "--uuid", VM, "--out", out)
    assert pvi.owner(*asked).code == 0
    return x509.load_pem_x509_certificate(out.read_bytes())


def test_an_enrolled_vm_is_certified_by_what_its_vtpm_has_proved(
    pvi: Pvi, endorsed: x509.Certificate, vtpm: SoftwareTpm, tmp_path: Path
) -> None:
    _enrol(tmp_path, _enrolment(vtpm, endorsed))
    own = tmp_path / "own"
    said = pvi.owner("issue", "vm-identity", "vm-1", "--uuid", VM, "--out", own)
    assert said.code == 0, said.err
    made = x509.load_pem_x509_certificate(own.read_bytes())
    assert isinstance(vtpm.ak, ec.EllipticCurvePrivateKey)
    assert made.public_key() == vtpm.ak.public_key()
    assert pvi("check", "vm-identity", own, "--trust", pvi.folder / "trust").code == 0


def test_a_vm_that_is_not_enrolled_revoked_or_without_an_endorsement_is_refused(
    pvi: Pvi, endorsed: x509.Certificate, vtpm: SoftwareTpm, tmp_path: Path
) -> None:
    asked = ("issue", "vm-identity", "vm-1", "--uuid", VM, "--out", tmp_path / "own")
    said = pvi.owner(*asked)
    assert said.code == PrerequisiteError.exit_code
    assert "not enrolled" in said.err
    _enrol(tmp_path, _enrolment(vtpm, None))
    said = pvi.owner(*asked)
    assert said.code == PrerequisiteError.exit_code
    assert "without an endorsement certificate" in said.err
    with open_registry(f"sqlite:///{tmp_path}/registry.sqlite") as registry:
        registry.revoke("vm-1", "the test says so")
    said = pvi.owner(*asked)
    assert said.code == PrerequisiteError.exit_code
    assert "it was revoked" in said.err
    assert not (tmp_path / "own").exists()


def test_an_endorsement_that_is_not_the_factorys_does_not_count(
    pvi: Pvi, endorsed: x509.Certificate, vtpm: SoftwareTpm, tmp_path: Path
) -> None:
    foreign = x509.load_pem_x509_certificate((pvi.folder / "trust/issuing.pem").read_bytes())
    _enrol(tmp_path, _enrolment(vtpm, foreign))
    said = pvi.owner("issue", "vm-identity", "vm-1", "--uuid", VM, "--out", tmp_path / "own")
    assert said.code == CertificateRefusedError.exit_code
    assert not (tmp_path / "own").exists()


def test_others_need_a_key(pvi: Pvi, endorsed: x509.Certificate, tmp_path: Path) -> None:
    said = pvi.owner("issue", "vpn", "client-1", "--address", "192.0.2.9", "--out", tmp_path / "own")
    assert said.code == UsageError.exit_code
    assert "no key to certify" in said.err
