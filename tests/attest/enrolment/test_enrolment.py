"""Enrolment with real TPMs: what passes is stored whole, what does not leaves nothing behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from harness.attest.evidence import RefusedError
from harness.attest.examine.recording import genuine
from harness.attest.examine.round import Examiner
from harness.attest.identity import enrolment
from harness.attest.identity.authorities import NOBODY
from harness.attest.identity.endorsement import Endorsement, check
from harness.attest.identity.enrolment import enrol
from harness.attest.played.logs import Line
from harness.attest.played.software_tpm import AK_ATTRIBUTES
from harness.attest.reasons import Reason, Tier
from harness.attest.reference.files import load_policy
from harness.attest.reference.policy import AppraisalPolicy, ReferenceValues
from harness.attest.reference.values import record
from harness.attest.tpm import structures
from harness.registry.places import policy_file
from harness.registry.registry import Registry
from tests.attest.enrolment.asking import CLOCK, KINDS, Altered, asked, refused
from tests.attest.machine import Machine, machine

pytestmark = pytest.mark.programs


# -- what passes


def test_a_machine_is_enrolled_with_both_keys_and_then_attests(one: Machine, registry: Registry) -> None:
    done = enrol(one.attester, registry, asked(one, keys=KINDS), CLOCK)
    assert registry.attester("a") == done.record
    assert {key.kind for key in done.record.keys} == set(KINDS)
    assert done.endorsement is not None
    assert done.record.ek_certificate == done.endorsement.certificate
    assert (done.record.tpm.software, done.record.tpm.manufacturer) == (True, "id:00001014 swtpm")
    names = [name for name, _ in done.phases]
    assert names == [
        "identify",
        "endorsement",
        *(f"{step} {kind}" for kind in KINDS for step in ("create", "activate", "first quote")),
        "store",
    ]
    assert all(ns > 0 for _, ns in done.phases)

    policy = load_policy(policy_file("lab"))
    good = record(genuine(one.attester, registry, "a", key="rsa-2048", policy=policy, clock=CLOCK), policy)
    examiner = _examiner(registry, policy, good)
    for kind in KINDS:
        verdict = examiner.examine("a", one.attester, key=kind).result
        assert (verdict.tier, verdict.reason) == (Tier.AFFIRMING, Reason.ACCEPTED)
    latest = registry.latest("a")
    assert latest is not None
    assert latest.tier is Tier.AFFIRMING


def _examiner(registry: Registry, policy: AppraisalPolicy, reference: ReferenceValues) -> Examiner:
    return Examiner(registry, lambda _name: policy, lambda _name: reference, CLOCK)


def test_a_file_that_changed_holds_the_machine_until_it_is_enrolled_anew(
    tmp_path: Path, registry: Registry
) -> None:
    with machine(tmp_path / "own") as own:
        enrol(own.attester, registry, asked(own), CLOCK)
        policy = load_policy(policy_file("lab"))
        good = record(
            genuine(own.attester, registry, "a", key="ecc-p256", policy=policy, clock=CLOCK), policy
        )
        examiner = _examiner(registry, policy, good)
        assert examiner.examine("a", own.attester, key="ecc-p256").result.tier is Tier.AFFIRMING

        own.use([Line(path=own.files[1].path, content=b"something else")])
        changed = examiner.examine("a", own.attester, key="ecc-p256").result
        assert (changed.tier, changed.reason) == (Tier.CONTRAINDICATED, Reason.IMA_FILE_CHANGED)
        held = registry.attester("a")
        assert held is not None
        assert held.held

        again = enrol(own.attester, registry, asked(own, renew=True), CLOCK)
        assert not again.record.held
        assert again.record.keys != held.keys
        assert examiner.examine("a", own.attester, key="ecc-p256").result.reason is Reason.IMA_FILE_CHANGED


def test_a_pinned_key_needs_no_certificate_but_counts_as_software(one: Machine, registry: Registry) -> None:
    public = one.attester.identify().ek_public["rsa-2048"]
    pin = structures.name_of(public).hex()[4:]
    hardware = {"ek_certificates": {}, "software": False}
    uncertified = Altered(one.attester, identity=lambda said: said.model_copy(update=hardware))
    done = enrol(uncertified, registry, asked(one, authorities=NOBODY, trusted_ek=pin), CLOCK)
    assert (done.endorsement, done.record.ek_certificate) == (None, None)
    assert done.record.tpm.software
    assert done.record.ek_name == structures.name_of(public)


def test_the_fingerprint_is_what_the_guide_has_the_machine_print(one: Machine) -> None:
    one.tpm.flush()
    one.tpm.run("tpm2_createek", "--key-algorithm", "rsa", "--ek-context", "ek.ctx", "--public", "ek.pub")
    printed = one.tpm.run("tpm2_readpublic", "--object-context", "ek.ctx").stdout
    one.tpm.flush()
    name = structures.name_of(one.attester.identify().ek_public["rsa-2048"]).hex()
    assert f"name: {name}" in printed
    assert name.startswith("000b")


@pytest.mark.parametrize(
    ("certified", "says", "counts"),
    [(True, False, True), (False, True, True), (True, True, True), (False, False, False)],
)
def test_a_tpm_is_hardware_only_if_its_maker_and_itself_say_so(
    one: Machine,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    certified: bool,
    says: bool,
    counts: bool,
) -> None:
    def vouched(*given: object, **named: object) -> Endorsement:
        return replace(check(*given, **named), software=certified)  # type: ignore[arg-type]

    monkeypatch.setattr(enrolment, "check", vouched)
    said = Altered(one.attester, identity=lambda told: told.model_copy(update={"software": says}))
    assert enrol(said, registry, asked(one), CLOCK).record.tpm.software is counts


# -- one id, one TPM


def test_an_id_that_is_taken_is_refused_before_any_key_is_made(
    one: Machine, other: Machine, registry: Registry
) -> None:
    """New keys would take the place of those that are enrolled."""
    enrol(one.attester, registry, asked(one), CLOCK)
    again, second = Altered(one.attester), Altered(other.attester)
    error = refused(again, registry, asked(one))
    assert (error.reason, again.keys_made) == (Reason.IDENTITY_TAKEN, 0)
    assert "--renew" in error.remedy
    error = refused(second, registry, asked(other))
    assert (error.reason, second.keys_made) == (Reason.IDENTITY_TAKEN, 0)
    assert error.why == "a is enrolled already, with another TPM"


def test_a_second_tpm_is_not_a_renewal(one: Machine, other: Machine, registry: Registry) -> None:
    enrol(one.attester, registry, asked(one), CLOCK)
    liar = Altered(other.attester)
    error = refused(liar, registry, asked(other, renew=True))
    assert (error.reason, liar.keys_made) == (Reason.IDENTITY_TAKEN, 0)


def test_one_tpm_has_one_id(one: Machine, registry: Registry) -> None:
    enrol(one.attester, registry, asked(one), CLOCK)
    again = Altered(one.attester)
    error = refused(again, registry, asked(one, name="b"))
    assert (error.reason, error.why, again.keys_made) == (
        Reason.IDENTITY_TAKEN,
        "this TPM is enrolled as a",
        0,
    )


def test_another_endorsement_key_of_the_tpm_is_the_users_choice_alone(
    one: Machine, registry: Registry
) -> None:
    """The P-256 one has no certificate here, so even its user cannot enrol the TPM a second time by it."""
    enrol(one.attester, registry, asked(one), CLOCK)
    assert refused(one.attester, registry, asked(one, name="b", ek="ecc-p256")).reason in {
        Reason.EK_KEY,
        Reason.EK_CERTIFICATE,
    }


def test_who_is_not_enrolled_has_nothing_to_renew(one: Machine, registry: Registry) -> None:
    assert refused(one.attester, registry, asked(one, renew=True)).reason is Reason.NOT_ENROLLED


def test_a_revoked_machine_stays_revoked(one: Machine, registry: Registry) -> None:
    enrol(one.attester, registry, asked(one), CLOCK)
    registry.revoke("a", "sold")
    for renew in (False, True):
        assert refused(one.attester, registry, asked(one, renew=renew)).reason is Reason.REVOKED
    assert refused(one.attester, registry, asked(one, name="b")).reason is Reason.IDENTITY_TAKEN
    policy = load_policy(policy_file("lab"))
    examiner = _examiner(registry, policy, ReferenceValues(version=1))
    verdict = examiner.examine("a", one.attester, key="ecc-p256").result
    assert (verdict.tier, verdict.reason) == (Tier.CONTRAINDICATED, Reason.KEY_REVOKED)
    with pytest.raises(RefusedError) as caught:
        genuine(one.attester, registry, "a", key="ecc-p256", policy=policy, clock=CLOCK)
    assert caught.value.reason is Reason.KEY_REVOKED


def test_reference_values_are_only_taken_from_who_is_enrolled(
    one: Machine, other: Machine, registry: Registry
) -> None:
    policy = load_policy(policy_file("lab"))
    with pytest.raises(RefusedError) as caught:
        genuine(one.attester, registry, "a", key="ecc-p256", policy=policy, clock=CLOCK)
    assert caught.value.reason is Reason.NOT_ENROLLED
    enrol(one.attester, registry, asked(one), CLOCK)
    other.attester.create_key("ecc-p256")
    with pytest.raises(RefusedError) as caught:
        genuine(other.attester, registry, "a", key="ecc-p256", policy=policy, clock=CLOCK)
    assert caught.value.reason is Reason.SIGNATURE_INVALID
    assert registry.results("a") == ()


def test_the_curve_of_a_stored_key_is_the_one_that_was_asked_for(one: Machine, registry: Registry) -> None:
    done = enrol(one.attester, registry, asked(one), CLOCK)
    area = structures.parse_public(done.record.keys[0].public)
    assert area.attributes == AK_ATTRIBUTES
    point = ec.EllipticCurvePublicNumbers(
        int.from_bytes(area.x or b"", "big"), int.from_bytes(area.y or b"", "big"), ec.SECP256R1()
    )
    assert point.public_key().key_size == 256
