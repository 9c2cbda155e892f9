"""What a TPM marshals around a quote, read strictly: TPMS_ATTEST, TPMT_SIGNATURE and TPMT_PUBLIC.

Layouts are those of the TCG TPM 2.0 Library, Part 2; the numbers in docstrings are its sections. A parser
here says what the bytes mean and refuses what has no meaning; whether a value is the right one is for the
verifier. It must never accept trailing bytes, a length beyond what the field can have, or a structure that is
cut off, and nothing but :class:`RefusedError` may come out of it, whatever goes in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from harness.attest.evidence import RefusedError
from harness.attest.reasons import Reason
from harness.attest.tpm.algorithms import HASHES, NAME_ALGS, Alg
from harness.attest.tpm.cursor import Cursor, bounded

MAX_ATTEST_BYTES = 2048
MAX_SIGNATURE_BYTES = 1024
MAX_PUBLIC_BYTES = 2048

GENERATED = 0xFF544347
"""TPM_GENERATED_VALUE (6.2): a restricted key signs nothing that starts like this but what the TPM made."""

QUOTE = 0x8018
"""TPM_ST_ATTEST_QUOTE (6.9)."""

ENDORSEMENT = (0x4000000B).to_bytes(4, "big")
"""TPM_RH_ENDORSEMENT (7.4): the qualified name of the root of the endorsement hierarchy is its handle."""

MAX_DIGEST_BYTES = 64
MAX_NAME_BYTES = 2 + MAX_DIGEST_BYTES
MAX_EXTRA_BYTES = 2 + MAX_DIGEST_BYTES
MAX_RSA_BYTES = 512
MAX_ECC_BYTES = 66
MAX_SELECTIONS = 16
SELECT_BYTES = range(3, 5)
"""Sizes of a PCR bit map: 24 PCRs are the least of a PC client platform, 32 the most that TPMs have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockInfo:
    """TPMS_CLOCK_INFO (10.11.1).

    Attributes:
        clock_ms: Milliseconds that the TPM has been powered, over all its life since its last clear.
        reset_count: TPM Resets since the last clear: a boot after power off, or a reboot.
        restart_count: TPM Restarts and Resumes since the last reset.
        safe: False: a higher `clock_ms` may have been reported before, and lost when power went.
    """

    clock_ms: Annotated[int, Field(ge=0)]
    reset_count: Annotated[int, Field(ge=0)]
    restart_count: Annotated[int, Field(ge=0)]
    safe: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """TPMS_PCR_SELECTION (10.6.2): PCRs of one bank, by index in rising order; none where no bit is set."""

    hash_alg: int
    pcrs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attest:
    """TPMS_ATTEST (10.12.12).

    Attributes:
        magic: `GENERATED` where a TPM made it; not judged here.
        type: TPM_ST_ATTEST_*; not judged here.
        qualified_signer: Qualified name of the signing key.
        extra_data: What the caller of the TPM wanted signed: the nonce.
        clock: The TPM's clock, reset and restart counters.
        firmware_version: Of the TPM.
        selections: What the quote covers, in the order in which it is hashed; None where it is no quote.
        pcr_digest: Hash of the selected PCRs' values; None likewise.
        body: What follows the common part where it is no quote, as it came; empty for a quote.
    """

    magic: int
    type: int
    qualified_signer: bytes
    extra_data: bytes
    clock: ClockInfo
    firmware_version: int
    selections: tuple[Selection, ...] | None
    pcr_digest: bytes | None
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """TPMT_SIGNATURE (11.3.4): `rsa` of an RSA scheme, `r` and `s` of ECDSA; the others are None."""

    scheme: int
    hash_alg: int
    rsa: bytes | None = None
    r: int | None = None
    s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Symmetric:
    """TPMT_SYM_DEF_OBJECT (11.1.7) of a storage key."""

    alg: int
    key_bits: int
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Public:
    """TPMT_PUBLIC (12.2.4) of an RSA or ECC key.

    Attributes:
        type: `Alg.RSA` or `Alg.ECC`.
        name_alg: The hash of the object's name.
        attributes: TPMA_OBJECT (8.3) as a number.
        auth_policy: Digest of its policy, may be empty.
        symmetric: Of a storage key; None where it is TPM_ALG_NULL.
        scheme: The key's own scheme; None where it is TPM_ALG_NULL: any may be asked for.
        hash_alg: The scheme's hash; None where the scheme has none.
        key_bits: Of an RSA key.
        exponent: Of an RSA key, as marshalled: 0 stands for 65537.
        modulus: Of an RSA key, as marshalled.
        curve: TPM_ECC_CURVE of an ECC key.
        x: Of an ECC key's point, as marshalled.
        y: Likewise.
    """

    type: int
    name_alg: int
    attributes: int
    auth_policy: bytes
    symmetric: Symmetric | None
    scheme: int | None
    hash_alg: int | None
    key_bits: int | None = None
    exponent: int | None = None
    modulus: bytes | None = None
    curve: int | None = None
    x: bytes | None = None
    y: bytes | None = None


