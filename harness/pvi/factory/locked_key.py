"""A private key in a file that its owner's passphrase locks.

The key that locks it is made by scrypt (RFC 7914), which takes 64 MiB for each guess, and AES-256-GCM tells a
wrong passphrase from a right one. PKCS #8 would be the usual form; the library that writes it here allows
2,048 rounds of PBKDF2 only, which is too few for a passphrase that a person remembers.
"""

from __future__ import annotations

import json
import os
from typing import Annotated, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from pydantic import Field, ValidationError

from harness.attest.evidence import Base64
from harness.errors import PrerequisiteError
from harness.legible import legible
from harness.sentence import sentence
from harness.strict import Strict

MAX_BYTES = 16 * 1024
SHORTEST_PASSPHRASE = 12
"""Characters of a new factory's passphrase."""
_SALT_BYTES, _NONCE_BYTES, _KEY_BYTES = 16, 12, 32
COST, _BLOCK = 2**16, 8
"""scrypt's N and r: 64 MiB and a quarter of a second."""


class LockedKey(Strict):
    """One locked key, as a file of JSON.

    Attributes:
        version: Of this form.
        role: What the key is for; it is authenticated, so that no key can take another's place.
        cost: scrypt's N; a larger one is not computed, as a file could ask for all memory.
        block: scrypt's r; its p is 1.
        salt: Of scrypt.
        nonce: Of AES-256-GCM.
        ciphertext: The key: in PKCS #8, DER, or as its role has it.
    """

    version: Literal[1] = 1
    role: Annotated[str, Field(pattern=r"^[a-z]{1,32}$")]
    cost: Annotated[int, Field(ge=2**14, le=2**20)]
    block: Annotated[int, Field(ge=8, le=16)]
    salt: Base64 = Field(min_length=_SALT_BYTES, max_length=64)
    nonce: Base64 = Field(min_length=_NONCE_BYTES, max_length=_NONCE_BYTES)
    ciphertext: Base64 = b""

    def bound(self) -> bytes:
        """What is authenticated with the ciphertext."""
        return json.dumps(self.model_dump(mode="json", exclude={"ciphertext"}), sort_keys=True).encode()

    def to_bytes(self) -> bytes:
        """The file's content."""
        return (json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n").encode()


def lock(key: ec.EllipticCurvePrivateKey, role: str, passphrase: str) -> LockedKey:
    """The key, locked by the passphrase."""
    return lock_bytes(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), role, passphrase)


def lock_bytes(plain: bytes, role: str, passphrase: str) -> LockedKey:
    """A key of another kind, such as a disk's, locked by the passphrase."""
    empty = LockedKey(
        role=role, cost=COST, block=_BLOCK, salt=os.urandom(_SALT_BYTES), nonce=os.urandom(_NONCE_BYTES)
    )
    ciphertext = AESGCM(_derived(empty, passphrase)).encrypt(empty.nonce, plain, empty.bound())
    return empty.model_copy(update={"ciphertext": ciphertext})


def unlock(raw: bytes, role: str, passphrase: str, *, where: str) -> ec.EllipticCurvePrivateKey:
    """The key in `raw`.

    Raises:
        PrerequisiteError: It is no key of this role, or the passphrase is another.
    """
    key = load_der_private_key(unlock_bytes(raw, role, passphrase, where=where), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _unusable(where, "its key is not one on an elliptic curve")
    return key


def unlock_bytes(raw: bytes, role: str, passphrase: str, *, where: str) -> bytes:
    """The key of another kind in `raw`.

    Raises:
        PrerequisiteError: It is no key of this role, or the passphrase is another.
    """
    try:
        locked = LockedKey.model_validate_json(raw[: MAX_BYTES + 1])
    except ValidationError as error:
        raise _unusable(where, f"it is no locked key: {sentence(error)}") from error
    if locked.role != role:
        raise _unusable(where, f"it is the {locked.role} key, and the {role} key is needed")
    try:
        return AESGCM(_derived(locked, passphrase)).decrypt(locked.nonce, locked.ciphertext, locked.bound())
    except InvalidTag as error:
        raise PrerequisiteError(
            "the factory's key cannot be unlocked",
            where=legible(where),
            why="the passphrase is wrong, or the file was changed",
            remedy="give the passphrase that the factory was made with",
        ) from error


def _derived(locked: LockedKey, passphrase: str) -> bytes:
    kdf = Scrypt(salt=locked.salt, length=_KEY_BYTES, n=locked.cost, r=locked.block, p=1)
    return kdf.derive(passphrase.encode())


def _unusable(where: str, why: str) -> PrerequisiteError:
    return PrerequisiteError(
        "the factory's key cannot be used",
        where=legible(where),
        why=legible(why),
        remedy="restore the factory's folder from a copy",
    )
