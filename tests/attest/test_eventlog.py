"""Event logs: strict reading, and replay to PCR values."""

from __future__ import annotations

import struct
import timeit
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.attest.evidence import Bank, RefusedError
from harness.attest.logs import eventlog
from harness.attest.played import logs
from harness.attest.played.logs import Measured
from harness.attest.reasons import Reason

BANKS = ("sha1", "sha256", "sha384")
HCRTM = Measured(pcr=0, type=logs.EV_EFI_HCRTM_EVENT, data=b"HCRTM")
VERSION = Measured(pcr=0, type=logs.EV_S_CRTM_VERSION, data=b"1")


def refused(data: bytes, reason: Reason = Reason.EVENT_LOG_MALFORMED, **limits: int) -> str:
    with pytest.raises(RefusedError) as caught:
        eventlog.parse(data, **limits)
    assert caught.value.reason is reason
    return caught.value.why


def test_everything_that_was_written_is_read() -> None:
    events = logs.boot(40)
    log = eventlog.parse(logs.event_log(events, BANKS, vendor=b"maker"))
    assert log.spec.algorithms == {"sha1": 20, "sha256": 32, "sha384": 48}
    assert (log.spec.vendor, log.spec.version, log.spec.platform_class) == (b"maker", (2, 0, 105), 0)
    read = [(event.pcr, event.type, event.data, dict(event.digests)) for event in log.events]
    assert read == [(e.pcr, e.type, e.data, {bank: e.digest(bank) for bank in BANKS}) for e in events]


@pytest.mark.parametrize("bank", ["sha256", "sha384"])
def test_replay_gives_what_a_tpm_would_hold(bank: Bank) -> None:
    events = logs.boot(120)
    assert eventlog.replay(eventlog.parse(logs.event_log(events, BANKS)), bank) == logs.extended(events, bank)


def test_replay_names_only_pcrs_that_have_events() -> None:
    log = eventlog.parse(logs.event_log([Measured(pcr=4, data=b"x")]))
    assert set(eventlog.replay(log, "sha256")) == {4}
    assert eventlog.replay(eventlog.parse(logs.event_log([])), "sha256") == {}


def test_a_bank_that_the_log_lacks_is_refused() -> None:
    log = eventlog.parse(logs.event_log([VERSION], ("sha1", "sha256")))
    with pytest.raises(RefusedError) as caught:
        eventlog.replay(log, "sha384")
    assert caught.value.reason is Reason.EVENT_LOG_REPLAY


@pytest.mark.parametrize("locality", [0, 3, 4])
def test_pcr_0_starts_from_the_startup_locality(locality: int) -> None:
    events = [logs.startup_locality(locality), VERSION]
    start = {0: bytes(31) + bytes([locality])}
    log = eventlog.parse(logs.event_log(events))
    assert log.locality == locality
    assert eventlog.replay(log, "sha256") == logs.extended(events, "sha256", start=start)


def test_an_h_crtm_means_locality_4() -> None:
    log = eventlog.parse(logs.event_log([HCRTM, VERSION]))
    start = {0: bytes(31) + b"\4"}
    assert eventlog.replay(log, "sha256") == logs.extended([HCRTM, VERSION], "sha256", start=start)
    assert eventlog.parse(logs.event_log([logs.startup_locality(4), HCRTM])).locality == 4


def test_an_event_relabelled_as_h_crtm_after_others_moves_nothing() -> None:
    assert eventlog.parse(logs.event_log([VERSION, HCRTM])).locality == 0


def test_dynamic_pcrs_start_from_ones() -> None:
    events = [Measured(pcr=pcr, data=b"d") for pcr in (16, 17, 22, 23)]
    start = dict.fromkeys(range(17, 23), b"\xff" * 32)
    values = eventlog.replay(eventlog.parse(logs.event_log(events)), "sha256")
    assert values == logs.extended(events, "sha256", start=start)


def test_no_action_events_are_not_extended() -> None:
    note = Measured(pcr=eventlog.NO_PCR, type=logs.EV_NO_ACTION, data=b"anything")
    inside = Measured(pcr=5, type=logs.EV_NO_ACTION, data=b"anything")
    log = eventlog.parse(logs.event_log([note, inside]))
    assert len(log.events) == 2
    assert eventlog.replay(log, "sha256") == {}


