"""Whose TPM it is: an endorsement key's certificate, followed up to an authority that the user configured.

What a TPM states about itself counts only after its maker has vouched for the key that signs it. Nothing
here trusts a certificate because it came with the machine or was seen before: an issuer counts only when a
configured root vouches for it, directly or through others (:mod:`harness.attest.identity.chain`). Pure:
certificates, roots, the moment are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from harness.attest.evidence import RefusedError
from harness.attest.identity import chain, revocation
from harness.attest.identity.certificate import Certificate, read, type_of
from harness.attest.reasons import Reason
from harness.attest.tpm import keys, wrapping
from harness.attest.tpm.structures import name_of, parse_public

MAX_CERTIFICATE_BYTES = 16 * 1024
"""No NV index of a TPM holds more."""
MAX_CERTIFICATES = 32
"""A TPM has a dozen NV indexes for endorsement keys' certificates; their issuers are a few."""

_MANUFACTURER = x509.ObjectIdentifier("2.23.133.2.1")
_MODEL = x509.ObjectIdentifier("2.23.133.2.2")
_VERSION = x509.ObjectIdentifier("2.23.133.2.3")

_SEQUENCE = b"\x30\x82"
"""How the DER of every certificate begins: a sequence whose length takes two bytes."""

_SOFTWARE_MANUFACTURERS = frozenset({"00001014", "GOOG", "AMZN", "VMW", "XYZ"})
"""libtpms, which swtpm and so every vTPM of QEMU is, calls itself by IBM's PCI vendor number; the others are
virtual TPMs of clouds and hypervisors (TCG Vendor ID Registry), and the TPM of TCG's reference code."""
_SOFTWARE_MODELS = frozenset({"swtpm", "simulator"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """Who vouches for an endorsement key, and for what TPM.

    Attributes:
        subject: The certificate's subject (RFC 4514); empty where only the TPM is named, as most makers do.
        issuer: Who signed the certificate (RFC 4514).
        root: SHA-256 of the configured root's DER, in hexadecimal.
        certificate: The certificate's DER.
        manufacturer: tpmManufacturer, such as ``id:49465800``.
        model: tpmModel.
        version: tpmVersion, the firmware's when the certificate was made.
        software: Whether the TPM is a program: it proves the protocol, not the platform.
    """

    subject: str
    issuer: str
    root: str
    certificate: bytes = field(repr=False)
    manufacturer: str
    model: str
    version: str
    software: bool

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate's DER, in hexadecimal."""
        return sha256(self.certificate).hexdigest()

    @property
    def maker(self) -> str:
        """Manufacturer and model for people: ``IFX SLB9670``, where the vendor's number is four letters."""
        letters = self.manufacturer.removeprefix("id:")
        try:
            vendor = bytes.fromhex(letters).rstrip(b"\0 ").decode("ascii")
        except ValueError:
            vendor = ""
        return f"{vendor if vendor.isalnum() else self.manufacturer} {self.model}"


def check(
    certificates: Sequence[bytes],
    ek_public: bytes,
    *,
    roots: Sequence[Certificate],
    intermediates: Sequence[Certificate] = (),
    now: datetime,
    revocations: Sequence[x509.CertificateRevocationList] = (),
) -> Endorsement:
    """What a configured root vouches for about the endorsement key in `ek_public`.

    Args:
        certificates: DER as read from the TPM's NV indexes, padding included: one is the key's own, others
            may be its issuers or other keys' (TCG EK Credential Profile for TPM 2.0, chapter 2.2).
        ek_public: The key's TPMT_PUBLIC.
        roots: Self-signed authorities that the user trusts.
        intermediates: Further authorities; each counts only under a root.
        now: The moment at which every certificate of the chain must be valid, UTC.
        revocations: Lists of what the authorities have revoked.

    Raises:
        RefusedError: ``ek-certificate``: there is none, it cannot be read or is not for an endorsement key;
            ``ek-key``: it is another key's, or the key is no endorsement key; ``ek-chain``: no root vouches
            for it at that moment.
    """
    key = _endorsement_key(ek_public)
    own, others = _find(certificates, key)
    followed = chain.followed(own, [*others, *intermediates], roots, now)
    revocation.check(followed, revocations, now)
    return _describe(own, root=followed[-1])


def pinned(ek_public: bytes, fingerprint: str) -> bool:
    """Whether `fingerprint` is the hash of an endorsement key's TPMT_PUBLIC, in hexadecimal.

    By the key's name algorithm it is the key's Name without its first two bytes, as ``tpm2_readpublic`` shows
    it: SHA-256, or SHA-384 of the keys of high range. SHA-256 will do for those too.

    Raises:
        RefusedError: ``ek-key``: the key is not an endorsement key; who vouches for it does not matter.
    """
    _endorsement_key(ek_public)
    return fingerprint.lower() in {sha256(ek_public).hexdigest(), name_of(ek_public)[2:].hex()}


def authorities(
    found: Sequence[Certificate],
) -> tuple[tuple[Certificate, ...], tuple[Certificate, ...]]:
    """Roots and intermediates among `found`: a root is signed by its own key, nothing else is one."""
    roots: list[Certificate] = []
    others: list[Certificate] = []
    for one in dict.fromkeys(found):
        (roots if chain.self_signed(one) else others).append(one)
    return tuple(roots), tuple(others)


def _endorsement_key(ek_public: bytes) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    """The key in `ek_public`, which must be one that receives secrets and nothing else (TPMA_OBJECT, 8.3)."""
    try:
        area = parse_public(ek_public)
        _, loaded = keys.load_endorsement(area)
    except RefusedError as refused:
        raise RefusedError(Reason.EK_KEY, f"its public area: {refused.why}") from refused
    if area.attributes & wrapping.REQUIRED != wrapping.REQUIRED or area.attributes & keys.SIGN:
        raise RefusedError(Reason.EK_KEY, f"attributes {area.attributes:#010x} are no endorsement key's")
    return loaded


def _find(
    certificates: Sequence[bytes], key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
) -> tuple[Certificate, list[Certificate]]:
    """The certificate of `key`, and the others; one of another key that cannot be read does not matter."""
    _bound(certificates)
    found, unreadable = [], ""
    for data in certificates:
        try:
            found.append(read(_unpadded(data)))
        except ValueError as error:
            unreadable = str(error)
    own = [one for one in found if one.key == key]
    if own:
        return own[0], [one for one in found if one != own[0]]
    if unreadable:
        raise RefusedError(Reason.EK_CERTIFICATE, f"it cannot be read: {unreadable}")
    why = f"{len(found)} certificates, none of this key"
    others = {one.key_type for one in found} - {type_of(key)}
    if others:
        why += f", but of keys of type {', '.join(sorted(others))}"
    raise RefusedError(Reason.EK_KEY, why)


def _bound(certificates: Sequence[bytes]) -> None:
    if not certificates:
        raise RefusedError(
            Reason.EK_CERTIFICATE,
            "the TPM holds none",
            remedy="obtain the key's fingerprint by a way you trust and give it as --trust-ek",
        )
    longest = max(map(len, certificates))
    if len(certificates) > MAX_CERTIFICATES or longest > MAX_CERTIFICATE_BYTES:
        why = f"{len(certificates)} certificates, the longest of {longest} bytes"
        raise RefusedError(Reason.EK_CERTIFICATE, why)


def split(stream: bytes) -> tuple[bytes, ...]:
    """The certificates in a stream of DER, as the NV indexes from 0x01C00100 on hold it, without padding.

    What cannot be one ends the stream: an issuer that is missing is found missing by the chain.
    """
    found: list[bytes] = []
    while stream[:2] == _SEQUENCE and len(found) < MAX_CERTIFICATES:
        end = 4 + int.from_bytes(stream[2:4], "big")
        found.append(stream[:end])
        stream = stream[end:]
    return tuple(found)


def _unpadded(data: bytes) -> bytes:
    """The DER without what fills its NV index behind it: zeros or ones, never anything else.

    Raises:
        ValueError: There is no DER sequence with a length in two bytes, which every certificate has.
    """
    if len(data) < 4 or data[:2] != _SEQUENCE:
        raise ValueError("no DER sequence")
    end = 4 + int.from_bytes(data[2:4], "big")
    if end > len(data):
        raise ValueError("cut short")
    if len(set(data[end:])) > 1 or (data[end:] and data[end] not in (0x00, 0xFF)):
        raise ValueError("something else follows")
    return data[:end]


def _describe(own: Certificate, *, root: Certificate) -> Endorsement:
    """The statement of a certificate whose chain holds, if it is one of an endorsement key."""
    _check_purpose(own)
    tpm = _named_tpm(own)
    manufacturer, model = tpm[_MANUFACTURER], tpm[_MODEL]
    return Endorsement(
        subject=own.subject,
        issuer=own.issuer,
        root=root.fingerprint,
        certificate=own.der,
        manufacturer=manufacturer,
        model=model,
        version=tpm[_VERSION],
        software=_vendor(manufacturer) in _SOFTWARE_MANUFACTURERS
        or model.strip().lower() in _SOFTWARE_MODELS,
    )


def _vendor(manufacturer: str) -> str:
    """The vendor's four letters, or the number where it stands for none, however either is written."""
    number = manufacturer.strip().upper().removeprefix("ID:").strip().removeprefix("0X")
    try:
        letters = bytes.fromhex(number).rstrip(b"\0 ").decode("ascii")
    except ValueError:
        letters = number
    return letters if letters.isalnum() else number


def _check_purpose(own: Certificate) -> None:
    """The key may be used as an endorsement key and certifies no other (EK Credential Profile, 3.2)."""
    constraints = own.extension(x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise RefusedError(Reason.EK_CERTIFICATE, "it is an authority's")
    purposes = own.extension(x509.ExtendedKeyUsage)
    if purposes is not None and not chain.PURPOSES & set(purposes):
        raise RefusedError(Reason.EK_CERTIFICATE, "its purpose is not an endorsement key")
    usage = own.extension(x509.KeyUsage)
    if usage is not None and not (usage.key_encipherment or usage.key_agreement):
        raise RefusedError(Reason.EK_CERTIFICATE, "its key may not receive secrets")


def _named_tpm(own: Certificate) -> dict[x509.ObjectIdentifier, str]:
    """Manufacturer, model and version, from the alternative name's directoryName."""
    names = own.extension(x509.SubjectAlternativeName)
    directories = names.get_values_for_type(x509.DirectoryName) if names is not None else []
    said = [(one.oid, str(one.value)) for directory in directories for one in directory]
    found = dict(said)
    twice = [
        oid.dotted_string
        for oid in (_MANUFACTURER, _MODEL, _VERSION)
        if [one for one, _ in said].count(oid) > 1
    ]
    if twice:
        raise RefusedError(Reason.EK_CERTIFICATE, f"it names its TPM twice: {', '.join(twice)}")
    lacking = [oid.dotted_string for oid in (_MANUFACTURER, _MODEL, _VERSION) if oid not in found]
    if lacking:
        raise RefusedError(Reason.EK_CERTIFICATE, f"it names no TPM: {', '.join(lacking)} missing")
    return found
