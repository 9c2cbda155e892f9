"""Looks at a counter in a VM's vTPM, by which a vTPM is found whose state was put back, or runs twice.

Each look has the vTPM increment an NV counter and certify it (TPM2_NV_Certify; TCG TPM 2.0 Library, Part 3,
31.16) with the VM's identity key. A vTPM's clock and counters go back with its state; what the factory saw
does not. So the counts of one vTPM rise by one a look. Pure.

Deleting and defining the index again takes no count back: a new counter begins above all that the TPM ever
had (Part 1, 37.2.4).
"""

from __future__ import annotations

import hashlib
import hmac
import uuid as uuids
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from harness.attest.evidence import KeyType, RefusedError
from harness.attest.reasons import Reason
from harness.attest.tpm.algorithms import Alg
from harness.attest.tpm.cursor import bounded
from harness.attest.tpm.keys import SCHEMES, AttestationKey
from harness.attest.tpm.structures import GENERATED, ClockInfo, parse_attest, parse_signature
from harness.json_types import Json

ENTRY = "look"
"""The kind of the audit log's entries, whose subject is the VM."""
NV = 0x8014
"""TPM_ST_ATTEST_NV (Part 2, 6.9)."""
INDEX = 0x01805D01
"""The counter's handle, in the owner's range."""
ATTRIBUTES = 1 << 2 | 1 << 4 | 1 << 18 | 1 << 25
"""AUTHWRITE, TPM_NT_COUNTER, AUTHREAD, NO_DA (Part 2, 13.4); the index has an empty password."""
_WRITTEN = 1 << 29
COUNTER_BYTES = 8
CHALLENGE_BYTES = 32
_LABEL = b"sodbench:look:1\0"
_MAX_BODY_BYTES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look, as the vTPM signed it.

    Attributes:
        count: What the counter was.
        clock: The vTPM's clock: how long it was powered in all, and how often it was reset.
    """

    count: int
    clock: ClockInfo


@dataclass(frozen=True, slots=True)
class Counted:
    """A count, and the number of the log's entry that has it."""

    entry: int
    count: int


def public_area(*, written: bool = True) -> bytes:
    """TPMS_NV_PUBLIC of the counter (Part 2, 13.5)."""
    attributes = ATTRIBUTES | (_WRITTEN if written else 0)
    return (
        INDEX.to_bytes(4, "big")
        + Alg.SHA256.to_bytes(2, "big")
        + attributes.to_bytes(4, "big")
        + bytes(2)  # no policy
        + COUNTER_BYTES.to_bytes(2, "big")
    )


def index_name() -> bytes:
    """The Name of the counter once it was incremented."""
    return Alg.SHA256.to_bytes(2, "big") + hashlib.sha256(public_area()).digest()


def qualifying(challenge: bytes, uuid: str) -> bytes:
    """What the vTPM signs next to the count: the challenge, for the VM of this UUID."""
    return hashlib.sha256(_LABEL + uuids.UUID(uuid).bytes + challenge).digest()


def body(challenge: bytes, attest: bytes, signature: bytes) -> Mapping[str, Json]:
    """A look as the audit log keeps it: all that is needed to check it again."""
    return {"challenge": challenge.hex(), "attest": attest.hex(), "signature": signature.hex()}


