"""Event logs that were edited, cut, relabelled or made huge; and honest ones of other platforms."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from harness.attest.logs.eventlog import NO_PCR
from harness.attest.played import logs
from harness.attest.played.logs import EV_EFI_HCRTM_EVENT, EV_NO_ACTION, EV_SEPARATOR, Measured
from harness.attest.reasons import Reason
from harness.attest.reference.policy import Limits
from tests.attest.adversary.case import Case, grouped
from tests.attest.adversary.stage import EVENT_PCRS, Asked, Stage, ignoring

Events = list[Measured]
LAST = -1


def _log(stage: Stage, change: Callable[[Events], Sequence[Measured]]) -> Asked:
    """Another log beside the honest quote."""
    return stage.honest().sent(event_log=logs.event_log(change(list(stage.events))))


def _raw_log(stage: Stage, change: Callable[[bytes], bytes]) -> Asked:
    return stage.honest().sent(event_log=change(stage.log()))


def _instead(stage: Stage, raw: bytes) -> Asked:
    return stage.honest().sent(event_log=raw)


def _measured(stage: Stage, *more: Measured) -> Asked:
    """A platform that measured more, and whose log says so."""
    return stage.honest(events=[*stage.events, *more])


def _spec(data: bytes) -> bytes:
    """A log whose first event says anything."""
    return struct.pack("<II20sI", 0, EV_NO_ACTION, bytes(20), len(data)) + data


def _spec_of(algorithms: Sequence[tuple[int, int]], *, uintn: int = 2, vendor: bytes = b"\0") -> bytes:
    body = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 105, uintn, len(algorithms))
    return _spec(body + b"".join(struct.pack("<HH", *one) for one in algorithms) + vendor)


def _lying_spec() -> bytes:
    whole = _spec_of([(_SHA256, 32)])
    return whole[:28] + struct.pack("<I", len(whole) - 32 + 5) + whole[32:]


def _event(pcr: int, digests: Sequence[tuple[int, bytes]], *, size: int = 0, type_: int = 0xD) -> bytes:
    body = b"".join(struct.pack("<H", alg) + value for alg, value in digests)
    return struct.pack("<III", pcr, type_, len(digests)) + body + struct.pack("<I", size)


_SHA256 = 0xB
_ALGORITHMS = ((4, 20), (0xB, 32), (0xC, 48), (0xD, 64), (0x12, 32), (0x27, 32), (0x28, 48), (0x29, 64))
_DIGEST = (_SHA256, bytes(32))


def _replaced(events: Events, at: int, **fields: object) -> Events:
    """One event with other words around the digest that it had."""
    old = events[at]
    new = replace(old, digests={"sha256": old.digest("sha256")}, **fields)  # type: ignore[arg-type]
    return [*events[:at], new, *events[len(events) + at + 1 if at < 0 else at + 1 :]]


def _started(stage: Stage, first: Measured, locality: int) -> Asked:
    """A platform that started from another locality, whose reference value for PCR 0 is that one's."""
    scene = stage.honest(events=[first, *stage.events[1:]], locality=locality)
    pcrs = {**stage.reference.pcrs["sha256"], 0: (scene.evidence.pcrs[0].hex(),)}
    return scene.against(pcrs={"sha256": pcrs})


def _started_late(stage: Stage) -> Asked:
    """A platform that started from locality 3, and whose log says so at its end."""
    scene = _started(stage, Measured(pcr=14, type=EV_NO_ACTION, data=b"a note"), 3)
    return scene.sent(event_log=logs.event_log([*stage.events[1:], logs.startup_locality(3)]))


