"""What a verifier knows from before, and what the event log explains: steps 9 and 10, and its memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.attest.evidence import Evidence
from harness.attest.played import logs
from harness.attest.played.logs import Measured
from harness.attest.played.platform import (
    Platform,
    challenge,
    judged,
    later,
    policy,
    remembered,
    require,
)
from harness.attest.played.software_tpm import CLOCK, FIRMWARE, changed
from harness.attest.reasons import Reason, Tier
from harness.attest.reference.policy import ReferenceValues
from harness.attest.reference.values import record
from harness.attest.tpm.structures import ClockInfo
from harness.attest.verify.memory import Memory
from harness.attest.verify.verifier import Verification
from harness.errors import RecordError
from harness.json_types import Json
from tests.attest.questions import NEW_FILE, refused, said

# 9 clock


@pytest.mark.parametrize(
    ("ms", "resets", "restarts", "boot"),
    [
        (1, 0, 0, "same"),
        (1, 0, 1, "resume"),
        (1, 0, 3, "resume"),
        (1, 1, 0, "reboot"),
        (0, 5, 0, "reboot"),
    ],
)
def test_what_happened_since_the_last_quote(
    machine: Platform, ms: int, resets: int, restarts: int, boot: str
) -> None:
    now = later(CLOCK, ms=ms, resets=resets, restarts=restarts)
    verification = judged(machine, machine.evidence(clock=now), memory=remembered(machine))
    assert verification.result.reason is Reason.ACCEPTED, verification.result.detail
    assert verification.result.claims["boot"] == boot
    assert verification.memory is not None
    assert verification.memory.clock == now


def test_a_reboot_after_a_suspend_is_a_reboot(machine: Platform) -> None:
    suspended = later(CLOCK, restarts=1)
    memory = replace(remembered(machine), clock=suspended)
    booted = replace(later(suspended, resets=1), restart_count=0)
    verification = judged(machine, machine.evidence(clock=booted), memory=memory)
    assert verification.result.claims["boot"] == "reboot"


@pytest.mark.parametrize(
    ("clock", "reason"),
    [
        (CLOCK, Reason.CLOCK_BACKWARDS),
        (later(CLOCK, ms=-1), Reason.CLOCK_BACKWARDS),
        (later(CLOCK, ms=-1, restarts=1), Reason.CLOCK_BACKWARDS),
        (later(CLOCK, ms=-1, resets=1), Reason.CLOCK_BACKWARDS),
        (replace(later(CLOCK), reset_count=CLOCK.reset_count - 1), Reason.RESET_BACKWARDS),
        (replace(later(CLOCK), restart_count=CLOCK.restart_count - 1), Reason.RESTART_INCONSISTENT),
    ],
)
def test_a_tpm_does_not_go_back(machine: Platform, clock: ClockInfo, reason: Reason) -> None:
    verification = judged(machine, machine.evidence(clock=clock), memory=remembered(machine))
    refused(verification, reason, "clock")


def test_a_clock_that_lost_time_with_its_power(machine: Platform) -> None:
    unsafe = replace(later(CLOCK, ms=-17, resets=1), safe=False)
    evidence, memory = machine.evidence(clock=unsafe), remembered(machine)
    refused(judged(machine, evidence, memory=memory), Reason.CLOCK_NOT_SAFE, "clock")
    warned = judged(machine, evidence, memory=memory, policy=policy(clock_unsafe="warn"))
    assert (warned.result.tier, warned.result.reason) == (Tier.WARNING, Reason.CLOCK_NOT_SAFE)
    assert warned.accepted


def test_a_firmware_that_is_no_reference_value(machine: Platform) -> None:
    evidence = machine.evidence(firmware_version=FIRMWARE + 1)
    refused(judged(machine, evidence), Reason.FIRMWARE_VERSION, "clock")


def test_firmware_without_reference_values_is_not_checked_and_this_is_said(machine: Platform) -> None:
    reference = machine.reference.model_copy(update={"firmware_versions": ()})
    result = judged(machine, machine.evidence(firmware_version=1), reference=reference).result
    assert result.tier is Tier.AFFIRMING
    assert "firmware-version" in str(result.claims["unchecked"])
    assert result.vector["hardware"] == 0


def test_firmware_does_not_change_without_a_reset(machine: Platform) -> None:
    reference = machine.reference.model_copy(update={"firmware_versions": ()})
    memory = replace(remembered(machine), firmware_version=FIRMWARE + 1)
    evidence = machine.evidence(clock=later(CLOCK))
    refused(judged(machine, evidence, reference=reference, memory=memory), Reason.FIRMWARE_VERSION, "clock")
    booted = machine.evidence(clock=later(CLOCK, resets=1))
    assert judged(machine, booted, reference=reference, memory=memory).accepted


# 10 event log


def test_no_event_log(machine: Platform) -> None:
    evidence = changed(machine.evidence(), event_log=None)
    refused(judged(machine, evidence), Reason.EVENT_LOG_MISSING, "event-log")


def test_an_event_log_that_is_none(machine: Platform) -> None:
    evidence = changed(machine.evidence(), event_log=b"")
    refused(judged(machine, evidence), Reason.EVENT_LOG_MALFORMED, "event-log")


def with_events(machine: Platform, events: list[Measured]) -> Evidence:
    return changed(machine.evidence(), event_log=logs.event_log(events))


def test_an_event_is_missing_twice_or_moved(machine: Platform) -> None:
    events = list(machine.events)
    for other in (events[:-1], [*events, events[-1]], [events[0], *reversed(events[1:])]):
        refused(judged(machine, with_events(machine, other)), Reason.EVENT_LOG_REPLAY, "event-log")


def test_a_firmware_pcr_without_events_holds_what_it_starts_with(machine: Platform) -> None:
    """PCR 9 was extended, and the log says nothing of it."""
    silent = replace(machine, extra={9: b"\x01" * 32}, events=[e for e in machine.events if e.pcr != 9])
    refused(judged(silent), Reason.EVENT_LOG_REPLAY, "event-log")


LOADER = [Measured(pcr=12, data=b"loader.conf"), Measured(pcr=12, data=b"quiet")]
TO_12 = (*range(11), 12)


def with_loader(machine: Platform, *, extended: bool) -> Platform:
    """The machine with a boot loader that measures into PCR 12, and a system that does so too or not."""
    started = replace(machine, events=[*machine.events, *LOADER])
    if extended:
        later_on = [*LOADER, Measured(pcr=12, data=b"the system's own")]
        return replace(started, extra={12: logs.extended(later_on, "sha256")[12]})
    return started


def judged_to_12(machine: Platform, evidence: Evidence | None = None, **changes: object) -> Verification:
    usual: dict[str, object] = {"policy": policy(pcrs=TO_12), "challenge": challenge(pcrs=TO_12)}
    return judged(machine, evidence, **(usual | changes))


def without_12(reference: ReferenceValues) -> ReferenceValues:
    events = {index: digests for index, digests in reference.events["sha256"].items() if index != 12}
    return reference.model_copy(update={"events": {"sha256": events}})


def test_a_pcr_that_the_system_extends_later_need_not_be_led_to(machine: Platform) -> None:
    extended = with_loader(machine, extended=True)
    found = judged_to_12(extended, reference=without_12(extended.reference))
    assert found.result.tier is Tier.AFFIRMING
    assert "pcr-12" in said(found, "unchecked")
    assert found.result.claims["event_log"] == {"events": len(extended.events), "not_led_to": [12]}


def test_a_pcr_that_is_led_to_has_its_events_judged(machine: Platform) -> None:
    started = with_loader(machine, extended=False)
    found = judged_to_12(started)
    assert found.accepted and "pcr-12" not in said(found, "unchecked")
    assert found.result.claims["event_log"] == {"events": len(started.events), "not_led_to": []}
    unknown = judged_to_12(started, reference=without_12(started.reference))
    refused(unknown, Reason.EVENT_UNKNOWN, "appraisal")


def test_reference_events_of_a_pcr_want_the_log_to_lead_to_it(machine: Platform) -> None:
    """Or else whoever extends the PCR once more gets rid of the judgement of its events."""
    extended = with_loader(machine, extended=True)
    refused(judged_to_12(extended), Reason.EVENT_LOG_REPLAY, "event-log")
    silent = changed(extended.evidence(), event_log=logs.event_log(machine.events))
    refused(judged_to_12(extended, silent), Reason.EVENT_LOG_REPLAY, "event-log")


@pytest.mark.parametrize("right", [True, False])
def test_a_whole_value_of_such_a_pcr_is_judged_all_the_same(machine: Platform, right: bool) -> None:
    extended = with_loader(machine, extended=True)
    value = extended.pcrs[12] if right else bytes(32)
    reference = without_12(extended.reference)
    pinned = {"sha256": {**reference.pcrs["sha256"], 12: (value.hex(),)}}
    found = judged_to_12(extended, reference=reference.model_copy(update={"pcrs": pinned}))
    if right:
        assert found.accepted and "pcr-12" not in said(found, "unchecked")
    else:
        refused(found, Reason.PCR_VALUE, "appraisal")


def test_events_that_nothing_vouches_for_become_no_reference_values(machine: Platform) -> None:
    of = policy(pcrs=TO_12)
    started, extended = (with_loader(machine, extended=one) for one in (False, True))
    assert 12 in record(started.evidence(), of).events["sha256"]
    assert 12 not in record(extended.evidence(), of).events["sha256"]


def test_relabelling_an_event_changes_nothing(machine: Platform) -> None:
    events = [
        replace(one, data=b"harmless", digests={"sha256": one.digest("sha256")}) for one in machine.events[1:]
    ]
    assert judged(machine, with_events(machine, [machine.events[0], *events])).accepted


def test_an_event_log_that_is_not_wanted_is_not_read(machine: Platform) -> None:
    evidence = changed(machine.evidence(), event_log=b"nonsense")
    result = judged(machine, evidence, policy=policy(require=require(event_log="ignore"))).result
    assert result.tier is Tier.AFFIRMING
    assert result.claims["event_log"] is None


def test_memory_survives_a_file(machine: Platform) -> None:
    memory = remembered(
        machine.measured(NEW_FILE), policy=policy(ima_unknown_file="warn"), reference=machine.reference
    )
    assert memory.findings
    assert Memory.from_json(memory.to_json()) == memory


def test_damaged_memory_is_an_error(machine: Platform) -> None:
    stored = remembered(machine).to_json()
    damages: list[dict[str, Json]] = [
        {**stored, "more": 1},
        {"clock": None},
        {**stored, "ima": {"entries": -1, "values": {}}},
    ]
    for damaged in damages:
        with pytest.raises(RecordError, match="damaged"):
            Memory.from_json(damaged)
