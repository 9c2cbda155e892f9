"""Step 12: a genuine platform is held against reference values.

Only what the quote vouches for is judged: PCRs that were signed, events that led to them, IMA entries that
are in PCR 10. Judgement looks at digests; an event's type and text are whatever the sender wrote. What the
reference values do not have is unknown and never good, and where nothing was compared the answer is that.

The step has parts. What the parts before a refusal compared is told with the refusal, as the evidence is
genuine whatever it shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from harness.attest.evidence import RefusedError
from harness.attest.logs.eventlog import EV_NO_ACTION, EventLog
from harness.attest.logs.ima import BOOT_AGGREGATE, ImaEntry
from harness.attest.reasons import Reason
from harness.attest.reference.policy import IMA_PCR
from harness.attest.result import AFFIRMED, vector_of
from harness.attest.verify.memory import AppraisalWarning
from harness.attest.verify.quote_steps import FIRMWARE, GenuineQuote
from harness.json_types import Json

PCR_VALUES: Final = "pcr-values"
EVENT_LOG: Final = "event-log"
IMA: Final = "ima"

_BOOT_LOADER_PCR: Final = 4
"""The code of the boot loader is in this PCR (PFP, PCR usage)."""
_BOOT_AGGREGATE_PCRS: Final = range(10)
_BOOTED: Final = 3
_SINCE_BOOT: Final = -2
"""A number of our own: what ran since the kernel started is approved, and what led to it is not known."""

_WARNED: Final[Mapping[Reason, tuple[str, int]]] = {
    Reason.SOFTWARE_TPM: ("hardware", 32),
    Reason.IMA_FILE_UNKNOWN: ("executables", 33),
    Reason.IMA_VIOLATION: ("executables", 33),
    Reason.CLOCK_NOT_SAFE: ("configuration", 36),
}


def hardware(work: GenuineQuote) -> GenuineQuote:
    """Part 1: the TPM is one that the policy lets pass."""
    question = work.question
    if not question.software_tpm:
        return work
    why = "its TPM is a program"
    if question.policy.software_tpm == "refuse":
        raise RefusedError(Reason.SOFTWARE_TPM, why)
    if question.policy.software_tpm == "warn":
        return replace(work, warnings=(*work.warnings, AppraisalWarning(reason=Reason.SOFTWARE_TPM, why=why)))
    return work


def pcr_values(work: GenuineQuote) -> GenuineQuote:
    """Part 2: PCRs with reference values have one of these, in a combination that was recorded."""
    question = work.question
    if question.policy.require.pcr_values == "ignore":
        return work
    known = question.reference.pcrs.get(question.challenge.bank, {})
    for index, value in work.pcrs.items():
        if index in known and value.hex() not in known[index]:
            raise RefusedError(Reason.PCR_VALUE, f"PCR {index} is {value.hex()}, which is no reference value")
    pinned = frozenset(index for index in work.pcrs if index in known)
    together = question.reference.pcr_combinations.get(question.challenge.bank, ())
    if together and not any(_is_combination(work, one) for one in together):
        raise RefusedError(
            Reason.PCR_VALUE, "each PCR has a reference value, never recorded in this combination"
        )
    checked = (*work.checked, PCR_VALUES) if pinned else work.checked
    return replace(work, pinned=pinned, checked=checked)


def _is_combination(work: GenuineQuote, values: Mapping[int, str]) -> bool:
    return all(work.pcrs[index].hex() == value for index, value in values.items() if index in work.pcrs)


def events(work: GenuineQuote) -> GenuineQuote:
    """Part 3: every event of a signed PCR is a reference event, unless the PCR's whole value is one already.

    Of PCRs that the log does not lead to no event is judged: whatever it says of them, nothing vouches for.
    """
    question, judged, checked = work.question, set(work.pinned), work.checked
    if work.log is not None:
        bank = question.challenge.bank
        known = question.reference.events.get(bank, {})
        allowed = {index: frozenset(known.get(index, ())) for index in work.led}
        some = False
        for number, event in enumerate(work.log.events, 1):
            if event.type == EV_NO_ACTION or event.pcr not in work.led:
                continue
            some = True
            if event.pcr in work.pinned:
                continue
            digest = event.digests[bank].hex()
            if digest not in allowed[event.pcr]:
                raise RefusedError(
                    Reason.EVENT_UNKNOWN, f"event {number} in PCR {event.pcr}: {digest} is no reference value"
                )
            judged.add(event.pcr)
        _sequences(work, work.log)
        if some:
            checked = (*checked, EVENT_LOG)
    if work.ima is not None:
        judged |= {IMA_PCR, *(work.followed.vouched if work.followed else ())}
    unchecked = (f"pcr-{index}" for index in work.selection if index not in judged)
    return replace(work, checked=checked, unchecked=(*work.unchecked, *unchecked))


def _sequences(work: GenuineQuote, log: EventLog) -> None:
    """A PCR with reference events has some, and all of them in order where the reference values say which.

    Each event alone may be known, and yet too few of them happened, or others than belong together.
    """
    question, bank = work.question, work.question.challenge.bank
    ordered = question.reference.event_sequences.get(bank, {})
    for index in sorted({*question.reference.events.get(bank, ()), *ordered} & work.led - work.pinned):
        happened = tuple(
            event.digests[bank].hex()
            for event in log.events
            if event.pcr == index and event.type != EV_NO_ACTION
        )
        if index not in ordered and not happened:
            why = f"PCR {index} has reference values of events and not one event"
            raise RefusedError(Reason.EVENT_SEQUENCE, why)
        if index in ordered and happened not in ordered[index]:
            why = (
                f"the {len(happened)} events in PCR {index} are not those that were recorded, in their order"
            )
            raise RefusedError(Reason.EVENT_SEQUENCE, why)


def ima_aside(work: GenuineQuote) -> GenuineQuote:
    """Part 4: say which entries of the IMA list have nothing to be held against.

    These are entries of PCRs that the list does not lead to, entries whose data do not say what was measured,
    and a boot aggregate that has no reference value, or is not the list's beginning as it always is.
    """
    if work.ima is None:
        return work
    unchecked = [f"{IMA}-pcr-{pcr}" for pcr in sorted(work.followed.aside if work.followed else ())]
    if any(not entry.known and not entry.violation for entry in work.entries):
        unchecked.append(f"{IMA}-template")
    beginning = _beginning(work)
    if beginning is not None and (
        work.entries[beginning].path != BOOT_AGGREGATE or _is_open_aggregate(work, work.entries[beginning])
    ):
        unchecked.append(BOOT_AGGREGATE)
    return replace(work, unchecked=(*work.unchecked, *unchecked))


def ima_files(work: GenuineQuote) -> GenuineQuote:
    """Part 5: every entry that the quote vouches for is of a known file with a known digest.

    An entry whose data do not say what was measured is one of an unknown file.
    """
    if work.ima is None:
        return work
    files = work.question.reference.ima.files
    found: dict[Reason, AppraisalWarning] = {one.reason: one for one in work.carried}
    beginning = _beginning(work)
    for at, entry in enumerate(work.entries):
        if entry.violation:
            _violation(work, entry, found)
            continue
        if not entry.known:
            _unknown(work, f"what an entry of template {entry.template} measured is not known", found)
            continue
        if at == beginning and _is_open_aggregate(work, entry):
            continue
        digests, digest = _allowed(work, entry), _digest(entry)
        if digests is None:
            _unknown(work, f"{entry.path} is in no reference value", found)
        elif digest not in digests:
            other = (
                "and PCRs 0 to 9 are others"
                if entry.path == BOOT_AGGREGATE
                else "which is no reference value"
            )
            raise RefusedError(Reason.IMA_FILE_CHANGED, f"{entry.path} is {digest}, {other}")
    carried = tuple(found.values())
    checked = (*work.checked, IMA) if files else work.checked
    return replace(work, carried=carried, warnings=(*work.warnings, *carried), checked=checked)


def _violation(work: GenuineQuote, entry: ImaEntry, found: dict[Reason, AppraisalWarning]) -> None:
    # Nothing vouches for the path of a violation: it is told as the sender's word.
    severity = work.question.policy.ima_violation
    why = f"a file was written while it was measured, said to be {entry.path}"
    if severity == "refuse":
        raise RefusedError(Reason.IMA_VIOLATION, why)
    if severity == "warn":
        found.setdefault(Reason.IMA_VIOLATION, AppraisalWarning(reason=Reason.IMA_VIOLATION, why=why))


def _unknown(work: GenuineQuote, why: str, found: dict[Reason, AppraisalWarning]) -> None:
    severity = work.question.policy.ima_unknown_file
    if severity == "refuse":
        raise RefusedError(Reason.IMA_FILE_UNKNOWN, why)
    if severity == "warn":
        found.setdefault(Reason.IMA_FILE_UNKNOWN, AppraisalWarning(reason=Reason.IMA_FILE_UNKNOWN, why=why))


def _beginning(work: GenuineQuote) -> int | None:
    """Where the list's own beginning is among the entries, which alone is the boot aggregate for certain.

    The kernel gives a file that it cannot find a path for (one of a detached mount) its bare name, so that
    a user who makes such a mount can have a file measured by this name.
    """
    if work.evidence.ima is None or work.evidence.ima.first != 0:
        return None
    return next((at for at, entry in enumerate(work.entries) if entry.pcr == IMA_PCR), None)


def _is_open_aggregate(work: GenuineQuote, entry: ImaEntry) -> bool:
    """Whether the list's beginning is a boot aggregate of which nothing is known."""
    told = entry.known and not entry.violation
    return told and entry.path == BOOT_AGGREGATE and _allowed(work, entry) is None


