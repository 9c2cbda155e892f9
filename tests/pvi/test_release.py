"""Secrets go to a host that was just attested as what it is enrolled as; every other one has its reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from harness.attest.evidence import RefusedError
from harness.attest.examine.outcome import Round
from harness.attest.played.platform import ISSUED_NS, NONCE, challenge, platform, policy, require
from harness.attest.played.software_tpm import CLOCK, SoftwareTpm
from harness.attest.reasons import Reason, Tier
from harness.attest.tpm.structures import name_of
from harness.clock import NS_PER_S
from harness.pvi.release import Conditions
from tests.pvi.hosts import Probed, enrolled_as, probed

S = NS_PER_S
OTHER = SoftwareTpm("ecc-p256")


def test_the_terms_are_what_the_host_quoted(host: Probed) -> None:
    released = host.release()
    assert released.host == "host-a"
    assert released.ek_public == host.ek_public
    assert released.age_ns == host.now_ns - ISSUED_NS
    terms = released.terms
    assert (terms.reset_count, terms.restart_count) == (CLOCK.reset_count, CLOCK.restart_count)
    assert terms.until_ms == CLOCK.clock_ms + 120_000
    assert host.round.evidence is not None
    assert dict(terms.pcrs) == {pcr: host.round.evidence.pcrs[pcr] for pcr in range(10)}, "all but 10"


def test_only_signed_pcrs_are_sealed_to(tpm: SoftwareTpm) -> None:
    few = (0, 4, 10)
    pcrs = {pcr: platform(tpm).pcrs[pcr] for pcr in few}
    ignoring = policy(pcrs=few, require=require("check", "ignore", "ignore"))
    host = probed(
        tpm, tpm.evidence(NONCE, pcrs), challenge=challenge(pcrs=few, ima_from=None), policy=ignoring
    )
    assert host.round.result.reason is Reason.ACCEPTED
    assert dict(host.release().terms.pcrs) == {pcr: pcrs[pcr] for pcr in (0, 4)}


def test_the_owner_says_for_how_long(host: Probed) -> None:
    short = replace(host, conditions=Conditions(lasting_s=2.5))
    assert short.release().terms.until_ms == CLOCK.clock_ms + 2_500


def _without_key(attested: Round) -> Round:
    assert attested.proof is not None
    return replace(attested, proof=replace(attested.proof, key=None))


SPOILT: Mapping[str, tuple[Callable[[Probed], Probed], Reason]] = {
    "not enrolled": (lambda host: replace(host, identity=None), Reason.NOT_ENROLLED),
    "a guest": (lambda host: enrolled_as(host, kind="guest"), Reason.NOT_ENROLLED),
    "released": (lambda host: enrolled_as(host, released=True), Reason.NOT_ENROLLED),
    "another host": (lambda host: enrolled_as(host, id="host-b"), Reason.NOT_ENROLLED),
    "revoked": (lambda host: enrolled_as(host, revoked=True), Reason.REVOKED),
    "held since": (lambda host: enrolled_as(host, held=True), Reason.HELD_CONTRAINDICATED),
    "another TPM": (lambda host: replace(host, ek_public=OTHER.ek_public), Reason.EK_KEY),
    "another TPM enrolled": (
        lambda host: enrolled_as(host, ek_name=name_of(OTHER.ek_public)),
        Reason.EK_KEY,
    ),
    "another key enrolled": (lambda host: enrolled_as(host, keys=()), Reason.KEY_UNKNOWN),
    "no key": (lambda host: replace(host, round=_without_key(host.round)), Reason.KEY_UNKNOWN),
    "too old": (lambda host: replace(host, now_ns=ISSUED_NS + 30 * S + 1), Reason.RESULT_EXPIRED),
    "from the future": (lambda host: replace(host, now_ns=ISSUED_NS - 1), Reason.RESULT_EXPIRED),
    "no evidence": (
        lambda host: replace(host, round=replace(host.round, proof=None)),
        Reason.NOTHING_APPRAISED,
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_host_that_is_not_what_it_should_be_gets_nothing(name: str, host: Probed) -> None:
    spoil, reason = SPOILT[name]
    assert _refusal(spoil(host)) is reason


def test_the_age_is_counted_from_the_nonce(host: Probed) -> None:
    assert replace(host, now_ns=ISSUED_NS + 30 * S).release().age_ns == 30 * S


def test_a_result_that_ended_does_not_count(host: Probed) -> None:
    ended = replace(host, conditions=Conditions(most_age_s=1e6), now_ns=host.round.result.expires_ns)
    assert _refusal(ended) is Reason.RESULT_EXPIRED


@pytest.mark.parametrize("tier", [Tier.NONE, Tier.CONTRAINDICATED])
def test_a_bad_verdict_keeps_its_reason(tier: Tier, host: Probed) -> None:
    result = replace(host.round.result, tier=tier, reason=Reason.PCR_VALUE)
    assert _refusal(replace(host, round=replace(host.round, result=result))) is Reason.PCR_VALUE


def test_a_warning_counts_where_the_owner_says_so(host: Probed) -> None:
    result = replace(host.round.result, tier=Tier.WARNING, reason=Reason.SOFTWARE_TPM)
    warned = replace(host, round=replace(host.round, result=result))
    assert _refusal(warned) is Reason.SOFTWARE_TPM
    assert replace(warned, conditions=Conditions(warning_counts=True)).release().host == "host-a"


def test_evidence_that_was_refused_releases_nothing_even_if_its_result_says_otherwise(
    host: Probed, tpm: SoftwareTpm
) -> None:
    refused = probed(tpm, challenge=challenge(nonce=bytes(32)))
    assert refused.round.result.reason is Reason.NONCE_MISMATCH
    praised = replace(refused, round=replace(refused.round, result=host.round.result))
    assert _refusal(praised) is Reason.NOTHING_APPRAISED


def test_pcr_10_alone_seals_nothing(host: Probed, tpm: SoftwareTpm) -> None:
    proof = host.round.proof
    assert proof is not None
    attest, signature = tpm.quote(bytes(32), {10: bytes(32)})
    evidence = proof.evidence.model_copy(
        update={"attest": attest, "signature": signature, "pcrs": {10: bytes(32)}}
    )
    alone = replace(host, round=replace(host.round, proof=replace(proof, evidence=evidence)))
    assert _refusal(alone) is Reason.SELECTION_EMPTY


def _refusal(host: Probed) -> Reason:
    with pytest.raises(RefusedError) as refused:
        host.release()
    assert refused.value.where == "host-a"
    return refused.value.reason
