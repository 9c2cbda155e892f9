"""Nonces are used once, memory moves by compare-and-set, results are kept, a hold stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from harness.attest.evidence import RefusedError
from harness.attest.identity.enrolled import Issued
from harness.attest.reasons import Reason, Tier
from harness.clock import NS_PER_S
from harness.instant import Instant
from harness.json_types import Json
from harness.registry.errors import RegistryError
from harness.registry.findings import KEPT_AFTER_EXPIRY_NS
from harness.registry.registry import Registry, open_registry
from tests.registry.subjects import NONCE, SteppedPresent, condemned, enrolment, key, moment, result

KEY = key("tpm of host-a").name
STATE: Mapping[str, Json] = {"clock": 2**64 - 1, "ima": None, "values": {"sha256": "00"}}


@pytest.fixture
def registry(registry: Registry) -> Registry:
    """A registry that knows host-a."""
    registry.enrol(enrolment("host-a"))
    return registry


def issue(registry: Registry, nonce: bytes, issued: Instant, lifetime_s: int = 60) -> None:
    registry.issue(nonce, attester="host-a", issued=issued, expires=issued.later(lifetime_s * NS_PER_S))


def accept(
    registry: Registry, version: int, memory: Json = None, told: Mapping[str, Json] | None = None
) -> bool:
    return registry.accept(
        result() if told is None else told,
        key_name=KEY,
        memory=memory,
        version=version,
        generated=moment(),
        expires=moment(60),
    )


# nonces


def test_a_nonce_is_used_once_and_never_again(registry: Registry, url: str) -> None:
    issue(registry, NONCE, moment())
    assert registry.consume(NONCE)
    assert not registry.consume(NONCE)
    with open_registry(url) as another:
        assert not another.consume(NONCE)


@pytest.mark.parametrize(
    "nonce", [b"", NONCE[:-1], NONCE + b"\0", b"\0" + NONCE, NONCE[::-1], NONCE.hex().encode()]
)
def test_a_nonce_that_was_never_issued_is_not_used(registry: Registry, nonce: bytes) -> None:
    issue(registry, NONCE, moment())
    assert not registry.consume(nonce)
    assert registry.consume(NONCE)


def test_a_nonce_is_issued_once(registry: Registry) -> None:
    issue(registry, NONCE, moment())
    for _used in (False, True):
        with pytest.raises(RefusedError) as caught:
            issue(registry, NONCE, moment(5))
        assert caught.value.reason is Reason.NONCE_REUSED
        registry.consume(NONCE)


def test_a_nonce_may_be_looked_at_without_being_used(registry: Registry) -> None:
    assert registry.issued(NONCE) is None
    issue(registry, NONCE, moment(3))
    expected = Issued(attester="host-a", issued=moment(3), expires=moment(63), used=False)
    assert registry.issued(NONCE) == expected
    assert registry.consume(NONCE)
    assert registry.issued(NONCE) == replace(expected, used=True)
    registry.release("host-a", "gone")
    assert registry.issued(NONCE) == replace(expected, used=True)


@pytest.mark.parametrize(
    ("nonce", "attester", "reason"),
    [(NONCE, "host-b", Reason.NOT_ENROLLED), (b"", "host-a", Reason.NONCE_SHORT)],
)
def test_a_nonce_is_somebodys(registry: Registry, nonce: bytes, attester: str, reason: Reason) -> None:
    with pytest.raises(RefusedError) as caught:
        registry.issue(nonce, attester=attester, issued=moment(), expires=moment(1))
    assert caught.value.reason is reason
    assert not registry.consume(nonce)


@pytest.mark.parametrize("boot", ["boot-1", "boot-2"])
def test_an_unanswered_nonce_is_forgotten_an_hour_after_its_expiry_and_no_sooner(
    registry: Registry, present: SteppedPresent, boot: str
) -> None:
    kept, forgotten = NONCE, NONCE[::-1]
    issue(registry, forgotten, moment(0))
    issue(registry, kept, moment(1))
    just_past_ns = 60 * NS_PER_S + KEPT_AFTER_EXPIRY_NS + 1
    present.at = replace(moment(0).later(just_past_ns), boot_id=boot)
    issue(registry, b"another", present.at)
    assert not registry.consume(forgotten)
    assert registry.consume(kept)


def test_a_used_nonce_is_refused_for_ever(registry: Registry, present: SteppedPresent) -> None:
    issue(registry, NONCE, moment())
    assert registry.consume(NONCE)
    present.at = moment(10**8)
    issue(registry, b"another", present.at)
    assert not registry.consume(NONCE)
    with pytest.raises(RefusedError):
        issue(registry, NONCE, present.at)


def test_a_wall_clock_that_went_ahead_makes_nobody_forget(
    registry: Registry, present: SteppedPresent
) -> None:
    issue(registry, NONCE, moment())
    present.at = moment(1, wall_s=10**6)
    issue(registry, b"another", present.at)
    assert registry.consume(NONCE)


def test_a_wall_clock_that_went_back_makes_nobody_forget(registry: Registry, present: SteppedPresent) -> None:
    issue(registry, NONCE, moment())
    present.at = moment(10**6, wall_s=-900, boot="boot-2")
    issue(registry, b"another", present.at)
    assert registry.consume(NONCE)


# memory and accepted results


def test_before_anything_was_accepted_there_is_no_memory_but_a_version(registry: Registry) -> None:
    state, version = registry.memory("host-a", KEY)
    assert state is None
    assert version > 0
    assert registry.memory("host-a", b"no such key") == (None, 0)
    assert registry.memory("host-b", KEY) == (None, 0)


def test_what_was_accepted_is_remembered_exactly_with_its_result(registry: Registry) -> None:
    _, version = registry.memory("host-a", KEY)
    assert accept(registry, version, STATE, result(claims={"secure_boot": True}))
    state, after = registry.memory("host-a", KEY)
    assert state == STATE
    assert after > version
    stored = registry.latest("host-a")
    assert stored is not None
    assert (stored.attester, stored.key, stored.tier) == ("host-a", "ecc-p256", Tier.AFFIRMING)
    assert (stored.reason, stored.generated, stored.expires) == ("accepted", moment(), moment(60))
    assert stored.body == result(claims={"secure_boot": True})
    assert stored.fresh(moment(59))
    assert not stored.fresh(moment(60))


def test_the_second_verifier_with_the_same_memory_is_told_and_leaves_nothing(registry: Registry) -> None:
    _, version = registry.memory("host-a", KEY)
    assert accept(registry, version, {"clock": 1})
    assert not accept(registry, version, {"clock": 2})
    assert registry.memory("host-a", KEY)[0] == {"clock": 1}
    assert len(registry.results()) == 1


@pytest.mark.parametrize("version", [-1, 0, 2, 2**62])
def test_a_version_that_was_never_given_is_none(registry: Registry, version: int) -> None:
    assert not accept(registry, version)
    assert registry.results() == ()


def test_each_key_has_its_own_memory(registry: Registry) -> None:
    other = key("tpm of host-a", "rsa-2048").name
    _, version = registry.memory("host-a", other)
    assert accept(registry, registry.memory("host-a", KEY)[1], {"clock": 1})
    assert registry.memory("host-a", other) == (None, version)


def test_memory_may_be_emptied_again(registry: Registry) -> None:
    assert accept(registry, registry.memory("host-a", KEY)[1], {"clock": 1})
    version = registry.memory("host-a", KEY)[1]
    assert accept(registry, version, None)
    assert registry.memory("host-a", KEY) == (None, version + 1)


def test_evidence_of_before_a_re_enrolment_is_not_stored_after_it(registry: Registry) -> None:
    _, version = registry.memory("host-a", KEY)
    registry.re_enrol(enrolment("host-a"))  # the same keys again, which a TPM may well give
    assert not accept(registry, version)
    assert registry.memory("host-a", KEY)[0] is None
    assert accept(registry, registry.memory("host-a", KEY)[1])


def test_a_re_enrolment_forgets_what_was_accepted(registry: Registry) -> None:
    assert accept(registry, registry.memory("host-a", KEY)[1], STATE)
    registry.re_enrol(enrolment("host-a"))
    assert registry.memory("host-a", KEY)[0] is None


def test_a_retired_key_has_nothing_accepted(registry: Registry) -> None:
    registry.re_enrol(enrolment("host-a", turn=2))
    assert not accept(registry, registry.memory("host-a", KEY)[1])


@pytest.mark.parametrize("ending", ["revoke", "release"])
def test_nothing_is_accepted_of_an_identity_that_ended_meanwhile(registry: Registry, ending: str) -> None:
    _, version = registry.memory("host-a", KEY)
    getattr(registry, ending)("host-a", "gone")
    assert not accept(registry, version)
    assert registry.results() == ()


# the hold


def test_a_contraindicated_result_holds_its_attester_until_it_is_enrolled_again(registry: Registry) -> None:
    _, version = registry.memory("host-a", KEY)
    registry.record(condemned(), generated=moment())
    assert [one.held for one in registry.attesters()] == [True]
    assert not accept(registry, version)
    assert not accept(registry, version, told=result(tier=Tier.WARNING))
    registry.record(result(tier=Tier.NONE, reason=Reason.TIMED_OUT), generated=moment())
    assert [one.held for one in registry.attesters()] == [True]
    registry.re_enrol(enrolment("host-a"))
    assert [one.held for one in registry.attesters()] == [False]
    assert accept(registry, registry.memory("host-a", KEY)[1])


def test_a_contraindicated_result_that_leaves_a_memory_holds_too(registry: Registry) -> None:
    assert accept(registry, registry.memory("host-a", KEY)[1], STATE, condemned())
    assert registry.memory("host-a", KEY)[0] == STATE
    assert [one.held for one in registry.attesters()] == [True]
    assert accept(registry, registry.memory("host-a", KEY)[1], STATE, condemned())
    assert [one.event for one in registry.history("host-a")] == ["enrolled", "held"]


@pytest.mark.parametrize("tier", [Tier.NONE, Tier.WARNING])
def test_other_results_hold_nobody(registry: Registry, tier: Tier) -> None:
    registry.record(result(tier=tier, reason=Reason.TIMED_OUT), generated=moment())
    assert [one.held for one in registry.attesters()] == [False]


def test_anothers_result_holds_nobody_else(registry: Registry) -> None:
    registry.enrol(enrolment("host-b"))
    registry.record(condemned("host-b"), generated=moment())
    assert [(one.id, one.held) for one in registry.attesters()] == [("host-a", False), ("host-b", True)]


# results


def test_results_come_newest_first_of_one_or_of_all(registry: Registry) -> None:
    registry.enrol(enrolment("host-b"))
    for number, attester in enumerate(["host-a", "host-b", "host-a"]):
        registry.record(
            result(attester, tier=Tier.NONE, reason=Reason.TIMED_OUT, turn=number), generated=moment(number)
        )
    assert [one.body["turn"] for one in registry.results()] == [2, 1, 0]
    assert [one.body["turn"] for one in registry.results("host-a")] == [2, 0]
    assert [one.body["turn"] for one in registry.results(limit=1)] == [2]
    last = registry.latest("host-a")
    assert last is not None
    assert last.body["turn"] == 2
    assert not last.fresh(moment(2))


def test_a_result_of_somebody_unknown_is_kept_and_holds_nobody(registry: Registry) -> None:
    registry.record(
        result("host-x", key=None, tier=Tier.CONTRAINDICATED, reason=Reason.KEY_UNKNOWN), generated=moment()
    )
    assert [one.key for one in registry.results("host-x")] == [None]
    assert registry.latest("host-x") is None
    assert [one.held for one in registry.attesters()] == [False]


def test_an_affirming_result_needs_a_memory_and_an_expiry(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="is not stored without"):
        registry.record(result(), generated=moment(), expires=moment(60))
    with pytest.raises(RegistryError, match="not an attestation result"):
        registry.accept(
            result(),
            key_name=KEY,
            memory=None,
            version=registry.memory("host-a", KEY)[1],
            generated=moment(),
            expires=None,
        )
    assert registry.results() == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"tier": "excellent"},
        {"tier": None},
        {"tier": ["none"]},
        {"reason": None},
        {"attester": None},
        {"attester": "a b"},
        {"key": 5},
        {"claims": float("nan")},
    ],
    ids=str,
)
def test_what_is_no_result_is_refused_and_leaves_nothing(registry: Registry, wrong: dict[str, Json]) -> None:
    with pytest.raises(RegistryError):
        registry.record({**result(tier=Tier.NONE), **wrong}, generated=moment())
    assert registry.results() == ()


def test_a_key_that_was_replaced_meanwhile_holds_nobody(registry: Registry, present: SteppedPresent) -> None:
    """Asked by the old key, answered with the new one that was just being made: no fault of the machine's."""
    known = registry.attester("host-a")
    assert known is not None
    old = known.keys[0].name
    new = registry.re_enrol(enrolment(turn=2)).keys[0].name
    registry.record(condemned(), generated=present.at, judged_by=old)
    assert [one.held for one in registry.attesters()] == [False]
    assert registry.results("host-a")[0].tier == Tier.CONTRAINDICATED
    registry.record(condemned(), generated=present.at, judged_by=new)
    assert [one.held for one in registry.attesters()] == [True]
