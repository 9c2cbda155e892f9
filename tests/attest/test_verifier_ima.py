"""What an IMA list explains: step 11, from the start and from where the last quote ended."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from harness.attest.evidence import Evidence, ImaExcerpt
from harness.attest.logs.ima import ImaState
from harness.attest.played import logs
from harness.attest.played.logs import Line
from harness.attest.played.platform import (
    Platform,
    challenge,
    judged,
    later,
    policy,
    remembered,
    require,
)
from harness.attest.played.software_tpm import CLOCK, changed
from harness.attest.reasons import Reason, Tier
from harness.attest.reference.policy import ImaReference, ReferenceValues
from harness.attest.reference.values import record
from harness.attest.verify.memory import AppraisalWarning, Memory
from harness.attest.verify.question import ima_from
from harness.attest.verify.verifier import Verification
from tests.attest.ima_entries import Entry, digest, name, value
from tests.attest.questions import NEW_FILE, refused, said


def test_no_ima_list(machine: Platform) -> None:
    refused(judged(machine, changed(machine.evidence(), ima=None)), Reason.IMA_MISSING, "ima")


def test_a_kernel_without_ima_has_an_empty_list_and_zeros(machine: Platform) -> None:
    refused(judged(replace(machine, lines=[])), Reason.IMA_MISSING, "ima")


def with_list(machine: Platform, lines: list[Line], first: int = 0) -> Evidence:
    return changed(machine.evidence(), ima=logs.excerpt(lines, first=first))


def test_an_ima_list_that_is_none(machine: Platform) -> None:
    evidence = changed(machine.evidence(), ima=ImaExcerpt(first=0, total=9, form="binary", data=b"123"))
    refused(judged(machine, evidence), Reason.IMA_MALFORMED, "ima")


def test_an_ima_entry_is_missing_or_moved(machine: Platform) -> None:
    lines = list(machine.lines)
    for other in (lines[:-1], lines[1:], [*lines[:3], *lines[4:]], lines[::-1]):
        refused(judged(machine, with_list(machine, other)), Reason.IMA_REPLAY, "ima")


def test_what_was_measured_after_the_quote_is_left_aside(machine: Platform) -> None:
    verification = judged(machine, machine.evidence(behind=[NEW_FILE]))
    assert verification.result.tier is Tier.AFFIRMING
    assert verification.result.claims["ima"] == {"entries": 20, "new": 20, "ahead": 1}
    assert verification.memory is not None and verification.memory.ima is not None
    assert verification.memory.ima.entries == 20


def grown(machine: Platform) -> tuple[Platform, Evidence, Memory]:
    """The machine after five more entries, its answer with only these, and what was known before."""
    lines = [Line(path=b"/usr/bin/%d" % n, content=b"%d" % n) for n in range(5)]
    after = machine.measured(*lines)
    return after, after.evidence(first=20, clock=later(CLOCK)), remembered(machine, reference=after.reference)


def test_only_new_entries_are_sent(machine: Platform) -> None:
    after, evidence, memory = grown(machine)
    asked = ima_from(memory, policy(), after.reference)
    verification = judged(after, evidence, memory=memory, challenge=challenge(ima_from=asked))
    assert verification.result.reason is Reason.ACCEPTED, verification.result.detail
    assert verification.result.claims["ima"] == {"entries": 25, "new": 5, "ahead": 0}
    assert verification.memory is not None and verification.memory.ima is not None
    assert verification.memory.ima.entries == 25
    whole = judged(after)
    assert whole.memory is not None
    assert verification.memory.ima == whole.memory.ima


def test_a_whole_list_is_taken_even_if_less_was_asked_for(machine: Platform) -> None:
    after, _, memory = grown(machine)
    whole = after.evidence(clock=later(CLOCK))
    assert judged(after, whole, memory=memory, challenge=challenge(ima_from=20)).accepted


def test_a_list_only_grows_without_a_boot(machine: Platform) -> None:
    """A TPM whose state was put back: its clock went on (as libtpms lets it), and its list is shorter."""
    after, _, _ = grown(machine)
    last = remembered(after)
    shorter = machine.evidence(clock=later(CLOCK))
    verification = judged(machine, shorter, memory=last, reference=after.reference)
    refused(verification, Reason.IMA_REPLAY, "ima")
    lines = after.lines
    other = replace(after, lines=[lines[0], lines[2], *lines[2:], lines[3]])
    rewritten = judged(other, other.evidence(clock=later(CLOCK)), memory=last, reference=after.reference)
    refused(rewritten, Reason.IMA_REPLAY, "ima")
    for clock in (later(CLOCK, resets=1), later(CLOCK, restarts=1)):
        evidence = machine.evidence(clock=clock)
        assert judged(machine, evidence, memory=last, reference=after.reference).accepted


def test_another_bank_was_followed_before(machine: Platform) -> None:
    memory = remembered(machine)
    other = replace(memory, ima=ImaState(entries=5, values={"sha384": bytes(48)}))
    assert judged(machine, machine.evidence(clock=later(CLOCK)), memory=other).accepted


@pytest.mark.parametrize("asked", [0, 19, None])
def test_a_beginning_that_was_not_asked_for(machine: Platform, asked: int | None) -> None:
    after, evidence, memory = grown(machine)
    verification = judged(after, evidence, memory=memory, challenge=challenge(ima_from=asked))
    refused(verification, Reason.IMA_GAP, "ima")


def test_entries_before_that_nobody_knows(machine: Platform) -> None:
    after, evidence, memory = grown(machine)
    asked = challenge(ima_from=20)
    refused(judged(after, evidence, challenge=asked), Reason.IMA_GAP, "ima")
    forgotten = replace(memory, ima=None)
    refused(judged(after, evidence, challenge=asked, memory=forgotten), Reason.IMA_GAP, "ima")


def test_more_is_known_than_was_asked_for(machine: Platform) -> None:
    after, evidence, memory = grown(machine)
    further = judged(after, evidence, memory=memory, challenge=challenge(ima_from=20)).memory
    assert further is not None
    again = after.evidence(first=20, clock=later(CLOCK, ms=2_000))
    refused(judged(after, again, memory=further, challenge=challenge(ima_from=20)), Reason.IMA_GAP, "ima")


@pytest.mark.parametrize("changes", [{"resets": 1}, {"restarts": 1}])
def test_a_boot_or_resume_in_between_asks_for_the_whole_list(
    machine: Platform, changes: dict[str, int]
) -> None:
    after, _, memory = grown(machine)
    clock = later(CLOCK, **changes)
    excerpt = after.evidence(first=20, clock=clock)
    refused(judged(after, excerpt, memory=memory, challenge=challenge(ima_from=20)), Reason.IMA_GAP, "ima")
    assert judged(after, after.evidence(clock=clock), memory=memory).accepted


def test_what_was_judged_otherwise_is_judged_again(machine: Platform) -> None:
    after, evidence, memory = grown(machine)
    lax = policy(ima_unknown_file="ignore")
    assert ima_from(memory, lax, after.reference) == 0
    verification = judged(after, evidence, memory=memory, policy=lax, challenge=challenge(ima_from=20))
    refused(verification, Reason.IMA_GAP, "ima")


def test_what_to_ask_for(machine: Platform) -> None:
    memory = remembered(machine)
    assert ima_from(None, policy(), machine.reference) == 0
    assert ima_from(memory, policy(), machine.reference) == 20
    assert ima_from(replace(memory, ima=None), policy(), machine.reference) == 0
    assert ima_from(memory, policy(require=require(ima="ignore")), machine.reference) is None


def test_a_warning_about_a_known_entry_stays(machine: Platform) -> None:
    lax = policy(ima_unknown_file="warn")
    strange = machine.measured(NEW_FILE)
    first = judged(strange, policy=lax, reference=machine.reference)
    assert (first.result.tier, first.result.reason) == (Tier.WARNING, Reason.IMA_FILE_UNKNOWN)
    again = judged(
        strange,
        strange.evidence(first=21, clock=later(CLOCK)),
        policy=lax,
        reference=machine.reference,
        memory=first.memory,
        challenge=challenge(ima_from=21),
    )
    assert (again.result.tier, again.result.reason) == (Tier.WARNING, Reason.IMA_FILE_UNKNOWN)
    assert again.memory is not None
    assert again.memory.findings == (
        AppraisalWarning(reason=Reason.IMA_FILE_UNKNOWN, why="/usr/bin/new is in no reference value"),
    )
    booted = judged(machine, machine.evidence(clock=later(CLOCK, resets=1)), policy=lax, memory=again.memory)
    assert booted.result.tier is Tier.AFFIRMING


ELEVENTH = Entry(template="ima-ng", fields=(digest(b"own"), name(b"/usr/bin/own")), pcr=11)


TO_11 = (*range(11), 11)


def with_entries(
    machine: Platform, *more: Entry, signed: bytes | None = None, first: int = 0
) -> tuple[Evidence, Platform]:
    """Evidence whose list has `more` at its end, and where `signed` is given PCR 11 with the others."""
    ten = [one for one in more if one.pcr == 10]
    held = logs.pcr10(machine.lines)
    for one in ten:
        held = logs.hashed("sha256", held + logs.hashed("sha256", one.data))
    after = replace(machine, extra={10: held, **({} if signed is None else {11: signed})})
    data = logs.ima_list(machine.lines) + b"".join(one.to_binary() for one in more)
    sent = ImaExcerpt(first=0, total=len(machine.lines) + len(more), form="binary", data=data)
    return changed(after.evidence(), ima=sent), after


def judged_to_11(machine: Platform, evidence: Evidence, **changes: object) -> Verification:
    asked: dict[str, object] = {"policy": policy(pcrs=TO_11), "challenge": challenge(pcrs=TO_11)}
    return judged(machine, evidence, **(asked | changes))


def knowing(machine: Platform, content: bytes) -> ReferenceValues:
    files = {**machine.reference.ima.files, "/usr/bin/own": (f"sha256:{sha256(content).hexdigest()}",)}
    return machine.reference.model_copy(update={"ima": ImaReference(files=files)})


def test_entries_of_a_pcr_that_is_not_signed_are_left_aside_and_this_is_said(machine: Platform) -> None:
    evidence, after = with_entries(machine, ELEVENTH)
    found = judged(after, evidence)
    assert found.result.tier is Tier.AFFIRMING
    assert "ima-pcr-11" in said(found, "unchecked")


def test_entries_of_another_signed_pcr_are_judged_where_the_list_leads_to_it(machine: Platform) -> None:
    evidence, after = with_entries(machine, ELEVENTH, signed=value([ELEVENTH], 11))
    refused(judged_to_11(after, evidence), Reason.IMA_FILE_UNKNOWN, "appraisal")
    refused(
        judged_to_11(after, evidence, reference=knowing(after, b"another")),
        Reason.IMA_FILE_CHANGED,
        "appraisal",
    )
    found = judged_to_11(after, evidence, reference=knowing(after, b"own"))
    assert found.accepted
    assert not {"ima-pcr-11", "pcr-11"} & {*said(found, "unchecked")}
    assert "/usr/bin/own" in record(evidence, policy(pcrs=TO_11)).ima.files


def test_entries_of_a_signed_pcr_that_the_list_does_not_lead_to_count_for_nothing(machine: Platform) -> None:
    evidence, after = with_entries(machine, ELEVENTH, signed=bytes(31) + b"1")
    found = judged_to_11(after, evidence, reference=knowing(after, b"own"))
    assert found.accepted
    assert {"ima-pcr-11", "pcr-11"} <= {*said(found, "unchecked")}
    assert "/usr/bin/own" not in record(evidence, policy(pcrs=TO_11)).ima.files
    assert found.memory is not None and found.memory.ima is not None
    assert found.memory.ima.values["sha256:11"] == b""
    assert Memory.from_json(found.memory.to_json()) == found.memory


def test_another_pcr_is_followed_from_quote_to_quote(machine: Platform) -> None:
    evidence, after = with_entries(machine, ELEVENTH, signed=value([ELEVENTH], 11))
    reference, more = knowing(after, b"own"), replace(ELEVENTH, fields=ELEVENTH.fields)
    first = judged_to_11(after, evidence, reference=reference)
    assert first.memory is not None
    start = len(machine.lines) + 1
    later_on = replace(after, extra={**after.extra, 11: value([ELEVENTH, more], 11)})
    sent = ImaExcerpt(first=start, total=start + 1, form="binary", data=more.to_binary())
    again = judged_to_11(
        later_on,
        changed(later_on.evidence(clock=later(CLOCK)), ima=sent),
        reference=reference,
        memory=first.memory,
        challenge=challenge(pcrs=TO_11, ima_from=start),
    )
    assert again.accepted and "ima-pcr-11" not in said(again, "unchecked")
    assert again.memory is not None and again.memory.ima is not None
    assert again.memory.ima.values["sha256:11"] == value([ELEVENTH, more], 11)


OWN = Entry(template="my-own", fields=((b"anything", b""),))


def test_an_entry_of_unknown_fields_is_one_of_an_unknown_file(machine: Platform) -> None:
    evidence, after = with_entries(machine, OWN)
    refused(judged(after, evidence), Reason.IMA_FILE_UNKNOWN, "appraisal")
    warned = judged(after, evidence, policy=policy(ima_unknown_file="warn"))
    assert (warned.result.tier, warned.result.reason) == (Tier.WARNING, Reason.IMA_FILE_UNKNOWN)
    assert "my-own" in warned.result.detail
    ignored = judged(after, evidence, policy=policy(ima_unknown_file="ignore"))
    assert ignored.result.tier is Tier.AFFIRMING
    assert "ima-template" in said(ignored, "unchecked")
    assert "" not in record(evidence, policy()).ima.files


@pytest.mark.parametrize("template", ["my-own", "sig|n-ng", "ima-ng"])
def test_no_label_makes_a_changed_file_an_unknown_one(machine: Platform, template: str) -> None:
    """Unknown files are ignored here; a known file that differs is refused whatever its entry is called."""
    entry = replace(ELEVENTH, pcr=10, template=template)
    evidence, after = with_entries(machine, entry)
    found = judged(
        after, evidence, policy=policy(ima_unknown_file="ignore"), reference=knowing(after, b"another")
    )
    refused(found, Reason.IMA_FILE_CHANGED, "appraisal")
