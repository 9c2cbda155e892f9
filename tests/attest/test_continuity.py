"""A guest that moved: the one that left, running on, to the destination that was quoted and kept its word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.attest.guest.continuity import (
    Continuity,
    ContinuityPolicy,
    Destination,
    GuestMove,
    Quoted,
    Sighting,
    check,
)
from harness.attest.reasons import Reason, Tier
from harness.attest.tpm.structures import ClockInfo

S = 10**9

BEFORE = Sighting(
    vak_name=b"\x00\x0bvak",
    host="a",
    epoch=3,
    clock=ClockInfo(clock_ms=50_000, reset_count=2, restart_count=1, safe=True),
    generated_ns=100 * S,
    ima_entries=40,
)
MOVE = GuestMove(source="a", destination="b", began_ns=103 * S, arrived_ns=106 * S)
AFTER = replace(
    BEFORE,
    host="b",
    epoch=4,
    clock=replace(BEFORE.clock, clock_ms=57_000),
    generated_ns=107 * S,
    ima_entries=41,
)
CHOSEN = Quoted(host="b", tier=Tier.AFFIRMING, reason=Reason.ACCEPTED, generated_ns=101 * S)
DESTINATION = Destination(chosen=CHOSEN, arrived=replace(CHOSEN, generated_ns=107 * S))
POLICY = ContinuityPolicy(max_window_s=5.0)


def judged(
    *,
    before: Sighting = BEFORE,
    after: Sighting = AFTER,
    move: GuestMove = MOVE,
    destination: Destination = DESTINATION,
    policy: ContinuityPolicy = POLICY,
) -> Continuity:
    return check(before, after, move, destination, policy)


def clocked(sighting: Sighting, **values: Any) -> Sighting:
    return replace(sighting, clock=replace(sighting.clock, **values))


def test_a_guest_that_moved_is_the_same_and_its_window_is_told() -> None:
    found = judged()

    assert (found.reason, found.tier, found.why) == (Reason.ACCEPTED, Tier.AFFIRMING, "")
    assert (found.window_s, found.window_uncertainty_s, found.unwatched_s) == (2.0, 0.0, 6.0)
    assert found.advanced_ms == 7_000


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (replace(AFTER, vak_name=b"\x00\x0bother"), Reason.GUEST_KEY_CHANGED),
        (replace(AFTER, host="a"), Reason.SAME_HOST),
        (replace(AFTER, host="c"), Reason.BINDING),
        (replace(AFTER, epoch=3), Reason.EPOCH_REUSED),
        (replace(AFTER, epoch=2), Reason.EPOCH_REUSED),
        (replace(AFTER, generated_ns=102 * S), Reason.QUOTED_BEFORE_MOVE),
        (replace(AFTER, generated_ns=103 * S), Reason.QUOTED_BEFORE_MOVE),
        (replace(AFTER, generated_ns=106 * S), Reason.QUOTED_BEFORE_MOVE),
        (replace(AFTER, uncertainty_ns=1 * S), Reason.QUOTED_BEFORE_MOVE),
        (clocked(AFTER, clock_ms=49_999), Reason.GUEST_ROLLED_BACK),
        (clocked(AFTER, clock_ms=50_000), Reason.GUEST_ROLLED_BACK),
        (clocked(AFTER, reset_count=1), Reason.GUEST_ROLLED_BACK),
        (clocked(AFTER, restart_count=0), Reason.GUEST_ROLLED_BACK),
        (clocked(AFTER, reset_count=1, restart_count=9), Reason.GUEST_ROLLED_BACK),
        (clocked(AFTER, reset_count=3, restart_count=0), Reason.GUEST_RESTARTED),
        (clocked(AFTER, restart_count=2), Reason.GUEST_RESTARTED),
        (replace(AFTER, ima_entries=39), Reason.GUEST_ROLLED_BACK),
    ],
)
def test_whatever_is_not_that_guest_is_contraindicated(after: Sighting, reason: Reason) -> None:
    found = judged(after=after)

    assert (found.reason, found.tier) == (reason, Tier.CONTRAINDICATED)
    assert found.why


@pytest.mark.parametrize("missing", [replace(AFTER, ima_entries=None), replace(AFTER, ima_entries=40)])
def test_a_log_that_was_not_asked_for_or_did_not_grow_says_nothing(missing: Sighting) -> None:
    assert judged(after=missing).reason is Reason.ACCEPTED


def test_evidence_that_could_not_be_told_to_be_the_later_one_is_not_believed() -> None:
    vague = replace(BEFORE, uncertainty_ns=7 * S)

    assert judged(before=vague).reason is Reason.QUOTED_BEFORE_MOVE
    assert judged(before=replace(vague, uncertainty_ns=7 * S - 1)).reason is Reason.ACCEPTED


def test_evidence_of_before_the_move_is_told_from_evidence_of_before_the_arrival() -> None:
    assert "before the move" in judged(after=replace(AFTER, generated_ns=103 * S)).why
    assert "before the guest's arrival" in judged(after=replace(AFTER, generated_ns=104 * S)).why


def test_a_move_from_a_host_to_itself_is_none() -> None:
    assert judged(move=replace(MOVE, destination="a")).reason is Reason.SAME_HOST


@pytest.mark.parametrize(
    ("generated_ns", "uncertainty_ns", "reason"),
    [
        (98 * S, 0, Reason.ACCEPTED),
        (98 * S - 1, 0, Reason.WINDOW_EXCEEDED),
        (98 * S, 1, Reason.WINDOW_EXCEEDED),
        (98 * S + 1, 1, Reason.ACCEPTED),
        (103 * S, 0, Reason.ACCEPTED),
        (103 * S, 1, Reason.NOTHING_APPRAISED),
        (104 * S, 0, Reason.NOTHING_APPRAISED),
        (None, 0, Reason.NOTHING_APPRAISED),
    ],
)
def test_the_window_is_bounded_and_what_is_uncertain_across_the_bound_is_refused(
    generated_ns: int | None, uncertainty_ns: int, reason: Reason
) -> None:
    chosen = replace(CHOSEN, generated_ns=generated_ns, uncertainty_ns=uncertainty_ns)

    assert judged(destination=replace(DESTINATION, chosen=chosen)).reason is reason


def test_the_moves_own_uncertainty_counts_too() -> None:
    chosen = replace(CHOSEN, generated_ns=98 * S)
    found = judged(destination=replace(DESTINATION, chosen=chosen), move=replace(MOVE, uncertainty_ns=1))

    assert found.reason is Reason.WINDOW_EXCEEDED
    assert (found.window_s, found.window_uncertainty_s) == (5.0, 1e-9)


def test_a_destination_that_was_never_appraised_is_tier_none() -> None:
    silent = replace(CHOSEN, tier=Tier.NONE, reason=Reason.TIMED_OUT, generated_ns=None)
    found = judged(destination=replace(DESTINATION, chosen=silent))

    assert (found.reason, found.tier, found.window_s) == (Reason.NOTHING_APPRAISED, Tier.NONE, None)
    assert "timed-out" in found.why


def test_the_quote_of_another_host_is_not_that_of_the_destination() -> None:
    other = replace(CHOSEN, host="c")

    assert judged(destination=replace(DESTINATION, chosen=other)).reason is Reason.NOTHING_APPRAISED
    later = replace(DESTINATION.arrived, host="c")
    assert judged(destination=replace(DESTINATION, arrived=later)).reason is Reason.DESTINATION_DEGRADED


@pytest.mark.parametrize(
    ("tier", "reason", "worst"),
    [
        (Tier.CONTRAINDICATED, Reason.PCR_VALUE, Tier.CONTRAINDICATED),
        (Tier.WARNING, Reason.ACCEPTED, Tier.CONTRAINDICATED),
        (Tier.NONE, Reason.ATTESTER_UNREACHABLE, Tier.NONE),
    ],
)
def test_a_destination_that_is_good_no_more_after_the_arrival(
    tier: Tier, reason: Reason, worst: Tier
) -> None:
    arrived = replace(DESTINATION.arrived, tier=tier, reason=reason)
    found = judged(destination=replace(DESTINATION, arrived=arrived))

    assert (found.reason, found.tier) == (Reason.DESTINATION_DEGRADED, worst)


def test_a_destination_that_was_no_good_when_it_was_chosen() -> None:
    chosen = replace(CHOSEN, tier=Tier.CONTRAINDICATED, reason=Reason.PCR_VALUE)
    found = judged(destination=replace(DESTINATION, chosen=chosen))

    assert (found.reason, found.tier) == (Reason.DESTINATION_DEGRADED, Tier.CONTRAINDICATED)


@pytest.mark.parametrize("generated_ns", [None, 106 * S, 101 * S])
def test_the_second_quote_must_be_from_after_the_arrival(generated_ns: int | None) -> None:
    arrived = replace(DESTINATION.arrived, generated_ns=generated_ns)

    assert judged(destination=replace(DESTINATION, arrived=arrived)).reason is Reason.QUOTED_BEFORE_MOVE


def test_a_warning_stays_a_warning_where_the_policy_takes_it() -> None:
    policy = ContinuityPolicy(max_window_s=5, tiers=frozenset({Tier.AFFIRMING, Tier.WARNING}))
    warned = replace(CHOSEN, tier=Tier.WARNING)
    found = judged(destination=replace(DESTINATION, chosen=warned), policy=policy)

    assert (found.reason, found.tier) == (Reason.ACCEPTED, Tier.WARNING)


@pytest.mark.parametrize("tiers", [set(), {Tier.NONE}, {Tier.AFFIRMING, Tier.CONTRAINDICATED}])
def test_no_policy_takes_a_destination_nobody_vouches_for(tiers: set[Tier]) -> None:
    with pytest.raises(ValueError, match="affirming"):
        ContinuityPolicy(max_window_s=1, tiers=frozenset(tiers))


@pytest.mark.parametrize("window_s", [0.0, -1.0, float("nan")])
def test_a_window_without_a_bound_is_no_policy(window_s: float) -> None:
    with pytest.raises(ValueError, match="max_window_s"):
        ContinuityPolicy(max_window_s=window_s)


def test_values_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="arrive"):
        replace(MOVE, arrived_ns=MOVE.began_ns - 1)
    with pytest.raises(ValueError, match="uncertainty"):
        replace(MOVE, uncertainty_ns=-1)
    with pytest.raises(ValueError, match="uncertainty"):
        replace(AFTER, uncertainty_ns=-1)


@given(
    chosen_ns=st.integers(0, 110 * S),
    uncertainty_ns=st.integers(0, 3 * S),
    error_ns=st.integers(-3 * S, 3 * S),
    after_ns=st.integers(90 * S, 110 * S),
    after_uncertainty_ns=st.integers(0, 3 * S),
    after_error_ns=st.integers(-3 * S, 3 * S),
)
def test_nothing_is_accepted_that_the_true_moments_would_refuse(
    chosen_ns: int,
    uncertainty_ns: int,
    error_ns: int,
    after_ns: int,
    after_uncertainty_ns: int,
    after_error_ns: int,
) -> None:
    """Whatever a stamp's error within its uncertainty: accepted means that it truly was in time."""
    true_chosen_ns = chosen_ns + max(-uncertainty_ns, min(uncertainty_ns, error_ns))
    true_after_ns = after_ns + max(-after_uncertainty_ns, min(after_uncertainty_ns, after_error_ns))
    found = judged(
        after=replace(AFTER, generated_ns=after_ns, uncertainty_ns=after_uncertainty_ns),
        destination=replace(
            DESTINATION, chosen=replace(CHOSEN, generated_ns=chosen_ns, uncertainty_ns=uncertainty_ns)
        ),
    )

    if found.reason is Reason.ACCEPTED:
        assert 0 <= MOVE.began_ns - true_chosen_ns <= POLICY.max_window_s * S
        assert true_after_ns > MOVE.arrived_ns
    else:
        assert found.tier is not Tier.AFFIRMING


@given(
    resets=st.integers(0, 4),
    restarts=st.integers(0, 4),
    clock_ms=st.integers(0, 100_000),
    entries=st.integers(0, 80),
)
def test_only_a_clock_that_went_on_between_the_same_counters_is_accepted(
    resets: int, restarts: int, clock_ms: int, entries: int
) -> None:
    after = clocked(AFTER, reset_count=resets, restart_count=restarts, clock_ms=clock_ms)
    found = judged(after=replace(after, ima_entries=entries))

    same = (resets, restarts) == (2, 1)
    assert (found.reason is Reason.ACCEPTED) == (same and clock_ms > 50_000 and entries >= 40)
    if (resets, restarts) > (2, 1):
        assert found.reason is Reason.GUEST_RESTARTED
    elif found.reason is not Reason.ACCEPTED:
        assert found.reason is Reason.GUEST_ROLLED_BACK
