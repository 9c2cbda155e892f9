"""Reference values as judges: nothing that is unknown passes as good."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.attest.evidence import Evidence, RefusedError
from harness.attest.played import logs
from harness.attest.played.logs import Line, Measured
from harness.attest.played.platform import (
    NONCE,
    PCRS,
    Platform,
    booted,
    challenge,
    judged,
    platform,
    policy,
    require,
)
from harness.attest.played.software_tpm import changed
from harness.attest.reasons import Reason, Tier
from harness.attest.reference import files as appraisal_file
from harness.attest.reference.policy import ImaReference, ReferenceValues, ima_basis
from harness.attest.reference.values import merge, record, to_yaml

ZEROS = "0" * 64
STRANGE = Line(path=b"/usr/bin/strange", content=b"strange")


def reference_of(machine: Platform, **changes: object) -> ReferenceValues:
    return ReferenceValues.model_validate({**dict(machine.reference), **changes})


# what is recorded


def test_a_recorded_platform_meets_its_own_values(machine: Platform) -> None:
    recorded = record(machine.evidence(behind=[STRANGE]), policy())
    assert "/usr/bin/strange" not in recorded.ima.files
    assert 10 not in recorded.pcrs["sha256"]
    verification = judged(machine, reference=recorded)
    assert verification.result.tier is Tier.AFFIRMING, verification.result.detail
    assert verification.result.claims["unchecked"] == []


def test_a_platform_of_which_few_pcrs_are_quoted_meets_its_own_values(machine: Platform) -> None:
    few = (0, 4, 7, 10)
    lax = policy(pcrs=few)
    sent = with_fewer(machine, few)
    result = judged(
        machine, sent, policy=lax, challenge=challenge(pcrs=few), reference=record(sent, lax)
    ).result
    assert result.tier is Tier.AFFIRMING, result.detail


def test_a_buffer_that_the_kernel_measured_is_recorded(machine: Platform) -> None:
    keys = Line(path=b".builtin_trusted_keys", content=b"key", template="ima-buf", third=b"key")
    measured = machine.measured(keys)
    assert judged(measured, reference=record(measured.evidence(), policy())).accepted
    other = machine.measured(replace(keys, content=b"other", third=b"other"))
    result = judged(other, reference=record(measured.evidence(), policy())).result
    assert result.reason is Reason.IMA_FILE_CHANGED


def test_recorded_values_survive_a_file(machine: Platform) -> None:
    recorded = record(machine.evidence(), policy())
    assert appraisal_file.reference(to_yaml(recorded), "reference.yml") == recorded


def test_only_what_the_policy_checks_is_recorded(machine: Platform) -> None:
    nothing = policy(require=require("ignore", "ignore", "ignore"))
    recorded = record(machine.evidence(), nothing)
    assert (recorded.pcrs, recorded.events, recorded.ima.files) == ({}, {}, {})
    assert recorded.firmware_versions == machine.reference.firmware_versions


def test_a_list_that_does_not_lead_to_the_quote_is_not_recorded(machine: Platform) -> None:
    evidence = changed(machine.evidence(), ima=logs.excerpt(machine.lines[1:]))
    with pytest.raises(RefusedError):
        record(evidence, policy())


def test_a_violation_is_not_recorded(machine: Platform) -> None:
    violated = machine.measured(replace(STRANGE, violation=True))
    assert "/usr/bin/strange" not in record(violated.evidence(), policy()).ima.files


def test_merged_values_accept_both(machine: Platform) -> None:
    other = platform(machine.tpm, events=60, entries=30)
    strange = booted(other, [*other.events, Measured(pcr=4, data=b"another kernel")])
    both = merge(machine.reference, strange.reference)
    assert both == merge(strange.reference, machine.reference)
    assert judged(machine, reference=both).accepted
    assert judged(strange, reference=both).accepted
    assert not judged(strange, reference=machine.reference).accepted


# appraisal


def test_a_pcr_value_that_is_no_reference_value(machine: Platform) -> None:
    reference = reference_of(machine, pcrs={"sha256": {4: (ZEROS,)}})
    result = judged(machine, reference=reference).result
    assert (result.reason, result.tier) == (Reason.PCR_VALUE, Tier.CONTRAINDICATED)
    assert result.claims["pcrs"]


def test_an_event_that_is_no_reference_value(machine: Platform) -> None:
    strange = replace(machine, events=[*machine.events, Measured(pcr=8, data=b"init=/bin/sh")])
    result = judged(strange, reference=machine.reference).result
    assert (result.reason, result.tier) == (Reason.EVENT_UNKNOWN, Tier.CONTRAINDICATED)


def test_an_event_of_a_pcr_without_reference_values_is_unknown(machine: Platform) -> None:
    events = {index: digests for index, digests in machine.reference.events["sha256"].items() if index != 8}
    result = judged(machine, reference=reference_of(machine, events={"sha256": events})).result
    assert result.reason is Reason.EVENT_UNKNOWN


def test_a_whole_value_explains_a_pcrs_events(machine: Platform) -> None:
    whole = {index: (value.hex(),) for index, value in machine.pcrs.items() if index != 10}
    reference = reference_of(machine, pcrs={"sha256": whole}, events={})
    result = judged(machine, reference=reference).result
    assert result.tier is Tier.AFFIRMING, result.detail
    assert "event-log" in str(result.claims["checked"])


def test_an_event_that_was_not_extended_is_not_judged(machine: Platform) -> None:
    talk = Measured(pcr=4, type=logs.EV_NO_ACTION, data=b"anything")
    assert judged(replace(machine, events=[*machine.events, talk])).accepted


def test_an_event_of_a_pcr_that_was_not_signed_is_not_judged(machine: Platform) -> None:
    outside = replace(machine, events=[*machine.events, Measured(pcr=14, data=b"shim")])
    within = replace(outside, extra={})
    evidence = changed(machine.evidence(), event_log=logs.event_log(within.events))
    assert judged(machine, evidence).accepted


def test_values_without_reference_are_said_to_be_unchecked(machine: Platform) -> None:
    lax = policy(require=require(event_log="ignore"))
    claims = judged(machine, policy=lax).result.claims
    assert claims["unchecked"] == [f"pcr-{index}" for index in (1, 2, 3, 5, 6, 7, 8, 9)]


SEVERITIES = [
    ("refuse", Tier.CONTRAINDICATED, None),
    ("warn", Tier.WARNING, None),
    ("ignore", Tier.AFFIRMING, Reason.ACCEPTED),
]


@pytest.mark.parametrize(("severity", "tier", "reason"), SEVERITIES)
def test_a_file_without_reference_value(
    machine: Platform, severity: str, tier: Tier, reason: Reason | None
) -> None:
    strange = machine.measured(STRANGE)
    result = judged(strange, reference=machine.reference, policy=policy(ima_unknown_file=severity)).result
    assert (result.tier, result.reason) == (tier, reason or Reason.IMA_FILE_UNKNOWN)
    if tier is not Tier.AFFIRMING:
        assert "/usr/bin/strange" in result.detail


@pytest.mark.parametrize(("severity", "tier", "reason"), SEVERITIES)
def test_a_file_that_was_written_while_measured(
    machine: Platform, severity: str, tier: Tier, reason: Reason | None
) -> None:
    violated = machine.measured(replace(STRANGE, violation=True))
    result = judged(violated, policy=policy(ima_violation=severity)).result
    assert (result.tier, result.reason) == (tier, reason or Reason.IMA_VIOLATION)


@pytest.mark.parametrize("severity", ["refuse", "warn", "ignore"])
def test_a_changed_file_is_never_passed_over(machine: Platform, severity: str) -> None:
    known = machine.lines[3]
    tampered = machine.measured(replace(known, content=b"tampered"))
    result = judged(
        tampered,
        reference=machine.reference,
        policy=policy(ima_unknown_file=severity, ima_violation=severity),
    ).result
    assert (result.reason, result.tier) == (Reason.IMA_FILE_CHANGED, Tier.CONTRAINDICATED)
    assert known.path.decode() in result.detail


FORGED = Line(path=b"boot_aggregate", content=b"other")


def without_aggregate(machine: Platform) -> ReferenceValues:
    files = machine.reference.ima.files
    return reference_of(
        machine, ima=ImaReference(files={path: files[path] for path in files if path != "boot_aggregate"})
    )


def with_fewer(machine: Platform, pcrs: tuple[int, ...]) -> Evidence:
    """The machine's evidence of some PCRs only."""
    some = {index: value for index, value in machine.pcrs.items() if index in pcrs}
    attest, signature = machine.tpm.quote(NONCE, some)
    return changed(machine.evidence(), attest=attest, signature=signature, pcrs=some)


