"""A guest's secrets on their way to one host: encrypted by a key that is sealed to it, signed by the factory.

Whoever carries a package carries ciphertext. The host's TPM gives the key back on the package's terms. The
signature says that the factory made it: anyone can seal something to a host, whose endorsement key is public.
"""

from __future__ import annotations

import json
import secrets
from typing import Annotated, Literal

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import Field, ValidationError

from harness.attest.attester import bounds
from harness.attest.evidence import Bank, Base64, Count, PcrIndex
from harness.attest.tpm import sealing
from harness.attest.tpm.sealing import Sealed, Terms
from harness.attest.tpm.structures import name_of
from harness.errors import AlteredError
from harness.evidence.signature import key_id
from harness.legible import legible
from harness.pvi.release import Release
from harness.sentence import sentence
from harness.strict import Strict

MAX_BYTES = 16 * 2**20
"""The longest package that is read: the state of a vTPM is some 100 KB, the rest a few KB."""

NONCE_BYTES = 12
"""Of AES-GCM. A package has a key of its own, so that no nonce is used twice with one key."""

_LABEL = b"sodbench:package:1\0"
_ALGORITHM = ec.ECDSA(hashes.SHA256())
_REMEDY = "have the factory make the package again"

Uuid = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
"""A UUID as RFC 9562 writes it, in lower case."""


class Secrets(Strict):
    """What a host needs to run one guest, and must not have before it was attested.

    Attributes:
        domain: The guest's definition for libvirt.
        disk_key: The key of its disk.
        vtpm_key: The key of its vTPM's state.
        vtpm_state: The state of its vTPM, packed.
        identity: Its certificates and their key.
        vpn: Its credentials for the VPN.
    """

    domain: str = Field(min_length=1)
    disk_key: Base64 = Field(repr=False, min_length=16)
    vtpm_key: Base64 = Field(repr=False)
    vtpm_state: Base64 = Field(repr=False)
    identity: Base64 = Field(repr=False)
    vpn: Base64 = Field(repr=False)


class Package(Strict):
    """One guest's secrets for one host, as a file of JSON.

    Attributes:
        version: Of this form.
        id: Which package it is, 16 random bytes in hexadecimal: a host opens none twice.
        guest: UUID of the guest.
        host: The host's name in the registry.
        signer: SHA-256 of the factory's signing key, as its certificates in ``trust/signers`` are named.
        ek_name: Name of the endorsement key that it is sealed to.
        bank: See :class:`harness.attest.tpm.sealing.Terms`, as for the next four.
        pcrs: PCR to value.
        reset_count: The boot.
        restart_count: The resumption in it.
        until_ms: The last moment on the TPM's clock, in ms.
        public: See :class:`harness.attest.tpm.sealing.Sealed`, as for the next two.
        duplicate: The protected key.
        seed: The seed of its protection.
        nonce: Of AES-256-GCM; all fields above are authenticated with the ciphertext.
        ciphertext: The secrets.
        signature: The factory's, over all fields above; ECDSA by SHA-256, in DER.
    """

    version: Literal[1] = 1
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    guest: Uuid
    host: Annotated[str, Field(min_length=1, max_length=255)]
    signer: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    ek_name: Base64
    bank: Bank
    pcrs: dict[PcrIndex, Base64]
    reset_count: Annotated[int, Field(ge=0, lt=2**32)]
    restart_count: Annotated[int, Field(ge=0, lt=2**32)]
    until_ms: Count
    public: Base64
    duplicate: Base64
    seed: Base64
    nonce: Base64 = b""
    ciphertext: Base64 = b""
    signature: Base64 = b""

    @property
    def terms(self) -> Terms:
        """When the host's TPM gives the key back.

        Raises:
            RefusedError: They bind it to no state.
        """
        return Terms(
            bank=self.bank,
            pcrs=self.pcrs,
            reset_count=self.reset_count,
            restart_count=self.restart_count,
            until_ms=self.until_ms,
        )

    @property
    def sealed(self) -> Sealed:
        """What the host's TPM imports."""
        return Sealed(public=self.public, duplicate=self.duplicate, seed=self.seed)

    def header(self) -> bytes:
        """What is authenticated with the ciphertext."""
        return _canonical(self, {"nonce", "ciphertext", "signature"})

    def signed(self) -> bytes:
        """What the factory signs."""
        return _LABEL + _canonical(self, {"signature"})

    def to_bytes(self) -> bytes:
        """The package as a file; :func:`read` reads it back equal."""
        return _canonical(self, set()) + b"\n"


