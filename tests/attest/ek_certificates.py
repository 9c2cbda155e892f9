"""Certificates of endorsement keys: by authorities in software keys, and by swtpm's own local authority."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from harness.attest.played.authority import usage

if TYPE_CHECKING:
    from harness.attest.identity.certificate import Certificate

NOW = datetime(2030, 6, 1, tzinfo=UTC)
BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
END = datetime(2031, 1, 1, tzinfo=UTC)

EK_PURPOSE = x509.ObjectIdentifier("2.23.133.8.1")
TPM_NAMES: Mapping[str, str] = {
    "2.23.133.2.1": "id:4E544300",
    "2.23.133.2.2": "NPCT75x",
    "2.23.133.2.3": "id:00070002",
}
"""A hardware TPM's maker, model and version, as certificates name them."""

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)] if text else [])


def tpm_names(names: Mapping[str, str] = TPM_NAMES) -> x509.SubjectAlternativeName:
    """The alternative name of a TPM."""
    attributes = [x509.NameAttribute(x509.ObjectIdentifier(oid), text) for oid, text in names.items()]
    return x509.SubjectAlternativeName([x509.DirectoryName(x509.Name(attributes))])


@dataclass(kw_only=True)
class Authority:
    """An authority with a key of its own; a root where no `parent` signs it. `further` is critical."""

    name: str = "maker"
    parent: Authority | None = None
    begin: datetime = BEGIN
    end: datetime = END
    ca: bool | None = True
    path_length: int | None = None
    key_usage: x509.KeyUsage | None = field(default_factory=lambda: usage(sign=True))
    signs_with: PrivateKey | None = None
    further: Sequence[x509.ExtensionType] = ()
    certificate: x509.Certificate = field(init=False)

    @property
    def trusted(self) -> Certificate:
        """Its certificate, as the product has read it."""
        from harness.attest.identity.certificate import Certificate

        return Certificate.of(self.certificate)

    def __post_init__(self) -> None:
        self.key = self.signs_with or ec.generate_private_key(ec.SECP256R1())
        extensions: list[tuple[x509.ExtensionType, bool]] = []
        if self.ca is not None:
            extensions.append((x509.BasicConstraints(ca=self.ca, path_length=self.path_length), True))
        if self.key_usage is not None:
            extensions.append((self.key_usage, True))
        extensions.extend((one, True) for one in self.further)
        self.certificate = (self.parent or self)._signed(
            self.name, self.key.public_key(), extensions, self.begin, self.end
        )

    def _signed(
        self,
        subject: str,
        key: PublicKey,
        extensions: list[tuple[x509.ExtensionType, bool]],
        begin: datetime,
        end: datetime,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(self.name))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())

    def certify(
        self,
        key: PublicKey,
        *,
        names: x509.SubjectAlternativeName | None = None,
        begin: datetime = BEGIN,
        end: datetime = END,
        ca: bool = False,
        purpose: x509.ObjectIdentifier | None = EK_PURPOSE,
        key_usage: x509.KeyUsage | None = None,
        further: x509.ExtensionType | None = None,
        points: x509.CRLDistributionPoints | None = None,
    ) -> bytes:
        """DER of an endorsement key's certificate; `further` is one more critical extension."""
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (names or tpm_names(), True),
            (x509.BasicConstraints(ca=ca, path_length=None), True),
            (key_usage or usage(encipher=True), True),
        ]
        if purpose is not None:
            extensions.append((x509.ExtendedKeyUsage([purpose]), False))
        if further is not None:
            extensions.append((further, True))
        if points is not None:
            extensions.append((points, False))
        return self._signed("", key, extensions, begin, end).public_bytes(Encoding.DER)

    def certify_barely(self, key: PublicKey, *extensions: x509.ExtensionType) -> bytes:
        """DER of a certificate that says nothing but `extensions`."""
        return self._signed("", key, [(one, True) for one in extensions], BEGIN, END).public_bytes(
            Encoding.DER
        )


def pem(*certificates: x509.Certificate | Certificate) -> bytes:
    """The certificates as one file of roots holds them."""
    fields = [one if isinstance(one, x509.Certificate) else one.fields for one in certificates]
    return b"".join(one.public_bytes(Encoding.PEM) for one in fields)


def manufacture(state: Path, authority: Path, *, rsa_bits: int = 2048) -> None:
    """Make a swtpm's state in `state` whose endorsement keys a local authority in `authority` certifies.

    One is RSA of `rsa_bits`, 2048 or 3072, the other on P-384.

    It is what the role ``tpm`` does on a machine of the lab.
    """
    state.mkdir(parents=True)
    authority.mkdir(parents=True, exist_ok=True)
    (authority / "localca.conf").write_text(
        f"statedir = {authority}\nsigningkey = {authority}/signkey.pem\n"
        f"issuercert = {authority}/issuercert.pem\ncertserial = {authority}/certserial\n"
    )
    (authority / "localca.options").write_text(
        "--platform-manufacturer sodbench\n--platform-version 1\n--platform-model software\n"
    )
    (authority / "setup.conf").write_text(
        "create_certs_tool = /usr/bin/swtpm_localca\n"
        f"create_certs_tool_config = {authority}/localca.conf\n"
        f"create_certs_tool_options = {authority}/localca.options\n"
    )
    command = ["swtpm_setup", "--tpm2", "--tpm-state", str(state), "--create-ek-cert"]
    command += [
        "--rsa-keysize",
        str(rsa_bits),
        "--pcr-banks",
        "sha256",
        "--config",
        str(authority / "setup.conf"),
    ]
    if os.geteuid() == 0:  # it would change to a user that may not enter a test's folder
        command += ["--runas", "root"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
