"""Certificates of TPMs that their authority has revoked, by lists next to the roots."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from harness.attest.evidence import RefusedError
from harness.attest.identity import authorities
from harness.attest.identity.authorities import RootsFileError
from harness.attest.identity.endorsement import check
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason
from tests.attest.ek_certificates import NOW, Authority, pem

TPM = SoftwareTpm("rsa-2048")
DAY = timedelta(days=1)


def listed(
    by: Authority,
    *revoked: x509.Certificate,
    begin: datetime = NOW - DAY,
    end: datetime = NOW + DAY,
    number: int | None = None,
    further: Sequence[x509.ExtensionType] = (),
    critical: bool = True,
) -> x509.CertificateRevocationList:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(by.certificate.subject)
        .last_update(begin)
        .next_update(end)
    )
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.serial_number).revocation_date(begin)
        builder = builder.add_revoked_certificate(entry.build())
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    for extension in further:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(by.key, hashes.SHA256())


def said(maker: Authority, certificate: bytes, lists: Sequence[x509.CertificateRevocationList]) -> str:
    try:
        check([certificate], TPM.ek_public, roots=[maker.trusted], now=NOW, revocations=lists)
    except RefusedError as refused:
        assert refused.reason is Reason.EK_CHAIN
        return refused.why
    return ""


def test_what_its_authority_has_revoked_is_refused() -> None:
    maker, other = Authority(), Authority(name="other")
    own = maker.certify(TPM.ek.public_key())
    certificate = x509.load_der_x509_certificate(own)
    assert said(maker, own, []) == ""
    assert said(maker, own, [listed(maker), listed(other, certificate)]) == ""
    assert "has revoked" in said(maker, own, [listed(maker, certificate)])
    older = listed(maker, certificate, begin=NOW - 3 * DAY, end=NOW - 2 * DAY)
    assert "has revoked" in said(maker, own, [older, listed(maker)]), (
        "a list that is put back gives nothing back"
    )


def test_an_issuer_that_was_revoked_vouches_for_nothing() -> None:
    maker = Authority()
    issuer = Authority(name="issuer", parent=maker)
    own = issuer.certify(TPM.ek.public_key())
    chain = [own, issuer.certificate.public_bytes(Encoding.DER)]
    check(chain, TPM.ek_public, roots=[maker.trusted], now=NOW, revocations=[listed(maker)])
    with pytest.raises(RefusedError):
        check(
            chain,
            TPM.ek_public,
            roots=[maker.trusted],
            now=NOW,
            revocations=[listed(maker, issuer.certificate)],
        )


@pytest.mark.parametrize(("begin", "end"), [(-3, -2), (1, 2)])
def test_an_issuer_without_a_valid_list_vouches_for_nothing(begin: int, end: int) -> None:
    maker = Authority()
    lists = [listed(maker, begin=NOW + begin * DAY, end=NOW + end * DAY)]
    assert "no revocation list" in said(maker, maker.certify(TPM.ek.public_key()), lists)


def test_a_list_that_another_signed_says_nothing() -> None:
    maker, forger = Authority(), Authority(name="maker")
    own = maker.certify(TPM.ek.public_key())
    assert said(maker, own, [listed(forger, x509.load_der_x509_certificate(own))]) == ""


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_lists_are_read_from_the_folder_of_roots(tmp_path: Path, encoding: Encoding) -> None:
    maker = Authority()
    (tmp_path / "root.pem").write_bytes(pem(maker.certificate))
    assert authorities.load(tmp_path).revocations == ()
    (tmp_path / "maker.CRL").write_bytes(listed(maker).public_bytes(encoding))
    assert len(authorities.load(tmp_path).revocations) == 1


def test_a_list_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(pem(Authority().certificate))
    (tmp_path / "maker.crl").write_bytes(b"no list")
    with pytest.raises(RootsFileError, match="revocation list"):
        authorities.load(tmp_path)