@pytest.mark.parametrize(
    "events",
    [
        [logs.startup_locality(1)],
        [logs.startup_locality(0), logs.startup_locality(0)],
        [logs.startup_locality(0), VERSION, logs.startup_locality(3)],
        [logs.startup_locality(3), HCRTM],
        [Measured(pcr=24, data=b"x")],
        [Measured(pcr=24, type=logs.EV_NO_ACTION, data=b"x")],
        [Measured(pcr=eventlog.NO_PCR, data=b"x")],
    ],
    ids=[
        "locality 1",
        "twice",
        "again later",
        "against H-CRTM",
        "PCR 24",
        "note of PCR 24",
        "no PCR",
    ],
)
def test_what_the_profile_does_not_know_is_refused(events: list[Measured]) -> None:
    assert refused(logs.event_log(events))


@pytest.mark.parametrize("rest", [b"", b"\3\0", b"\3" + bytes(33), b"\0" + b"\xff" * 33])
def test_a_locality_event_of_another_size_is_a_note_like_any_other(rest: bytes) -> None:
    """Firmware that pads the data of each event to 50 bytes, for one."""
    note = Measured(pcr=0, type=logs.EV_NO_ACTION, data=b"StartupLocality\0" + rest)
    log = eventlog.parse(logs.event_log([note, VERSION]))
    assert (log.locality, len(log.events)) == (0, 2)
    assert eventlog.replay(log, "sha256") == logs.extended([VERSION], "sha256")


@pytest.mark.parametrize("started", [0, 3])
def test_a_locality_that_is_said_late_may_be_where_pcr_0_started_from(started: int) -> None:
    events = [VERSION, logs.startup_locality(3), VERSION]
    value = logs.extended(events, "sha256", start={0: bytes(31) + bytes([started])})[0]
    log = eventlog.parse(logs.event_log(events))
    assert (log.locality, log.late_locality) == (0, 3)
    assert eventlog.led_to(log, "sha256", {0: value}) == {0}
    other = logs.extended(events, "sha256", start={0: bytes(31) + b"\4"})[0]
    assert eventlog.led_to(log, "sha256", {0: other}) == set()


def test_which_pcrs_a_log_leads_to() -> None:
    events = [VERSION, Measured(pcr=12, data=b"loader.conf")]
    values = {0: bytes(32), 5: bytes(32), 12: bytes(32), 17: b"\xff" * 32} | logs.extended(events, "sha256")
    log = eventlog.parse(logs.event_log(events))
    assert eventlog.led_to(log, "sha256", values) == {0, 5, 12, 17}
    assert eventlog.led_to(log, "sha256", values | {12: bytes(32), 5: b"x" * 32, 17: bytes(32)}) == {0}


def test_every_cut_is_told_in_a_sentence() -> None:
    """Which event, what of it and where: never the words of the library that unpacks it."""
    data = logs.event_log(logs.boot(4), ("sha1", "sha256"))
    whole = {len(logs.event_log(logs.boot(4)[:count], ("sha1", "sha256"))) for count in range(5)}
    for size in set(range(len(data))) - whole:
        why = refused(data[:size])
        assert "unpack" not in why and "buffer" not in why, why
        assert why.startswith(("it is cut", "its first event", "event ")), why


def test_every_cut_is_refused() -> None:
    """All of them: a cut between two events is a shorter log, which only replay can find out."""
    events = logs.boot(4)
    data = logs.event_log(events, ("sha1", "sha256"))
    whole = {len(logs.event_log(events[:count], ("sha1", "sha256"))) for count in range(len(events) + 1)}
    for size in range(len(data)):
        if size in whole:
            assert len(eventlog.parse(data[:size]).events) < len(events)
        else:
            refused(data[:size])


@pytest.mark.parametrize("tail", [b"\0", bytes(12), b"\xff" * 64, bytes(4096)])
def test_trailing_bytes_are_refused(tail: bytes) -> None:
    assert refused(logs.event_log([VERSION]) + tail)


