"""What the factory certifies: one profile for each purpose, and how a certificate of it looks.

Pure. A certificate names its profile and the kind of machine that the factory is on in certificate policies
(RFC 5280, 4.2.1.4), so that any tool prints them. Endorsement keys follow the TCG EK Credential Profile for
TPM 2.0, identities of virtual machines the TCG's TPM 2.0 Keys for Device Identity and Attestation.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness.errors import UsageError
from harness.legible import legible

PublicKey: TypeAlias = "ec.EllipticCurvePublicKey | rsa.RSAPublicKey"

FACTORY_POLICY = x509.ObjectIdentifier("2.25.141627642633697576503468021079989812364")
PROFILE_POLICY = x509.ObjectIdentifier("2.25.209036103634521019102256620341534096333")
SERVICE_POLICY = x509.ObjectIdentifier("2.25.75125623416514161749371913162007492081")
PLACE_POLICY = x509.ObjectIdentifier("2.25.13118506240857602436694359147909544412")
PARENT_POLICY = x509.ObjectIdentifier("2.25.50046499628080199416155490827686931143")
"""Of sodbench alone: an identifier under 2.25 is a random UUID and needs no registration (X.667)."""

_EK, _AIK = x509.ObjectIdentifier("2.23.133.8.1"), x509.ObjectIdentifier("2.23.133.8.3")
"""tcg-kp-EKCertificate and tcg-kp-AIKCertificate."""
_IPSEC = ExtendedKeyUsageOID.IPSEC_IKE
_SERVER, _CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
_MODULE_NAME = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.4")
"""hardwareModuleName (RFC 4108), which names the TPM that an identity lives in."""
_TPM20 = bytes.fromhex("06056781050102")
"""DER of the TCG's 2.23.133.1.2: the module is a TPM 2.0."""
_SWTPM = {"2.23.133.2.1": "id:00001014", "2.23.133.2.2": "swtpm", "2.23.133.2.3": "id:20191023"}
"""Maker, model and version: a virtual TPM of QEMU never passes for hardware."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_SERVICE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_PLACE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])? [0-9]{1,18}")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
VPN_UNIT = "vpn"
MAX_SERVICES = 32
_MIN_RSA_BITS = 2048
_CURVES = (ec.SECP256R1, ec.SECP384R1)


class Profile(StrEnum):
    """For what a certificate is."""

    HOST = "host"
    VTPM = "vtpm-endorsement"
    VM = "vm-identity"
    VPN = "vpn"
    MIGRATION = "migration-tls"
    PROBE = "probe"
    SIGNER = "signer"

    @property
    def lifetime(self) -> timedelta:
        """How long a certificate of it is valid; it is renewed by a new one."""
        return _LIFETIMES[self]

    @property
    def purposes(self) -> tuple[x509.ObjectIdentifier, ...]:
        """Its extended key usages."""
        return _PURPOSES[self]

    @property
    def signs(self) -> bool:
        """Whether its key signs, and so can sign the request for its certificate."""
        return self is not Profile.VTPM


_LIFETIMES = {
    Profile.HOST: timedelta(days=30),
    Profile.VTPM: timedelta(days=365),
    Profile.VM: timedelta(days=30),
    Profile.VPN: timedelta(days=7),
    Profile.MIGRATION: timedelta(days=7),
    Profile.PROBE: timedelta(hours=1),
    Profile.SIGNER: timedelta(days=365),
}
_PURPOSES = {
    Profile.HOST: (_SERVER, _CLIENT),
    Profile.VTPM: (_EK,),
    Profile.VM: (_AIK,),
    Profile.VPN: (_IPSEC, _SERVER, _CLIENT),
    Profile.MIGRATION: (_SERVER, _CLIENT),
    Profile.PROBE: (_AIK,),
    Profile.SIGNER: (ExtendedKeyUsageOID.CODE_SIGNING,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A certificate that is asked for.

    Attributes:
        profile: For what.
        name: The holder's name: the host's in the registry, the VM's, or the VPN peer's.
        key: The holder's public key.
        addresses: Host names and IP addresses at which it answers; for hosts, VPN peers and migrations.
        uuid: The virtual machine's; for vTPMs, VMs and probes.
        services: What the provider promises of a host, such as ``measured-boot``.
        endorsement: The certificate of the endorsement key of the TPM that the key lives in; for VMs and
            probes.
        place: Host and epoch of a VM, such as ``b 3``; None where it is not placed yet.
        parent: UUID of the VM that a VM is a clone of.
    """

    profile: Profile
    name: str
    key: PublicKey
    addresses: tuple[str, ...] = ()
    uuid: str | None = None
    services: tuple[str, ...] = ()
    endorsement: x509.Certificate | None = None
    place: str | None = None
    parent: str | None = None


