"""Whether a certificate is one of the factory's, for its purpose, now: what a relying party asks.

A chain counts up to the factory's root alone, whoever a machine trusts as well. Both authorities must have a
revocation list that is valid now: a certificate without one is refused, as its revocation would not be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from harness.attest.evidence import RefusedError
from harness.attest.identity import authorities, revocation
from harness.attest.identity.certificate import Certificate
from harness.errors import InputFileError, SodbenchError
from harness.legible import legible
from harness.pvi.factory import profiles
from harness.pvi.factory.profiles import Profile

ROOT, ISSUING = "root.pem", "issuing.pem"
ROOT_LIST, ISSUING_LIST = "root.crl", "issuing.crl"
"""The files of a factory's folder ``trust``, in PEM."""
_REMEDY = "have the factory issue it again: sodbench pvi issue"


class CertificateRefusedError(SodbenchError):
    """A certificate is not one of the factory's that counts now."""

    exit_code = RefusedError.exit_code
    kind = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The factory that is trusted.

    Attributes:
        root: Its root's certificate.
        issuing: Its issuing authority's.
        lists: The revocation lists of both.
    """

    root: x509.Certificate
    issuing: x509.Certificate
    lists: tuple[x509.CertificateRevocationList, ...]


def load(folder: Path) -> Trust:
    """The factory whose public files are in `folder`.

    Raises:
        InputFileError: A file is missing or is not what its name says.
    """
    found = authorities.load(folder)
    try:
        (root,), (issuing,) = found.roots, found.intermediates
    except ValueError as error:
        raise InputFileError(
            "these are not the authorities of one factory",
            where=legible(str(folder)),
            why=f"{len(found.roots)} roots and {len(found.intermediates)} other authorities, not one of each",
            remedy="name the folder `trust` of the factory, or a copy of it",
        ) from error
    return Trust(root=root.fields, issuing=issuing.fields, lists=found.revocations)


def check(certificate: x509.Certificate, profile: Profile, trust: Trust, *, now: datetime) -> None:
    """Refuse a certificate that is not this factory's, not of `profile`, not valid at `now`, or revoked.

    Raises:
        CertificateRefusedError: It says what is wrong with it.
    """
    chain = check_chain(certificate, profile, trust, now=now)
    for own, issuer in pairwise(chain):
        check_lists(own, issuer, trust.lists, now, place(certificate))


def check_chain(
    certificate: x509.Certificate, profile: Profile, trust: Trust, *, now: datetime
) -> Sequence[x509.Certificate]:
    """The chain up to the root, of a certificate of `profile` that was valid at `now`, revoked or not.

    Raises:
        CertificateRefusedError: It says what is wrong with it.
    """
    where = place(certificate)
    chain = _chain(certificate, trust, now, where)
    if profiles.stated(certificate, profiles.PROFILE_POLICY) != (profile.value,):
        raise refused(where, f"it is not of the profile {profile}")
    return chain


def _chain(
    certificate: x509.Certificate, trust: Trust, now: datetime, where: str
) -> Sequence[x509.Certificate]:
    verifier = (
        PolicyBuilder()
        .store(Store([trust.root]))
        .time(now)
        .extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
        )
        .build_client_verifier()
    )
    try:
        return verifier.verify(certificate, [trust.issuing]).chain
    except VerificationError as error:
        raise refused(where, str(error)) from error


def check_lists(
    own: x509.Certificate,
    issuer: x509.Certificate,
    lists: Sequence[x509.CertificateRevocationList],
    now: datetime,
    where: str,
) -> None:
    """Refuse a certificate that its issuer has revoked, or whose issuer has no list that is valid at `now`.

    `where` names the certificate in messages.

    Raises:
        CertificateRefusedError: It is refused.
    """
    authority = Certificate.of(issuer)
    if not any(revocation.is_by(one, authority) for one in lists):
        raise refused(where, f"{authority.subject} has no revocation list here")
    try:
        revocation.check([Certificate.of(own), authority], lists, now)
    except RefusedError as error:
        raise refused(where, error.why or error.what) from error


def place(certificate: x509.Certificate) -> str:
    """How messages name a certificate."""
    return certificate.subject.rfc4514_string() or f"serial number {certificate.serial_number:x}"


def refused(where: str, why: str, *, remedy: str = _REMEDY) -> CertificateRefusedError:
    """The error for a certificate that does not count."""
    return CertificateRefusedError(
        "the certificate does not count", where=legible(where), why=legible(why), remedy=remedy
    )
