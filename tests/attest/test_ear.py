"""Signed results: what is in a token, and that nobody but the verifier can have written it."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from harness.attest.evidence import KeyType, RefusedError
from harness.attest.played.platform import NONCE, judged, platform, policy
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason, Tier
from harness.attest.result import AttestationResult
from harness.attest.tokens import ear
from harness.attest.tokens.ear import VerifierId
from harness.clock import NS_PER_S

ISSUED_S = 1_700_000_000
VERIFIER = VerifierId(developer="https://example.org/sodbench", build="sodbench 1.0")


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def good(tpms: dict[KeyType, SoftwareTpm]) -> AttestationResult:
    return judged(platform(tpms["ecc-p256"])).result


def token(result: AttestationResult, key: ec.EllipticCurvePrivateKey) -> str:
    return ear.encode(result, key=key, verifier_id=VERIFIER, issued_at_s=ISSUED_S)


def refused(text: str, key: ec.EllipticCurvePrivateKey, *, now_s: int = ISSUED_S) -> RefusedError:
    with pytest.raises(RefusedError) as error:
        ear.decode(text, key.public_key(), now_s=now_s)
    return error.value


def claims_of(result: AttestationResult, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    return dict(ear.decode(token(result, key), key.public_key(), now_s=ISSUED_S))


def test_a_token_has_the_drafts_form(good: AttestationResult, key: ec.EllipticCurvePrivateKey) -> None:
    assert claims_of(good, key) == {
        "eat_profile": "tag:ietf.org,2026:rats/ear#04",
        "iat": ISSUED_S,
        "exp": ISSUED_S + 60,
        "ear_verifier_id": {"developer": VERIFIER.developer, "build": VERIFIER.build},
        "ear_status": "affirming",
        "submods": {
            "host-a": {
                "ear_status": "affirming",
                "ear_trustworthiness_vector": dict(good.vector),
                "ear_appraisal_policy_ids": ["strict"],
                "eat_nonce": base64.urlsafe_b64encode(NONCE).decode().rstrip("="),
                "sodbench": {
                    "key": "ecc-p256",
                    "reason": "accepted",
                    "detail": "",
                    "claims": json.loads(json.dumps(good.claims)),
                },
            }
        },
    }
    assert jwt.get_unverified_header(token(good, key)) == {"alg": "ES256", "typ": "JWT"}


def test_a_refusal_says_nothing_of_the_platform(
    tpms: dict[KeyType, SoftwareTpm], key: ec.EllipticCurvePrivateKey
) -> None:
    bad = judged(platform(tpms["ecc-p256"]), key=None).result
    appraisal = claims_of(bad, key)["submods"]["unknown"]
    assert appraisal["ear_status"] == "contraindicated"
    assert appraisal["ear_trustworthiness_vector"]["instance-identity"] == 97
    assert appraisal["sodbench"]["claims"] == {}
    assert "eat_nonce" not in appraisal


def test_nothing_appraised_is_none(tpms: dict[KeyType, SoftwareTpm], key: ec.EllipticCurvePrivateKey) -> None:
    ignoring = {"pcr_values": "ignore", "event_log": "ignore", "ima": "ignore"}
    result = judged(platform(tpms["ecc-p256"]), policy=policy(require=ignoring)).result
    assert claims_of(result, key)["ear_status"] == "none"


def test_a_token_expires_with_its_result(good: AttestationResult, key: ec.EllipticCurvePrivateKey) -> None:
    text = token(good, key)
    assert ear.decode(text, key.public_key(), now_s=ISSUED_S + 59)
    assert refused(text, key, now_s=ISSUED_S + 60).reason is Reason.RESULT_EXPIRED


def test_signed_by_somebody_else(good: AttestationResult, key: ec.EllipticCurvePrivateKey) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    assert refused(token(good, other), key).reason is Reason.SIGNATURE_INVALID


def test_a_changed_token(good: AttestationResult, key: ec.EllipticCurvePrivateKey) -> None:
    head, body, tail = token(good, key).split(".")
    payload = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    payload["iat"] += 1
    changed = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    assert refused(f"{head}.{changed}.{tail}", key).reason is Reason.SIGNATURE_INVALID


def by_public_key(payload: Mapping[str, Any], public: bytes) -> str:
    """A token with a code made of the public key, which everybody has (RFC 8725, 2.1).

    No library writes one.
    """
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "HS256", "typ": "JWT"}, payload)
    ]
    code = base64.urlsafe_b64encode(hmac.digest(public, b".".join(parts), "sha256")).rstrip(b"=")
    return b".".join((*parts, code)).decode()


def test_no_signature_and_other_algorithms(good: AttestationResult, key: ec.EllipticCurvePrivateKey) -> None:
    payload = claims_of(good, key)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    other = ec.generate_private_key(ec.SECP384R1())
    for text in (
        jwt.encode(payload, "", algorithm="none"),
        by_public_key(payload, public),
        jwt.encode(payload, other, algorithm="ES384"),
    ):
        assert refused(text, key).reason is Reason.SIGNATURE_INVALID
    assert refused(jwt.encode(payload, other, algorithm="ES384"), other).reason is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize("text", ["", ".", "a.b.c", "..", "é", "[" * 100_000 + ".e30."])
def test_no_token_at_all(text: str, key: ec.EllipticCurvePrivateKey) -> None:
    assert refused(text, key).reason is Reason.SIGNATURE_INVALID


def test_nested_without_end(key: ec.EllipticCurvePrivateKey) -> None:
    deep = base64.urlsafe_b64encode(b'{"alg":' + b"[" * 200_000).decode().rstrip("=")
    assert refused(f"{deep}.e30.", key).reason is Reason.SIGNATURE_INVALID


def test_a_token_that_is_too_long(key: ec.EllipticCurvePrivateKey) -> None:
    assert refused("a" * 1_000_001, key).reason is Reason.SIZE_LIMIT


def without(payload: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if key != name}


def test_signed_but_no_ear(good: AttestationResult, key: ec.EllipticCurvePrivateKey) -> None:
    payload = claims_of(good, key)
    wrong = [without(payload, name) for name in payload]
    wrong += [
        {**payload, "eat_profile": "tag:github.com,2023:veraison/ear"},
        {**payload, "exp": payload["exp"] + 0.5},
        {**payload, "submods": {}},
        {**payload, "ear_status": "splendid"},
    ]
    for one in wrong:
        assert refused(jwt.encode(one, key, algorithm="ES256"), key).reason is Reason.MALFORMED_EVIDENCE


def test_a_status_that_is_better_than_the_vector(
    good: AttestationResult, key: ec.EllipticCurvePrivateKey
) -> None:
    for number in (0, 33, 96):
        better = replace(good, vector=dict.fromkeys(good.vector, number))
        assert refused(token(better, key), key).reason is Reason.MALFORMED_EVIDENCE
    worse = replace(good, tier=Tier.WARNING)
    assert claims_of(worse, key)["ear_status"] == "warning"
    payload = claims_of(worse, key) | {"ear_status": "affirming"}
    assert refused(jwt.encode(payload, key, algorithm="ES256"), key).reason is Reason.MALFORMED_EVIDENCE


def test_a_token_counts_from_the_moment_of_its_result(good: AttestationResult) -> None:
    made = replace(good, generated_ns=5 * NS_PER_S)
    for waited_s in (0, 8, 75):
        now_ns, wall_ns = (5 + waited_s) * NS_PER_S, (ISSUED_S + waited_s) * NS_PER_S
        assert ear.issued_at_s(made, now_ns=now_ns, realtime_ns=wall_ns) == ISSUED_S