def checked(said: Mapping[str, Json], uuid: str, certificate: x509.Certificate) -> Look:
    """The look in an entry of the audit log.

    Args:
        said: What the entry says.
        uuid: The VM's.
        certificate: Of the VM's identity at that time.

    Raises:
        RefusedError: It is no look, answers another challenge, is of another index, or another key signed it.
    """
    challenge, attest, signature = (_bytes(said, key) for key in ("challenge", "attest", "signature"))
    found = parse_attest(attest)
    signed = parse_signature(signature)
    if not _key(certificate, signed.scheme).verify(signed, attest):
        raise RefusedError(Reason.SIGNATURE_INVALID, "the VM's identity key did not sign the look")
    if found.magic != GENERATED:
        raise RefusedError(Reason.NOT_TPM_GENERATED, "no TPM made the look")
    if found.type != NV:
        raise RefusedError(Reason.NOT_A_QUOTE, f"type {found.type:#06x} certifies no counter")
    if len(challenge) != CHALLENGE_BYTES or not hmac.compare_digest(
        found.extra_data, qualifying(challenge, uuid)
    ):
        raise RefusedError(Reason.NONCE_MISMATCH, "the look answers another challenge, or is another VM's")
    return Look(count=_count(found.body), clock=found.clock)


def doubts(counts: Sequence[Counted]) -> Iterator[tuple[int, str]]:
    """What the counts of one VM, in the order of the looks, say against it: entry and sentence.

    A count that is not above an earlier one is a vTPM whose state was put back: from there a second line of
    counts begins. Where a line goes on after another has begun, both are alive: the vTPM was copied. A count
    that leaves some out is in order, as the answer to a look may be lost.
    """
    lines: list[int] = []
    current = 0
    for one in counts:
        going_on = [at for at, last in enumerate(lines) if last == one.count - 1]
        if not lines:
            lines.append(one.count)
        elif current in going_on:
            lines[current] = one.count
        elif going_on:
            current = going_on[-1]
            last, lines[current] = lines[current], one.count
            yield (
                one.entry,
                f"the vTPM's counter goes on from {last} to {one.count} next to another line: it was copied",
            )
        elif one.count > max(lines):
            lines[current] = one.count
        else:
            yield one.entry, f"the vTPM's counter is {one.count} and was {max(lines)}: its state was put back"
            lines.append(one.count)
            current = len(lines) - 1


def _count(body: bytes) -> int:
    """The count in TPMS_NV_CERTIFY_INFO (Part 2, 10.12.9), of the whole counter and no other index."""
    cursor = bounded(body, _MAX_BODY_BYTES, Reason.MALFORMED_ATTEST, "TPMS_NV_CERTIFY_INFO")
    name = cursor.sized(66, "indexName")
    offset = cursor.number(2, "offset")
    content = cursor.sized(COUNTER_BYTES, "nvContents")
    cursor.end()
    if name != index_name():
        raise RefusedError(Reason.KEY_ATTRIBUTES, "it is of another NV index, or no counter")
    if offset != 0 or len(content) != COUNTER_BYTES:
        raise RefusedError(Reason.MALFORMED_ATTEST, "it is a part of the counter")
    return int.from_bytes(content, "big")


def _key(certificate: x509.Certificate, scheme: int) -> AttestationKey:
    """The certificate's key, as one that signs with `scheme` and SHA-256, if a key of its type does."""
    loaded = certificate.public_key()
    kind: KeyType
    if isinstance(loaded, rsa.RSAPublicKey) and loaded.key_size == 2048:
        kind = "rsa-2048"
    elif isinstance(loaded, ec.EllipticCurvePublicKey) and isinstance(loaded.curve, ec.SECP256R1):
        kind = "ecc-p256"
    else:
        raise RefusedError(Reason.KEY_ATTRIBUTES, "the identity's key is of a type that signs no look")
    if scheme not in SCHEMES[kind]:
        raise RefusedError(Reason.SCHEME_MISMATCH, f"scheme {scheme:#06x} is not one of the identity's key")
    return AttestationKey(
        kind=kind, public=b"", name=b"", attributes=0, scheme=scheme, hash=Alg.SHA256, loaded=loaded
    )


def _bytes(said: Mapping[str, Json], key: str) -> bytes:
    found = said.get(key)
    try:
        return bytes.fromhex(found if isinstance(found, str) else "no text")
    except ValueError as error:
        raise RefusedError(Reason.MALFORMED_EVIDENCE, f"the look has no {key} in hexadecimal") from error
