"""The key with which this verifier signs results that leave it: made once, the user's alone.

A relying party that trusts the key trusts every result signed with it, so the private part is never readable
by others and never leaves its file; the public part is in a file next to it.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from harness import key_file
from harness.errors import PrerequisiteError
from harness.files import write_atomic


def public_file(path: Path) -> Path:
    """Where the public part of the key at `path` lies."""
    return path.with_suffix(".pub.pem")


def signing_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The P-256 key at `path`; one that is not there is made, of two at once exactly one.

    Raises:
        PrerequisiteError: The file is no such key, or others may read it.
        StorageError: The file cannot be written.
    """
    text = key_file.content(path, "the verifier's key", _new)
    try:
        key = load_pem_private_key(text, None)
    except (ValueError, TypeError) as error:
        raise PrerequisiteError(
            "the verifier's key cannot be used", where=str(path), why=str(error)
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PrerequisiteError("the verifier's key is not one on P-256", where=str(path))
    _publish(path, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return key


def _publish(path: Path, public: bytes) -> None:
    """Write the public part, unless it is there: a key in a folder that is read-only signs all the same."""
    place = public_file(path)
    try:
        there = place.read_bytes() == public
    except OSError:
        there = False
    if not there:
        write_atomic(place, public)


def _new() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
