"""Who vouches for files that are passed on: a signature over their SHA-256, in a file of its own.

The file is a DSSE envelope (Dead Simple Signing Envelope 1.0, secure-systems-lab) around an in-toto Statement
v1, signed with ECDSA on P-256 and SHA-256, so that other tools can check it. Sums show what was changed by
accident; a forger writes new ones, and cannot sign them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness import sums
from harness.errors import AlteredError, PrerequisiteError
from harness.files import write_json
from harness.json_form import require_few_parts
from harness.legible import legible

FILE = "signature.dsse.json"
_MOST_PARTS = 1_000
"""Of an envelope with some hundred signatures; what they are over is base64."""
MAX_BYTES = 4 * 2**20
"""Of the envelope: a report has some hundred files, an archive two lists."""
TRUSTED = "--key names the public key of the signer whom you trust"
_PAYLOAD = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_ALGORITHM = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class Kind:
    """What the signed files are: a signature of a report vouches for no archive.

    Attributes:
        name: Such as ``archive``.
        remedy: What to do about one whose signature is refused.
    """

    name: str
    remedy: str = TRUSTED


class _Read(BaseModel):
    # Fields of later versions of the two formats are left aside.
    model_config = ConfigDict(strict=True, extra="ignore")


class _Signature(_Read):
    sig: str
    keyid: str | None = None


class _Envelope(_Read):
    payload: str
    payload_type: str = Field(alias="payloadType")
    signatures: list[_Signature] = Field(min_length=1, max_length=16)


class _Subject(_Read):
    name: str
    digest: dict[str, str]


class _Statement(_Read):
    type: str = Field(alias="_type")
    subject: list[_Subject]
    predicate_type: str = Field(alias="predicateType")


def sign(folder: Path, names: Iterable[str], key: ec.EllipticCurvePrivateKey, *, kind: Kind) -> Path:
    """Sign the files `names` of `folder` as one whole, and write the signature next to them.

    Args:
        folder: Where the files are.
        names: Their paths in it.
        key: On P-256.
        kind: What they are.

    Returns:
        The signature's file.

    Raises:
        RecordError: A file cannot be read.
        StorageError: The signature cannot be written.
    """
    subjects = [{"name": name, "digest": {"sha256": sums.digest(folder / name)}} for name in sorted(names)]
    statement = {
        "_type": _STATEMENT,
        "subject": subjects,
        "predicateType": _predicate(kind),
        "predicate": {},
    }
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    signature = key.sign(_authenticated(payload), _ALGORITHM)
    write_json(
        folder / FILE,
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": _PAYLOAD,
            "signatures": [{"keyid": key_id(key.public_key()), "sig": base64.b64encode(signature).decode()}],
        },
    )
    return folder / FILE


def verify(folder: Path, names: Iterable[str], key: ec.EllipticCurvePublicKey, *, kind: Kind) -> int:
    """Refuse a folder unless the key's owner signed just these files of it, as they are.

    Args:
        folder: Where files and signature are.
        names: Paths in it of the files that a reader would use; not looked at before the signature.
        key: The signer's.
        kind: As it was given to :func:`sign`.

    Returns:
        How many files that are.

    Raises:
        AlteredError: There is no signature, it is not by this key, or the files are not those signed.
        RecordError: A file cannot be read.
    """
    place = folder / FILE
    if not place.exists():
        raise _refused(folder, "it is not signed", f"it has no {FILE}", kind)
    signed = _signed(place, key, kind)
    there = set(names)
    changed = [name for name in sorted(there & signed.keys()) if sums.digest(folder / name) != signed[name]]
    for what, wrong in (
        ("changed", changed),
        ("missing", sorted(signed.keys() - there)),
        ("not signed", sorted(there - signed.keys())),
    ):
        if wrong:
            why = f"{what}: {', '.join(legible(name) for name in wrong[:20])}"
            raise _refused(folder, "it is not what was signed", why, kind)
    return len(signed)


def hint(folder: Path, *, kind: Kind) -> str:
    """Whose signature the folder says it has: the first `keyid`, which nothing vouches for.

    It serves to find a key, which :func:`verify` then takes.

    Raises:
        AlteredError: There is no signature, or it names no key.
    """
    place = folder / FILE
    if not place.exists():
        raise _refused(folder, "it is not signed", f"it has no {FILE}", kind)
    try:
        content = sums.content(place, limit=MAX_BYTES)
        require_few_parts(content, _MOST_PARTS)
        found = _Envelope.model_validate_json(content).signatures[0].keyid
    except ValueError as error:
        raise _refused(place, "the signature cannot be read", "it is no DSSE envelope", kind) from error
    if found is None:
        raise _refused(place, "the signature cannot be read", "it names no key", kind)
    return found


def public_key(path: Path) -> ec.EllipticCurvePublicKey:
    """The public key on P-256 in PEM at `path`.

    Raises:
        PrerequisiteError: There is none.
    """
    try:
        if path.exists() and not path.is_file():
            raise OSError("not a regular file")
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PrerequisiteError(
            "there is no public key to check a signature with",
            where=legible(str(path)),
            why=str(error),
            remedy="--key names the signer's public key, which lies next to the signer's verifier-key.pem",
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PrerequisiteError("the public key is not one on P-256", where=legible(str(path)))
    return key


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of the key's SubjectPublicKeyInfo, in hexadecimal."""
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def _signed(place: Path, key: ec.EllipticCurvePublicKey, kind: Kind) -> Mapping[str, str]:
    """The SHA-256 of each file that the key's owner signed."""
    try:
        content = sums.content(place, limit=MAX_BYTES)
        require_few_parts(content, _MOST_PARTS)
        envelope = _Envelope.model_validate_json(content)
        payload = base64.b64decode(envelope.payload, validate=True)
        signatures = [base64.b64decode(one.sig, validate=True) for one in envelope.signatures]
    except (ValidationError, ValueError) as error:
        raise _refused(place, "the signature cannot be read", "it is no DSSE envelope", kind) from error
    if envelope.payload_type != _PAYLOAD or not any(_is_by(key, one, payload) for one in signatures):
        why = f"none of its signatures is by the key {key_id(key)}"
        raise _refused(place, "it is signed by another key, or was altered", why, kind)
    try:
        statement = _Statement.model_validate_json(payload)
        found = {one.name: one.digest["sha256"] for one in statement.subject}
    except (ValidationError, KeyError) as error:
        raise _refused(place, "the signature cannot be read", "it is no in-toto statement", kind) from error
    if (statement.type, statement.predicate_type) != (_STATEMENT, _predicate(kind)):
        raise _refused(place, f"what was signed is no {kind.name}", statement.predicate_type, kind)
    return found


def _is_by(key: ec.EllipticCurvePublicKey, signature: bytes, payload: bytes) -> bool:
    try:
        key.verify(signature, _authenticated(payload), _ALGORITHM)
    except InvalidSignature:
        return False
    return True


def _authenticated(payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding of type and payload."""
    return b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD), _PAYLOAD.encode(), len(payload), payload)


def _predicate(kind: Kind) -> str:
    return f"urn:sodbench:{kind.name}:1"


def _refused(where: Path, what: str, why: str, kind: Kind) -> AlteredError:
    return AlteredError(what, where=legible(str(where)), why=legible(why), remedy=kind.remedy)