def _digest(entry: ImaEntry) -> str:
    return f"{entry.file_hash_alg}:{entry.file_digest.hex()}"


def _allowed(work: GenuineQuote, entry: ImaEntry) -> tuple[str, ...] | None:
    """What the digest of an entry may be; None where the reference values do not have its file.

    The boot aggregate says what PCRs 0 to 9 were when IMA began: it is their hash in the bank of IMA's own
    hash (kernel: ``ima_calc_boot_aggregate``). Where they were all signed it has to be just that; else it is
    judged by its reference values.
    """
    digests = work.question.reference.ima.files.get(entry.path)
    if entry.path != BOOT_AGGREGATE:
        return digests
    bank = work.question.challenge.bank
    if entry.file_hash_alg == bank and all(index in work.pcrs for index in _BOOT_AGGREGATE_PCRS):
        content = b"".join(work.pcrs[index] for index in _BOOT_AGGREGATE_PCRS)
        return (f"{bank}:{hashlib.new(bank, content).hexdigest()}",)
    return digests


def complete(work: GenuineQuote) -> GenuineQuote:
    """Part 6: the attester is not held, and all that the policy wants checked was compared with something.

    That an attester is held comes last but one, so that even perfect evidence of it takes the time it takes;
    and before "nothing was compared", which would make ``none`` of what is contraindicated.
    """
    question = work.question
    if question.held:
        raise RefusedError(
            Reason.HELD_CONTRAINDICATED,
            "it was contraindicated before and has not been enrolled again since",
            remedy="find out why, repair the platform, then enrol it again",
        )
    require = question.policy.require
    wanted = {PCR_VALUES: require.pcr_values, EVENT_LOG: require.event_log, IMA: require.ima}
    empty = [name for name, check in wanted.items() if check == "check" and name not in work.checked]
    if empty:
        raise RefusedError(Reason.NOTHING_APPRAISED, f"nothing was compared for {' and '.join(empty)}")
    if question.policy.ignores_all:
        raise RefusedError(Reason.NOTHING_APPRAISED, "the policy checks nothing but that a TPM signed")
    return work


