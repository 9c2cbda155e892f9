"""The cause in one word: the server's trust first, then whether the request is a new one."""

from __future__ import annotations

import pytest

from harness.attest.reasons import Reason, Tier, tier_of
from harness.attest.verdict import Verdict
from harness.policy.server import believed
from harness.response.decide.cause import FLED, Cause, why_of
from tests.response.fleets import accused, good, server, silent, warned

CONTRAINDICATING = [reason for reason in Reason if tier_of(reason) is Tier.CONTRAINDICATED]


@pytest.mark.parametrize("new_request", [False, True])
@pytest.mark.parametrize("reason", CONTRAINDICATING)
def test_an_accusation_is_a_violation_or_a_failed_attestation(reason: Reason, new_request: bool) -> None:
    expected = Cause.VIOLATION if reason is Reason.MEMORY_VIOLATION else Cause.ATTESTATION
    found = why_of(server("a", trust=accused(reason)), new_request=new_request, now_ns=0)

    assert found is expected


@pytest.mark.parametrize("new_request", [False, True])
def test_nothing_known_is_silence(new_request: bool) -> None:
    for lost in (None, server("a", trust=silent()), server("a", trust=good(expires_ns=10))):
        assert why_of(lost, new_request=new_request, now_ns=10) is Cause.SILENCE


def test_evidence_counts_until_it_expires_and_not_at_that_moment() -> None:
    one = server("a", trust=good(expires_ns=10))
    assert why_of(one, new_request=False, now_ns=9) is Cause.PROPERTIES
    assert why_of(one, new_request=False, now_ns=10) is Cause.SILENCE


def test_an_accusation_does_not_expire() -> None:
    old = Verdict(tier=Tier.CONTRAINDICATED, reason=Reason.PCR_VALUE, expires_ns=10)
    assert why_of(server("a", trust=old), new_request=False, now_ns=11) is Cause.ATTESTATION
    assert believed(server("a", trust=old), 11) == old


def test_a_trusted_server_is_told_apart_by_the_request() -> None:
    assert why_of(server("a"), new_request=True, now_ns=0) is Cause.REQUEST
    assert why_of(server("a"), new_request=False, now_ns=0) is Cause.PROPERTIES


def test_a_warning_that_does_not_count_is_a_failed_attestation() -> None:
    one = server("a", trust=warned())
    assert why_of(one, new_request=True, now_ns=0) is Cause.ATTESTATION
    assert why_of(one, new_request=True, now_ns=0, warning_counts=True) is Cause.REQUEST


@pytest.mark.parametrize(
    ("tier", "counts", "expected"),
    [
        (Tier.AFFIRMING, False, True),
        (Tier.AFFIRMING, True, True),
        (Tier.WARNING, True, True),
        (Tier.WARNING, False, False),
        (Tier.NONE, True, False),
        (Tier.CONTRAINDICATED, True, False),
    ],
)
def test_what_anything_may_be_based_on(tier: Tier, counts: bool, expected: bool) -> None:
    assert tier.trusted(warning_counts=counts) is expected


def test_a_vm_flees_a_server_and_neither_a_request_nor_a_draw() -> None:
    assert set(Cause) - FLED == {Cause.REQUEST, Cause.MOVING_TARGET}