def make(content: Secrets, guest: str, release: Release, factory: ec.EllipticCurvePrivateKey) -> Package:
    """The package that brings `content` to the host of `release`.

    Args:
        content: The secrets.
        guest: UUID of the guest.
        release: Where they may go, and on what terms.
        factory: The factory's signing key.

    Raises:
        RefusedError: ``ek-key``: the host's endorsement key is not one of the default templates.
        ValidationError: `guest` is no UUID.
    """
    key, terms = secrets.token_bytes(sealing.SECRET_BYTES), release.terms
    sealed = sealing.seal(release.ek_public, key, terms)
    empty = Package(
        id=secrets.token_hex(16),
        guest=guest,
        host=release.host,
        signer=key_id(factory.public_key()),
        ek_name=name_of(release.ek_public),
        bank=terms.bank,
        pcrs=dict(terms.pcrs),
        reset_count=terms.reset_count,
        restart_count=terms.restart_count,
        until_ms=terms.until_ms,
        public=sealed.public,
        duplicate=sealed.duplicate,
        seed=sealed.seed,
    )
    nonce = secrets.token_bytes(NONCE_BYTES)
    ciphertext = AESGCM(key).encrypt(nonce, _canonical(content, set()), empty.header())
    unsigned = empty.model_copy(update={"nonce": nonce, "ciphertext": ciphertext})
    return unsigned.model_copy(update={"signature": factory.sign(unsigned.signed(), _ALGORITHM)})


def read(raw: bytes, factory: ec.EllipticCurvePublicKey, *, where: str) -> Package:
    """The package in `raw`, if this factory made it. Nothing of it is used before.

    Raises:
        AlteredError: It is too long, has another form, is another factory's, or was changed.
    """
    if len(raw) > MAX_BYTES:
        raise _altered(where, "it is no package", f"{len(raw)} bytes, {MAX_BYTES} at most are read")
    try:
        bounds.check(raw.decode("ascii"))
        package = Package.model_validate_json(raw)
    except ValidationError as error:
        raise _altered(where, "it is no package", sentence(error)) from error
    except ValueError as error:
        raise _altered(where, "it is no package", str(error)) from error
    try:
        factory.verify(package.signature, package.signed(), _ALGORITHM)
    except InvalidSignature as error:
        why = "its signature is not by this factory's key over what it holds"
        raise _altered(where, "the package is another factory's, or was changed", why) from error
    return package


def opened(package: Package, key: bytes, *, where: str) -> Secrets:
    """The secrets of a package that :func:`read` returned.

    Args:
        package: The package.
        key: What the host's TPM gave back.
        where: Its place, for messages.

    Raises:
        AlteredError: The key does not open it.
    """
    try:
        content = AESGCM(key).decrypt(package.nonce, package.ciphertext, package.header())
        return Secrets.model_validate_json(content)
    except (InvalidTag, ValueError) as error:
        why = "the key that the TPM gave back is not this package's"
        raise _altered(where, "the package cannot be opened", why) from error


def _canonical(value: Strict, without: set[str]) -> bytes:
    """The one spelling of a value in bytes, as signing needs it."""
    plain = value.model_dump(mode="json", exclude=without)
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()


def _altered(where: str, what: str, why: str) -> AlteredError:
    return AlteredError(what, where=legible(where), why=legible(why), remedy=_REMEDY)
