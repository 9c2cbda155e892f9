"""A verdict: one order of tiers, and one answer to what it still says later."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.attest.reasons import Reason, Tier
from harness.attest.reasons import gravest as gravest_tier
from harness.attest.verdict import NOTHING_KNOWN, Verdict, gravest

VERDICTS = st.builds(
    Verdict,
    tier=st.sampled_from(Tier),
    reason=st.sampled_from(Reason),
    expires_ns=st.none() | st.integers(0, 9),
)


def test_there_is_one_order_of_tiers() -> None:
    assert sorted(Tier, key=lambda one: one.gravity) == [
        Tier.AFFIRMING,
        Tier.WARNING,
        Tier.NONE,
        Tier.CONTRAINDICATED,
    ]
    assert gravest_tier([]) is Tier.NONE


def test_a_good_verdict_counts_until_it_ends_and_not_at_that_moment() -> None:
    good = Verdict(tier=Tier.WARNING, reason=Reason.SOFTWARE_TPM, expires_ns=10)

    assert good.at(9) is good
    assert good.at(10) == Verdict(tier=Tier.NONE, reason=Reason.RESULT_EXPIRED, expires_ns=10)


@pytest.mark.parametrize("tier", [Tier.AFFIRMING, Tier.WARNING])
def test_a_good_verdict_without_an_end_does_not_count(tier: Tier) -> None:
    assert Verdict(tier=tier, reason=Reason.ACCEPTED).at(0).tier is Tier.NONE


def test_an_accusation_outlives_its_end_and_silence_lifts_it_not() -> None:
    bad = Verdict(tier=Tier.CONTRAINDICATED, reason=Reason.PCR_VALUE, expires_ns=10)

    assert bad.at(11) is bad
    assert bad.lost(Reason.ATTESTER_UNREACHABLE, "no answer").reason is Reason.PCR_VALUE


@given(VERDICTS, st.integers(0, 9))
def test_a_verdict_never_gets_better_by_waiting(found: Verdict, now_ns: int) -> None:
    assert found.at(now_ns).tier.gravity >= found.tier.gravity


@given(st.lists(VERDICTS, max_size=5))
def test_together_they_are_as_bad_as_the_worst(found: list[Verdict]) -> None:
    worst = gravest(found)

    assert worst == NOTHING_KNOWN if not found else worst in found
    assert all(worst.tier.gravity >= one.tier.gravity for one in found)
