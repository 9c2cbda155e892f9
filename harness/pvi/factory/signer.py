"""The key with which a factory signs what it hands out: packages, manifests and certificates of destruction.

It is another key than the authorities', which sign certificates and lists alone, and it is certified like any
other, so that it can be renewed and revoked. What a revoked key signed does not count any more, whenever it
was signed: whoever has the key can state any moment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from harness.errors import RecordError
from harness.evidence.signature import key_id
from harness.pvi.factory import trust
from harness.pvi.factory.authority import moment
from harness.pvi.factory.profiles import Profile
from harness.sums import content

FOLDER = "signers"
"""The folder below ``trust`` with the certificates of all signing keys, each named by its key's SHA-256."""
KEY, ROLE = "signing.key.json", "signing"
RENEWED = timedelta(days=30)
"""A new key is made so long before the certificate of the present one ends."""
_MAX_BYTES = 64 * 1024
_KEY_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that a factory signs with, as its certificate has it; :func:`require` says whether it counts."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePublicKey


def place(key: ec.EllipticCurvePublicKey) -> str:
    """The file of a key's certificate, below ``trust``."""
    return f"{FOLDER}/{key_id(key)}.pem"


def find(folder: Path, wanted: str) -> Signer:
    """The signing key whose SHA-256 is `wanted`, of the factory whose folder ``trust`` is `folder`.

    Raises:
        CertificateRefusedError: There is none.
    """
    if not _KEY_ID.fullmatch(wanted):
        raise trust.refused(str(folder), "the signature names no key", remedy=_REMEDY)
    file = folder / FOLDER / f"{wanted}.pem"
    try:
        certificate = x509.load_pem_x509_certificate(content(file, limit=_MAX_BYTES))
    except (RecordError, ValueError) as error:
        why = "the factory has no signing key of this SHA-256, or its certificate cannot be read"
        raise trust.refused(str(file), why, remedy=_REMEDY) from error
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key_id(key) != wanted:
        raise trust.refused(str(file), "the certificate is another key's", remedy=_REMEDY)
    return Signer(certificate, key)


def require(signer: Signer, folder: Path, *, signed_ns: int, now: datetime) -> None:
    """Refuse a key that was not a signing key of the factory's at `signed_ns`, or is revoked at `now`.

    Raises:
        CertificateRefusedError: It says what is wrong.
        InputFileError: The folder ``trust`` is not whole.
    """
    known = trust.load(folder)
    chain = trust.check_chain(signer.certificate, Profile.SIGNER, known, now=moment(signed_ns))
    for own, issuer in pairwise(chain):
        trust.check_lists(own, issuer, known.lists, now, trust.place(signer.certificate))


_REMEDY = "name the folder `trust` of the factory that signed it, or a newer copy"
