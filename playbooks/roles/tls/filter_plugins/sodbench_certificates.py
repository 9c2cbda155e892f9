"""An authority for one purpose: it signs the certificates of a rig's hosts, and its key ends with the call.

Runs on the controller, inside Ansible, which brings `cryptography` itself. Only public values go in and come
out: each host keeps its own key, and no file ever holds the authority's.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable, Mapping

from ansible.errors import AnsibleFilterError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_BACKDATED = datetime.timedelta(minutes=5)
"""How far a host's clock may be behind the controller's; preflight asks for much closer clocks."""

_AUTHORITY = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sodbench migrations")])


def certificates(requests: Mapping[str, Mapping[str, str]], days: int) -> dict[str, object]:
    """The certificate of each host and that of the authority that signed them, as PEM.

    Args:
        requests: By host, its ``request`` (PKCS #10, PEM) and the ``address`` that its guests come to.
        days: How long they are valid from now on.

    Raises:
        AnsibleFilterError: A request is damaged, or not signed with its own key.
    """
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    life = (now - _BACKDATED, now + datetime.timedelta(days=days))
    key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(key, life)
    signed = {host: _signed(host, asked, key, life) for host, asked in requests.items()}
    return {"authority": _pem(authority), "certificates": {host: _pem(one) for host, one in signed.items()}}


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


_Life = tuple[datetime.datetime, datetime.datetime]


def _builder(
    subject: x509.Name, public: ec.EllipticCurvePublicKey, issuer: ec.EllipticCurvePublicKey, life: _Life
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_AUTHORITY)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(life[0])
        .not_valid_after(life[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=not signs_certificates,  # QEMU wants it, whatever the key (tlscredsx509.c)
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority(key: ec.EllipticCurvePrivateKey, life: _Life) -> x509.Certificate:
    return (
        _builder(_AUTHORITY, key.public_key(), key.public_key(), life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _signed(
    host: str,
    asked: Mapping[str, str],
    key: ec.EllipticCurvePrivateKey,
    life: _Life,
) -> x509.Certificate:
    """The host's certificate. Its name is the inventory's, whatever the request says."""
    try:
        request = x509.load_pem_x509_csr(asked["request"].encode("ascii"))
        public = request.public_key()
        if not isinstance(public, ec.EllipticCurvePublicKey) or not request.is_signature_valid:
            raise ValueError("it is not signed with its own key, on an elliptic curve")
    except (ValueError, UnicodeError) as error:
        raise AnsibleFilterError(f"{host}: its request for a certificate cannot be used: {error}") from error
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    ends = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        _builder(subject, public, key.public_key(), life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(ends), critical=False)
        .add_extension(x509.SubjectAlternativeName([_name(asked["address"])]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _name(address: str) -> x509.GeneralName:
    """An address as QEMU compares it with the one it connects to; a zone is local to a machine."""
    try:
        return x509.IPAddress(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return x509.DNSName(address)


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """The filters by name."""
        return {"sodbench_certificates": certificates}
