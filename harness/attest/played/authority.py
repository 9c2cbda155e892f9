"""An authority that certifies endorsement keys of played TPMs, as a machine's own does of a software TPM."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

_BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
_END = datetime(2100, 1, 1, tzinfo=UTC)
_EK_PURPOSE = x509.ObjectIdentifier("2.23.133.8.1")
_TPM = {"2.23.133.2.1": "id:00001014", "2.23.133.2.2": "swtpm", "2.23.133.2.3": "id:20191023"}
"""Maker, model and version: a software TPM's, so that a played TPM never passes for hardware."""


def usage(*, sign: bool = False, encipher: bool = False) -> x509.KeyUsage:
    """A key usage with at most these two of its bits."""
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=encipher,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


class PlayedAuthority:
    """A root with a key of its own."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "played authority")])
        root = self._begun(self._name, self._key.public_key())
        root = root.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        root = root.add_extension(usage(sign=True), critical=True)
        self._root = root.sign(self._key, hashes.SHA256())

    @property
    def pem(self) -> str:
        """The root's certificate."""
        return self._root.public_bytes(Encoding.PEM).decode("ascii")

    def certify(self, ek: rsa.RSAPublicKey) -> bytes:
        """DER of the certificate of an endorsement key."""
        named = [x509.NameAttribute(x509.ObjectIdentifier(oid), text) for oid, text in _TPM.items()]
        certificate = self._begun(x509.Name([]), ek)
        certificate = certificate.add_extension(
            x509.SubjectAlternativeName([x509.DirectoryName(x509.Name(named))]), critical=True
        )
        certificate = certificate.add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        certificate = certificate.add_extension(usage(encipher=True), critical=True)
        certificate = certificate.add_extension(x509.ExtendedKeyUsage([_EK_PURPOSE]), critical=False)
        return certificate.sign(self._key, hashes.SHA256()).public_bytes(Encoding.DER)

    def _begun(
        self, subject: x509.Name, key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=_BEGIN,
            not_valid_after=_END,
        )
