"""Making a credential that only one TPM can open, and only while it holds one certain key.

It is TPM2_MakeCredential done in software (TCG TPM 2.0 Library, Part 1, 24): a secret is encrypted to an
endorsement key and bound to an attestation key's Name, so that an answer with the secret proves both to be in
the same TPM. It must never be made for a key that is not a storage key of the default endorsement templates:
any other key could open it outside a TPM, or for another Name.
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

SECRET_BYTES = 32
"""The longest secret: a digest of the shortest name algorithm of an endorsement key, SHA-256."""

NAME_BYTES = 2 + SECRET_BYTES


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

LABEL = "IDENTITY"

REQUIRED = keys.FIXED_TPM | keys.FIXED_PARENT | keys.SENSITIVE_DATA_ORIGIN | keys.RESTRICTED | keys.DECRYPT
"""What an endorsement key's attributes must hold: a storage key that never was outside its TPM."""


def make_credential(ek_public: bytes, ak_name: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """A credential for TPM2_ActivateCredential.

    Args:
        ek_public: TPMT_PUBLIC of the endorsement key, as one of the default templates makes it.
        ak_name: Name of the attestation key, by SHA-256.
        secret: 1 to 32 bytes that come back only from that TPM.

    Returns:
        TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET, each with its size before it.

    Raises:
        RefusedError: ``ek-key``: no such endorsement key; ``credential``: no such name or secret.
    """
    area, template, loaded = _endorsement(ek_public)
    if len(ak_name) != NAME_BYTES or int.from_bytes(ak_name[:2], "big") != Alg.SHA256:
        raise RefusedError(Reason.CREDENTIAL, "the attestation key's name is not one by SHA-256")
    if not 0 < len(secret) <= SECRET_BYTES:
        raise RefusedError(Reason.CREDENTIAL, f"a secret of {len(secret)} bytes; 1 to {SECRET_BYTES} will do")
    if isinstance(loaded, rsa.RSAPublicKey):
        seed, encrypted = _seed_by_rsa(loaded, template)
    else:
        seed, encrypted = _seed_by_ecc(loaded, area, template)
    digest = template.digest.name
    cipher = Cipher(
        AES(kdfa(seed, "STORAGE", ak_name, template.key_bits, digest)), CFB(bytes(16))
    ).encryptor()
    identity = cipher.update(_sized(secret)) + cipher.finalize()
    integrity = hmac.digest(
        kdfa(seed, "INTEGRITY", b"", 8 * template.digest.digest_size, digest), identity + ak_name, digest
    )
    return _sized(_sized(integrity) + identity), _sized(encrypted)


def _endorsement(ek_public: bytes) -> tuple[Public, Template, rsa.RSAPublicKey | ec.EllipticCurvePublicKey]:
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
    return area, template, loaded


def _seed_by_rsa(key: rsa.RSAPublicKey, template: Template) -> tuple[bytes, bytes]:
    """A random seed, and it encrypted by OAEP (Part 1, B.10.3): the label ends with a zero byte."""
    seed = secrets.token_bytes(template.digest.digest_size)
    oaep = padding.OAEP(
        mgf=padding.MGF1(template.digest), algorithm=template.digest, label=LABEL.encode() + b"\0"
    )
    return seed, key.encrypt(seed, oaep)


def _seed_by_ecc(key: ec.EllipticCurvePublicKey, area: Public, template: Template) -> tuple[bytes, bytes]:
    """A seed agreed with an ephemeral key, and that key's point (Part 1, C.6.1)."""
    ephemeral = ec.generate_private_key(key.curve)
    point, size_bytes = ephemeral.public_key().public_numbers(), key.curve.key_size // 8
    x = point.x.to_bytes(size_bytes, "big")
    y = point.y.to_bytes(size_bytes, "big")
    shared = ephemeral.exchange(ec.ECDH(), key)
    recipient = (area.x or b"").rjust(size_bytes, b"\0")
    bits = 8 * template.digest.digest_size
    return kdfe(shared, LABEL, x, recipient, bits, template.digest.name), _sized(x) + _sized(y)


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


def _sized(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content
