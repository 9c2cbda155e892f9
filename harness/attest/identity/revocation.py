"""Certificates that their authority has revoked, by lists that the user keeps next to the roots.

Nothing is fetched. A list counts if the issuer in the chain signed it. Of several lists of an issuer all
count together, so that an older one that is put back gives nothing back; and an issuer whose lists have all
expired vouches for nothing. An issuer without a list is not asked about.

A list of changes, or of a part of what its issuer has revoked, revokes what it names, and says nothing of any
other certificate: in the place of the whole list it would trust the rest again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from harness.attest.evidence import RefusedError
from harness.attest.identity.certificate import Certificate
from harness.attest.reasons import Reason

_PEM = b"-----BEGIN X509 CRL-----"


def read(content: bytes) -> x509.CertificateRevocationList:
    """A revocation list in PEM or DER.

    Raises:
        ValueError: It is neither.
    """
    try:
        if content.lstrip().startswith(_PEM):
            return x509.load_pem_x509_crl(content)
        return x509.load_der_x509_crl(content)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error)) from error


def check(
    chain: Sequence[Certificate], lists: Sequence[x509.CertificateRevocationList], now: datetime
) -> None:
    """Refuse a chain, from the certificate to its root, of which a certificate was revoked.

    Raises:
        RefusedError: ``ek-chain``: one was revoked, or the lists of its issuer are not valid at `now`.
    """
    for certificate, issuer in pairwise(chain):
        own = [one for one in lists if is_by(one, issuer)]
        serial = certificate.fields.serial_number
        if any(one.get_revoked_certificate_by_serial_number(serial) is not None for one in own):
            raise RefusedError(Reason.EK_CHAIN, f"{issuer.subject} has revoked certificate {serial:x}")
        if own and not any(_valid(one, now) and _covers(one, certificate) for one in own):
            why = f"no revocation list of {issuer.subject} is valid now and whole"
            raise RefusedError(Reason.EK_CHAIN, why, remedy="obtain its current list")


def is_by(one: x509.CertificateRevocationList, issuer: Certificate) -> bool:
    """Whether `issuer` signed the list."""
    if one.issuer != issuer.fields.subject:
        return False
    try:
        return one.is_signature_valid(issuer.key)  # type: ignore[arg-type]
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False


def is_whole(one: x509.CertificateRevocationList) -> bool:
    """Whether a list has all that its issuer has revoked, of the certificates that it is about.

    One of changes since another has not (RFC 5280, 5.2.4), nor one for some reasons or of other issuers'
    certificates (5.2.5), nor one with a critical extension that is not accounted for (5.2).
    """
    try:
        extensions = list(one.extensions)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return False
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.DeltaCRLIndicator):
            return False
        if isinstance(value, x509.IssuingDistributionPoint):
            if value.only_some_reasons or value.indirect_crl or value.only_contains_attribute_certs:
                return False
        elif extension.critical:
            return False
    return True


def _covers(one: x509.CertificateRevocationList, certificate: Certificate) -> bool:
    """Whether `certificate` would be on the list if it was revoked."""
    if not is_whole(one):
        return False
    try:
        about = one.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return True
    constraints = certificate.extension(x509.BasicConstraints)
    is_authority = constraints is not None and constraints.ca
    if about.only_contains_user_certs if is_authority else about.only_contains_ca_certs:
        return False
    if about.full_name is None:
        return about.relative_name is None
    # A certificate without a point may be of any part (RFC 5280, 6.3.3 (b)).
    points = certificate.extension(x509.CRLDistributionPoints) or ()
    return any(name in about.full_name for point in points for name in point.full_name or ())


def _valid(one: x509.CertificateRevocationList, now: datetime) -> bool:
    end = one.next_update_utc
    return one.last_update_utc <= now and end is not None and now < end
