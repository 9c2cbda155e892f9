"""The two authorities of a factory: a root that signs the issuing one, and what the issuing one signs.

Pure but for the keys' own randomness: certificates and revocation lists are functions of keys, names and the
moment. Keys are on P-256, signatures ECDSA with SHA-256.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field

from harness.attest.evidence import Count
from harness.clock import NS_PER_S
from harness.pvi.factory import profiles
from harness.pvi.factory.profiles import Asked, PublicKey
from harness.strict import Strict

ROOT_LIFETIME = timedelta(days=3650)
ISSUING_LIFETIME = timedelta(days=365)
ROOT_LIST_LIFETIME = timedelta(days=90)
LIST_LIFETIME = timedelta(days=7)
"""A list is made again before that; without a list that is valid, nothing of its authority is believed."""
BACKDATED = timedelta(minutes=5)
"""How far the clock of a machine may be behind the factory's."""

Reason = Literal["unspecified", "key-compromise", "affiliation-changed", "superseded", "cessation"]
_REASONS: dict[Reason, x509.ReasonFlags] = {
    "unspecified": x509.ReasonFlags.unspecified,
    "key-compromise": x509.ReasonFlags.key_compromise,
    "affiliation-changed": x509.ReasonFlags.affiliation_changed,
    "superseded": x509.ReasonFlags.superseded,
    "cessation": x509.ReasonFlags.cessation_of_operation,
}


class Revoked(Strict):
    """A certificate that was revoked.

    Attributes:
        serial: Its serial number in hexadecimal.
        at_s: When, in s of Unix time by the factory's clock.
        reason: Why.
    """

    serial: Annotated[str, Field(pattern=r"^[0-9a-f]{1,40}$")]
    at_s: Count
    reason: Reason


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that signs others, and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def moment(ns: int) -> datetime:
    """A moment of the wall clock in ns as X.509 has it: UTC, whole seconds."""
    return datetime.fromtimestamp(ns // NS_PER_S, UTC)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A new key in memory."""
    return ec.generate_private_key(ec.SECP256R1())


def root(name: str, factory: str, now: datetime, key: ec.EllipticCurvePrivateKey | None = None) -> Authority:
    """A root authority of the infrastructure `name`, on a `factory` machine; by default with a new key."""
    key = key or new_key()
    called = _called(f"{name} root")
    life = (now - BACKDATED, now + ROOT_LIFETIME)
    signed = _authority(called, key.public_key(), called, key, life, factory=factory, depth=1)
    return Authority(signed, key)


def issuing(
    name: str, factory: str, above: Authority, now: datetime, key: ec.EllipticCurvePrivateKey | None = None
) -> Authority:
    """An issuing authority under the root; by default with a new key."""
    key = key or new_key()
    called, issuer = _called(f"{name} issuing"), above.certificate.subject
    life = (now - BACKDATED, min(now + ISSUING_LIFETIME, above.certificate.not_valid_after_utc))
    signed = _authority(called, key.public_key(), issuer, above.key, life, factory=factory, depth=0)
    return Authority(signed, key)


def certificate(asked: Asked, authority: Authority, factory: str, now: datetime) -> x509.Certificate:
    """The certificate that is asked for; it does not outlive its authority.

    Raises:
        UsageError: What is asked for does not fit its profile.
    """
    profiles.checked(asked)
    life = (now - BACKDATED, min(now + asked.profile.lifetime, authority.certificate.not_valid_after_utc))
    issuer = authority.certificate.subject
    builder = _begun(profiles.subject(asked), asked.key, issuer, authority.key.public_key(), life)
    for extension, critical in profiles.extensions(asked, factory):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(authority.key, hashes.SHA256())


def revocation_list(
    authority: Authority, revoked: Iterable[Revoked], number: int, now: datetime, lifetime: timedelta
) -> x509.CertificateRevocationList:
    """What the authority has revoked, as its list of this number."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - BACKDATED)
        .next_update(now + lifetime)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
    )
    for one in revoked:
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(int(one.serial, 16))
            .revocation_date(datetime.fromtimestamp(one.at_s, UTC))
            .add_extension(x509.CRLReason(_REASONS[one.reason]), critical=False)
        )
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(authority.key, hashes.SHA256())


_Life = tuple[datetime, datetime]


def _called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _begun(
    subject: x509.Name, key: PublicKey, issuer: x509.Name, signer: ec.EllipticCurvePublicKey, life: _Life
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(life[0])
        .not_valid_after(life[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )


def _authority(
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    life: _Life,
    *,
    factory: str,
    depth: int,
) -> x509.Certificate:
    """A certificate of an authority with at most `depth` authorities below it."""
    notice = x509.UserNotice(None, f"factory: {factory}")
    # It asserts any policy as well: RFC 5280 lets those below it state none that it does not assert.
    said = [
        x509.PolicyInformation(profiles.FACTORY_POLICY, [notice]),
        x509.PolicyInformation(x509.ObjectIdentifier("2.5.29.32.0"), None),
    ]
    return (
        _begun(subject, key, issuer, signer.public_key(), life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=depth), critical=True)
        .add_extension(profiles.usage(certifies=True), critical=True)
        .add_extension(x509.CertificatePolicies(said), critical=False)
        .sign(signer, hashes.SHA256())
    )
