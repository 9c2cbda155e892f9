"""Results: they survive storage, they expire, and what was contraindicated does not heal by waiting."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace

import pytest

from harness.attest.evidence import KeyType
from harness.attest.played.platform import judged, platform, policy
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import SILENT, Reason, Tier, tier_of
from harness.attest.result import (
    TRUSTWORTHINESS,
    AttestationResult,
    refused_vector,
    tier_of_claim,
    vector_of,
    worst,
)


@pytest.fixture(scope="module")
def good(tpms: dict[KeyType, SoftwareTpm]) -> AttestationResult:
    return judged(platform(tpms["ecc-p256"])).result


def test_a_result_is_json_with_all_its_fields(good: AttestationResult) -> None:
    stored = json.loads(json.dumps(good.to_json()))
    assert stored == {**asdict(good), "tier": "affirming", "reason": "accepted"}
    assert list(stored) == [one.name for one in fields(good)]


def test_a_result_expires(good: AttestationResult) -> None:
    last = good.verdict.at(good.expires_ns - 1)
    assert (last.tier, last.reason) == (Tier.AFFIRMING, Reason.ACCEPTED)
    late = good.verdict.at(good.expires_ns)
    assert (late.tier, late.reason) == (Tier.NONE, Reason.RESULT_EXPIRED)


def test_a_contraindicated_result_does_not_get_better_by_expiring(good: AttestationResult) -> None:
    late = replace(good, tier=Tier.CONTRAINDICATED, reason=Reason.PCR_VALUE).verdict.at(good.expires_ns)
    assert (late.tier, late.reason) == (Tier.CONTRAINDICATED, Reason.PCR_VALUE)


@pytest.mark.parametrize(
    ("number", "tier"),
    [
        *((n, Tier.NONE) for n in (-1, 0, 1)),
        *((n, Tier.AFFIRMING) for n in (2, 31, -2, -32)),
        *((n, Tier.WARNING) for n in (32, 95, -33, -96)),
        *((n, Tier.CONTRAINDICATED) for n in (96, 127, -97, -128)),
    ],
)
def test_tiers_of_numbers(number: int, tier: Tier) -> None:
    assert tier_of_claim(number) is tier


@pytest.mark.parametrize("number", [128, -129])
def test_a_number_out_of_range_is_none(number: int) -> None:
    with pytest.raises(ValueError, match="no trustworthiness claim"):
        tier_of_claim(number)


def test_the_worst_claim_decides() -> None:
    assert worst({}) is Tier.NONE
    assert worst(vector_of({})) is Tier.NONE
    assert worst(vector_of({"hardware": 2})) is Tier.AFFIRMING
    assert worst(vector_of({"hardware": 2, "executables": 33})) is Tier.WARNING
    assert worst(vector_of({"hardware": 96, "executables": 33})) is Tier.CONTRAINDICATED


@pytest.mark.parametrize("reason", [one for one in Reason if one is not Reason.ACCEPTED])
def test_a_refusals_vector_says_the_same_as_its_tier(reason: Reason) -> None:
    vector = refused_vector(reason)
    assert tuple(vector) == TRUSTWORTHINESS
    assert worst(vector) is tier_of(reason)
    assert any(vector.values()) is (reason not in SILENT)


def test_the_vector_says_what_was_checked(tpms: dict[KeyType, SoftwareTpm], good: AttestationResult) -> None:
    assert good.vector == {
        "instance-identity": 2,
        "configuration": 2,
        "executables": 2,
        "file-system": 0,
        "hardware": 2,
        "runtime-opaque": 0,
        "storage-opaque": 0,
        "sourced-data": 0,
    }
    machine = platform(tpms["ecc-p256"])

    def vector(**require: str) -> tuple[int, int]:
        checks = {"pcr_values": "ignore", "event_log": "ignore", "ima": "ignore", **require}
        result = judged(machine, policy=policy(require=checks)).result
        assert result.tier is Tier.AFFIRMING
        return result.vector["configuration"], result.vector["executables"]

    assert vector(pcr_values="check") == (2, 3)
    assert vector(event_log="check") == (0, 3)
    assert vector(ima="check") == (0, -2)
    assert vector(ima="check", event_log="check") == (0, 2)