def checked(asked: Asked) -> Asked:
    """What is asked for, if it fits its profile.

    Raises:
        UsageError: It does not; the message says in what.
    """
    problem = next(_problems(asked), None)
    if problem is not None:
        raise UsageError(f"no certificate of profile {asked.profile}", where=legible(asked.name), why=problem)
    return asked


def _problems(asked: Asked) -> Iterator[str]:
    profile = asked.profile
    if not is_name(asked.name):
        yield "a name has 1 to 64 letters, digits, dots, dashes and underscores"
    yield from _key_problems(asked.key)
    reached = profile in {Profile.HOST, Profile.VPN, Profile.MIGRATION}
    if reached != bool(asked.addresses):
        yield "it needs an address" if reached else "it has no address"
    if not all(_address(one) is not None for one in asked.addresses):
        yield "an address is a host's name or an IP address"
    virtual = profile in {Profile.VTPM, Profile.VM, Profile.PROBE}
    if virtual != (asked.uuid is not None):
        yield "it needs the UUID of its virtual machine" if virtual else "it has no UUID"
    if asked.uuid is not None and not is_uuid(asked.uuid):
        yield "a UUID is written in lower case with dashes"
    if asked.services and profile is not Profile.HOST:
        yield "only a host has services"
    if len(asked.services) > MAX_SERVICES or not all(_SERVICE.fullmatch(one) for one in asked.services):
        yield f"a service is a word of a-z, 0-9 and dashes, and a host has {MAX_SERVICES} at most"
    bound = profile in {Profile.VM, Profile.PROBE}
    if bound != (asked.endorsement is not None):
        yield "it needs the certificate of its TPM's endorsement key" if bound else "it is bound to no TPM"
    if (asked.place or asked.parent) and profile is not Profile.VM:
        yield "only a VM has a place and a parent"
    if asked.place is not None and not _PLACE.fullmatch(asked.place):
        yield "a place is a host's name and an epoch"
    if asked.parent is not None and (not is_uuid(asked.parent) or asked.parent == asked.uuid):
        yield "a clone's parent is the UUID of another VM"


def is_name(text: str) -> bool:
    """Whether it can be a holder's name."""
    return _NAME.fullmatch(text) is not None


def is_uuid(text: str) -> bool:
    """Whether it is a UUID as RFC 9562 writes it, in lower case."""
    return _UUID.fullmatch(text) is not None


def _key_problems(key: PublicKey) -> Iterator[str]:
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _MIN_RSA_BITS:
            yield f"an RSA key has at least {_MIN_RSA_BITS} bits"
    elif not isinstance(key.curve, _CURVES):
        yield "a key on an elliptic curve is on P-256 or P-384"


def _address(text: str) -> x509.GeneralName | None:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text) if _NAME.fullmatch(text) else None


def subject(asked: Asked) -> x509.Name:
    """The subject: empty for a vTPM, whose alternative name names it, as the TCG's profile has it."""
    if asked.profile is Profile.VTPM:
        return x509.Name([])
    named = [x509.NameAttribute(x509.NameOID.COMMON_NAME, asked.name)]
    if asked.profile is Profile.VPN:
        # By it a peer of the VPN knows the profile: IKE daemons compare subjects, and know no profiles.
        named.insert(0, x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, VPN_UNIT))
    return x509.Name(named)


