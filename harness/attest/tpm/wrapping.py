"""Protecting a secret for one storage key: how MakeCredential and Duplicate encrypt what only that key opens.

The secret is encrypted and authenticated by keys made of a seed, and the seed is encrypted to an endorsement
key (TCG TPM 2.0 Library, Part 1, 23.3 and 24). It must never be protected for a key that is not a storage key
of the default endorsement templates: any other key could open it outside a TPM.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from harness.attest.evidence import EkType, RefusedError
from harness.attest.reasons import Reason
from harness.attest.tpm import keys
from harness.attest.tpm.algorithms import Alg
from harness.attest.tpm.structures import Public, parse_public


@dataclass(frozen=True, slots=True)
class Template:
    """What a template fixes as well as the key's type: its name algorithm, and the bits of its AES key."""

    name_alg: int
    key_bits: int
    digest: hashes.HashAlgorithm


_LOW = Template(Alg.SHA256, 128, hashes.SHA256())
_HIGH = Template(Alg.SHA384, 256, hashes.SHA384())
TEMPLATES: Mapping[EkType, Template] = MappingProxyType(
    {"rsa-2048": _LOW, "ecc-p256": _LOW, "ecc-p384": _HIGH, "rsa-3072": _HIGH}
)
"""The default endorsement templates L-1, L-2, H-3 and H-6 (TCG EK Credential Profile 2.x, B.3 and B.4)."""

REQUIRED = keys.FIXED_TPM | keys.FIXED_PARENT | keys.SENSITIVE_DATA_ORIGIN | keys.RESTRICTED | keys.DECRYPT
"""What an endorsement key's attributes must hold: a storage key that never was outside its TPM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """An endorsement key that a secret can be protected for; :func:`endorsement` makes it.

    Attributes:
        area: Its public area.
        template: What its template fixes.
        key: The key as `cryptography` has it.
    """

    area: Public
    template: Template
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey


def endorsement(ek_public: bytes) -> Parent:
    """The endorsement key with this TPMT_PUBLIC, as one of the default templates makes it.

    Raises:
        RefusedError: ``ek-key``: no such endorsement key.
    """
    try:
        area = parse_public(ek_public)
        kind, loaded = keys.load_endorsement(area)
    except RefusedError as refused:
        raise RefusedError(Reason.EK_KEY, refused.why) from refused
    symmetric, template = area.symmetric, TEMPLATES[kind]
    if area.attributes & REQUIRED != REQUIRED or area.attributes & keys.SIGN:
        raise RefusedError(Reason.EK_KEY, f"attributes {area.attributes:#010x} are no endorsement key's")
    if area.name_alg != template.name_alg or area.scheme is not None or symmetric is None:
        raise RefusedError(Reason.EK_KEY, "not as the default templates make it")
    if (symmetric.alg, symmetric.key_bits, symmetric.mode) != (Alg.AES, template.key_bits, Alg.CFB):
        raise RefusedError(Reason.EK_KEY, f"another cipher than AES-{template.key_bits} in CFB mode")
    return Parent(area=area, template=template, key=loaded)


def protect(parent: Parent, name: bytes, content: bytes, label: str) -> tuple[bytes, bytes]:
    """`content`, which the TPM of `parent` opens for the object `name` alone.

    Args:
        parent: The key that opens it.
        name: Name of the object that the content belongs to; it is authenticated with the content.
        content: What is encrypted, as a TPM2B.
        label: What the seed is for, such as ``IDENTITY``: a seed of one label opens nothing of another.

    Returns:
        The protected content and the encrypted seed, each with its size before it.
    """
    template = parent.template
    digest = template.digest.name
    if isinstance(parent.key, rsa.RSAPublicKey):
        seed, encrypted = _seed_by_rsa(parent.key, template, label)
    else:
        seed, encrypted = _seed_by_ecc(parent.key, parent.area, template, label)
    cipher = Cipher(AES(kdfa(seed, "STORAGE", name, template.key_bits, digest)), CFB(bytes(16))).encryptor()
    hidden = cipher.update(sized(content)) + cipher.finalize()
    integrity = hmac.digest(
        kdfa(seed, "INTEGRITY", b"", 8 * template.digest.digest_size, digest), hidden + name, digest
    )
    return sized(sized(integrity) + hidden), sized(encrypted)


def _seed_by_rsa(key: rsa.RSAPublicKey, template: Template, label: str) -> tuple[bytes, bytes]:
    """A random seed, and it encrypted by OAEP (Part 1, B.10.3): the label ends with a zero byte."""
    seed = secrets.token_bytes(template.digest.digest_size)
    oaep = padding.OAEP(
        mgf=padding.MGF1(template.digest), algorithm=template.digest, label=label.encode() + b"\0"
    )
    return seed, key.encrypt(seed, oaep)


def _seed_by_ecc(
    key: ec.EllipticCurvePublicKey, area: Public, template: Template, label: str
) -> tuple[bytes, bytes]:
    """A seed agreed with an ephemeral key, and that key's point (Part 1, C.6.1)."""
    ephemeral = ec.generate_private_key(key.curve)
    point, size_bytes = ephemeral.public_key().public_numbers(), key.curve.key_size // 8
    x = point.x.to_bytes(size_bytes, "big")
    y = point.y.to_bytes(size_bytes, "big")
    shared = ephemeral.exchange(ec.ECDH(), key)
    recipient = (area.x or b"").rjust(size_bytes, b"\0")
    bits = 8 * template.digest.digest_size
    return kdfe(shared, label, x, recipient, bits, template.digest.name), sized(x) + sized(y)


def kdfa(key: bytes, label: str, context: bytes, bits: int, digest: str = "sha256") -> bytes:
    """`bits` bits, whole bytes, from `key` by HMAC in counter mode (Part 1, 11.4.10.2)."""
    fixed = label.encode() + b"\0" + context + bits.to_bytes(4, "big")
    return b"".join(
        hmac.digest(key, counter.to_bytes(4, "big") + fixed, digest) for counter in _blocks(bits, digest)
    )[: bits // 8]


def kdfe(
    shared: bytes, label: str, party_u: bytes, party_v: bytes, bits: int, digest: str = "sha256"
) -> bytes:
    """`bits` bits, whole bytes, from an ECDH secret by a hash (Part 1, 11.4.10.3)."""
    fixed = shared + label.encode() + b"\0" + party_u + party_v
    return b"".join(
        hashlib.new(digest, counter.to_bytes(4, "big") + fixed).digest() for counter in _blocks(bits, digest)
    )[: bits // 8]


def _blocks(bits: int, digest: str) -> range:
    return range(1, -(-bits // (8 * hashlib.new(digest).digest_size)) + 1)


def sized(content: bytes) -> bytes:
    """TPM2B of `content`: its length in 2 bytes, then the bytes."""
    return len(content).to_bytes(2, "big") + content