def parse_attest(data: bytes) -> Attest:
    """The meaning of a TPMS_ATTEST, without a size before it (10.12.12).

    Raises:
        RefusedError: ``size-limit``, ``malformed-attest`` or ``trailing-bytes``.
    """
    cursor = bounded(data, MAX_ATTEST_BYTES, Reason.MALFORMED_ATTEST, "TPMS_ATTEST")
    magic = cursor.number(4, "magic")
    kind = cursor.number(2, "type")
    signer = cursor.sized(MAX_NAME_BYTES, "qualifiedSigner")
    extra = cursor.sized(MAX_EXTRA_BYTES, "extraData")
    clock = _clock(cursor)
    firmware = cursor.number(8, "firmwareVersion")
    selections: tuple[Selection, ...] | None = None
    digest: bytes | None = None
    body = b""
    if kind == QUOTE:
        selections = _selections(cursor)
        digest = cursor.sized(MAX_DIGEST_BYTES, "pcrDigest")
    else:
        body = cursor.take(len(data) - cursor.at, "attested")
    cursor.end()
    return Attest(
        magic=magic,
        type=kind,
        qualified_signer=signer,
        extra_data=extra,
        clock=clock,
        firmware_version=firmware,
        selections=selections,
        pcr_digest=digest,
        body=body,
    )


def _clock(cursor: Cursor) -> ClockInfo:
    clock_ms = cursor.number(8, "clock")
    reset_count = cursor.number(4, "resetCount")
    restart_count = cursor.number(4, "restartCount")
    safe = cursor.number(1, "safe")
    if safe > 1:
        raise cursor.refuse(f"safe is {safe}, neither yes nor no")
    return ClockInfo(clock_ms=clock_ms, reset_count=reset_count, restart_count=restart_count, safe=bool(safe))


def _selections(cursor: Cursor) -> tuple[Selection, ...]:
    """TPML_PCR_SELECTION (10.9.7)."""
    count = cursor.number(4, "pcrSelect count")
    if count > MAX_SELECTIONS:
        raise cursor.refuse(f"{count} PCR selections, {MAX_SELECTIONS} at most are possible")
    return tuple(_selection(cursor) for _ in range(count))


def _selection(cursor: Cursor) -> Selection:
    hash_alg = cursor.number(2, "hash of a selection")
    size_bytes = cursor.number(1, "sizeofSelect")
    if size_bytes not in SELECT_BYTES:
        raise cursor.refuse(f"a PCR bit map of {size_bytes} bytes")
    bits = cursor.take(size_bytes, "pcrSelect")
    # PCR n is bit n modulo 8 of octet n / 8: the octets taken as one little-endian number.
    number = int.from_bytes(bits, "little")
    return Selection(
        hash_alg=hash_alg, pcrs=tuple(index for index in range(8 * size_bytes) if number >> index & 1)
    )


def parse_signature(data: bytes) -> Signature:
    """The meaning of a TPMT_SIGNATURE by RSASSA, RSAPSS or ECDSA (11.3.4); others mean nothing here.

    Raises:
        RefusedError: ``size-limit``, ``malformed-signature`` or ``trailing-bytes``.
    """
    cursor = bounded(data, MAX_SIGNATURE_BYTES, Reason.MALFORMED_SIGNATURE, "TPMT_SIGNATURE")
    scheme = cursor.number(2, "sigAlg")
    if scheme in {Alg.RSASSA, Alg.RSAPSS}:
        hash_alg = cursor.number(2, "hash")
        signature = Signature(scheme=scheme, hash_alg=hash_alg, rsa=cursor.sized(MAX_RSA_BYTES, "sig"))
    elif scheme == Alg.ECDSA:
        hash_alg = cursor.number(2, "hash")
        r = int.from_bytes(cursor.sized(MAX_ECC_BYTES, "signatureR"), "big")
        s = int.from_bytes(cursor.sized(MAX_ECC_BYTES, "signatureS"), "big")
        signature = Signature(scheme=scheme, hash_alg=hash_alg, r=r, s=s)
    else:
        raise cursor.refuse(f"scheme {scheme:#06x} signs no quote")
    cursor.end()
    return signature