def extensions(asked: Asked, factory: str) -> Iterator[tuple[x509.ExtensionType, bool]]:
    """The extensions of a certificate but for the keys' identifiers, each with whether it is critical.

    Args:
        asked: What was asked for, checked.
        factory: The kind of machine that the factory is on.
    """
    encrypts = asked.profile is Profile.VTPM
    on_curve = isinstance(asked.key, ec.EllipticCurvePublicKey)
    yield x509.BasicConstraints(ca=False, path_length=None), True
    yield (
        usage(
            signs=asked.profile.signs,
            # QEMU wants it of a TLS certificate, whatever the key (tlscredsx509.c).
            receives=asked.profile is Profile.MIGRATION or (encrypts and not on_curve),
            agrees=encrypts and on_curve,
        ),
        True,
    )
    yield x509.ExtendedKeyUsage(asked.profile.purposes), False
    names = [*_names(asked)]
    if names:  # OpenSSL refuses a certificate with an empty one
        yield x509.SubjectAlternativeName(names), encrypts
    said = [
        _notice(FACTORY_POLICY, [f"factory: {factory}"]),
        _notice(PROFILE_POLICY, [f"profile: {asked.profile}"]),
    ]
    if asked.services:
        said.append(_notice(SERVICE_POLICY, [f"service: {one}" for one in asked.services]))
    if asked.place is not None:
        said.append(_notice(PLACE_POLICY, [f"place: {asked.place}"]))
    if asked.parent is not None:
        said.append(_notice(PARENT_POLICY, [f"parent: {asked.parent}"]))
    yield x509.CertificatePolicies(said), False


def usage(
    *, signs: bool = False, receives: bool = False, agrees: bool = False, certifies: bool = False
) -> x509.KeyUsage:
    """A key usage with these bits; an authority's signs certificates and lists."""
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=receives,
        data_encipherment=False,
        key_agreement=agrees,
        key_cert_sign=certifies,
        crl_sign=certifies,
        encipher_only=False,
        decipher_only=False,
    )


def stated(certificate: x509.Certificate, policy: x509.ObjectIdentifier) -> tuple[str, ...]:
    """What a certificate states under one of the policies above, without the word before the colon."""
    try:
        policies = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound:
        return ()
    texts = [
        one.explicit_text
        for information in policies
        if information.policy_identifier == policy
        for one in information.policy_qualifiers or ()
        if isinstance(one, x509.UserNotice) and one.explicit_text is not None
    ]
    return tuple(text.partition(": ")[2] for text in texts)


def uris(certificate: x509.Certificate) -> tuple[str, ...]:
    """The URIs among a certificate's alternative names; of a VM its UUID."""
    return tuple(_alternative(certificate).get_values_for_type(x509.UniformResourceIdentifier))


def modules(certificate: x509.Certificate) -> tuple[bytes, ...]:
    """What a certificate says of the TPM that its key lives in: DER of each hardwareModuleName."""
    names = _alternative(certificate).get_values_for_type(x509.OtherName)
    return tuple(one.value for one in names if one.type_id == _MODULE_NAME)


def _alternative(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])


def _notice(policy: x509.ObjectIdentifier, texts: Sequence[str]) -> x509.PolicyInformation:
    return x509.PolicyInformation(policy, [x509.UserNotice(None, text) for text in texts])


def _names(asked: Asked) -> Iterator[x509.GeneralName]:
    if asked.profile is Profile.VTPM:
        named = [x509.NameAttribute(x509.ObjectIdentifier(oid), text) for oid, text in _SWTPM.items()]
        yield x509.DirectoryName(x509.Name(named))
    if asked.uuid is not None:
        yield x509.UniformResourceIdentifier(f"urn:uuid:{asked.uuid}")
    if asked.endorsement is not None:
        yield x509.OtherName(_MODULE_NAME, module(asked.endorsement))
    for one in asked.addresses:
        name = _address(one)
        if name is not None:
            yield name


def module(endorsement: x509.Certificate) -> bytes:
    """DER of hardwareModuleName: maker, issuer's key and serial number of the endorsement certificate."""
    authority = endorsement.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    issuer = (authority.key_identifier or b"").hex()
    serial = f"00001014:{issuer}:{endorsement.serial_number:x}".encode("ascii")
    inner = _TPM20 + b"\x04" + bytes([len(serial)]) + serial
    return b"\x30" + bytes([len(inner)]) + inner
