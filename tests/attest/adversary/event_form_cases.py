"""Event logs that are malformed, that name a startup locality, or that a PCR goes beyond."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from harness.attest.logs.eventlog import NO_PCR
from harness.attest.played import logs
from harness.attest.played.logs import EV_EFI_HCRTM_EVENT, EV_NO_ACTION, Measured
from harness.attest.reasons import Reason
from harness.attest.reference.policy import Limits
from tests.attest.adversary.case import Case, grouped
from tests.attest.adversary.event_bytes import instead, log, replaced, spec_of, started
from tests.attest.adversary.stage import Asked, Stage


def _raw_log(stage: Stage, change: Callable[[bytes], bytes]) -> Asked:
    return stage.honest().sent(event_log=change(stage.log()))


def _lying_spec() -> bytes:
    whole = spec_of([(_SHA256, 32)])
    return whole[:28] + struct.pack("<I", len(whole) - 32 + 5) + whole[32:]


def _event(pcr: int, digests: Sequence[tuple[int, bytes]], *, size: int = 0, type_: int = 0xD) -> bytes:
    body = b"".join(struct.pack("<H", alg) + value for alg, value in digests)
    return struct.pack("<III", pcr, type_, len(digests)) + body + struct.pack("<I", size)


_SHA256 = 0xB


_DIGEST = (_SHA256, bytes(32))


def _started_late(stage: Stage) -> Asked:
    """A platform that started from locality 3, and whose log says so at its end."""
    scene = started(stage, Measured(pcr=14, type=EV_NO_ACTION, data=b"a note"), 3)
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


CASES: tuple[Case, ...] = grouped(
    "logs",
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
        partial(log, change=lambda events: [logs.startup_locality(7), *events[1:]]),
    ),
    (
        "locality-of-two-bytes",
        Reason.ACCEPTED,
        "A note of 18 bytes, which is no startup locality",
        partial(log, change=lambda events: [replace(events[0], data=events[0].data + b"\0"), *events[1:]]),
    ),
    (
        "locality-of-two-bytes-from-3",
        Reason.EVENT_LOG_REPLAY,
        "The same on a platform that was started from locality 3",
        lambda stage: started(stage, replace(stage.events[0], data=stage.events[0].data + b"\3"), 3),
    ),
    (
        "locality-twice",
        Reason.EVENT_LOG_MALFORMED,
        "Two startup localities",
        partial(log, change=lambda events: [logs.startup_locality(0), *events]),
    ),
    (
        "locality-late",
        Reason.ACCEPTED,
        "A startup locality after PCR 0 was extended",
        partial(log, change=lambda events: [*events[1:], logs.startup_locality(0)]),
    ),
    (
        "locality-late-and-wrong",
        Reason.ACCEPTED,
        "A locality that is said late, and from which PCR 0 was not started",
        partial(log, change=lambda events: [*events[1:], logs.startup_locality(3)]),
    ),
    ("locality-late-and-right", Reason.ACCEPTED, "The same, from which it was started", _started_late),
    (
        "locality-early-and-late",
        Reason.EVENT_LOG_MALFORMED,
        "Two startup localities, one of them late",
        partial(log, change=lambda events: [*events, logs.startup_locality(0)]),
    ),
    (
        "locality-late-twice",
        Reason.EVENT_LOG_MALFORMED,
        "Two startup localities, both of them late",
        partial(log, change=lambda events: [*events[1:], *[logs.startup_locality(0)] * 2]),
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
        partial(log, change=lambda events: replaced(events, 1, type=EV_EFI_HCRTM_EVENT)),
    ),
    *(
        (f"log-{name}", Reason.EVENT_LOG_MALFORMED, title, partial(instead, raw=raw))
        for name, title, raw in (
            ("legacy", "A log of SHA-1 alone, of the older form", struct.pack("<II20sI", 0, 1, bytes(20), 0)),
            ("without-algorithms", "No algorithm is announced", spec_of(())),
            ("algorithm-twice", "An algorithm is announced twice", spec_of([(_SHA256, 32)] * 2)),
            ("algorithm-unknown", "An algorithm that does not exist", spec_of([(0x99, 32)])),
            ("algorithm-size", "A digest of another size than its algorithm's", spec_of([(_SHA256, 20)])),
            ("integer-size", "A natural integer of 12 bytes", spec_of([(_SHA256, 32)], uintn=3)),
            (
                "vendor-size",
                "A vendor's part that lies about its size",
                spec_of([(_SHA256, 32)], vendor=b"\5"),
            ),
            (
                "vendor-missing",
                "A first event without a vendor's part",
                spec_of([(_SHA256, 32)], vendor=b""),
            ),
            ("cut-in-first-event", "A first event that says it is longer", _lying_spec()),
            (
                "first-of-pcr-1",
                "A first event of PCR 1",
                struct.pack("<I", 1) + spec_of([(_SHA256, 32)])[4:],
            ),
            (
                "first-of-older-form",
                "A first event of an older form",
                spec_of([(_SHA256, 32)]).replace(b"Event03", b"Event02"),
            ),
            (
                "no-pcr",
                "An event of no PCR that is said to be extended",
                spec_of([(_SHA256, 32)]) + _event(NO_PCR, [_DIGEST]),
            ),
            (
                "no-action-in-pcr-24",
                "An event of PCR 24 that was not extended",
                spec_of([(_SHA256, 32)]) + _event(24, [_DIGEST], type_=EV_NO_ACTION),
            ),
            ("pcr-24", "An event of PCR 24", spec_of([(_SHA256, 32)]) + _event(24, [_DIGEST])),
            ("digest-count", "An event with too few digests", spec_of([(_SHA256, 32)]) + _event(0, [])),
            (
                "digest-unannounced",
                "A digest of an algorithm that was not announced",
                spec_of([(_SHA256, 32)]) + _event(0, [(0xC, bytes(48))]),
            ),
            (
                "digest-twice",
                "Two digests of one algorithm",
                spec_of([(_SHA256, 32), (4, 20)]) + _event(0, [_DIGEST, _DIGEST]),
            ),
            (
                "event-longer-than-log",
                "An event that goes on after the end",
                spec_of([(_SHA256, 32)]) + _event(0, [_DIGEST], size=1000),
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