def parse_public(data: bytes) -> Public:
    """The meaning of the TPMT_PUBLIC of an asymmetric key, without a size before it (12.2.4).

    Of each union, only what keys by the templates of attestation and endorsement have is read: any other
    member is refused here, as no key that has it passes.

    Raises:
        RefusedError: ``size-limit``, ``malformed-evidence``, ``trailing-bytes``, or ``key-attributes`` for an
            object that is no asymmetric key.
    """
    cursor = bounded(data, MAX_PUBLIC_BYTES, Reason.MALFORMED_EVIDENCE, "TPMT_PUBLIC")
    kind = cursor.number(2, "type")
    if kind not in {Alg.RSA, Alg.ECC}:
        raise RefusedError(Reason.KEY_ATTRIBUTES, f"an object of type {kind:#06x} is no asymmetric key")
    name_alg = cursor.number(2, "nameAlg")
    attributes = cursor.number(4, "objectAttributes")
    policy = cursor.sized(MAX_DIGEST_BYTES, "authPolicy")
    symmetric = _symmetric(cursor)
    scheme, hash_alg = _scheme(cursor, _SCHEMES[kind])
    read = _rsa if kind == Alg.RSA else _ecc
    public = read(
        cursor,
        Public(
            type=kind,
            name_alg=name_alg,
            attributes=attributes,
            auth_policy=policy,
            symmetric=symmetric,
            scheme=scheme,
            hash_alg=hash_alg,
        ),
    )
    cursor.end()
    return public


def _symmetric(cursor: Cursor) -> Symmetric | None:
    alg = cursor.number(2, "symmetric")
    if alg == Alg.NULL:
        return None
    if alg != Alg.AES:
        raise cursor.refuse(f"symmetric algorithm {alg:#06x}")
    return Symmetric(
        alg=alg, key_bits=cursor.number(2, "symmetric keyBits"), mode=cursor.number(2, "symmetric mode")
    )


_SCHEMES: Mapping[int, frozenset[int]] = MappingProxyType(
    {
        Alg.RSA: frozenset({Alg.RSASSA, Alg.RSAPSS, Alg.OAEP}),
        Alg.ECC: frozenset({Alg.ECDSA, Alg.ECDH}),
    }
)
"""Schemes of an RSA key (TPMT_RSA_SCHEME, 11.2.4.2) and of an ECC key (TPMT_ECC_SCHEME, 11.2.5.6).

Those of keys that sign, and those of keys that receive secrets, so that one in place of the other is refused
as such. Each has a hash for its parameter.
"""


def _scheme(cursor: Cursor, schemes: frozenset[int]) -> tuple[int | None, int | None]:
    scheme = cursor.number(2, "scheme")
    if scheme == Alg.NULL:
        return None, None
    if scheme not in schemes:
        raise cursor.refuse(f"scheme {scheme:#06x} does not belong to this type of key")
    return scheme, cursor.number(2, "scheme's hash")


def _rsa(cursor: Cursor, public: Public) -> Public:
    key_bits = cursor.number(2, "keyBits")
    exponent = cursor.number(4, "exponent")
    return replace(
        public, key_bits=key_bits, exponent=exponent, modulus=cursor.sized(MAX_RSA_BYTES, "unique")
    )


def _ecc(cursor: Cursor, public: Public) -> Public:
    curve = cursor.number(2, "curveID")
    kdf = cursor.number(2, "kdf")
    if kdf != Alg.NULL:
        raise cursor.refuse(f"key derivation {kdf:#06x}")
    x = cursor.sized(MAX_ECC_BYTES, "unique.x")
    return replace(public, curve=curve, x=x, y=cursor.sized(MAX_ECC_BYTES, "unique.y"))


def name_of(public: bytes) -> bytes:
    """The Name of the object with this TPMT_PUBLIC: its name algorithm, then the hash (Part 1, 16).

    Raises:
        RefusedError: ``malformed-evidence``: too short; ``key-attributes``: the hash is not believed.
    """
    if len(public) < 4:
        raise RefusedError(Reason.MALFORMED_EVIDENCE, f"TPMT_PUBLIC: {len(public)} bytes")
    return _named(public[2:4], public)


def qualified_name(parent_qualified: bytes, name: bytes) -> bytes:
    """The qualified name of the object `name` under a parent (Part 1, 16); `ENDORSEMENT` is a hierarchy's.

    Raises:
        RefusedError: ``key-attributes``: `name` is by a hash that is not believed.
    """
    return _named(name[:2], parent_qualified + name)


def _named(alg: bytes, content: bytes) -> bytes:
    number = int.from_bytes(alg, "big")
    if number not in NAME_ALGS:
        raise RefusedError(Reason.KEY_ATTRIBUTES, f"a name by algorithm {number:#06x} is not believed")
    return alg + hashlib.new(HASHES[number], content).digest()
