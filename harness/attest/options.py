"""What a campaign asks of attestation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from harness.attest.evidence import KeyType
from harness.strict import Strict


class Attest(Strict):
    """Attestation of the hosts and the guest while the workload runs and the migrations fire."""

    interval_s: Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)] = Field(
        default=5.0, description="s between two attestations of one machine, and of the guest with its host"
    )
    keys: tuple[KeyType, ...] = Field(
        default=("ecc-p256", "rsa-2048"),
        strict=False,
        min_length=1,
        max_length=2,
        description="attestation keys that take turns: ecc-p256, rsa-2048",
    )
    lead_s: Annotated[float, Field(ge=0.05, le=60, allow_inf_nan=False)] = Field(
        default=0.5, description="s before a planned migration at which its destination is quoted once more"
    )
    policy: str = Field(
        default="default", min_length=1, description="appraisal policy of the hosts: a shipped one or a file"
    )
    guest_policy: str = Field(
        default="guest", min_length=1, description="appraisal policy of the guest: a shipped one or a file"
    )

    @field_validator("keys")
    @classmethod
    def _once(cls, keys: tuple[KeyType, ...]) -> tuple[KeyType, ...]:
        if len(set(keys)) != len(keys):
            raise ValueError("each key type once")
        return keys
