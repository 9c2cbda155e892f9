"""Event logs that were edited, cut, relabelled or made huge; and honest ones of other platforms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from harness.attest.logs.eventlog import NO_PCR
from harness.attest.played import logs
from harness.attest.played.logs import EV_EFI_HCRTM_EVENT, EV_NO_ACTION, EV_SEPARATOR, Measured
from harness.attest.reasons import Reason
from tests.attest.adversary.case import Case, grouped
from tests.attest.adversary.event_bytes import Events, instead, log, replaced, spec_of, started
from tests.attest.adversary.stage import EVENT_PCRS, Asked, Stage, ignoring

LAST = -1


def _measured(stage: Stage, *more: Measured) -> Asked:
    """A platform that measured more, and whose log says so."""
    return stage.honest(events=[*stage.events, *more])


_ALGORITHMS = ((4, 20), (0xB, 32), (0xC, 48), (0xD, 64), (0x12, 32), (0x27, 32), (0x28, 48), (0x29, 64))


def _unlogged(stage: Stage) -> Asked:
    """PCR 9 was extended and no event of it is in the log."""
    return log(stage, lambda events: [one for one in events if one.pcr != 9])


def _two_banks(stage: Stage) -> Asked:
    return stage.honest().sent(event_log=logs.event_log(stage.events, ("sha1", "sha256", "sha384")))


def _rebooted(stage: Stage, change: Callable[[Events], Events], *, ordered: bool) -> Asked:
    """A platform whose boot loader measured other things, all of them known; its log says so."""
    loader = [one for one in stage.events if one.pcr in EVENT_PCRS]
    rest = [one for one in stage.events if one.pcr not in EVENT_PCRS]
    scene = stage.honest(events=[*rest, *change(loader)])
    if not ordered:
        return scene
    sequences = {
        index: (tuple(one.digest("sha256").hex() for one in loader if one.pcr == index),)
        for index in EVENT_PCRS
    }
    return scene.against(event_sequences={"sha256": sequences})


def _empty_or_whole(stage: Stage) -> Asked:
    """A platform whose boot loader measured nothing into PCR 8, which is one of the accepted sequences."""
    scene = _rebooted(stage, _without(8), ordered=True)
    sequences = dict(scene.question.reference.event_sequences["sha256"])
    return scene.against(event_sequences={"sha256": {**sequences, 8: (*sequences[8], ())}})


def _without(pcr: int) -> Callable[[Events], Events]:
    return lambda events: [one for one in events if one.pcr != pcr]


CASES: tuple[Case, ...] = grouped(
    "logs",
    (
        "events-in-their-order",
        Reason.ACCEPTED,
        "All events that were recorded, in their order",
        lambda stage: _rebooted(stage, lambda events: events, ordered=True),
    ),
    (
        "events-in-any-order",
        Reason.ACCEPTED,
        "Events in another order where the reference values do not say which",
        lambda stage: _rebooted(stage, lambda events: events[::-1], ordered=False),
    ),
    (
        "events-none-as-recorded",
        Reason.ACCEPTED,
        "No event in a PCR of which that is an accepted sequence",
        _empty_or_whole,
    ),
    *(
        (
            f"events-none-in-pcr-{pcr}",
            Reason.EVENT_SEQUENCE,
            f"No event in PCR {pcr}, which has reference events",
            partial(_rebooted, change=_without(pcr), ordered=False),
        )
        for pcr in EVENT_PCRS
    ),
    *(
        (f"events-{name}", Reason.EVENT_SEQUENCE, title, partial(_rebooted, change=change, ordered=True))
        for name, title, change in (
            ("reversed", "Known events in another order", lambda events: events[::-1]),
            ("repeated", "A known event twice", lambda events: [*events, events[-1]]),
            ("cut", "All known events but the last", lambda events: events[:-1]),
            ("absent", "No event of a PCR that has a sequence", _without(8)),
        )
    ),
    (
        "log-not-looked-at",
        Reason.ACCEPTED,
        "No event log where the policy ignores it",
        lambda stage: stage.honest().sent(event_log=None).under(require=ignoring(event_log="ignore")),
    ),
    ("log-of-three-banks", Reason.ACCEPTED, "A log with digests of more banks", _two_banks),
    (
        "log-from-locality-3",
        Reason.ACCEPTED,
        "A platform that was started from locality 3",
        lambda stage: started(stage, logs.startup_locality(3), 3),
    ),
    (
        "log-with-h-crtm",
        Reason.ACCEPTED,
        "A platform with an H-CRTM, which stands for locality 4",
        lambda stage: started(stage, Measured(pcr=0, type=EV_EFI_HCRTM_EVENT, data=b"HCRTM"), 4),
    ),
    (
        "event-words-changed",
        Reason.ACCEPTED,
        "Another type and text around a digest: nothing relies on them",
        partial(log, change=lambda events: replaced(events, LAST, type=EV_SEPARATOR, data=b"harmless")),
    ),
    (
        "event-of-unsigned-pcr",
        Reason.ACCEPTED,
        "An event of a PCR that is not signed: nothing is concluded from it",
        partial(log, change=lambda events: [*events, Measured(pcr=14, data=b"anything")]),
    ),
    (
        "event-of-no-pcr",
        Reason.ACCEPTED,
        "An event that belongs to no PCR and was not extended",
        partial(log, change=lambda events: [*events, Measured(pcr=NO_PCR, type=EV_NO_ACTION, data=b"note")]),
    ),
    (
        "log-missing",
        Reason.EVENT_LOG_MISSING,
        "No event log",
        lambda stage: stage.honest().sent(event_log=None),
    ),
    (
        "event-dropped",
        Reason.EVENT_LOG_REPLAY,
        "An event less",
        partial(log, change=lambda events: events[:-1]),
    ),
    (
        "event-dropped-inside",
        Reason.EVENT_LOG_REPLAY,
        "An event less in the middle",
        partial(log, change=lambda events: events[:10] + events[11:]),
    ),
    (
        "events-swapped",
        Reason.EVENT_LOG_REPLAY,
        "Two events of a PCR in each other's place",
        partial(log, change=lambda events: [*events[:-3], events[-1], events[-2], events[-3]]),
    ),
    (
        "event-twice",
        Reason.EVENT_LOG_REPLAY,
        "An event twice",
        partial(log, change=lambda events: [*events, events[-1]]),
    ),
    (
        "event-inserted",
        Reason.EVENT_LOG_REPLAY,
        "An event that never was",
        partial(log, change=lambda events: [*events, Measured(pcr=9, data=b"never")]),
    ),
    (
        "event-digest-changed",
        Reason.EVENT_LOG_REPLAY,
        "An event of another digest",
        partial(log, change=lambda events: [*events[:-1], replace(events[-1], data=b"another")]),
    ),
    (
        "event-moved-to-another-pcr",
        Reason.EVENT_LOG_REPLAY,
        "An event under another PCR",
        partial(log, change=lambda events: replaced(events, LAST, pcr=7)),
    ),
    (
        "event-relabelled-no-action",
        Reason.EVENT_LOG_REPLAY,
        "An event that is called one that was not extended",
        partial(log, change=lambda events: replaced(events, LAST, type=EV_NO_ACTION)),
    ),
    ("log-of-a-pcr-missing", Reason.EVENT_LOG_REPLAY, "No event of a PCR that was extended", _unlogged),
    (
        "log-empty",
        Reason.EVENT_LOG_REPLAY,
        "A log without any event",
        partial(log, change=lambda events: []),
    ),
    (
        "log-of-all-algorithms",
        Reason.EVENT_LOG_REPLAY,
        "A log that announces every algorithm there is, and has no event",
        lambda stage: instead(stage, spec_of(_ALGORITHMS)),
    ),
    (
        "event-of-1-mib",
        Reason.ACCEPTED,
        "An event with as many data as are read",
        partial(log, change=lambda events: [*events, Measured(pcr=14, data=bytes(2**20))]),
    ),
    (
        "log-of-another-bank",
        Reason.EVENT_LOG_REPLAY,
        "A log without digests of the bank",
        lambda stage: stage.honest().sent(event_log=logs.event_log(stage.events, ("sha384",))),
    ),
    (
        "locality-wrong",
        Reason.EVENT_LOG_REPLAY,
        "A log that names another startup locality",
        partial(log, change=lambda events: [logs.startup_locality(3), *events[1:]]),
    ),
    (
        "locality-of-an-h-crtm",
        Reason.EVENT_LOG_REPLAY,
        "The first event called an H-CRTM's",
        partial(log, change=lambda events: replaced(events[1:], 0, type=EV_EFI_HCRTM_EVENT)),
    ),
    (
        "event-unknown",
        Reason.EVENT_UNKNOWN,
        "A true event that is no reference value",
        lambda stage: _measured(stage, Measured(pcr=9, data=b"evil")),
    ),
    (
        "event-unknown-relabelled",
        Reason.EVENT_UNKNOWN,
        "The same, called a separator",
        lambda stage: _measured(stage, Measured(pcr=9, type=EV_SEPARATOR, data=b"evil")),
    ),
    (
        "event-of-another-pcr",
        Reason.EVENT_UNKNOWN,
        "A reference event of PCR 8, measured into PCR 9",
        lambda stage: _measured(stage, replace(next(one for one in stage.events if one.pcr == 8), pcr=9)),
    ),
    (
        "event-in-pinned-pcr",
        Reason.PCR_VALUE,
        "A true event more in a PCR whose whole value is known",
        lambda stage: _measured(stage, Measured(pcr=4, data=b"evil")),
    ),
)
