"""Twelve steps in their order: each refuses what it is there for, with its own code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.attest.evidence import Evidence, KeyType, RefusedError
from harness.attest.played import software_tpm
from harness.attest.played.logs import Line
from harness.attest.played.platform import (
    EXPIRES_NS,
    ISSUED_NS,
    KINDS,
    NONCE,
    PCRS,
    Platform,
    challenge,
    judged,
    platform,
    policy,
    question,
    ticking,
)
from harness.attest.played.software_tpm import FIRMWARE, SoftwareTpm, changed
from harness.attest.reasons import Reason, Tier
from harness.attest.tpm.algorithms import Alg
from harness.attest.tpm.structures import Selection
from harness.attest.verify import verifier
from harness.attest.verify.verifier import STEPS, Step, verify
from tests.attest.questions import refused

NEW_FILE = Line(path=b"/usr/bin/new", content=b"new")


def quoted(machine: Platform, **overrides: object) -> Evidence:
    """The machine's evidence with a quote that its own key signed, of which some fields are not honest."""
    nonce = overrides.pop("nonce", NONCE)
    assert isinstance(nonce, bytes)
    attest, signature = machine.tpm.quote(nonce, machine.pcrs, **overrides)  # type: ignore[arg-type]
    return changed(machine.evidence(), attest=attest, signature=signature)


@pytest.mark.parametrize("kind", KINDS)
def test_good_evidence_is_affirmed_in_twelve_steps(tpms: dict[KeyType, SoftwareTpm], kind: KeyType) -> None:
    verification = judged(platform(tpms[kind]))
    assert verification.result.reason is Reason.ACCEPTED, verification.result.detail
    assert verification.result.tier is Tier.AFFIRMING
    assert verification.accepted
    assert [(one.number, one.name) for one in verification.steps] == [
        (number, name)
        for number, name in enumerate(
            (
                *("structure", "scheme", "key", "signature", "origin", "freshness"),
                *("selection", "values", "clock", "event-log", "ima", "appraisal"),
            ),
            start=1,
        )
    ]
    assert [one.ns for one in verification.steps] == [1_000] * 12


def test_result_is_stamped_when_the_steps_have_run(machine: Platform) -> None:
    result = judged(machine, policy=policy(result_lifetime_s=2.5)).result
    assert result.generated_ns == 2_000_000_000 + 12_000
    assert result.expires_ns == result.generated_ns + 2_500_000_000
    assert (result.attester, result.key, result.policy) == ("host-a", "ecc-p256", "strict")


def test_claims_are_what_was_verified(machine: Platform) -> None:
    claims = judged(machine).result.claims
    assert claims["pcrs"] == {str(index): value.hex() for index, value in machine.pcrs.items()}
    assert claims["nonce"] == NONCE.hex()
    assert claims["boot"] == "first"
    assert claims["firmware_version"] == f"{FIRMWARE:016x}"
    assert claims["checked"] == ["firmware-version", "pcr-values", "event-log", "ima"]
    assert claims["unchecked"] == []
    assert claims["ima"] == {"entries": 20, "new": 20, "ahead": 0}