def test_a_log_of_sha1_alone_is_not_crypto_agile() -> None:
    old = struct.pack("<II20sI", 0, logs.EV_SEPARATOR, b"\1" * 20, 4) + bytes(4)
    assert "crypto-agile" in refused(old)


@pytest.mark.parametrize(
    ("name", "at", "new"),
    [
        ("PCR of the first event", 0, b"\1"),
        ("type of the first event", 4, b"\4"),
        ("digest of the first event", 8, b"\1"),
        ("signature", 32, b"s"),
        ("announced id", 60, b"\x99"),
        ("announced size", 62, b"\x21"),
        ("natural integer", 55, b"\3"),
        ("number of algorithms", 56, b"\2"),
        ("no algorithm", 56, b"\0"),
        ("size of the vendor's part", 64, b"\1"),
    ],
)
def test_a_first_event_that_lies_is_refused(name: str, at: int, new: bytes) -> None:
    data = bytearray(logs.event_log([VERSION]))
    data[at : at + 1] = new
    assert refused(bytes(data)), name


def first_event(body: bytes, *, size: int | None = None) -> bytes:
    """A first event of any content, whose size may be a lie."""
    said = len(body) if size is None else size
    return struct.pack("<II20sI", 0, logs.EV_NO_ACTION, bytes(20), said) + body


def test_a_first_event_is_neither_longer_nor_shorter_than_it_says() -> None:
    body = logs.spec_event()[32:]
    assert eventlog.parse(first_event(body)).events == ()
    assert refused(first_event(body, size=len(body) + 5))
    assert refused(first_event(body[:-1]))
    assert refused(first_event(body + b"\0"))


def test_a_log_announces_at_least_one_algorithm() -> None:
    body = logs.spec_event()[32:]
    assert "0 algorithms" in refused(first_event(body[:24] + bytes(4) + b"\0"))
    assert "4294967295 algorithms" in refused(first_event(body[:24] + b"\xff" * 4 + body[28:]))


def test_an_algorithm_that_nobody_knows_is_refused_whatever_its_size() -> None:
    good = logs.spec_event()
    for size in (0, 32, 65535):
        announced = struct.pack("<HH", 0x0300, size)
        assert "0x0300" in refused(good.replace(struct.pack("<HH", 0xB, 32), announced))


def test_an_algorithm_announced_twice_is_refused() -> None:
    assert "twice" in refused(logs.event_log([], ("sha256", "sha256")))


def test_each_event_has_each_announced_digest_once() -> None:
    spec = logs.spec_event(("sha1", "sha256"))
    assert "has 1 digests" in refused(spec + VERSION.to_bytes(("sha256",)))
    assert "has 3 digests" in refused(spec + VERSION.to_bytes(("sha1", "sha256", "sha384")))
    assert "two digests" in refused(spec + VERSION.to_bytes(("sha1", "sha1")))
    assert "0x000c" in refused(spec + VERSION.to_bytes(("sha1", "sha384")))


def test_bounds_hold() -> None:
    data = logs.event_log(logs.boot(20))
    assert len(eventlog.parse(data, limit_bytes=len(data), limit_events=20).events) == 20
    assert refused(data, Reason.SIZE_LIMIT, limit_bytes=len(data) - 1)
    assert refused(data, Reason.SIZE_LIMIT, limit_events=19)
    largest = Measured(pcr=4, data=bytes(eventlog.MAX_EVENT_BYTES))
    assert len(eventlog.parse(logs.event_log([largest])).events) == 1
    head = VERSION.to_bytes(("sha256",))[: 12 + 2 + 32]
    for size in (eventlog.MAX_EVENT_BYTES + 1, 2**32 - 1):
        assert refused(logs.spec_event() + head + struct.pack("<I", size), Reason.SIZE_LIMIT)


