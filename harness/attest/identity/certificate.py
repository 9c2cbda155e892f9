"""A certificate as its maker wrote it, and its fields as they are meant.

Most are read by ``cryptography``, which takes DER alone. Some makers' are not quite DER; OpenSSL and Go take
them, so that they are in use. Such a certificate is read with its slips undone
(:mod:`harness.attest.identity.der`) if OpenSSL reads the original too, and marked, so that it is not
taken for a strict one.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import crypto

from harness.attest.identity import der as encoding

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)

KNOWN_ALGORITHMS = {
    "1.2.840.113549.1.1.7": "id-RSAES-OAEP",
    "1.2.840.113549.1.1.10": "id-RSASSA-PSS",
}
"""Algorithms of keys that ``cryptography`` may not read, by the names of RFC 4055."""

_NO_UNUSED_BITS = b"\0"
"""What a signature's BIT STRING, the last of a certificate, begins with (RFC 5280, 4.1.1.3)."""

_UNREADABLE = (
    ValueError,  # not DER, and much else
    TypeError,  # an attribute of a name whose type is no text
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)
"""What ``cryptography`` raises on fields that it cannot read; it parses them when they are asked for."""


class UnreadableError(ValueError):
    """Bytes that are no certificate, or one with a field that cannot be read."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate whose issuer, subject and extensions can be read.

    Attributes:
        der: As it came; two certificates are equal if these bytes are.
        fields: What it says; only for a strict one is it also what the signature is over.
        slips: Where it is not DER, in words; none for a strict one.
    """

    der: bytes = field(repr=False)
    fields: x509.Certificate = field(compare=False)
    slips: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, certificate: x509.Certificate) -> Certificate:
        """A certificate that ``cryptography`` has read.

        Raises:
            UnreadableError: It has read no more than the frame.
        """
        try:
            _read_fields(certificate)
        except _UNREADABLE as error:
            raise UnreadableError(str(error)) from error
        return cls(certificate.public_bytes(Encoding.DER), certificate)

    @property
    def strict(self) -> bool:
        """Whether it is DER, and `fields` the certificate itself."""
        return not self.slips

    @property
    def issuer(self) -> str:
        """Who is said to have signed it (RFC 4514)."""
        return self.fields.issuer.rfc4514_string() or "an unnamed issuer"

    @property
    def subject(self) -> str:
        """Whose it is (RFC 4514); empty for most endorsement keys."""
        return self.fields.subject.rfc4514_string()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its bytes, in hexadecimal."""
        return sha256(self.der).hexdigest()

    @property
    def key(self) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey | None:
        """The key that it certifies; None for one that is neither RSA nor ECC, or cannot be read."""
        try:
            key = self.fields.public_key()
        except _UNREADABLE:  # a point that is not on its curve, an algorithm that is not known
            return None
        return key if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) else None

    @property
    def key_type(self) -> str:
        """The type of its key, such as ``rsa-2048``; the algorithm of one that cannot be read."""
        if self.key is not None:
            return type_of(self.key)
        number = self.fields.public_key_algorithm_oid.dotted_string
        return f"{KNOWN_ALGORITHMS[number]} ({number})" if number in KNOWN_ALGORITHMS else number

    def extension(self, kind: type[ExtensionT]) -> ExtensionT | None:
        """The value of an extension; None where it is not there."""
        try:
            return self.fields.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None


def type_of(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> str:
    """The type of a key, in the words of :func:`harness.attest.tpm.keys.type_of`."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa-{key.key_size}"
    return f"ecc-{key.curve.name.replace('secp', 'p').removesuffix('r1')}"


def read(data: bytes) -> Certificate:
    """The certificate in `data`, strictly read where that can be.

    Raises:
        UnreadableError: `data` is not a certificate, with the cause that the strict reader names.
    """
    with warnings.catch_warnings():  # of serial numbers and lengths: what is refused is told by its error
        warnings.simplefilter("ignore")
        try:
            strict = Certificate.of(x509.load_der_x509_certificate(data))
        except _UNREADABLE as error:
            lenient = _read_leniently(data)
            if lenient is None:
                raise UnreadableError(_cause(error)) from error
            return lenient
    try:
        _, slips = encoding.undone(data)
    except ValueError:  # a key's parameters may be anything that DER has
        return strict
    return replace(strict, slips=slips) if encoding.LONG_YEAR in slips else strict


def openssl(certificate: Certificate) -> crypto.X509:
    """The certificate as OpenSSL reads it, from its own bytes.

    Raises:
        crypto.Error: It does not read it.
    """
    return crypto.load_certificate(crypto.FILETYPE_ASN1, certificate.der)


def _read_leniently(data: bytes) -> Certificate | None:
    """The certificate with its slips undone; None where it has none, or OpenSSL does not read it either."""
    try:
        undone, slips = encoding.undone(data)
        if not slips:
            return None
        found = Certificate(data, x509.load_der_x509_certificate(undone), slips)
        _read_fields(found.fields)
        openssl(found)
    except (*_UNREADABLE, crypto.Error):
        return None
    return found


def _read_fields(certificate: x509.Certificate) -> None:
    """Have everything read that is asked for later."""
    certificate.issuer.rfc4514_string()
    certificate.subject.rfc4514_string()
    _ = certificate.version, certificate.extensions, certificate.public_key_algorithm_oid
    _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    whole, signature = certificate.public_bytes(Encoding.DER), certificate.signature
    if whole[-len(signature) - 1 :][:1] != _NO_UNUSED_BITS:
        # Else one signature could be written in several ways, each with a fingerprint of its own.
        raise ValueError("its signature is no whole number of bytes")


def _cause(error: Exception) -> str:
    return str(error) or type(error).__name__