def test_any_other_exception_is_raised(machine: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(verifier, "STEPS", (Step(number=1, name="structure", parts=(broken,)),))
    with pytest.raises(ZeroDivisionError):
        judged(machine)


# 1 structure


@pytest.mark.parametrize("part", ["attest_bytes", "signature_bytes", "event_log_bytes", "ima_bytes"])
def test_larger_than_the_policy_allows(machine: Platform, part: str) -> None:
    refused(judged(machine, policy=policy(limits={part: 50})), Reason.SIZE_LIMIT, "structure")


@pytest.mark.parametrize(("part", "step"), [("events", "event-log"), ("ima_entries", "ima")])
def test_more_entries_than_the_policy_allows(machine: Platform, part: str, step: str) -> None:
    refused(judged(machine, policy=policy(limits={part: 10})), Reason.SIZE_LIMIT, step)


def test_an_attest_that_is_none(machine: Platform) -> None:
    evidence = changed(machine.evidence(), attest=b"\xffTCG")
    refused(judged(machine, evidence), Reason.MALFORMED_ATTEST, "structure")


def test_a_signature_that_is_none(machine: Platform) -> None:
    evidence = changed(machine.evidence(), signature=b"\0\x18")
    refused(judged(machine, evidence), Reason.MALFORMED_SIGNATURE, "structure")


def test_bytes_behind_the_quote(machine: Platform) -> None:
    good = machine.evidence()
    evidence = changed(good, attest=good.attest + b"\0")
    refused(judged(machine, evidence), Reason.TRAILING_BYTES, "structure")


# 2 scheme


def test_a_scheme_that_the_policy_does_not_allow(machine: Platform) -> None:
    refused(judged(machine, policy=policy(keys=["rsa-2048"])), Reason.SCHEME_NOT_ALLOWED, "scheme")


def test_sha1_is_not_allowed(tpms: dict[KeyType, SoftwareTpm]) -> None:
    machine = platform(tpms["rsa-2048"])
    evidence = machine.evidence()
    weak = changed(evidence, signature=machine.tpm.sign(evidence.attest, hash_alg=Alg.SHA1))
    refused(judged(machine, weak), Reason.HASH_NOT_ALLOWED, "scheme")


def test_another_padding_than_the_keys_own(tpms: dict[KeyType, SoftwareTpm]) -> None:
    machine = platform(tpms["rsa-2048"])
    evidence = machine.evidence()
    other = changed(evidence, signature=machine.tpm.sign(evidence.attest, scheme=Alg.RSAPSS))
    refused(judged(machine, other), Reason.SCHEME_MISMATCH, "scheme")


def test_pss_is_accepted_of_a_key_that_has_it() -> None:
    machine = platform(SoftwareTpm("rsa-2048", scheme=Alg.RSAPSS))
    assert judged(machine).accepted


# 3 key


def test_nobody_enrolled(machine: Platform) -> None:
    verification = judged(machine, key=None)
    refused(verification, Reason.KEY_UNKNOWN, "key")
    assert verification.result.attester == ""


def test_the_attester_says_that_another_key_signed(machine: Platform) -> None:
    evidence = changed(machine.evidence(), key="rsa-2048")
    refused(judged(machine, evidence), Reason.KEY_UNKNOWN, "key")


def test_an_enrolled_name_that_is_not_the_keys(machine: Platform) -> None:
    key = replace(machine.key, name=machine.key.name[:-1] + b"\0")
    refused(judged(machine, key=key), Reason.KEY_UNKNOWN, "key")


def test_a_revoked_key(machine: Platform) -> None:
    refused(judged(machine, key=replace(machine.key, revoked=True)), Reason.KEY_REVOKED, "key")


@pytest.mark.parametrize("bit", [1, 4, 5, 16, 18])
def test_a_key_that_could_sign_anything_or_leave_its_tpm(bit: int) -> None:
    machine = platform(SoftwareTpm("ecc-p256", attributes=software_tpm.AK_ATTRIBUTES & ~(1 << bit)))
    refused(judged(machine), Reason.KEY_ATTRIBUTES, "key")


# 4 signature


@pytest.mark.parametrize("kind", KINDS)
def test_signed_by_another_key_of_the_same_tpm(tpms: dict[KeyType, SoftwareTpm], kind: KeyType) -> None:
    machine = platform(tpms[kind])
    evidence = machine.evidence()
    other = changed(evidence, signature=machine.tpm.another_key().sign(evidence.attest))
    refused(judged(machine, other), Reason.SIGNATURE_INVALID, "signature")


def test_one_bit_of_the_quote_is_another(machine: Platform) -> None:
    evidence = machine.evidence()
    flipped = evidence.attest[:-1] + bytes([evidence.attest[-1] ^ 1])
    refused(judged(machine, changed(evidence, attest=flipped)), Reason.SIGNATURE_INVALID, "signature")


# 5 origin


def test_another_magic(machine: Platform) -> None:
    refused(judged(machine, quoted(machine, magic=0xFF544348)), Reason.NOT_TPM_GENERATED, "origin")


@pytest.mark.parametrize("kind", [software_tpm.CERTIFY, software_tpm.TIME, software_tpm.NV])
def test_something_else_than_a_quote(machine: Platform, kind: int) -> None:
    refused(judged(machine, quoted(machine, type=kind, body=bytes(40))), Reason.NOT_A_QUOTE, "origin")


def test_a_key_in_another_hierarchy(machine: Platform) -> None:
    other = quoted(machine, qualified_signer=b"\0\x0b" + bytes(32))
    refused(judged(machine, other), Reason.QUALIFIED_SIGNER, "origin")


# 6 freshness


@pytest.mark.parametrize("answer", [b"", NONCE[:-1], NONCE + b"\0", NONCE[::-1], NONCE.hex().encode()])
def test_an_answer_to_another_challenge(machine: Platform, answer: bytes) -> None:
    refused(judged(machine, quoted(machine, nonce=answer)), Reason.NONCE_MISMATCH, "freshness")


@pytest.mark.parametrize("nonce", [b"", bytes(15)])
def test_a_nonce_that_is_too_short(machine: Platform, nonce: bytes) -> None:
    evidence = quoted(machine, nonce=nonce)
    refused(judged(machine, evidence, challenge=challenge(nonce=nonce)), Reason.NONCE_SHORT, "freshness")


def test_sixteen_bytes_of_nonce_are_enough(machine: Platform) -> None:
    nonce = NONCE[:16]
    assert judged(machine, machine.evidence(nonce=nonce), challenge=challenge(nonce=nonce)).accepted


def test_an_old_quote_reads_as_one_even_to_a_used_challenge(machine: Platform) -> None:
    old = quoted(machine, nonce=NONCE[::-1])
    verification = judged(machine, old, challenge=challenge(used=True, expires_ns=ISSUED_NS))
    refused(verification, Reason.NONCE_MISMATCH, "freshness")


def test_a_challenge_is_answered_once(machine: Platform) -> None:
    refused(judged(machine, challenge=challenge(used=True)), Reason.NONCE_REUSED, "freshness")


@pytest.mark.parametrize(
    ("now_ns", "accepted"), [(EXPIRES_NS, True), (EXPIRES_NS + 1, False), (ISSUED_NS, True)]
)
def test_a_challenge_expires(machine: Platform, now_ns: int, accepted: bool) -> None:
    verification = judged(machine, now_ns=now_ns)
    assert verification.accepted is accepted
    if not accepted:
        refused(verification, Reason.NONCE_EXPIRED, "freshness")


def test_a_challenge_from_the_future_is_none(machine: Platform) -> None:
    refused(judged(machine, now_ns=ISSUED_NS - 1), Reason.NONCE_EXPIRED, "freshness")


# 7 selection


@pytest.mark.parametrize("selections", [[], [Selection(hash_alg=Alg.SHA256, pcrs=())]])
def test_an_empty_selection(machine: Platform, selections: list[Selection]) -> None:
    evidence = quoted(machine, selections=selections, pcr_digest=software_tpm.digest_of({}))
    refused(judged(machine, evidence), Reason.SELECTION_EMPTY, "selection")


def test_two_selections(machine: Platform) -> None:
    one = Selection(hash_alg=Alg.SHA256, pcrs=PCRS)
    refused(judged(machine, quoted(machine, selections=[one, one])), Reason.SELECTION_MISMATCH, "selection")


@pytest.mark.parametrize("bank", [Alg.SHA1, Alg.SHA384])
def test_another_bank_is_signed(machine: Platform, bank: int) -> None:
    other = quoted(machine, selections=[Selection(hash_alg=bank, pcrs=PCRS)])
    refused(judged(machine, other), Reason.BANK_MISMATCH, "selection")


def test_values_of_another_bank(machine: Platform) -> None:
    evidence = changed(machine.evidence(), bank="sha384")
    refused(judged(machine, evidence), Reason.BANK_MISMATCH, "selection")


def test_a_challenge_for_another_bank_than_the_policys(machine: Platform) -> None:
    refused(judged(machine, policy=policy(bank="sha384")), Reason.BANK_MISMATCH, "selection")


@pytest.mark.parametrize("pcrs", [PCRS[:-1], (*PCRS, 11), (*PCRS[:-1], 12)])
def test_other_pcrs_are_signed(machine: Platform, pcrs: tuple[int, ...]) -> None:
    other = quoted(machine, selections=[Selection(hash_alg=Alg.SHA256, pcrs=pcrs)])
    refused(judged(machine, other), Reason.SELECTION_MISMATCH, "selection")


def test_the_policys_pcrs_are_asked_for(machine: Platform) -> None:
    verification = judged(machine, policy=policy(pcrs=(*PCRS, 14)))
    refused(verification, Reason.SELECTION_MISMATCH, "selection")


def test_the_order_in_which_pcrs_are_asked_for_does_not_matter(machine: Platform) -> None:
    assert judged(machine, challenge=challenge(pcrs=PCRS[::-1])).accepted


# 8 values


def test_a_value_of_a_pcr_that_was_not_signed(machine: Platform) -> None:
    evidence = changed(machine.evidence(), pcrs=machine.pcrs | {16: bytes(32)})
    refused(judged(machine, evidence), Reason.PCR_OUTSIDE_SELECTION, "values")


def test_a_value_is_missing(machine: Platform) -> None:
    pcrs = {index: value for index, value in machine.pcrs.items() if index != 7}
    refused(judged(machine, changed(machine.evidence(), pcrs=pcrs)), Reason.PCR_MISSING, "values")


def test_a_value_is_another(machine: Platform) -> None:
    evidence = changed(machine.evidence(), pcrs=machine.pcrs | {7: bytes(32)})
    refused(judged(machine, evidence), Reason.PCR_DIGEST, "values")


def test_two_values_are_swapped(machine: Platform) -> None:
    pcrs = machine.pcrs
    evidence = changed(machine.evidence(), pcrs=pcrs | {0: pcrs[4], 4: pcrs[0]})
    refused(judged(machine, evidence), Reason.PCR_DIGEST, "values")


def test_values_that_are_cut_elsewhere_give_the_same_digest(machine: Platform) -> None:
    pcrs = machine.pcrs
    moved = pcrs | {0: pcrs[0] + pcrs[1][:1], 1: pcrs[1][1:]}
    assert software_tpm.digest_of(moved) == software_tpm.digest_of(pcrs)
    refused(judged(machine, changed(machine.evidence(), pcrs=moved)), Reason.PCR_DIGEST, "values")


# the order of the steps


def test_no_claim_before_the_evidence_is_genuine(machine: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever step refuses, the last excepted, nothing of the platform is in the result."""

    def refuse(_: object) -> None:
        raise RefusedError(Reason.PCR_VALUE, "no")

    for number, step in enumerate(STEPS, start=1):
        shortened = (*STEPS[: number - 1], replace(step, parts=(refuse,)), *STEPS[number:])
        monkeypatch.setattr(verifier, "STEPS", shortened)
        verification = verify(machine.evidence(), question(machine), tick=ticking())
        assert len(verification.steps) == number
        assert bool(verification.result.claims) is (number == 12)
        text = str(verification.result.to_json())
        leaked = [value.hex() in text for value in machine.pcrs.values() if any(value)]
        assert any(leaked) is (number == 12)
