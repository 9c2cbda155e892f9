"""Bytes that are no quote, or no signature, or lie about their lengths; and downgraded algorithms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from harness.attest.played import marshal, software_tpm
from harness.attest.played.software_tpm import NONCE
from harness.attest.reasons import Reason
from harness.attest.reference.policy import Limits
from harness.attest.tpm.algorithms import Alg
from harness.attest.tpm.structures import (
    GENERATED,
    MAX_ATTEST_BYTES,
    QUOTE,
    Selection,
    Signature,
    parse_signature,
)
from tests.attest.adversary.case import Case, grouped
from tests.attest.adversary.stage import Asked, Stage

_SIGNER = 6
_EXTRA = _SIGNER + 2 + 34
_CLOCK = _EXTRA + 2 + 32
_SAFE = _CLOCK + 16
_COUNT = _SAFE + 1 + 8
_SELECT_SIZE = _COUNT + 4 + 2
_DIGEST = _SELECT_SIZE + 1 + 3
"""Where the fields of the honest quote are: a name and a nonce of SHA-256, one selection."""


def honest_attest(stage: Stage) -> bytes:
    return stage.tpm.attested(NONCE, stage.pcrs, clock=stage.clock())


def _written(stage: Stage, at: int, content: bytes) -> Asked:
    """The honest quote with other bytes at a place, signed by the platform's own key."""
    attest = honest_attest(stage)
    return stage.signing(attest[:at] + content + attest[at + len(content) :])


def _lying(at: int, size_bytes: int, value: int) -> Callable[[Stage], Asked]:
    return partial(_written, at=at, content=value.to_bytes(size_bytes, "big"))


def raw_signature(stage: Stage, change: Callable[[bytes], bytes]) -> Asked:
    scene = stage.honest()
    return scene.sent(signature=change(scene.evidence.signature))


def _selector(number: int) -> Callable[[Stage], Asked]:
    """The honest signature with another scheme in its first two bytes."""
    return partial(raw_signature, change=lambda raw: number.to_bytes(2, "big") + raw[2:])


def _another_quotes_signature(stage: Stage) -> Asked:
    signature = stage.quoting(clock=stage.clock(later_ms=1)).evidence.signature
    return stage.honest().sent(signature=signature)


def _other_scheme(stage: Stage) -> Asked:
    """A well-formed signature by a scheme of the other type of key."""
    if stage.kind == "ecc-p256":
        other = Signature(scheme=Alg.RSASSA, hash_alg=Alg.SHA256, rsa=bytes(256))
    else:
        other = Signature(scheme=Alg.ECDSA, hash_alg=Alg.SHA256, r=1, s=1)
    return stage.honest().sent(signature=marshal.signature(other))


def _body(stage: Stage, type_: int, body: bytes) -> Asked:
    return stage.quoting(type=type_, body=body)


_TIME_BODY = bytes(8) + bytes(8) + bytes(4) + bytes(4) + b"\x01" + bytes(8)
"""TPMS_TIME_ATTEST_INFO (10.12.5)."""

_TYPES = (
    ("certify", software_tpm.CERTIFY, marshal.sized(bytes(34)) * 2),
    ("creation", software_tpm.CREATION, marshal.sized(bytes(34)) + marshal.sized(bytes(32))),
    ("nv", software_tpm.NV, marshal.sized(bytes(34)) + bytes(2) + marshal.sized(bytes(32))),
    ("time", software_tpm.TIME, _TIME_BODY),
    ("session-audit", software_tpm.SESSION_AUDIT, b"\1" + marshal.sized(bytes(32))),
    ("command-audit", software_tpm.COMMAND_AUDIT, bytes(10) + marshal.sized(bytes(32)) * 2),
)


def _quote_body(stage: Stage, type_: int) -> Asked:
    """The body of the honest quote under another type."""
    return _written(stage, 4, type_.to_bytes(2, "big"))


def _selection(stage: Stage) -> Selection:
    """The honest quote's selection."""
    return Selection(hash_alg=Alg.SHA256, pcrs=tuple(sorted(stage.pcrs)))


