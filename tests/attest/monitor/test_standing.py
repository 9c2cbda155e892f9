"""Standings: only a new result makes one better, and silence is never trust."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.attest.monitor.kinds.contract import Observation
from harness.attest.monitor.standing import Change, Standing, concluded, failed, gave_up, overdue, silenced
from harness.attest.reasons import Reason, Tier
from harness.attest.verdict import Verdict

NEW = Standing(subject="a", monitor="tpm", simulated=False, lifetime_ns=100, deadline_ns=100)
GOOD = Observation(
    verdict=Verdict(tier=Tier.AFFIRMING, reason=Reason.ACCEPTED, generated_ns=40), simulated=False
)


def but(seen: Observation, **changes: Any) -> Observation:
    """The observation with another verdict."""
    return replace(seen, verdict=replace(seen.verdict, **changes))


BAD = but(GOOD, tier=Tier.CONTRAINDICATED, reason=Reason.PCR_VALUE, detail="PCR 4")
UNKNOWN = but(GOOD, tier=Tier.NONE, reason=Reason.ATTESTER_UNREACHABLE)


def after(standing: Standing, seen: Observation | None, now_ns: int = 50) -> Standing:
    return concluded(standing, seen, now_ns)[0]


def only(changes: tuple[Change, ...]) -> Change:
    (change,) = changes
    return change


def test_the_first_good_result_is_a_change_from_none() -> None:
    standing, changes = concluded(NEW, GOOD, 50)

    assert (standing.verdict.tier, standing.deadline_ns, standing.heard) == (Tier.AFFIRMING, 140, True)
    change = only(changes)
    assert (change.kind, change.before, change.after, change.at_ns) == ("tier", "none", "affirming", 50)
    assert (change.subject, change.monitor, change.simulated) == ("a", "tpm", False)


def test_the_same_result_again_is_no_change_and_prolongs() -> None:
    standing, changes = concluded(after(NEW, GOOD), but(GOOD, generated_ns=90), 95)

    assert changes == ()
    assert standing.deadline_ns == 190


def test_the_verifiers_own_expiry_counts_where_it_is_earlier() -> None:
    assert after(NEW, but(GOOD, expires_ns=120)).deadline_ns == 120
    assert after(NEW, but(GOOD, expires_ns=999)).deadline_ns == 140


def test_a_result_that_expired_on_its_way_is_none() -> None:
    standing, changes = concluded(NEW, but(GOOD, expires_ns=45), 50)

    assert (standing.verdict.tier, standing.silent) == (Tier.NONE, True)
    assert (only(changes).kind, only(changes).reason) == ("silent", Reason.RESULT_EXPIRED)


def test_a_result_that_expires_as_it_comes_is_none() -> None:
    assert after(NEW, but(GOOD, expires_ns=50), 50).silent
    assert not after(NEW, but(GOOD, expires_ns=51), 50).silent


def test_what_is_read_late_is_read_as_none_though_nobody_noticed() -> None:
    standing = after(NEW, GOOD)

    assert standing.at(139).verdict.tier is Tier.AFFIRMING
    late = standing.at(140)
    assert (late.verdict.tier, late.verdict.reason, late.silent) == (Tier.NONE, Reason.RESULT_EXPIRED, True)
    assert NEW.at(100).verdict.reason is Reason.MONITOR_SILENT


def test_silence_is_said_once_and_ends_with_a_result() -> None:
    quiet, changes = silenced(after(NEW, GOOD), Reason.RESULT_EXPIRED, "late", 140)
    assert (only(changes).kind, only(changes).before, only(changes).after) == ("silent", "affirming", "none")
    assert silenced(quiet, Reason.RESULT_EXPIRED, "later", 150) == (quiet, ())

    back, changes = concluded(quiet, but(GOOD, generated_ns=155), 160)
    assert (back.silent, back.verdict.tier) == (False, Tier.AFFIRMING)
    assert (only(changes).kind, only(changes).before, only(changes).after) == (
        "recovered",
        "none",
        "affirming",
    )


def test_silence_after_nothing_was_ever_heard_recovers_nothing() -> None:
    quiet, _ = silenced(NEW, Reason.MONITOR_SILENT, "late", 100)

    assert only(concluded(quiet, GOOD, 60)[1]).kind == "tier"


def test_an_attester_that_does_not_answer_is_none_and_comes_back() -> None:
    gone, changes = concluded(after(NEW, GOOD), UNKNOWN, 60)
    assert (gone.verdict.tier, only(changes).kind, only(changes).reason) == (
        Tier.NONE,
        "tier",
        Reason.ATTESTER_UNREACHABLE,
    )
    assert only(concluded(gone, but(GOOD, generated_ns=70), 75)[1]).kind == "recovered"


def test_an_accusation_stays_whatever_is_not_heard_afterwards() -> None:
    accused = after(NEW, BAD)
    for step in (
        concluded(accused, UNKNOWN, 60)[0],
        failed(accused, Reason.ATTESTER_FAILED, "gone", 60)[0],
        silenced(accused, Reason.RESULT_EXPIRED, "late", 200)[0],
        accused.at(10**9),
    ):
        assert (step.verdict.tier, step.verdict.reason) == (Tier.CONTRAINDICATED, Reason.PCR_VALUE)


def test_a_verdict_of_the_verifier_lifts_it() -> None:
    """Whether an attester is held is the verifier's to say: after a new enrolment it says so."""
    standing, changes = concluded(after(NEW, BAD), GOOD, 60)

    assert standing.verdict.tier is Tier.AFFIRMING
    assert (only(changes).kind, only(changes).before) == ("tier", "contraindicated")