def test_tampering_changes_the_replayed_values() -> None:
    events = logs.boot(60)
    want = logs.extended(events, "sha256")
    extending = [n for n, event in enumerate(events) if event.type != logs.EV_NO_ACTION]
    n, m = extending[5], next(k for k in extending[6:] if events[k].pcr == events[extending[5]].pcr)
    swapped = list(events)
    swapped[n], swapped[m] = swapped[m], swapped[n]
    variants = {
        "dropped": events[:n] + events[n + 1 :],
        "duplicated": [*events[:n], events[n], *events[n:]],
        "inserted": [*events[:n], Measured(pcr=3, data=b"new"), *events[n:]],
        "reordered": swapped,
        "hidden": [*events[:n], Measured(pcr=events[n].pcr, type=logs.EV_NO_ACTION), *events[n + 1 :]],
        "wrong locality": [logs.startup_locality(3), *events[1:]],
    }
    for name, variant in variants.items():
        assert eventlog.replay(eventlog.parse(logs.event_log(variant)), "sha256") != want, name


def test_a_relabelled_event_replays_the_same() -> None:
    """Which is why nothing may be decided by an event's type or data alone."""
    real = Measured(pcr=4, type=logs.EV_IPL, data=b"evil")
    shown = Measured(pcr=4, type=logs.EV_ACTION, data=b"good", digests={"sha256": real.digest("sha256")})
    one, other = (
        eventlog.replay(eventlog.parse(logs.event_log([event])), "sha256") for event in (real, shown)
    )
    assert one == other


def test_120_events_are_read_and_replayed_within_a_millisecond() -> None:
    data = logs.event_log(logs.boot(120), ("sha1", "sha256"))
    best_s = (
        min(timeit.repeat(lambda: eventlog.replay(eventlog.parse(data), "sha256"), number=5, repeat=20)) / 5
    )
    assert best_s < 1e-3


SAMPLE = Path(__file__).with_name("samples") / "guest-seabios-1.16"


def test_the_log_of_a_real_firmware_replays_to_the_values_that_its_tpm_had() -> None:
    values = eventlog.replay(eventlog.parse((SAMPLE / "binary_bios_measurements").read_bytes()), "sha256")
    lines = (SAMPLE / "pcrs.txt").read_text().splitlines()
    read = {int(pcr): bytes.fromhex(value) for pcr, value in (line.split() for line in lines)}
    assert values == {pcr: read[pcr] for pcr in range(8)}


measured = st.builds(
    Measured,
    pcr=st.integers(0, 23),
    type=st.sampled_from([logs.EV_POST_CODE, logs.EV_SEPARATOR, logs.EV_IPL, 0x80000001]),
    data=st.binary(max_size=200),
)
some_banks = st.sets(st.sampled_from(sorted(logs.IDS)), min_size=1).map(
    lambda banks: tuple({*banks, "sha256"})
)


@given(st.lists(measured, max_size=20), some_banks, st.binary(max_size=255))
def test_any_log_that_is_written_is_read_and_replayed(
    events: list[Measured], banks: tuple[str, ...], vendor: bytes
) -> None:
    log = eventlog.parse(logs.event_log(events, banks, vendor=vendor))
    start = dict.fromkeys(range(17, 23), b"\xff" * 32)
    assert eventlog.replay(log, "sha256") == logs.extended(events, "sha256", start=start)


@given(st.binary(max_size=400))
def test_any_bytes_behind_a_good_start_are_read_or_refused(tail: bytes) -> None:
    try:
        log = eventlog.parse(logs.spec_event() + tail)
    except RefusedError as error:
        assert error.reason in {Reason.EVENT_LOG_MALFORMED, Reason.SIZE_LIMIT}
    else:
        said = [Measured(pcr=e.pcr, type=e.type, data=e.data, digests=e.digests) for e in log.events]
        assert b"".join(event.to_bytes(("sha256",)) for event in said) == tail


@given(st.lists(measured, min_size=1, max_size=5), st.data())
def test_any_flipped_bit_is_refused_or_read_as_something_else(
    events: list[Measured], data: st.DataObject
) -> None:
    whole = logs.event_log(events)
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    changed = bytearray(whole)
    changed[bit // 8] ^= 1 << bit % 8
    try:
        log = eventlog.parse(bytes(changed))
    except RefusedError as error:
        assert error.reason in {Reason.EVENT_LOG_MALFORMED, Reason.SIZE_LIMIT}
    else:
        assert log != eventlog.parse(whole)
