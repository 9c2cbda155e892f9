"""Enrolled keys that are no attestation keys, and structures that no TPM makes, for the parsers alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from harness.attest.evidence import ImaExcerpt, RefusedError
from harness.attest.logs import eventlog, ima
from harness.attest.logs.ima import ImaState
from harness.attest.played import marshal
from harness.attest.played.software_tpm import public_area
from harness.attest.reasons import Reason
from harness.attest.tpm.algorithms import Alg
from harness.attest.tpm.keys import AttestationKey, load_endorsement
from harness.attest.tpm.structures import (
    MAX_ATTEST_BYTES,
    MAX_PUBLIC_BYTES,
    MAX_SIGNATURE_BYTES,
    Public,
    Symmetric,
    name_of,
    parse_attest,
    parse_public,
    parse_signature,
    qualified_name,
)
from tests.attest.adversary.case import Case, grouped
from tests.attest.adversary.stage import Asked, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """Bytes for one parser."""

    parse: Callable[[], object]

    def judge(self) -> str:
        try:
            self.parse()
        except RefusedError as refused:
            return refused.reason.value
        return Reason.ACCEPTED.value


def _parsed(parse: Callable[..., object], *data: object) -> Callable[[Stage], Parsed]:
    return lambda stage: Parsed(parse=partial(parse, *data))


def _enrolled(stage: Stage, change: Callable[[bytes], bytes]) -> Asked:
    """A registry that holds something else for a key."""
    return stage.honest().enrolled(public=change(stage.tpm.ak_public))


def _area(stage: Stage, change: Callable[[Public], Public]) -> Asked:
    """A registry that holds a key of other properties, under its right name."""
    public = marshal.public(change(public_area(stage.tpm.ak)))
    return stage.honest().enrolled(public=public, name=b"\0\x0b" + bytes(32))


def _endorsing(stage: Stage, **changes: object) -> Parsed:
    """A key that is to stand for a TPM."""
    area = replace(public_area(stage.tpm.ak), **changes)  # type: ignore[arg-type]
    return Parsed(parse=lambda: load_endorsement(area))


def _weak_name(stage: Stage) -> Parsed:
    area = replace(public_area(stage.tpm.ak), name_alg=Alg.SHA1)
    return Parsed(parse=lambda: AttestationKey.from_public(marshal.public(area)))


_SYMMETRIC = Symmetric(alg=Alg.HMAC, key_bits=128, mode=Alg.CFB)

_ANY = grouped(
    "keys",
    (
        "enrolled-nothing",
        Reason.MALFORMED_EVIDENCE,
        "No bytes for an enrolled key",
        partial(_enrolled, change=lambda _: b""),
    ),
    (
        "enrolled-cut",
        Reason.MALFORMED_EVIDENCE,
        "A key without its last byte",
        partial(_enrolled, change=lambda raw: raw[:-1]),
    ),
    (
        "enrolled-trailing",
        Reason.TRAILING_BYTES,
        "A byte behind a key",
        partial(_enrolled, change=lambda raw: raw + b"\0"),
    ),
    (
        "enrolled-hmac-key",
        Reason.KEY_ATTRIBUTES,
        "A key for HMAC",
        partial(_enrolled, change=lambda raw: b"\0\x08" + raw[2:]),
    ),
    (
        "enrolled-odd-cipher",
        Reason.MALFORMED_EVIDENCE,
        "A cipher that is none",
        partial(_area, change=lambda area: replace(area, symmetric=_SYMMETRIC)),
    ),
    (
        "enrolled-odd-scheme",
        Reason.MALFORMED_EVIDENCE,
        "A scheme that no such key has",
        partial(_area, change=lambda area: replace(area, scheme=Alg.HMAC)),
    ),
    (
        "enrolled-no-scheme",
        Reason.KEY_ATTRIBUTES,
        "A key that may sign by any scheme",
        partial(_area, change=lambda area: replace(area, scheme=None, hash_alg=None)),
    ),
    (
        "enrolled-other-scheme",
        Reason.KEY_ATTRIBUTES,
        "A key whose scheme is not for signatures",
        partial(
            _area, change=lambda area: replace(area, scheme=Alg.OAEP if area.type == Alg.RSA else Alg.ECDH)
        ),
    ),
    (
        "enrolled-sha1",
        Reason.KEY_ATTRIBUTES,
        "A key that signs with SHA-1",
        partial(_area, change=lambda area: replace(area, hash_alg=Alg.SHA1)),
    ),
    ("enrolled-named-by-sha1", Reason.KEY_ATTRIBUTES, "A key that is named by SHA-1", _weak_name),
)


def _for(kind: str, *rows: tuple[str, str, str, Callable[[Public], Public]]) -> tuple[Case, ...]:
    cases = grouped(
        "keys", *((name, why, title, partial(_area, change=change)) for name, why, title, change in rows)
    )
    return tuple(replace(case, kinds=(kind,)) for case in cases)  # type: ignore[arg-type]


def _modulus(area: Public) -> bytes:
    assert area.modulus is not None
    return area.modulus


def _x(area: Public) -> bytes:
    assert area.x is not None
    return area.x


_RSA = _for(
    "rsa-2048",
    (
        "enrolled-1024-bits",
        Reason.KEY_ATTRIBUTES,
        "2048 bits, said to be 1024",
        lambda area: replace(area, key_bits=1024),
    ),
    (
        "enrolled-short-modulus",
        Reason.KEY_ATTRIBUTES,
        "A modulus whose first byte is 0",
        lambda area: replace(area, modulus=b"\0" + _modulus(area)[1:]),
    ),
    (
        "enrolled-long-modulus",
        Reason.KEY_ATTRIBUTES,
        "A modulus with a zero byte before it",
        lambda area: replace(area, modulus=b"\0" + _modulus(area)),
    ),
    (
        "enrolled-even-modulus",
        Reason.KEY_ATTRIBUTES,
        "A modulus that is even",
        lambda area: replace(area, modulus=_modulus(area)[:-1] + b"\0"),
    ),
    ("enrolled-exponent-3", Reason.KEY_ATTRIBUTES, "The exponent 3", lambda area: replace(area, exponent=3)),
    (
        "enrolled-exponent-said",
        Reason.KEY_UNKNOWN,
        "The default exponent, written out: another Name, so another key",
        lambda area: replace(area, exponent=65537),
    ),
)

_ECC = _for(
    "ecc-p256",
    (
        "enrolled-other-curve",
        Reason.KEY_ATTRIBUTES,
        "A point said to be on P-384",
        lambda area: replace(area, curve=4),
    ),
    (
        "enrolled-long-x",
        Reason.KEY_ATTRIBUTES,
        "A coordinate with a zero byte before it",
        lambda area: replace(area, x=b"\0" + _x(area)),
    ),
    (
        "enrolled-off-the-curve",
        Reason.KEY_ATTRIBUTES,
        "A point that is not on the curve",
        lambda area: replace(area, x=_x(area)[:-1] + bytes([_x(area)[-1] ^ 1])),
    ),
    (
        "enrolled-at-infinity",
        Reason.KEY_ATTRIBUTES,
        "A point of zeros",
        lambda area: replace(area, x=b"", y=b""),
    ),
)

_ODD_KDF = bytes.fromhex("0023000b00050072000000100018000b00030006000101000102")

_PARSERS = grouped(
    "structure",
    (
        "parser-odd-kdf",
        Reason.MALFORMED_EVIDENCE,
        "A key derivation that is none",
        _parsed(parse_public, _ODD_KDF),
    ),
    (
        "parser-name-of-3-bytes",
        Reason.MALFORMED_EVIDENCE,
        "A name of 3 bytes of a key",
        _parsed(name_of, b"\0\1\0"),
    ),
    ("parser-name-by-sha1", Reason.KEY_ATTRIBUTES, "A name by SHA-1", _parsed(name_of, b"\0\1\0\4")),
    (
        "parser-endorsement-of-no-type",
        Reason.EK_KEY,
        "An endorsement key of a type that none has",
        partial(_endorsing, curve=0x10, key_bits=1024),
    ),
    (
        "parser-endorsement-odd",
        Reason.EK_KEY,
        "An endorsement key with numbers that make none",
        partial(_endorsing, exponent=3, x=b"\1" * 32),
    ),
    (
        "parser-parent-by-sha1",
        Reason.KEY_ATTRIBUTES,
        "A qualified name by SHA-1",
        _parsed(qualified_name, bytes(4), b"\0\4" + bytes(20)),
    ),
    (
        "parser-huge-attest",
        Reason.SIZE_LIMIT,
        "A quote that is too long",
        _parsed(parse_attest, bytes(MAX_ATTEST_BYTES + 1)),
    ),
    (
        "parser-huge-signature",
        Reason.SIZE_LIMIT,
        "A signature that is too long",
        _parsed(parse_signature, bytes(MAX_SIGNATURE_BYTES + 1)),
    ),
    (
        "parser-huge-public",
        Reason.SIZE_LIMIT,
        "A key that is too long",
        _parsed(parse_public, bytes(MAX_PUBLIC_BYTES + 1)),
    ),
    (
        "parser-longest-public",
        Reason.KEY_ATTRIBUTES,
        "As many bytes of a key as are read",
        _parsed(parse_public, bytes(MAX_PUBLIC_BYTES)),
    ),
    (
        "parser-huge-log",
        Reason.SIZE_LIMIT,
        "A log that is too long",
        _parsed(eventlog.parse, bytes(eventlog.MAX_BYTES + 1)),
    ),
    (
        "parser-huge-ima",
        Reason.SIZE_LIMIT,
        "A list that is too long",
        lambda stage: Parsed(
            parse=partial(
                ima.parse, ImaExcerpt(first=0, total=9, form="binary", data=bytes(101)), limit_bytes=100
            )
        ),
    ),
    (
        "parser-replay-gap",
        Reason.IMA_GAP,
        "A replay of entries that are not the next",
        _parsed(
            partial(ima.replay, ImaState.start("sha256"), (), bank="sha256", expected=bytes(32), first=3)
        ),
    ),
    (
        "parser-state-of-any-start",
        Reason.ACCEPTED,
        "A replay by a caller that does not number entries",
        _parsed(partial(ima.replay, ImaState.start("sha256"), (), bank="sha256", expected=bytes(32))),
    ),
)

CASES: tuple[Case, ...] = (*_ANY, *_RSA, *_ECC, *_PARSERS)