@pytest.mark.parametrize("severity", ["refuse", "ignore"])
def test_the_boot_aggregate_is_judged_by_the_signed_pcrs(machine: Platform, severity: str) -> None:
    lax = policy(ima_unknown_file=severity)
    reference = without_aggregate(machine)
    assert judged(machine, reference=reference, policy=lax).accepted
    forged = replace(machine, lines=[FORGED, *machine.lines[1:]])
    for values in (reference, forged.reference):
        result = judged(forged, reference=values, policy=lax).result
        assert (result.reason, result.tier) == (Reason.IMA_FILE_CHANGED, Tier.CONTRAINDICATED)


def test_an_aggregate_that_cannot_be_computed_is_judged_by_its_reference_value(machine: Platform) -> None:
    few = tuple(index for index in PCRS if index != 1)
    lax, asked, sent = policy(pcrs=few), challenge(pcrs=few), with_fewer(machine, few)
    known = judged(machine, sent, policy=lax, challenge=asked).result
    assert known.tier is Tier.AFFIRMING, known.detail
    assert "boot_aggregate" not in str(known.claims["unchecked"])
    reference = without_aggregate(machine)
    unknown = judged(machine, sent, policy=lax, challenge=asked, reference=reference).result
    assert unknown.tier is Tier.AFFIRMING, unknown.detail
    assert "boot_aggregate" in str(unknown.claims["unchecked"])
    forged = replace(machine, lines=[FORGED, *machine.lines[1:]])
    result = judged(
        forged, with_fewer(forged, few), policy=lax, challenge=asked, reference=machine.reference
    ).result
    assert result.reason is Reason.IMA_FILE_CHANGED


