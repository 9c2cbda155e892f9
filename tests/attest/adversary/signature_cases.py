"""Signatures that are well formed and false: numbers out of range, other paddings, other lengths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from harness.attest.played import marshal
from harness.attest.reasons import Reason
from harness.attest.tpm.algorithms import Alg
from harness.attest.tpm.keys import P256_ORDER
from harness.attest.tpm.structures import Signature, parse_signature
from tests.attest.adversary.case import Case, grouped
from tests.attest.adversary.stage import Asked, Stage
from tests.attest.adversary.structure_cases import honest_attest, raw_signature


def _with_signature(stage: Stage, change: Callable[[Signature], Signature]) -> Asked:
    scene = stage.honest()
    return scene.sent(signature=marshal.signature(change(parse_signature(scene.evidence.signature))))


def _pair(field: str, value: int) -> Callable[[Signature], Signature]:
    return lambda good: replace(good, **{field: value})  # type: ignore[arg-type]


def _more(field: str) -> Callable[[Signature], Signature]:
    return lambda good: replace(good, **{field: getattr(good, field) + P256_ORDER})


_ECC = tuple(
    replace(case, kinds=("ecc-p256",))
    for case in grouped(
        "structure",
        *(
            (
                f"{field}-is-{name}",
                Reason.SIGNATURE_INVALID,
                f"A signature whose {field} is {text}",
                partial(_with_signature, change=_pair(field, value)),
            )
            for field in ("r", "s")
            for name, text, value in (
                ("zero", "0", 0),
                ("n", "the order of the curve", P256_ORDER),
                ("more-than-n", "above the order of the curve", 2**256 - 1),
            )
        ),
        *(
            (
                f"{field}-plus-n",
                Reason.SIGNATURE_INVALID,
                f"The honest {field}, plus the order of the curve",
                partial(_with_signature, change=_more(field)),
            )
            for field in ("r", "s")
        ),
        (
            "r-and-s-are-zero",
            Reason.SIGNATURE_INVALID,
            "A signature of zeros",
            partial(_with_signature, change=lambda good: replace(good, r=0, s=0)),
        ),
        (
            "r-and-s-swapped",
            Reason.SIGNATURE_INVALID,
            "r in the place of s",
            partial(_with_signature, change=lambda good: replace(good, r=good.s, s=good.r)),
        ),
        (
            "lying-r",
            Reason.MALFORMED_SIGNATURE,
            "An r of 65,535 bytes",
            partial(raw_signature, change=lambda raw: raw[:4] + b"\xff\xff" + raw[6:]),
        ),
        (
            "s-mirrored",
            Reason.ACCEPTED,
            "The same statement with n - s for s: ECDSA knows two spellings, and the nonce counts once",
            partial(_with_signature, change=lambda good: replace(good, s=P256_ORDER - (good.s or 0))),
        ),
    )
)


def _rsa(change: Callable[[bytes], bytes]) -> Callable[[Signature], Signature]:
    return lambda good: replace(good, rsa=change(good.rsa or b""))


_RSA = tuple(
    replace(case, kinds=("rsa-2048",))
    for case in grouped(
        "structure",
        (
            "pss-for-pkcs1",
            Reason.SCHEME_MISMATCH,
            "A true signature by another padding than the key's",
            lambda stage: stage.signing(honest_attest(stage), scheme=Alg.RSAPSS),
        ),
        (
            "pss-called-pkcs1",
            Reason.SIGNATURE_INVALID,
            "The same under the key's own scheme",
            lambda stage: stage.honest().sent(
                signature=marshal.signature(
                    replace(
                        parse_signature(stage.tpm.sign(honest_attest(stage), scheme=Alg.RSAPSS)),
                        scheme=Alg.RSASSA,
                    )
                )
            ),
        ),
        *(
            (name, Reason.SIGNATURE_INVALID, title, partial(_with_signature, change=_rsa(change)))
            for name, title, change in (
                ("rsa-zero", "A signature of zeros", lambda value: bytes(len(value))),
                ("rsa-one", "A signature that is 1", lambda value: bytes(len(value) - 1) + b"\1"),
                ("rsa-ones", "A signature above the modulus", lambda value: b"\xff" * len(value)),
                ("rsa-short", "A signature without its first byte", lambda value: value[1:]),
                ("rsa-long", "A signature with a zero byte before it", lambda value: b"\0" + value),
                ("rsa-empty", "A signature of no bytes", lambda value: b""),
            )
        ),
        (
            "lying-rsa",
            Reason.MALFORMED_SIGNATURE,
            "A signature of 65,535 bytes",
            partial(raw_signature, change=lambda raw: raw[:4] + b"\xff\xff" + raw[6:]),
        ),
    )
)

CASES: tuple[Case, ...] = (*_ECC, *_RSA)
