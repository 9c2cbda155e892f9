"""The least that an endorsement key's certificate says, and the most that is read of what a TPM holds."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from harness.attest.evidence import KeyType, RefusedError
from harness.attest.identity.endorsement import MAX_CERTIFICATE_BYTES, MAX_CERTIFICATES, check
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason
from tests.attest.ek_certificates import NOW, Authority, tpm_names

AGREEMENT = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=True,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


@pytest.fixture(scope="module")
def maker() -> Authority:
    return Authority()


@pytest.fixture(params=["ecc-p256", "rsa-2048"])
def tpm(request: pytest.FixtureRequest, tpms: dict[KeyType, SoftwareTpm]) -> SoftwareTpm:
    return tpms[request.param]


def said(tpm: SoftwareTpm, maker: Authority, *certificates: bytes) -> Reason:
    try:
        check(certificates, tpm.ek_public, roots=[maker.trusted], now=NOW)
    except RefusedError as refused:
        return refused.reason
    return Reason.ACCEPTED


def test_a_key_that_agrees_on_secrets_receives_them_too(tpm: SoftwareTpm, maker: Authority) -> None:
    """Makers certify endorsement keys on P-256 so (EK Credential Profile, 3.2)."""
    assert said(tpm, maker, maker.certify(tpm.ek.public_key(), key_usage=AGREEMENT)) is Reason.ACCEPTED


def test_a_certificate_that_only_names_its_tpm_is_enough(tpm: SoftwareTpm, maker: Authority) -> None:
    assert said(tpm, maker, maker.certify_barely(tpm.ek.public_key(), tpm_names())) is Reason.ACCEPTED


def test_as_many_certificates_as_are_read(tpm: SoftwareTpm, maker: Authority) -> None:
    own = maker.certify(tpm.ek.public_key())
    others = [maker.certificate.public_bytes(Encoding.DER)] * (MAX_CERTIFICATES - 1)
    assert said(tpm, maker, own, *others) is Reason.ACCEPTED
    assert said(tpm, maker, own, own, *others) is Reason.EK_CERTIFICATE


def test_a_certificate_as_long_as_is_read(tpm: SoftwareTpm, maker: Authority) -> None:
    longest = maker.certify(tpm.ek.public_key()).ljust(MAX_CERTIFICATE_BYTES, b"\xff")
    assert said(tpm, maker, longest) is Reason.ACCEPTED
    assert said(tpm, maker, longest + b"\xff") is Reason.EK_CERTIFICATE
