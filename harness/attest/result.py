"""An attestation result: what a verifier says of a platform, how far it may be trusted, and until when.

A result is the only thing of an attester that leaves the verifier. It must never carry a claim about the
platform before all evidence was found genuine, and never read better than its worst part: nothing checked is
``none``, and what was found contraindicated does not heal by waiting.

Tiers, claims and their numbers are those of AR4SI (draft-ietf-rats-ar4si, "Specific Claims").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from harness.attest.evidence import KeyType
from harness.attest.reasons import SILENT, Reason, Tier, gravest
from harness.attest.verdict import Verdict
from harness.json_types import Json

TRUSTWORTHINESS: Final = (
    "instance-identity",
    "configuration",
    "executables",
    "file-system",
    "hardware",
    "runtime-opaque",
    "storage-opaque",
    "sourced-data",
)
"""The claims of a trustworthiness vector. A TPM alone shows nothing of the last three: they stay 0."""

NO_CLAIM: Final = 0
AFFIRMED: Final = 2
UNTRUSTWORTHY: Final = 96
UNRECOGNISED: Final = 97
CRYPTOGRAPHY_FAILED: Final = 99

_FAILED: Final[Mapping[Reason, tuple[str, int]]] = MappingProxyType(
    {
        Reason.KEY_UNKNOWN: ("instance-identity", UNRECOGNISED),
        Reason.KEY_REVOKED: ("instance-identity", UNTRUSTWORTHY),
        Reason.KEY_ATTRIBUTES: ("instance-identity", UNTRUSTWORTHY),
        Reason.CLOCK_NOT_SAFE: ("instance-identity", UNTRUSTWORTHY),
        Reason.CLOCK_BACKWARDS: ("instance-identity", UNTRUSTWORTHY),
        Reason.RESET_BACKWARDS: ("instance-identity", UNTRUSTWORTHY),
        Reason.RESTART_INCONSISTENT: ("instance-identity", UNTRUSTWORTHY),
        Reason.HELD_CONTRAINDICATED: ("instance-identity", UNTRUSTWORTHY),
        Reason.FIRMWARE_VERSION: ("hardware", UNRECOGNISED),
        Reason.SOFTWARE_TPM: ("hardware", UNTRUSTWORTHY),
        Reason.PCR_DIGEST: ("configuration", CRYPTOGRAPHY_FAILED),
        Reason.PCR_VALUE: ("configuration", UNTRUSTWORTHY),
        Reason.EVENT_LOG_REPLAY: ("executables", CRYPTOGRAPHY_FAILED),
        Reason.IMA_REPLAY: ("executables", CRYPTOGRAPHY_FAILED),
        Reason.EVENT_UNKNOWN: ("executables", UNTRUSTWORTHY),
        Reason.EVENT_SEQUENCE: ("executables", UNTRUSTWORTHY),
        Reason.IMA_FILE_UNKNOWN: ("executables", UNTRUSTWORTHY),
        Reason.IMA_FILE_CHANGED: ("executables", UNTRUSTWORTHY),
        Reason.IMA_VIOLATION: ("executables", UNTRUSTWORTHY),
        Reason.MEMORY_VIOLATION: ("runtime-opaque", UNTRUSTWORTHY),
    }
)
"""What a refusal says of which aspect; every other one is evidence whose validation failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationResult:
    """What came of one answer.

    Attributes:
        attester: Whose enrolled key it was; empty where none is enrolled.
        key: The type of key that the attester says it signed with.
        tier: How far the platform may be trusted.
        reason: The check that decided; ``accepted`` where all passed, a warning's code for tier ``warning``.
        detail: The same in words; empty where all passed.
        claims: What is known of the platform; empty unless the evidence was genuine (steps 1 to 11).
        vector: The trustworthiness vector: each of `TRUSTWORTHINESS` with its number.
        policy: The name of the appraisal policy.
        generated_ns: When the result was generated (RG), on the clock of the question.
        expires_ns: When it expires (RX), likewise.
    """

    attester: str
    key: KeyType
    tier: Tier
    reason: Reason
    detail: str
    claims: Mapping[str, Json]
    vector: Mapping[str, int]
    policy: str
    generated_ns: int
    expires_ns: int

    @property
    def verdict(self) -> Verdict:
        """What it says of the platform as a whole."""
        return Verdict(
            tier=self.tier,
            reason=self.reason,
            detail=self.detail,
            generated_ns=self.generated_ns,
            expires_ns=self.expires_ns,
        )

    def to_json(self) -> dict[str, Json]:
        """The result as JSON values, all fields."""
        return {
            "attester": self.attester,
            "key": self.key,
            "tier": self.tier.value,
            "reason": self.reason.value,
            "detail": self.detail,
            "claims": dict(self.claims),
            "vector": dict(self.vector),
            "policy": self.policy,
            "generated_ns": self.generated_ns,
            "expires_ns": self.expires_ns,
        }


def tier_of_claim(number: int) -> Tier:
    """The tier of one number of a vector (AR4SI, "Trustworthiness Claim Enumeration Encoding").

    Raises:
        ValueError: It is beyond -128 to 127.
    """
    if not -128 <= number <= 127:
        raise ValueError(f"{number} is no trustworthiness claim")
    if -1 <= number <= 1:
        return Tier.NONE
    if -32 <= number < 32:
        return Tier.AFFIRMING
    return Tier.WARNING if -96 <= number < 96 else Tier.CONTRAINDICATED


def worst(vector: Mapping[str, int]) -> Tier:
    """The tier of the gravest claim; ``none`` if nothing is claimed. What makes no claim does not count."""
    tiers = (tier_of_claim(number) for number in vector.values())
    return gravest(tier for tier in tiers if tier is not Tier.NONE)


def vector_of(claims: Mapping[str, int]) -> Mapping[str, int]:
    """A whole vector with these claims, and 0 for the others."""
    return {name: claims.get(name, NO_CLAIM) for name in TRUSTWORTHINESS}


def refused_vector(reason: Reason) -> Mapping[str, int]:
    """The vector of refused evidence: the one claim that failed, or none where nothing was learnt."""
    if reason in SILENT:
        return vector_of({})
    name, number = _FAILED.get(reason, ("instance-identity", CRYPTOGRAPHY_FAILED))
    return vector_of({name: number})