def _exact(stage: Stage) -> Asked:
    scene = stage.honest()
    evidence = scene.evidence
    assert evidence.ima is not None
    limits = Limits(
        attest_bytes=len(evidence.attest),
        signature_bytes=len(evidence.signature),
        event_log_bytes=len(evidence.event_log or b""),
        events=len(stage.events),
        ima_bytes=len(evidence.ima.data),
        ima_entries=len(stage.lines),
    )
    return scene.under(limits=limits)


CASES: tuple[Case, ...] = grouped(
    "structure",
    ("empty-quote", Reason.MALFORMED_ATTEST, "No quote", lambda stage: stage.honest().sent(attest=b"")),
    (
        "empty-signature",
        Reason.MALFORMED_SIGNATURE,
        "No signature",
        lambda stage: stage.honest().sent(signature=b""),
    ),
    (
        "trailing-byte",
        Reason.TRAILING_BYTES,
        "A byte behind the quote, signed",
        lambda stage: stage.signing(honest_attest(stage) + b"\0"),
    ),
    (
        "two-quotes",
        Reason.TRAILING_BYTES,
        "Two quotes in one, signed",
        lambda stage: stage.signing(honest_attest(stage) * 2),
    ),
    (
        "trailing-byte-of-signature",
        Reason.TRAILING_BYTES,
        "A byte behind the signature",
        partial(raw_signature, change=lambda raw: raw + b"\0"),
    ),
    (
        "quote-with-size",
        Reason.MALFORMED_ATTEST,
        "The quote with its size before it, signed so",
        lambda stage: stage.signing(marshal.sized(honest_attest(stage))),
    ),
    (
        "huge-quote",
        Reason.SIZE_LIMIT,
        "A quote that is longer than any",
        lambda stage: stage.signing(honest_attest(stage) + bytes(MAX_ATTEST_BYTES)),
    ),
    (
        "huge-signature",
        Reason.SIZE_LIMIT,
        "A signature that is longer than any",
        partial(raw_signature, change=lambda raw: raw + bytes(1024)),
    ),
    ("limits-exact", Reason.ACCEPTED, "Everything just as large as the policy reads", _exact),
    (
        "nonce-of-66-bytes",
        Reason.ACCEPTED,
        "A nonce that is as long as any TPM takes",
        lambda stage: stage.quoting(bytes(66)).challenged(nonce=bytes(66)),
    ),
    (
        "sixteen-selections",
        Reason.SELECTION_MISMATCH,
        "16 PCR selections, as many as are read",
        lambda stage: stage.quoting(selections=[_selection(stage)] * 16),
    ),
    (
        "quote-above-policy",
        Reason.SIZE_LIMIT,
        "A quote that is longer than the policy reads",
        lambda stage: stage.honest().under(limits=Limits(attest_bytes=100)),
    ),
    (
        "signature-above-policy",
        Reason.SIZE_LIMIT,
        "A signature that is longer than the policy reads",
        lambda stage: stage.honest().under(limits=Limits(signature_bytes=64)),
    ),
    (
        "nonce-of-67-bytes",
        Reason.MALFORMED_ATTEST,
        "A nonce that is longer than any TPM's, all there",
        lambda stage: stage.quoting(bytes(67)),
    ),
    ("lying-signer", Reason.MALFORMED_ATTEST, "A name of 65,535 bytes", _lying(_SIGNER, 2, 0xFFFF)),
    ("lying-signer-short", Reason.MALFORMED_ATTEST, "A name that ends early", _lying(_SIGNER, 2, 33)),
    ("lying-nonce", Reason.MALFORMED_ATTEST, "A nonce of 67 bytes, more than any", _lying(_EXTRA, 2, 67)),
    ("lying-nonce-more", Reason.MALFORMED_ATTEST, "A nonce that swallows the clock", _lying(_EXTRA, 2, 40)),
    ("lying-count", Reason.MALFORMED_ATTEST, "4 billion PCR selections", _lying(_COUNT, 4, 0xFFFFFFFF)),
    ("lying-count-more", Reason.MALFORMED_ATTEST, "One PCR selection too many", _lying(_COUNT, 4, 2)),
    (
        "many-selections",
        Reason.MALFORMED_ATTEST,
        "17 PCR selections, all there",
        lambda stage: stage.quoting(
            selections=[_selection(stage)] * 17,
        ),
    ),
    (
        "lying-select-size",
        Reason.MALFORMED_ATTEST,
        "A PCR bit map of 255 bytes",
        _lying(_SELECT_SIZE, 1, 255),
    ),
    ("short-select-size", Reason.MALFORMED_ATTEST, "A PCR bit map of 2 bytes", _lying(_SELECT_SIZE, 1, 2)),
    ("lying-digest", Reason.MALFORMED_ATTEST, "A digest that goes on after the end", _lying(_DIGEST, 2, 33)),
    ("short-digest", Reason.TRAILING_BYTES, "A digest that ends early", _lying(_DIGEST, 2, 31)),
    ("safe-is-two", Reason.MALFORMED_ATTEST, "A clock that is neither safe nor not", _lying(_SAFE, 1, 2)),
    (
        "other-magic",
        Reason.NOT_TPM_GENERATED,
        "A quote that does not say a TPM made it",
        lambda stage: stage.quoting(magic=GENERATED ^ 1),
    ),
    (
        "no-magic",
        Reason.NOT_TPM_GENERATED,
        "A quote that starts with zeros",
        lambda stage: stage.quoting(magic=0),
    ),
    *(
        (
            f"{name}-for-a-quote",
            Reason.NOT_A_QUOTE,
            f"What the TPM signs by {name}",
            partial(_body, type_=number, body=body),
        )
        for name, number, body in _TYPES
    ),
    (
        "quote-called-time",
        Reason.NOT_A_QUOTE,
        "A quote's body under another type",
        partial(_quote_body, type_=software_tpm.TIME),
    ),
    (
        "certify-called-quote",
        Reason.MALFORMED_ATTEST,
        "A certification's body under a quote's type",
        partial(_body, type_=QUOTE, body=_TYPES[0][2]),
    ),
    (
        "signature-of-another-quote",
        Reason.SIGNATURE_INVALID,
        "The signature of another quote of the same key",
        _another_quotes_signature,
    ),
    (
        "sha1",
        Reason.HASH_NOT_ALLOWED,
        "A true signature by SHA-1",
        lambda stage: stage.signing(honest_attest(stage), hash_alg=Alg.SHA1),
    ),
    (
        "sha384",
        Reason.HASH_NOT_ALLOWED,
        "A true signature by another hash than the key's",
        lambda stage: stage.signing(honest_attest(stage), hash_alg=Alg.SHA384),
    ),
    (
        "sha1-called-sha256",
        Reason.SIGNATURE_INVALID,
        "A signature by SHA-1 that says SHA-256",
        lambda stage: stage.honest().sent(
            signature=marshal.signature(
                replace(
                    parse_signature(stage.tpm.sign(honest_attest(stage), hash_alg=Alg.SHA1)),
                    hash_alg=Alg.SHA256,
                )
            )
        ),
    ),
    ("other-types-scheme", Reason.SCHEME_MISMATCH, "A scheme of the other type of key", _other_scheme),
    ("scheme-null", Reason.MALFORMED_SIGNATURE, "A signature by no scheme", _selector(Alg.NULL)),
    ("scheme-hmac", Reason.MALFORMED_SIGNATURE, "An HMAC for a signature", _selector(Alg.HMAC)),
    ("scheme-ecdaa", Reason.MALFORMED_SIGNATURE, "A signature by ECDAA", _selector(Alg.ECDAA)),
    (
        "scheme-unknown",
        Reason.MALFORMED_SIGNATURE,
        "A signature by a scheme that does not exist",
        _selector(0xFFFF),
    ),
)
