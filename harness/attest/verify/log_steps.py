"""Steps 10 and 11 of a verification: do the logs that came with a quote lead to the PCR values it signs?

A log is an explanation by its sender; only what leads to the signed values is ever looked at
afterwards. These steps must never use a PCR outside the signed selection, nor take an entry for measured that
the quote does not cover.

Sources: TCG PC Client Platform Firmware Profile 1.05 (PFP); the Linux kernel's IMA documentation.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from harness.attest.evidence import ImaExcerpt, RefusedError
from harness.attest.logs import eventlog, ima
from harness.attest.logs.ima import ImaEntry, ImaState
from harness.attest.reasons import Reason
from harness.attest.reference.policy import FIRMWARE_PCRS, IMA_PCR, ima_basis
from harness.attest.verify.memory import AppraisalWarning
from harness.attest.verify.quote_steps import GenuineQuote


def event_log(work: GenuineQuote) -> GenuineQuote:
    """Step 10: the event log leads to the signed values of the PCRs that it has to explain.

    These are the firmware's and the boot loader's (0 to 9), events or none, and whatever other PCR has
    reference values for its events. Into other PCRs an operating system may extend more, which is in no
    log: events of a PCR that the log does not lead to are not known to have happened and are left aside.
    Nothing is said here of what the events are: their types and texts are in no digest.
    """
    question = work.question
    if question.policy.require.event_log == "ignore":
        return work
    if work.evidence.event_log is None:
        raise RefusedError(Reason.EVENT_LOG_MISSING, "the policy wants the event log and none came")
    limits, bank = question.policy.limits, question.challenge.bank
    log = eventlog.parse(
        work.evidence.event_log, limit_bytes=limits.event_log_bytes, limit_events=limits.events
    )
    led = eventlog.led_to(log, bank, work.pcrs)
    wanted = {*FIRMWARE_PCRS, *question.reference.events.get(bank, ())}
    for index in sorted(wanted & work.pcrs.keys() - led):
        claimed = eventlog.replay(log, bank).get(index)
        says = "has no event of it" if claimed is None else f"leads to {claimed.hex()}"
        raise RefusedError(
            Reason.EVENT_LOG_REPLAY, f"PCR {index}: the log {says}, {work.pcrs[index].hex()} is signed"
        )
    return replace(work, log=log, led=led)


def ima_list(work: GenuineQuote) -> GenuineQuote:
    """Step 11: the IMA list leads to the signed value of PCR 10; what comes after that is left aside.

    So are entries of PCRs that are not signed, or that the list does not lead to.
    """
    question, excerpt = work.question, work.evidence.ima
    if question.policy.require.ima == "ignore":
        return work
    if excerpt is None:
        raise RefusedError(Reason.IMA_MISSING, "the policy wants the IMA list and none came")
    limits, bank = question.policy.limits, question.challenge.bank
    entries = ima.parse(excerpt, limit_bytes=limits.ima_bytes, limit_entries=limits.ima_entries)
    if excerpt.first == 0:
        known, carried = _from_the_start(work, entries), tuple[AppraisalWarning, ...]()
    else:
        known, carried = _remembered(work, excerpt)
    rest = entries[known.entries - excerpt.first :]
    reached = ima.replay(known, rest, bank=bank, expected=work.pcrs[IMA_PCR], first=known.entries)
    if reached.entries == 0:
        # PCR 10 of zeros is what a kernel without IMA leaves, and an empty list leads to it.
        raise RefusedError(Reason.IMA_MISSING, "nothing was measured at all: is IMA on?")
    covered = reached.entries - excerpt.first
    # A whole list is judged from its start, whatever is known of it.
    before = {} if excerpt.first == 0 else known.values
    others = ima.follow(before, entries, covered, bank, work.pcrs)
    vouched = {IMA_PCR, *others.vouched}
    return replace(
        work,
        ima=ImaState(
            entries=excerpt.first + others.count,
            values=MappingProxyType({**reached.values, **others.values}),
        ),
        followed=others,
        entries=tuple(entry for entry in entries[: others.count] if entry.pcr in vouched),
        ahead=len(entries) - others.count,
        carried=carried,
    )


def _from_the_start(work: GenuineQuote, entries: tuple[ImaEntry, ...]) -> ImaState:
    """Where the replay of a whole list begins: at its start, or behind what was accepted before in this boot.

    Without a boot a list only grows. One that is shorter than before, or began otherwise, is of a TPM whose
    whole state was put back, which its clock need not show.

    Raises:
        RefusedError: ``ima-replay``: the list does not lead to what was accepted.
    """
    question, bank = work.question, work.question.challenge.bank
    start, memory = ImaState.start(bank), question.memory
    if work.boot != "same" or memory is None or memory.ima is None or bank not in memory.ima.values:
        return start
    return ima.replay(start, entries, bank=bank, expected=memory.ima.values[bank])


def _remembered(work: GenuineQuote, excerpt: ImaExcerpt) -> tuple[ImaState, tuple[AppraisalWarning, ...]]:
    """What an excerpt without the list's beginning goes on from, and the warnings about what lies before it.

    Raises:
        RefusedError: ``ima-gap``: entries before the excerpt are not known, or not in this boot, or were
            judged by another policy or other reference values.
    """
    question, memory = work.question, work.question.memory
    if excerpt.first != question.challenge.ima_from:
        raise RefusedError(
            Reason.IMA_GAP,
            f"it starts with entry {excerpt.first}, asked for was {question.challenge.ima_from}",
        )
    if memory is None or memory.ima is None:
        raise RefusedError(
            Reason.IMA_GAP, f"it starts with entry {excerpt.first} and none before it is known"
        )
    if memory.ima.entries != excerpt.first:
        raise RefusedError(
            Reason.IMA_GAP, f"it starts with entry {excerpt.first}, known are {memory.ima.entries}"
        )
    if work.boot != "same":
        # To the TPM's counters a boot after a suspend looks like a resume, and its list is another one.
        raise RefusedError(
            Reason.IMA_GAP, "the platform has booted or resumed since: ask for all of the list"
        )
    if memory.basis != ima_basis(question.policy, question.reference):
        raise RefusedError(
            Reason.IMA_GAP,
            "the entries before it were judged by another policy or other reference values: ask for all",
        )
    return memory.ima, memory.findings
