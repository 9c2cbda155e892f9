"""The firmware's event log: read strictly, and replayed to the PCR values that it claims.

A log is an untrusted list of explanations. What a quote vouches for are the digests, and those only once
:func:`replay` has led to the quoted values; an event's type and data are in no digest and may be relabelled
by the sender of the log. This module must never judge what was measured, and never read beyond its
bounds.

Source: TCG PC Client Platform Firmware Profile (PFP) 1.05 revision 23, sections 10.2 (structures of the
crypto-agile log), 10.4.1 (event types) and 10.4.5 (EV_NO_ACTION); TPM 2.0 Library Part 1, section 34 (what
PCRs start from).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from harness.attest.evidence import Bank, RefusedError
from harness.attest.reasons import Reason

MAX_BYTES: Final = 16 * 2**20
"""The longest log that is looked at; firmware reserves some 64 KiB."""

MAX_EVENTS: Final = 100_000
MAX_EVENT_BYTES: Final = 2**20
"""The most data that one event may carry."""

EV_NO_ACTION: Final = 0x00000003
EV_SEPARATOR: Final = 0x00000004
EV_EFI_HCRTM_EVENT: Final = 0x80000010

PCRS: Final = 24
NO_PCR: Final = 0xFFFFFFFF
"""What stands for a PCR in an EV_NO_ACTION event that belongs to none."""

_ALGORITHMS: Final[Mapping[int, tuple[str, int]]] = {
    0x0004: ("sha1", 20),
    0x000B: ("sha256", 32),
    0x000C: ("sha384", 48),
    0x000D: ("sha512", 64),
    0x0012: ("sm3-256", 32),
    0x0027: ("sha3-256", 32),
    0x0028: ("sha3-384", 48),
    0x0029: ("sha3-512", 64),
}
"""TPM_ALG_ID to name and digest bytes (TCG Algorithm Registry)."""

_LEGACY_HEADER: Final = struct.Struct("<II20sI")
_SPEC_HEADER: Final = struct.Struct("<16sIBBBBI")
_SPEC_SIGNATURE: Final = b"Spec ID Event03\0"
_EVENT_HEADER: Final = struct.Struct("<III")
_U16_PAIR: Final = struct.Struct("<HH")
_U16: Final = struct.Struct("<H")
_U32: Final = struct.Struct("<I")
_LOCALITY_SIGNATURE: Final = b"StartupLocality\0"
_LOCALITY_BYTES: Final = len(_LOCALITY_SIGNATURE) + 1
_STARTUP_LOCALITIES: Final = frozenset({0, 3, 4})
_H_CRTM_LOCALITY: Final = 4
_DRTM_PCRS: Final = range(17, 23)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What the log's first event says about the log (TCG_EfiSpecIDEvent).

    Attributes:
        platform_class: 0 is a client, 1 a server.
        version: Major and minor version and errata of the profile.
        uintn_bytes: The firmware's natural integer, 4 or 8 bytes.
        algorithms: The announced digests, by name, with their bytes, in the log's order.
        vendor: What the firmware's maker added.
    """

    platform_class: int
    version: tuple[int, int, int]
    uintn_bytes: int
    algorithms: Mapping[str, int]
    vendor: bytes


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One event: what was extended into which PCR, and what the log says it was.

    Attributes:
        pcr: 0 to 23, or :data:`NO_PCR`.
        type: The event type; not covered by any digest.
        digests: Digest by algorithm name, one for each announced algorithm.
        data: What explains the digest; for some types the digest is not the hash of it.
    """

    pcr: int
    type: int
    digests: Mapping[str, bytes]
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLog:
    """A log that is well formed, and no more than that.

    Attributes:
        spec: Its first event.
        events: All others, in their order, EV_NO_ACTION included.
        locality: The locality that TPM2_Startup came from, which is the last byte of PCR 0's start; 4 where
            an H-CRTM was measured.
        late_locality: What is said of it only after PCR 0 was extended; None where nothing is.
    """

    spec: Spec
    events: tuple[LogEvent, ...]
    locality: int
    late_locality: int | None = None


def parse(data: bytes, *, limit_bytes: int = MAX_BYTES, limit_events: int = MAX_EVENTS) -> EventLog:
    """The log in `data`, which must be exactly one crypto-agile log, little endian, from first to last byte.

    Raises:
        RefusedError: ``size-limit`` where a bound is exceeded, ``event-log-malformed`` for anything else that
            PFP section 10.2 does not allow: another first event, an algorithm that was not announced or comes
            twice, a cut or trailing event, a PCR that does not exist, an invalid startup locality.
    """
    if len(data) > limit_bytes:
        raise RefusedError(Reason.SIZE_LIMIT, f"an event log of {len(data)} bytes; {limit_bytes} are allowed")
    try:
        spec, ids, offset = _spec(data)
    except struct.error as error:
        raise _malformed("its first event is cut: it ends before what it has to announce") from error
    events = _events(data, offset, ids, limit_events)
    locality, late = _localities(events)
    return EventLog(spec=spec, events=events, locality=locality, late_locality=late)


def led_to(log: EventLog, bank: Bank, values: Mapping[int, bytes]) -> frozenset[int]:
    """The PCRs of `values` that the log leads to: the only ones whose events are known to have happened.

    A PCR without any event is led to where it still holds what it starts with. PCR 0 may have been started
    from a locality that the log says too late.

    Args:
        log: The log.
        bank: The bank that `values` are of.
        values: PCR index and value, as signed.

    Raises:
        RefusedError: ``event-log-replay``: the log has no digests of this bank.
    """
    found = replay(log, bank)
    size = log.spec.algorithms[bank]
    led = {
        index
        for index, value in values.items()
        if found.get(index, initial(index, size, locality=log.locality)) == value
    }
    if log.late_locality is not None and 0 in values and 0 not in led:
        other = replace(log, locality=log.late_locality, late_locality=None)
        led |= led_to(other, bank, {0: values[0]})
    return frozenset(led)


def replay(log: EventLog, bank: Bank) -> dict[int, bytes]:
    """The values that the log's PCRs have in `bank`, for the PCRs into which an event was extended.

    PCR 0 starts from the startup locality, PCRs 17 to 22 from ones, all others from zeros (Part 1, section
    34).

    Raises:
        RefusedError: ``event-log-replay``: the log has no digests of this bank.
    """
    if bank not in log.spec.algorithms:
        raise RefusedError(Reason.EVENT_LOG_REPLAY, f"the event log has no {bank} digests")
    new, size = hashlib.sha256 if bank == "sha256" else hashlib.sha384, log.spec.algorithms[bank]
    values: dict[int, bytes] = {}
    for event in log.events:
        if event.type != EV_NO_ACTION:
            before = values.get(event.pcr)
            if before is None:
                before = initial(event.pcr, size, locality=log.locality)
            values[event.pcr] = new(before + event.digests[bank]).digest()
    return values


def initial(pcr: int, size: int, *, locality: int = 0) -> bytes:
    """What a PCR of `size` bytes holds after a start of the platform (TPM 2.0 Part 1, section 34)."""
    if pcr == 0:
        return bytes(size - 1) + bytes((locality,))
    return (b"\xff" if pcr in _DRTM_PCRS else b"\0") * size


def _malformed(why: str) -> RefusedError:
    return RefusedError(Reason.EVENT_LOG_MALFORMED, why)


def _spec(data: bytes) -> tuple[Spec, Mapping[int, tuple[str, int]], int]:
    """The first event, the announced algorithms by their ids, and where the second event begins."""
    pcr, kind, digest, size = _LEGACY_HEADER.unpack_from(data)
    start = _LEGACY_HEADER.size
    body = data[start : start + size]
    if len(body) != size:
        raise _malformed("its first event is cut")
    if (pcr, kind, digest) != (0, EV_NO_ACTION, bytes(20)) or not body.startswith(_SPEC_SIGNATURE):
        raise _malformed("its first event is no Spec ID Event03: the log is not crypto-agile")
    _, platform, minor, major, errata, uintn, count = _SPEC_HEADER.unpack_from(body)
    if uintn not in {1, 2}:
        raise _malformed(f"a natural integer of {uintn} times 4 bytes")
    if not 1 <= count <= len(_ALGORITHMS):
        raise _malformed(f"{count} algorithms are announced")
    ids: dict[int, tuple[str, int]] = {}
    at = _SPEC_HEADER.size
    for _ in range(count):
        number, bytes_ = _U16_PAIR.unpack_from(body, at)
        at += _U16_PAIR.size
        known = _ALGORITHMS.get(number)
        if known is None or known[1] != bytes_ or number in ids:
            raise _malformed(
                f"algorithm 0x{number:04x} of {bytes_} bytes is announced twice or does not exist"
            )
        ids[number] = known
    vendor = body[at + 1 :]
    if at >= len(body) or body[at] != len(vendor):
        raise _malformed("the vendor's part of its first event has another size than it says")
    spec = Spec(
        platform_class=platform,
        version=(major, minor, errata),
        uintn_bytes=4 * uintn,
        algorithms=dict(ids.values()),
        vendor=vendor,
    )
    return spec, ids, start + size


def _events(data: bytes, offset: int, ids: Mapping[int, tuple[str, int]], limit: int) -> tuple[LogEvent, ...]:
    """Every TCG_PCR_EVENT2 from `offset` to the end."""
    events: list[LogEvent] = []
    end = len(data)
    try:
        while offset < end:
            if len(events) >= limit:
                raise RefusedError(Reason.SIZE_LIMIT, f"more than {limit} events")
            event, offset = _event(data, offset, ids)
            events.append(event)
    except _MalformedError as error:
        raise _malformed(f"event {len(events) + 1} of the log: {error}") from error
    except _TooLargeError as error:
        raise RefusedError(Reason.SIZE_LIMIT, f"event {len(events) + 1} of the log: {error}") from error
    except struct.error as error:
        raise _malformed(f"event {len(events) + 1} of the log is cut: the log ends within it") from error
    return tuple(events)


class _MalformedError(Exception):
    """Why an event is invalid; :func:`_events` adds which one and turns it into a refusal."""


class _TooLargeError(Exception):
    """An event says that it is larger than any may be; likewise."""


def _event(data: bytes, offset: int, ids: Mapping[int, tuple[str, int]]) -> tuple[LogEvent, int]:
    """The event at `offset`, and where the next begins; struct.error where the data end before."""
    pcr, kind, count = _EVENT_HEADER.unpack_from(data, offset)
    offset += _EVENT_HEADER.size
    if pcr >= PCRS and not (pcr == NO_PCR and kind == EV_NO_ACTION):
        raise _MalformedError(f"it is of PCR {pcr}, which does not exist")
    if count != len(ids):
        raise _MalformedError(f"it has {count} digests where {len(ids)} are announced")
    digests: dict[str, bytes] = {}
    for _ in range(count):
        (number,) = _U16.unpack_from(data, offset)
        if number not in ids:
            raise _MalformedError(f"it has a digest of algorithm 0x{number:04x}, which was not announced")
        name, size = ids[number]
        digests[name] = data[offset + 2 : offset + 2 + size]
        offset += 2 + size
    if len(digests) != count:
        raise _MalformedError("it has two digests of one algorithm")
    (size,) = _U32.unpack_from(data, offset)
    offset += 4
    if size > MAX_EVENT_BYTES:
        raise _TooLargeError(f"it says that it has {size} bytes of data")
    if size > len(data) - offset:
        left = len(data) - offset
        raise _MalformedError(f"it is cut: {size} bytes of data are said to follow, and {left} do")
    return LogEvent(pcr, kind, digests, data[offset : offset + size]), offset + size


def _localities(events: tuple[LogEvent, ...]) -> tuple[int, int | None]:
    """Where TPM2_Startup came from, as the log says, and what it says only after PCR 0 was extended.

    An H-CRTM means locality 4, said or not (Part 1, section 34.3). A TCG_EfiStartupLocalityEvent has exactly
    17 bytes (PFP, section 10.4.5.3): longer ones, as of firmware that pads the data of all its events, and
    shorter ones are notes like any other. It should come before all that is extended into PCR 0.
    """
    said: int | None = None
    late: int | None = None
    extended = False
    measured = False
    for number, event in enumerate(events, 1):
        if event.pcr != 0:
            continue
        if event.type != EV_NO_ACTION:
            measured = measured or (event.type == EV_EFI_HCRTM_EVENT and not extended)
            extended = True
        elif len(event.data) == _LOCALITY_BYTES and event.data.startswith(_LOCALITY_SIGNATURE):
            if said is not None or late is not None:
                raise _malformed(f"event {number} of the log: it says the startup locality a second time")
            value = event.data[-1]
            if value not in _STARTUP_LOCALITIES:
                raise _malformed(f"event {number} of the log: a startup locality of {value}; 0, 3 or 4 exist")
            said, late = (None, value) if extended else (value, None)
    if measured and said not in {None, _H_CRTM_LOCALITY}:
        raise _malformed(f"an H-CRTM is measured and the startup locality is {said}")
    return _H_CRTM_LOCALITY if measured else said or 0, late
