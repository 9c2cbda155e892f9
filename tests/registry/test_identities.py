"""One identity, one TPM: enrolled, enrolled again, held, revoked, released."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.attest.evidence import RefusedError
from harness.attest.identity.enrolled import EnrolledKey, Enrolment
from harness.attest.reasons import Reason
from harness.registry.errors import RegistryError
from harness.registry.registry import Registry, open_registry
from tests.registry.subjects import SteppedPresent, condemned, enrolment, key, moment, name, result


def refusal(registry: Registry, attempt: Enrolment) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        registry.enrol(attempt)
    return caught.value


def test_what_was_enrolled_is_there_in_another_registry_object(url: str, present: SteppedPresent) -> None:
    asked = enrolment("host-a")
    with open_registry(url, now=present) as registry:
        given = registry.enrol(asked)
    with open_registry(url) as registry:
        assert registry.attester("host-a") == given
        assert registry.attesters() == (given,)
        assert registry.attester("host-b") is None
    assert (given.id, given.kind, given.ek_name) == ("host-a", "host", asked.ek_name)
    assert (given.ek_certificate, given.tpm, given.enrolled) == (asked.ek_certificate, asked.tpm, present.at)
    assert (given.held, given.revoked, given.released) == (False, False, False)
    assert [(one.kind, one.public, one.name, one.qualified_name, one.revoked) for one in given.keys] == [
        (one.kind, one.public, one.name, one.qualified_name, False) for one in asked.keys
    ]


def test_each_kind_of_key_is_found_by_itself(registry: Registry) -> None:
    asked = enrolment("host-a")
    registry.enrol(asked)
    found = registry.key("host-a", "rsa-2048")
    assert found is not None
    assert found.name == asked.keys[1].name
    registry.enrol(replace(enrolment("host-b"), keys=(key("tpm of host-b"),)))
    assert registry.key("host-b", "rsa-2048") is None
    assert registry.key("host-c", "rsa-2048") is None


def test_a_second_tpm_under_the_same_id_is_refused(registry: Registry) -> None:
    first = registry.enrol(enrolment("host-a", tpm="one"))
    refused = refusal(registry, enrolment("host-a", tpm="two"))
    assert (refused.reason, refused.why) == (
        Reason.IDENTITY_TAKEN,
        "host-a is enrolled already, with another TPM",
    )
    assert registry.attester("host-a") == first


def test_the_same_tpm_under_a_second_id_is_refused(registry: Registry) -> None:
    registry.enrol(enrolment("host-a", tpm="one"))
    refused = refusal(registry, enrolment("host-b", tpm="one", turn=2))
    assert (refused.reason, refused.why) == (Reason.IDENTITY_TAKEN, "this TPM is enrolled as host-a")
    assert registry.attester("host-b") is None


def test_the_same_enrolment_twice_is_refused_and_says_what_to_do(registry: Registry) -> None:
    registry.enrol(enrolment("host-a"))
    refused = refusal(registry, enrolment("host-a"))
    assert refused.why == "host-a is enrolled already"
    assert "re-enrolled" in refused.remedy


def test_a_key_of_another_attester_is_refused_and_nothing_of_the_enrolment_stays(registry: Registry) -> None:
    registry.enrol(enrolment("host-a", tpm="one"))
    stolen = replace(enrolment("host-b", tpm="two"), keys=(key("one"),))
    refused = refusal(registry, stolen)
    assert (refused.reason, refused.why) == (Reason.IDENTITY_TAKEN, "one of these keys is host-a's")
    assert registry.attester("host-b") is None
    assert registry.history("host-b") == ()
    registry.enrol(enrolment("host-b", tpm="two"))


@pytest.mark.parametrize("attester", ["", " host", "a/b", "höst", "x" * 129, "a\n", "a\x00"])
def test_an_id_has_one_spelling(registry: Registry, attester: str) -> None:
    with pytest.raises(RegistryError, match="cannot name an attester"):
        registry.enrol(enrolment(attester, tpm="one"))


@pytest.mark.parametrize("keys", [(), (key("one"), key("one", turn=2))], ids=["none", "two of a kind"])
def test_an_enrolment_has_one_key_of_a_kind(registry: Registry, keys: tuple[EnrolledKey, ...]) -> None:
    with pytest.raises(RegistryError, match="needs an EK name and one key"):
        registry.enrol(replace(enrolment(), keys=keys))


def test_re_enrolment_gives_new_keys_ends_the_hold_and_keeps_the_history(
    registry: Registry, present: SteppedPresent
) -> None:
    first = registry.enrol(enrolment("host-a"))
    registry.record(condemned(), generated=moment(1))
    present.at = moment(2)
    again = registry.re_enrol(enrolment("host-a", turn=2))
    assert again.enrolled == first.enrolled
    assert not again.held
    assert {one.name for one in again.keys}.isdisjoint(one.name for one in first.keys)
    assert registry.attester("host-a") == again
    assert [one.reason for one in registry.results("host-a")] == ["pcr-value"]
    history = registry.history("host-a")
    assert [(one.event, one.why) for one in history] == [
        ("enrolled", ""),
        ("held", "pcr-value"),
        ("re-enrolled", ""),
    ]
    assert history[0].detail["keys"] == {one.kind: one.name.hex() for one in first.keys}
    assert history[2].at == moment(2)


def test_re_enrolment_with_the_same_keys_is_possible(registry: Registry) -> None:
    registry.enrol(enrolment("host-a"))
    assert registry.re_enrol(enrolment("host-a")).keys == registry.re_enrol(enrolment("host-a")).keys


@pytest.mark.parametrize(
    ("attempt", "reason"),
    [
        (enrolment("host-b"), Reason.NOT_ENROLLED),
        (enrolment("host-a", tpm="another"), Reason.IDENTITY_TAKEN),
        (replace(enrolment("host-a"), kind="guest"), Reason.IDENTITY_TAKEN),
        (replace(enrolment("host-a"), keys=(key("tpm of host-c"),)), Reason.IDENTITY_TAKEN),
    ],
    ids=["unknown", "another TPM", "another kind", "another's key"],
)
def test_re_enrolment_is_of_the_same_tpm_alone(
    registry: Registry, attempt: Enrolment, reason: Reason
) -> None:
    first = registry.enrol(enrolment("host-a"))
    registry.enrol(enrolment("host-c"))
    registry.record(condemned(), generated=moment())
    with pytest.raises(RefusedError) as caught:
        registry.re_enrol(attempt)
    assert caught.value.reason is reason
    assert registry.attester("host-a") == replace(first, held=True)


def test_a_revoked_identity_says_so_at_every_key_and_never_comes_back(registry: Registry) -> None:
    registry.enrol(enrolment("host-a", tpm="one"))
    registry.revoke("host-a", "stolen")
    registry.revoke("host-a", "stolen again")
    found = registry.attester("host-a")
    assert found is not None
    assert found.revoked
    assert [one.revoked for one in found.keys] == [True, True]
    attempts: list[tuple[Callable[[], object], Reason]] = [
        (lambda: registry.re_enrol(enrolment("host-a", tpm="one", turn=2)), Reason.REVOKED),
        (lambda: registry.release("host-a", "gone"), Reason.REVOKED),
        (lambda: registry.enrol(enrolment("host-b", tpm="one", turn=2)), Reason.IDENTITY_TAKEN),
        (lambda: registry.enrol(enrolment("host-a", tpm="two")), Reason.IDENTITY_TAKEN),
    ]
    for attempt, reason in attempts:
        with pytest.raises(RefusedError) as caught:
            attempt()
        assert caught.value.reason is reason
    assert [(one.event, one.why) for one in registry.history("host-a")][1:] == [("revoked", "stolen")]


def test_a_released_identity_is_history_and_its_tpm_is_free(registry: Registry) -> None:
    registry.enrol(enrolment("guest-1", tpm="one", kind="guest"))
    registry.release("guest-1", "undefined")
    assert registry.attester("guest-1") is None
    assert registry.key("guest-1", "ecc-p256") is None
    assert registry.attesters() == ()
    again = registry.enrol(enrolment("guest-2", tpm="one", kind="guest"))
    assert registry.attesters() == (again,)
    assert again.ek_name == name("one")
    assert [one.event for one in registry.history("guest-1")] == ["enrolled", "released"]


def test_a_released_id_may_be_another_tpms_and_inherits_nothing(registry: Registry) -> None:
    registry.enrol(enrolment("guest-1", tpm="one", kind="guest"))
    kept = registry.memory("guest-1", key("one").name)
    assert registry.accept(
        result("guest-1"),
        key_name=key("one").name,
        memory={"clock": 5},
        version=kept[1],
        generated=moment(),
        expires=moment(60),
    )
    registry.record(condemned("guest-1"), generated=moment())
    registry.release("guest-1", "undefined")
    again = registry.enrol(enrolment("guest-1", tpm="two", kind="guest"))
    assert not again.held
    assert registry.latest("guest-1") is None
    assert registry.memory("guest-1", key("one").name) == (None, 0)
    assert len(registry.results("guest-1")) == 2


@pytest.mark.parametrize("why", ["", "  ", "\x00", "x" * 2001])
def test_a_revocation_has_a_reason(registry: Registry, why: str) -> None:
    registry.enrol(enrolment("host-a"))
    for attempt in (registry.revoke, registry.release):
        with pytest.raises(RegistryError, match="a reason must be"):
            attempt("host-a", why)
    assert len(registry.history("host-a")) == 1


@pytest.mark.parametrize("attempt", ["revoke", "release"])
def test_nobody_is_revoked_or_released_who_is_not_enrolled(registry: Registry, attempt: str) -> None:
    with pytest.raises(RefusedError) as caught:
        getattr(registry, attempt)("host-a", "gone")
    assert caught.value.reason is Reason.NOT_ENROLLED