@pytest.mark.parametrize("severity", ["refuse", "ignore"])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_file_that_has_the_boot_aggregates_name_is_an_unknown_file(
    machine: Platform, severity: str, algorithm: str
) -> None:
    """As of a detached mount, whose files have no path: it hides neither from the policy nor from PCRs."""
    few = tuple(index for index in PCRS if index != 1)
    lax, asked = policy(pcrs=few, ima_unknown_file=severity), challenge(pcrs=few)
    evil = replace(FORGED, content=b"malware", algorithm=algorithm)
    infected, reference = machine.measured(evil), without_aggregate(machine)
    found = judged(infected, with_fewer(infected, few), policy=lax, challenge=asked, reference=reference)
    refused = found.result.reason is Reason.IMA_FILE_UNKNOWN
    assert refused if severity == "refuse" else found.accepted
    assert not judged(infected, policy=policy(ima_unknown_file="refuse"), reference=reference).accepted


@pytest.mark.parametrize(
    ("choice", "tier", "reason", "hardware"),
    [
        ("refuse", Tier.CONTRAINDICATED, Reason.SOFTWARE_TPM, 96),
        ("warn", Tier.WARNING, Reason.SOFTWARE_TPM, 32),
        ("accept", Tier.AFFIRMING, Reason.ACCEPTED, 0),
    ],
)
def test_a_tpm_in_software(machine: Platform, choice: str, tier: Tier, reason: Reason, hardware: int) -> None:
    result = judged(machine, policy=policy(software_tpm=choice), software_tpm=True).result
    assert (result.tier, result.reason, result.vector["hardware"]) == (tier, reason, hardware)


def test_the_first_warning_decides_and_all_are_listed(machine: Platform) -> None:
    lax = policy(software_tpm="warn", ima_unknown_file="warn", ima_violation="warn")
    messy = machine.measured(
        STRANGE, replace(STRANGE, path=b"/usr/bin/other"), replace(STRANGE, violation=True)
    )
    result = judged(messy, policy=lax, reference=machine.reference, software_tpm=True).result
    assert (result.tier, result.reason) == (Tier.WARNING, Reason.SOFTWARE_TPM)
    warnings = result.claims["warnings"]
    assert isinstance(warnings, list)
    assert [one["reason"] for one in warnings] == ["software-tpm", "ima-file-unknown", "ima-violation"]


# nothing was checked


def test_a_policy_that_ignores_everything_affirms_nothing(machine: Platform) -> None:
    result = judged(machine, policy=policy(require=require("ignore", "ignore", "ignore"))).result
    assert (result.reason, result.tier) == (Reason.NOTHING_APPRAISED, Tier.NONE)
    assert set(result.vector.values()) == {0}


@pytest.mark.parametrize(
    ("missing", "said"),
    [({"pcrs": {}}, "pcr-values"), ({"ima": ImaReference()}, "ima")],
)
def test_reference_values_that_have_nothing_affirm_nothing(
    machine: Platform, missing: dict[str, object], said: str
) -> None:
    lax = policy(ima_unknown_file="ignore")
    result = judged(machine, policy=lax, reference=reference_of(machine, **missing)).result
    assert (result.reason, result.tier) == (Reason.NOTHING_APPRAISED, Tier.NONE)
    assert said in result.detail


def test_an_event_log_without_events_affirms_nothing(machine: Platform) -> None:
    silent = replace(machine, events=[], lines=machine.lines[1:])
    lax = policy(ima_unknown_file="ignore")
    result = judged(silent, policy=lax).result
    assert (result.reason, result.tier) == (Reason.NOTHING_APPRAISED, Tier.NONE)
    assert "event-log" in result.detail


def test_who_was_contraindicated_stays_so(machine: Platform) -> None:
    verification = judged(machine, held=True)
    assert (verification.result.reason, verification.result.tier) == (
        Reason.HELD_CONTRAINDICATED,
        Tier.CONTRAINDICATED,
    )
    assert verification.steps[-1].number == 12
    assert verification.memory is None
    ignoring = policy(require=require("ignore", "ignore", "ignore"))
    assert judged(machine, held=True, policy=ignoring).result.tier is Tier.CONTRAINDICATED


# what IMA entries were judged by


def test_the_basis_changes_with_whatever_judges_entries(machine: Platform) -> None:
    reference = machine.reference
    basis = ima_basis(policy(), reference)
    assert ima_basis(policy(name="other", result_lifetime_s=5), reference_of(machine, pcrs={})) == basis
    others = {
        ima_basis(policy(ima_unknown_file="warn"), reference),
        ima_basis(policy(ima_violation="warn"), reference),
        ima_basis(policy(pcrs=(*PCRS, 14)), reference),
        ima_basis(policy(bank="sha384"), reference),
        ima_basis(policy(), reference_of(machine, ima=ImaReference())),
        ima_basis(policy(require=require(ima="ignore")), reference),
    }
    assert len(others) == 6
    assert basis not in others
