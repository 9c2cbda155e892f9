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

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from harness.attest import keys
from harness.attest.algorithms import Alg
from harness.attest.evidence import RefusedError
from harness.attest.reasons import Reason
from harness.attest.structures import Public, parse_public

SECRET_BYTES = 32
"""The longest secret: a digest of the endorsement key's name algorithm, SHA-256."""

NAME_BYTES = 2 + SECRET_BYTES

KEY_BITS = 128
"""AES key of the default endorsement templates (TCG EK Credential Profile 2.x, B.3.3 and B.3.4)."""

LABEL = "IDENTITY"

REQUIRED = keys.FIXED_TPM | keys.FIXED_PARENT | keys.SENSITIVE_DATA_ORIGIN | keys.RESTRICTED | keys.DECRYPT
"""What an endorsement key's attributes must hold: a storage key that never was outside its TPM."""


def make_credential(ek_public: bytes, ak_name: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """A credential for TPM2_ActivateCredential.

    Args:
        ek_public: TPMT_PUBLIC of the endorsement key, RSA-2048 or P-256 as the default templates make it.
        ak_name: Name of the attestation key, by SHA-256.
        secret: 1 to 32 bytes that come back only from that TPM.

    Returns:
        TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET, each with its size before it.

    Raises:
        RefusedError: ``ek-key``: no such endorsement key; ``credential``: no such name or secret.
    """
    area, loaded = _endorsement(ek_public)
    if len(ak_name) != NAME_BYTES or int.from_bytes(ak_name[:2], "big") != Alg.SHA256:
        raise RefusedError(Reason.CREDENTIAL, "the attestation key's name is not one by SHA-256")
    if not 0 < len(secret) <= SECRET_BYTES:
        raise RefusedError(Reason.CREDENTIAL, f"a secret of {len(secret)} bytes; 1 to {SECRET_BYTES} will do")
    seed, encrypted = (
        _seed_by_rsa(loaded) if isinstance(loaded, rsa.RSAPublicKey) else _seed_by_ecc(loaded, area)
    )
    cipher = Cipher(AES(kdfa(seed, "STORAGE", ak_name, KEY_BITS)), CFB(bytes(16))).encryptor()
    identity = cipher.update(_sized(secret)) + cipher.finalize()
    integrity = hmac.digest(
        kdfa(seed, "INTEGRITY", b"", 8 * SECRET_BYTES), identity + ak_name, hashlib.sha256
    )
    return _sized(_sized(integrity) + identity), _sized(encrypted)


def _endorsement(ek_public: bytes) -> tuple[Public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey]:
    try:
        area = parse_public(ek_public)
        _, loaded = keys.load(area)
    except RefusedError as refused:
        raise RefusedError(Reason.EK_KEY, refused.why) from refused
    symmetric = area.symmetric
    if area.attributes & REQUIRED != REQUIRED or area.attributes & keys.SIGN:
        raise RefusedError(Reason.EK_KEY, f"attributes {area.attributes:#010x} are no endorsement key's")
    if area.name_alg != Alg.SHA256 or area.scheme is not None or symmetric is None:
        raise RefusedError(Reason.EK_KEY, "not as the default templates make it")
    if (symmetric.alg, symmetric.key_bits, symmetric.mode) != (Alg.AES, KEY_BITS, Alg.CFB):
        raise RefusedError(Reason.EK_KEY, "another cipher than AES-128 in CFB mode")
    return area, loaded


def _seed_by_rsa(key: rsa.RSAPublicKey) -> tuple[bytes, bytes]:
    """A random seed, and it encrypted by OAEP (Part 1, B.10.3): the label ends with a zero byte."""
    seed = secrets.token_bytes(SECRET_BYTES)
    oaep = padding.OAEP(
        mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=LABEL.encode() + b"\0"
    )
    return seed, key.encrypt(seed, oaep)


def _seed_by_ecc(key: ec.EllipticCurvePublicKey, area: Public) -> tuple[bytes, bytes]:
    """A seed agreed with an ephemeral key, and that key's point (Part 1, C.6.1)."""
    ephemeral = ec.generate_private_key(ec.SECP256R1())
    point = ephemeral.public_key().public_numbers()
    x = point.x.to_bytes(keys.P256_BYTES, "big")
    y = point.y.to_bytes(keys.P256_BYTES, "big")
    shared = ephemeral.exchange(ec.ECDH(), key)
    recipient = (area.x or b"").rjust(keys.P256_BYTES, b"\0")
    return kdfe(shared, LABEL, x, recipient, 8 * SECRET_BYTES), _sized(x) + _sized(y)


def kdfa(key: bytes, label: str, context: bytes, bits: int) -> bytes:
    """`bits` bits, whole bytes, from `key` by HMAC-SHA256 in counter mode (Part 1, 11.4.10.2)."""
    fixed = label.encode() + b"\0" + context + bits.to_bytes(4, "big")
    return b"".join(
        hmac.digest(key, counter.to_bytes(4, "big") + fixed, hashlib.sha256) for counter in _blocks(bits)
    )[: bits // 8]


def kdfe(shared: bytes, label: str, party_u: bytes, party_v: bytes, bits: int) -> bytes:
    """`bits` bits, whole bytes, from an ECDH secret by SHA-256 (Part 1, 11.4.10.3)."""
    fixed = shared + label.encode() + b"\0" + party_u + party_v
    return b"".join(hashlib.sha256(counter.to_bytes(4, "big") + fixed).digest() for counter in _blocks(bits))[
        : bits // 8
    ]


def _blocks(bits: int) -> range:
    return range(1, -(-bits // 256) + 1)


def _sized(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content
