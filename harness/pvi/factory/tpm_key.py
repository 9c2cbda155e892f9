"""A private key of the factory's that is in its machine's TPM, and needs the passphrase as well.

The key was made in the TPM and cannot leave it. The file has what that TPM loads it from, and the salt of the
password that it wants, which scrypt makes of the passphrase. A wrong passphrase counts as a failed attempt:
after some of them the TPM is in lockout and takes none for a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.utils import Buffer
from pydantic import Field, ValidationError

from harness.attest.evidence import Base64, RefusedError
from harness.attest.tpm.keys import load
from harness.attest.tpm.structures import parse_public
from harness.errors import PrerequisiteError
from harness.legible import legible
from harness.pvi.factory import locked_key
from harness.sentence import sentence
from harness.strict import Strict

MAX_BYTES = 16 * 1024
_PROGRAM = Path(__file__).with_name("tpm_key_program.py")
_LIMIT_S = 60.0
_SALT_BYTES, _AUTH_BYTES = 16, 32
_MOST_BYTES = 16 * 1024
_FORMAT_ONE, _CODE, _AUTH_FAIL, _LOCKOUT = 0x80, 0x3F, 0x0E, 0x921
"""TPM_RC of format one, and those for a wrong password and for lockout (Part 2, 6.6.3)."""


class TpmKeyFile(Strict):
    """A key in a TPM, as a file of JSON.

    Attributes:
        version: Of this form.
        kept: Tells it from a key that a passphrase alone locks.
        role: What the key is for.
        tcti: How the TPM is reached.
        cost: scrypt's N.
        salt: Of scrypt.
        public: TPM2B_PUBLIC.
        private: TPM2B_PRIVATE, which its TPM alone can use.
    """

    version: Literal[1] = 1
    kept: Literal["in a TPM"] = "in a TPM"
    role: Annotated[str, Field(pattern=r"^[a-z]{1,32}$")]
    tcti: Annotated[str, Field(pattern=r"^[a-z]{1,16}(:[A-Za-z0-9/._=,:-]{0,200})?$")]
    cost: Annotated[int, Field(ge=2**14, le=2**20)]
    salt: Base64 = Field(min_length=_SALT_BYTES, max_length=64)
    public: Base64 = Field(max_length=1024)
    private: Base64 = Field(max_length=2048)

    def to_bytes(self) -> bytes:
        """The file's content."""
        return (json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n").encode()


class TpmKey(ec.EllipticCurvePrivateKey):
    """A key in a TPM, which signs as any key on P-256 does; nothing else can be done with it."""

    def __init__(self, file: TpmKeyFile, auth: bytes, where: str) -> None:
        self._file = file
        self._auth = auth
        self._where = where
        try:
            _, public = load(parse_public(file.public[2:]))
        except RefusedError as error:
            raise _unusable(where, error.why) from error
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise _unusable(where, "it is not on an elliptic curve")
        self._public = public

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Its public part."""
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return self._public.curve

    @property
    def key_size(self) -> int:
        """In bits."""
        return self._public.key_size

    def sign(self, data: Buffer, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """ECDSA by SHA-256 over `data`, in DER.

        Raises:
            PrerequisiteError: The TPM is another, does not answer, or refuses the passphrase.
        """
        algorithm = signature_algorithm.algorithm
        if not isinstance(algorithm, hashes.SHA256):
            kind = "a digest" if isinstance(algorithm, Prehashed) else algorithm.name
            raise UnsupportedAlgorithm(f"a key in a TPM signs by SHA-256, and not {kind}")
        digest = hashlib.sha256(data).hexdigest()
        parts = {"public": self._file.public.hex(), "private": self._file.private.hex(), "digest": digest}
        said = _asked(self._file.tcti, self._auth, parts, self._where)
        return encode_dss_signature(int(said["r"], 16), int(said["s"], 16))

    def exchange(self, *_arguments: object, **_named: object) -> NoReturn:
        """Refused: the key signs alone."""
        raise UnsupportedAlgorithm("a key in a TPM signs, and does nothing else")

    def private_numbers(self) -> NoReturn:
        """Refused: the key does not leave its TPM."""
        raise UnsupportedAlgorithm("a key in a TPM does not leave it")

    def private_bytes(self, *_arguments: object, **_named: object) -> NoReturn:
        """Refused: the key does not leave its TPM."""
        raise UnsupportedAlgorithm("a key in a TPM does not leave it")

    def __copy__(self) -> TpmKey:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> TpmKey:
        return self


def make(tcti: str, role: str, passphrase: str) -> tuple[TpmKey, TpmKeyFile]:
    """A new key in the TPM at `tcti`.

    Raises:
        PrerequisiteError: The TPM does not answer, or the programs for it are missing.
    """
    salt = os.urandom(_SALT_BYTES)
    auth = _derived(passphrase, salt, locked_key.COST)
    said = _asked(tcti, auth, {"make": "yes"}, tcti)
    try:
        file = TpmKeyFile(
            role=role,
            tcti=tcti,
            cost=locked_key.COST,
            salt=salt,
            public=bytes.fromhex(said["public"]),
            private=bytes.fromhex(said["private"]),
        )
    except ValidationError as error:
        raise _unusable(tcti, sentence(error)) from error
    return TpmKey(file, auth, tcti), file


def unlock(raw: bytes, role: str, passphrase: str, *, where: str) -> TpmKey:
    """The key in the file `raw`; whether the passphrase is right, its first signature tells.

    Raises:
        PrerequisiteError: It is no key of this role.
    """
    try:
        file = TpmKeyFile.model_validate_json(raw[: MAX_BYTES + 1])
    except ValidationError as error:
        raise _unusable(where, f"it is no key in a TPM: {sentence(error)}") from error
    if file.role != role:
        raise _unusable(where, f"it is the {file.role} key, and the {role} key is needed")
    return TpmKey(file, _derived(passphrase, file.salt, file.cost), where)


def is_file(raw: bytes) -> bool:
    """Whether a file of a key says that the key is in a TPM."""
    return b'"kept"' in raw[:MAX_BYTES]


def _derived(passphrase: str, salt: bytes, cost: int) -> bytes:
    return Scrypt(salt=salt, length=_AUTH_BYTES, n=cost, r=8, p=1).derive(passphrase.encode())


def _asked(tcti: str, auth: bytes, parts: dict[str, str], where: str) -> dict[str, str]:
    """What the program of the TPM answers. The password goes over its standard input."""
    request = json.dumps({"tcti": tcti, "auth": auth.hex(), **parts})
    try:
        done = subprocess.run(
            ["/usr/bin/python3", str(_PROGRAM)],
            input=request.encode(),
            capture_output=True,
            check=False,
            timeout=_LIMIT_S,
            env={**os.environ, "TSS2_LOG": "all+none"},
        )
        said = json.loads(done.stdout[:_MOST_BYTES]) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise _unusable(where, f"the TPM's program does not answer: {type(error).__name__}") from error
    if not isinstance(said, dict):
        raise _unusable(where, done.stderr[-300:].decode("utf-8", "replace"))
    if "failed" in said:
        raise _refused(where, str(said["failed"]), int(said["code"]) & 0xFFF)
    return {str(key): str(value) for key, value in said.items()}


def _refused(where: str, why: str, code: int) -> PrerequisiteError:
    """The error for a TPM that does not sign."""
    if code == _LOCKOUT:
        return PrerequisiteError(
            "the factory's TPM is in lockout",
            where=legible(where),
            why="wrong passphrases were tried, or the machine was switched off too often",
            remedy="wait, or have the TPM's owner end it (tpm2_dictionarylockout --clear-lockout)",
            retry=True,
        )
    if code & _FORMAT_ONE and code & _CODE == _AUTH_FAIL:
        return PrerequisiteError(
            "the factory's key cannot be unlocked",
            where=legible(where),
            why="the passphrase is wrong",
            remedy="give the passphrase that the factory was made with; the TPM counts wrong ones",
        )
    return _unusable(where, why)


def _unusable(where: str, why: str) -> PrerequisiteError:
    return PrerequisiteError(
        "the factory's key in the TPM cannot be used",
        where=legible(where),
        why=legible(" ".join(why.split())),
        remedy="see that it is the TPM that the factory was made with, that it was not cleared, that "
        "this user may use it, and that python3-tpm2-pytss is installed",
    )