def test_a_failed_look_is_none_and_says_why_once() -> None:
    standing, changes = failed(after(NEW, GOOD), Reason.MONITOR_FAILED, "ValueError: x", 60)

    assert (standing.verdict.tier, standing.verdict.reason, standing.verdict.detail) == (
        Tier.NONE,
        Reason.MONITOR_FAILED,
        "ValueError: x",
    )
    assert (only(changes).kind, only(changes).reason) == ("failed", Reason.MONITOR_FAILED)
    assert failed(standing, Reason.MONITOR_FAILED, "ValueError: x", 70)[1] == ()
    assert only(failed(standing, Reason.MONITOR_FAILED, "ValueError: y", 70)[1]).detail == "ValueError: y"


def test_what_came_and_was_wrong_is_no_silence() -> None:
    standing, changes = failed(NEW, Reason.MALFORMED_EVIDENCE, "no number", 60)

    assert standing.verdict.tier is Tier.CONTRAINDICATED
    assert only(changes).after == "contraindicated"


def test_an_architecture_without_evidence_is_never_trusted_and_not_silent_either() -> None:
    standing, changes = concluded(NEW, None, 50)

    assert (standing.verdict.tier, standing.deadline_ns, changes) == (Tier.NONE, 150, ())


def test_moments_that_were_given_up_are_told_and_summed() -> None:
    assert gave_up(NEW, 0, 5) == (NEW, ())
    standing, changes = gave_up(replace(NEW, missed=2), 3, 5)

    assert (standing.missed, only(changes).before, only(changes).after) == (5, 2, 5)


def test_what_is_simulated_is_marked_in_every_change() -> None:
    played = replace(NEW, simulated=True)
    changes = [
        *concluded(played, GOOD, 50)[1],
        *failed(played, Reason.ATTESTER_FAILED, "", 50)[1],
        *silenced(played, Reason.MONITOR_SILENT, "", 50)[1],
        *gave_up(played, 1, 50)[1],
    ]

    assert len(changes) == 4
    assert all(change.simulated for change in changes)


def test_a_change_is_json() -> None:
    told = only(concluded(NEW, BAD, 50)[1]).to_json()

    assert (told["reason"], told["after"], told["kind"]) == ("pcr-value", "contraindicated", "tier")


moments = st.integers(0, 1000)
events = st.one_of(
    st.tuples(st.just("seen"), st.sampled_from(list(Tier)), st.sampled_from(list(Reason)), moments),
    st.tuples(st.just("failed"), st.none(), st.sampled_from(list(Reason)), moments),
    st.tuples(st.just("silent"), st.none(), st.just(Reason.RESULT_EXPIRED), moments),
)


@given(st.lists(events, max_size=30), st.integers(0, 3000))
def test_nobody_is_trusted_but_by_a_good_result_that_is_still_fresh(
    history: list[tuple[str, Tier | None, Reason, int]], read_ns: int
) -> None:
    standing, now_ns = NEW, 0
    last: tuple[str, Tier | None, int] = ("", None, 0)
    for kind, tier, reason, later_ns in history:
        now_ns += later_ns
        if kind == "seen" and tier is not None:
            seen = but(GOOD, tier=tier, reason=reason, generated_ns=now_ns)
            standing, changes = concluded(standing, seen, now_ns)
        elif kind == "failed":
            standing, changes = failed(standing, reason, "", now_ns)
        else:
            standing, changes = silenced(standing, *overdue(standing, now_ns), now_ns)
        last = (kind, tier, now_ns)
        assert all(change.after == standing.verdict.tier.value for change in changes)
    read = standing.at(now_ns + read_ns)
    if read.verdict.tier in (Tier.AFFIRMING, Tier.WARNING):
        assert last[0] == "seen"
        assert last[1] is read.verdict.tier
        assert read_ns < NEW.lifetime_ns


@pytest.mark.parametrize("tier", [Tier.AFFIRMING, Tier.WARNING])
def test_overdue_says_how_long(tier: Tier) -> None:
    standing = replace(NEW, verdict=Verdict(tier=tier, reason=Reason.ACCEPTED), heard=True, deadline_ns=10**9)

    assert overdue(standing, 3 * 10**9) == (Reason.RESULT_EXPIRED, "the last result expired 2.000 s ago")