def _beyond(stage: Stage, *, known: bool, more: bytes) -> Asked:
    """A platform whose boot loader measured into PCR 12, and whose system extended it by `more`."""
    loader = Measured(pcr=12, data=b"loader.conf")
    later = [Measured(pcr=12, data=more)] if more else []
    pcrs = (*range(11), 12)
    scene = stage.honest(events=[*stage.events, loader, *later]).challenged(pcrs=pcrs)
    scene = scene.sent(event_log=logs.event_log([*stage.events, loader]))
    events = dict(stage.reference.events["sha256"])
    if known:
        events[12] = (loader.digest("sha256").hex(),)
    return scene.under(pcrs=pcrs).against(events={"sha256": events})


def _unlogged(stage: Stage) -> Asked:
    """PCR 9 was extended and no event of it is in the log."""
    return _log(stage, lambda events: [one for one in events if one.pcr != 9])


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
        lambda stage: _started(stage, logs.startup_locality(3), 3),
    ),
    (
        "log-with-h-crtm",
        Reason.ACCEPTED,
        "A platform with an H-CRTM, which stands for locality 4",
        lambda stage: _started(stage, Measured(pcr=0, type=EV_EFI_HCRTM_EVENT, data=b"HCRTM"), 4),
    ),
    (
        "event-words-changed",
        Reason.ACCEPTED,
        "Another type and text around a digest: nothing relies on them",
        partial(_log, change=lambda events: _replaced(events, LAST, type=EV_SEPARATOR, data=b"harmless")),
    ),
    (
        "event-of-unsigned-pcr",
        Reason.ACCEPTED,
        "An event of a PCR that is not signed: nothing is concluded from it",
        partial(_log, change=lambda events: [*events, Measured(pcr=14, data=b"anything")]),
    ),
    (
        "event-of-no-pcr",
        Reason.ACCEPTED,
        "An event that belongs to no PCR and was not extended",
        partial(_log, change=lambda events: [*events, Measured(pcr=NO_PCR, type=EV_NO_ACTION, data=b"note")]),
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
        partial(_log, change=lambda events: events[:-1]),
    ),
    (
        "event-dropped-inside",
        Reason.EVENT_LOG_REPLAY,
        "An event less in the middle",
        partial(_log, change=lambda events: events[:10] + events[11:]),
    ),
    (
        "events-swapped",
        Reason.EVENT_LOG_REPLAY,
        "Two events of a PCR in each other's place",
        partial(_log, change=lambda events: [*events[:-3], events[-1], events[-2], events[-3]]),
    ),
    (
        "event-twice",
        Reason.EVENT_LOG_REPLAY,
        "An event twice",
        partial(_log, change=lambda events: [*events, events[-1]]),
    ),
    (
        "event-inserted",
        Reason.EVENT_LOG_REPLAY,
        "An event that never was",
        partial(_log, change=lambda events: [*events, Measured(pcr=9, data=b"never")]),
    ),
    (
        "event-digest-changed",
        Reason.EVENT_LOG_REPLAY,
        "An event of another digest",
        partial(_log, change=lambda events: [*events[:-1], replace(events[-1], data=b"another")]),
    ),
    (
        "event-moved-to-another-pcr",
        Reason.EVENT_LOG_REPLAY,
        "An event under another PCR",
        partial(_log, change=lambda events: _replaced(events, LAST, pcr=7)),
    ),
    (
        "event-relabelled-no-action",
        Reason.EVENT_LOG_REPLAY,
        "An event that is called one that was not extended",
        partial(_log, change=lambda events: _replaced(events, LAST, type=EV_NO_ACTION)),
    ),
    ("log-of-a-pcr-missing", Reason.EVENT_LOG_REPLAY, "No event of a PCR that was extended", _unlogged),
    (
        "log-empty",
        Reason.EVENT_LOG_REPLAY,
        "A log without any event",
        partial(_log, change=lambda events: []),
    ),
    (
        "log-of-all-algorithms",
        Reason.EVENT_LOG_REPLAY,
        "A log that announces every algorithm there is, and has no event",
        lambda stage: _instead(stage, _spec_of(_ALGORITHMS)),
    ),
    (
        "event-of-1-mib",
        Reason.ACCEPTED,
        "An event with as many data as are read",
        partial(_log, change=lambda events: [*events, Measured(pcr=14, data=bytes(2**20))]),
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
        partial(_log, change=lambda events: [logs.startup_locality(3), *events[1:]]),
    ),
    (
        "locality-of-an-h-crtm",
        Reason.EVENT_LOG_REPLAY,
        "The first event called an H-CRTM's",
        partial(_log, change=lambda events: _replaced(events[1:], 0, type=EV_EFI_HCRTM_EVENT)),
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
    (
        "log-no-bytes",
        Reason.EVENT_LOG_MALFORMED,
        "A log of no bytes",
        partial(_raw_log, change=lambda raw: b""),
    ),
    (
        "log-cut",
        Reason.EVENT_LOG_MALFORMED,
        "A log without its last byte",
        partial(_raw_log, change=lambda raw: raw[:-1]),
    ),
    (
        "log-cut-early",
        Reason.EVENT_LOG_MALFORMED,
        "A log cut in its first event",
        partial(_raw_log, change=lambda raw: raw[:50]),
    ),
    (
        "log-trailing",
        Reason.EVENT_LOG_MALFORMED,
        "A byte behind the log",
        partial(_raw_log, change=lambda raw: raw + b"\0"),
    ),
    (
        "locality-unknown",
        Reason.EVENT_LOG_MALFORMED,
        "A startup locality that does not exist",
        partial(_log, change=lambda events: [logs.startup_locality(7), *events[1:]]),
    ),
    (
        "locality-of-two-bytes",
        Reason.ACCEPTED,
        "A note of 18 bytes, which is no startup locality",
        partial(_log, change=lambda events: [replace(events[0], data=events[0].data + b"\0"), *events[1:]]),
    ),
    (
        "locality-of-two-bytes-from-3",
        Reason.EVENT_LOG_REPLAY,
        "The same on a platform that was started from locality 3",
        lambda stage: _started(stage, replace(stage.events[0], data=stage.events[0].data + b"\3"), 3),
    ),
    (
        "locality-twice",
        Reason.EVENT_LOG_MALFORMED,
        "Two startup localities",
        partial(_log, change=lambda events: [logs.startup_locality(0), *events]),
    ),
    (
        "locality-late",
        Reason.ACCEPTED,
        "A startup locality after PCR 0 was extended",
        partial(_log, change=lambda events: [*events[1:], logs.startup_locality(0)]),
    ),
    (
        "locality-late-and-wrong",
        Reason.ACCEPTED,
        "A locality that is said late, and from which PCR 0 was not started",
        partial(_log, change=lambda events: [*events[1:], logs.startup_locality(3)]),
    ),
    ("locality-late-and-right", Reason.ACCEPTED, "The same, from which it was started", _started_late),
    (
        "locality-early-and-late",
        Reason.EVENT_LOG_MALFORMED,
        "Two startup localities, one of them late",
        partial(_log, change=lambda events: [*events, logs.startup_locality(0)]),
    ),
    (
        "locality-late-twice",
        Reason.EVENT_LOG_MALFORMED,
        "Two startup localities, both of them late",
        partial(_log, change=lambda events: [*events[1:], *[logs.startup_locality(0)] * 2]),
    ),
    (
        "system-extended-a-pcr-of-the-log",
        Reason.ACCEPTED,
        "A PCR behind the boot loader's, extended by the system as well: its events count for nothing",
        partial(_beyond, known=False, more=b"the system's own"),
    ),
    (
        "reference-events-not-led-to",
        Reason.EVENT_LOG_REPLAY,
        "The same, where the events of that PCR have reference values",
        partial(_beyond, known=True, more=b"the system's own"),
    ),
    (
        "reference-events-led-to",
        Reason.ACCEPTED,
        "The same, and the log leads to that PCR",
        partial(_beyond, known=True, more=b""),
    ),
    (
        "event-behind-the-loader-unknown",
        Reason.EVENT_UNKNOWN,
        "An event of a PCR that the log leads to, without a reference value",
        partial(_beyond, known=False, more=b""),
    ),
    (
        "locality-against-h-crtm",
        Reason.EVENT_LOG_MALFORMED,
        "A startup locality that an H-CRTM contradicts",
        partial(_log, change=lambda events: _replaced(events, 1, type=EV_EFI_HCRTM_EVENT)),
    ),
    *(
        (f"log-{name}", Reason.EVENT_LOG_MALFORMED, title, partial(_instead, raw=raw))
        for name, title, raw in (
            ("legacy", "A log of SHA-1 alone, of the older form", struct.pack("<II20sI", 0, 1, bytes(20), 0)),
            ("without-algorithms", "No algorithm is announced", _spec_of(())),
            ("algorithm-twice", "An algorithm is announced twice", _spec_of([(_SHA256, 32)] * 2)),
            ("algorithm-unknown", "An algorithm that does not exist", _spec_of([(0x99, 32)])),
            ("algorithm-size", "A digest of another size than its algorithm's", _spec_of([(_SHA256, 20)])),
            ("integer-size", "A natural integer of 12 bytes", _spec_of([(_SHA256, 32)], uintn=3)),
            (
                "vendor-size",
                "A vendor's part that lies about its size",
                _spec_of([(_SHA256, 32)], vendor=b"\5"),
            ),
            (
                "vendor-missing",
                "A first event without a vendor's part",
                _spec_of([(_SHA256, 32)], vendor=b""),
            ),
            ("cut-in-first-event", "A first event that says it is longer", _lying_spec()),
            (
                "first-of-pcr-1",
                "A first event of PCR 1",
                struct.pack("<I", 1) + _spec_of([(_SHA256, 32)])[4:],
            ),
            (
                "first-of-older-form",
                "A first event of an older form",
                _spec_of([(_SHA256, 32)]).replace(b"Event03", b"Event02"),
            ),
            (
                "no-pcr",
                "An event of no PCR that is said to be extended",
                _spec_of([(_SHA256, 32)]) + _event(NO_PCR, [_DIGEST]),
            ),
            (
                "no-action-in-pcr-24",
                "An event of PCR 24 that was not extended",
                _spec_of([(_SHA256, 32)]) + _event(24, [_DIGEST], type_=EV_NO_ACTION),
            ),
            ("pcr-24", "An event of PCR 24", _spec_of([(_SHA256, 32)]) + _event(24, [_DIGEST])),
            ("digest-count", "An event with too few digests", _spec_of([(_SHA256, 32)]) + _event(0, [])),
            (
                "digest-unannounced",
                "A digest of an algorithm that was not announced",
                _spec_of([(_SHA256, 32)]) + _event(0, [(0xC, bytes(48))]),
            ),
            (
                "digest-twice",
                "Two digests of one algorithm",
                _spec_of([(_SHA256, 32), (4, 20)]) + _event(0, [_DIGEST, _DIGEST]),
            ),
            (
                "event-longer-than-log",
                "An event that goes on after the end",
                _spec_of([(_SHA256, 32)]) + _event(0, [_DIGEST], size=1000),
            ),
        )
    ),
    (
        "event-of-4-gib",
        Reason.SIZE_LIMIT,
        "An event that claims 4 GiB",
        partial(_raw_log, change=lambda raw: raw + _event(0, [_DIGEST], size=0xFFFFFFFF)),
    ),
    (
        "log-too-long",
        Reason.SIZE_LIMIT,
        "A log with more bytes than the policy reads",
        lambda stage: stage.honest().under(limits=Limits(event_log_bytes=100)),
    ),
    (
        "log-of-too-many-events",
        Reason.SIZE_LIMIT,
        "A log with more events than the policy reads",
        lambda stage: stage.honest().under(limits=Limits(events=len(stage.events) - 1)),
    ),
)
