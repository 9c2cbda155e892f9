"""An attestation result as a signed token: an EAT Attestation Result (EAR) in a JWT.

For relying parties that cannot read the registry. The form is that of draft-ietf-rats-ear-04 with one
submodule, the attester; what this project adds stands under a name of its own. A token must never be read by
another algorithm than ES256 or without its signature, and a verdict in it is never better than its vector.

Sources: draft-ietf-rats-ear-04, sections 3 and 4; RFC 9711 (EAT), 4.1; RFC 7519 (JWT); RFC 7518 (ES256).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.attest.evidence import RefusedError
from harness.attest.reasons import Reason, Tier
from harness.attest.result import AttestationResult, worst
from harness.clock import NS_PER_S
from harness.json_types import Json
from harness.sentence import sentence

PROFILE: Final = "tag:ietf.org,2026:rats/ear#04"
ALGORITHM: Final = "ES256"
OWN: Final = "sodbench"
"""The private claim name (RFC 7519, 4.3) of what this project adds to a submodule."""

MAX_TOKEN_CHARS: Final = 1_000_000
MIN_NONCE_BYTES: Final = 8
MAX_NONCE_BYTES: Final = 64
"""Bounds of an eat_nonce (RFC 9711, 4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierId:
    """Which software judged (AR4SI, "Verifier ID").

    Attributes:
        developer: Who is responsible for it.
        build: Which build it is.
    """

    developer: str
    build: str


def encode(
    result: AttestationResult, *, key: EllipticCurvePrivateKey, verifier_id: VerifierId, issued_at_s: int
) -> str:
    """The result as a token signed with `key` (P-256).

    Args:
        result: What was found.
        key: The verifier's own key.
        verifier_id: Which software this is.
        issued_at_s: Wall-clock time in s since 1970, at which the result was generated.

    Returns:
        A JWT that expires when the result does, rounded down to whole seconds.
    """
    lifetime_s = (result.expires_ns - result.generated_ns) // NS_PER_S
    claims: dict[str, Json] = {
        "eat_profile": PROFILE,
        "iat": issued_at_s,
        "exp": issued_at_s + lifetime_s,
        "ear_verifier_id": {"developer": verifier_id.developer, "build": verifier_id.build},
        "ear_status": result.tier.value,
        "submods": {result.attester or "unknown": _appraisal(result)},
    }
    return jwt.encode(claims, key, algorithm=ALGORITHM)


def issued_at_s(result: AttestationResult, *, now_ns: int, realtime_ns: int) -> int:
    """When a result was generated, in s since 1970: it may be written down long after that.

    Args:
        result: Its instants are on the controller's CLOCK_MONOTONIC.
        now_ns: That clock now.
        realtime_ns: The wall clock at the same moment.
    """
    return (realtime_ns - (now_ns - result.generated_ns)) // NS_PER_S


def _appraisal(result: AttestationResult) -> dict[str, Json]:
    own: dict[str, Json] = {
        "key": result.key,
        "reason": result.reason.value,
        "detail": result.detail,
        "claims": dict(result.claims),
    }
    appraisal: dict[str, Json] = {
        "ear_status": result.tier.value,
        "ear_trustworthiness_vector": dict(result.vector),
        "ear_appraisal_policy_ids": [result.policy],
        OWN: own,
    }
    nonce = result.claims.get("nonce")
    if isinstance(nonce, str) and MIN_NONCE_BYTES <= len(nonce) // 2 <= MAX_NONCE_BYTES:
        appraisal["eat_nonce"] = base64.urlsafe_b64encode(bytes.fromhex(nonce)).decode().rstrip("=")
    return appraisal


def decode(token: str, public_key: EllipticCurvePublicKey, *, now_s: int) -> Mapping[str, Json]:
    """The claims of a token that the owner of `public_key` signed and that has not expired at `now_s`.

    Raises:
        RefusedError: ``size-limit``; ``signature-invalid``: another key, another algorithm or none;
            ``malformed-evidence``: no EAR of the profile, or a status that is better than its vector;
            ``result-expired``.
    """
    if len(token) > MAX_TOKEN_CHARS:
        raise RefusedError(Reason.SIZE_LIMIT, f"a token of {len(token)} characters")
    try:
        # The clock is the caller's; PyJWT would read one of its own.
        options: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False}
        payload = jwt.decode(token, public_key, algorithms=[ALGORITHM], options=options)
    except (jwt.PyJWTError, RecursionError) as error:
        raise RefusedError(Reason.SIGNATURE_INVALID, f"the token: {error}") from error
    expires_s = _checked(payload)
    if now_s >= expires_s:
        raise RefusedError(Reason.RESULT_EXPIRED, f"the token expired {now_s - expires_s} s ago")
    return payload


def _checked(payload: Mapping[str, Json]) -> int:
    """When the claims expire, in s since 1970; they are those of an EAR, and agree with each other."""
    try:
        ear = _Ear.model_validate(payload)
    except ValidationError as error:
        raise RefusedError(Reason.MALFORMED_EVIDENCE, f"the token: {sentence(error)}") from error
    for label, appraisal in ear.submods.items():
        found = worst(appraisal.ear_trustworthiness_vector)
        if appraisal.ear_status.gravity < found.gravity:
            raise RefusedError(
                Reason.MALFORMED_EVIDENCE, f"the token: {label} is {found}, and it says better"
            )
        if ear.ear_status.gravity < appraisal.ear_status.gravity:
            raise RefusedError(
                Reason.MALFORMED_EVIDENCE, f"the token: {label} is {appraisal.ear_status}, and it says better"
            )
    return ear.exp


class _Claims(BaseModel):
    # A receiver has to ignore claims that it does not know (draft-ietf-rats-ear-04, section 4).
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _Appraisal(_Claims):
    ear_status: Tier = Field(strict=False)
    ear_trustworthiness_vector: dict[str, Annotated[int, Field(ge=-128, le=127)]] = Field(min_length=1)
    ear_appraisal_policy_ids: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]


class _Software(_Claims):
    developer: str
    build: str


class _Ear(_Claims):
    eat_profile: Literal["tag:ietf.org,2026:rats/ear#04"]
    iat: int
    exp: int
    ear_verifier_id: _Software
    ear_status: Tier = Field(strict=False)
    submods: dict[str, _Appraisal] = Field(min_length=1)