PARTS: Final[tuple[Callable[[GenuineQuote], GenuineQuote], ...]] = (
    hardware,
    pcr_values,
    events,
    ima_aside,
    ima_files,
    complete,
)
"""What judges a platform, in its order."""


def trust(work: GenuineQuote) -> Mapping[str, int]:
    """The trustworthiness vector of a platform that passed: what was checked, and what is warned of."""
    claims = {"instance-identity": AFFIRMED}
    known = work.question.reference.pcrs.get(work.question.challenge.bank, {})
    booted = EVENT_LOG in work.checked or (PCR_VALUES in work.checked and _BOOT_LOADER_PCR in known)
    if PCR_VALUES in work.checked:
        claims["configuration"] = AFFIRMED
    if IMA in work.checked:
        claims["executables"] = AFFIRMED if booted else _SINCE_BOOT
    elif booted:
        claims["executables"] = _BOOTED
    if FIRMWARE in work.checked and not work.question.software_tpm:
        claims["hardware"] = AFFIRMED
    for finding in work.warnings:
        name, number = _WARNED[finding.reason]
        claims[name] = number
    return vector_of(claims)


def claims(work: GenuineQuote) -> Mapping[str, Json]:
    """What is known of a platform whose evidence is genuine; to be called only after the eleventh step."""
    attest, question = work.attest, work.question
    clock = attest.clock
    return {
        "bank": question.challenge.bank,
        "nonce": question.challenge.nonce.hex(),
        "pcrs": {str(index): value.hex() for index, value in work.pcrs.items()},
        "clock": {
            "clock_ms": clock.clock_ms,
            "reset_count": clock.reset_count,
            "restart_count": clock.restart_count,
            "safe": clock.safe,
        },
        "boot": work.boot,
        "firmware_version": f"{attest.firmware_version:016x}",
        "software_tpm": question.software_tpm,
        "checked": list(work.checked),
        "unchecked": list(work.unchecked),
        "event_log": None if work.log is None else _log_claims(work, work.log),
        "ima": None
        if work.ima is None
        else {"entries": work.ima.entries, "new": len(work.entries), "ahead": work.ahead},
        "warnings": [{"reason": one.reason.value, "why": one.why} for one in work.warnings],
    }


def _log_claims(work: GenuineQuote, log: EventLog) -> Mapping[str, Json]:
    """How long the log is, and the signed PCRs of its events that it does not lead to."""
    said = {event.pcr for event in log.events if event.type != EV_NO_ACTION}
    return {"events": len(log.events), "not_led_to": sorted(said & work.pcrs.keys() - work.led)}
