"""Event logs and IMA lists as firmware and kernel would write them, made without the parsers."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.attest.evidence import ImaExcerpt

IDS = {"sha1": 0x4, "sha256": 0xB, "sha384": 0xC, "sha512": 0xD, "sm3-256": 0x12}
SIZES = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64, "sm3-256": 32}
EV_POST_CODE = 0x1
EV_NO_ACTION = 0x3
EV_SEPARATOR = 0x4
EV_ACTION = 0x5
EV_S_CRTM_VERSION = 0x8
EV_IPL = 0xD
EV_EFI_HCRTM_EVENT = 0x80000010


def hashed(algorithm: str, data: bytes) -> bytes:
    """The digest of `data`; SM3 is not in every OpenSSL, and any 32 bytes serve a test as well."""
    return hashlib.new("sha256" if algorithm == "sm3-256" else algorithm, data).digest()


def spec_event(banks: Sequence[str] = ("sha256",), *, vendor: bytes = b"") -> bytes:
    """The first event of a crypto-agile log."""
    body = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 105, 2, len(banks))
    body += b"".join(struct.pack("<HH", IDS[bank], SIZES[bank]) for bank in banks)
    body += bytes([len(vendor)]) + vendor
    return struct.pack("<II20sI", 0, EV_NO_ACTION, bytes(20), len(body)) + body


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One event to be written; its digests are of `data` unless given."""

    pcr: int
    type: int = EV_IPL
    data: bytes = b""
    digests: Mapping[str, bytes] | None = None

    def digest(self, bank: str) -> bytes:
        """Its digest in the bank; zeros where nothing is extended."""
        if self.digests is not None:
            return self.digests[bank]
        return bytes(SIZES[bank]) if self.type == EV_NO_ACTION else hashed(bank, self.data)

    def to_bytes(self, banks: Sequence[str]) -> bytes:
        """TCG_PCR_EVENT2 with a digest for each bank."""
        digests = b"".join(struct.pack("<H", IDS[bank]) + self.digest(bank) for bank in banks)
        return (
            struct.pack("<III", self.pcr, self.type, len(banks))
            + digests
            + struct.pack("<I", len(self.data))
            + self.data
        )


def startup_locality(locality: int) -> Measured:
    """The event that says from which locality the TPM was started."""
    return Measured(pcr=0, type=EV_NO_ACTION, data=b"StartupLocality\0" + bytes([locality]))


def event_log(
    events: Sequence[Measured], banks: Sequence[str] = ("sha256",), *, vendor: bytes = b""
) -> bytes:
    """A whole log."""
    return spec_event(banks, vendor=vendor) + b"".join(event.to_bytes(banks) for event in events)


def extended(
    events: Sequence[Measured], bank: str, *, start: Mapping[int, bytes] | None = None
) -> dict[int, bytes]:
    """What a TPM's PCRs hold after `events`, from zeros or `start`: computed apart from what is tested."""
    values: dict[int, bytes] = {}
    for event in events:
        if event.type != EV_NO_ACTION:
            before = values.get(event.pcr) or (start or {}).get(event.pcr, bytes(SIZES[bank]))
            values[event.pcr] = hashed(bank, before + event.digest(bank))
    return values


def boot(count: int = 120) -> list[Measured]:
    """A start of a PC of `count` events: firmware, separators, then the boot loader's."""
    events = [startup_locality(0), Measured(pcr=0, type=EV_S_CRTM_VERSION, data=b"sodbench 1\0")]
    events += [Measured(pcr=n % 7, type=EV_POST_CODE, data=b"blob %d" % n) for n in range(max(0, count // 3))]
    events += [Measured(pcr=pcr, type=EV_SEPARATOR, data=bytes(4)) for pcr in range(8)]
    while len(events) < count:
        events.append(Measured(pcr=8 + len(events) % 2, data=b"grub_cmd: menuentry %d\0" % len(events)))
    return events[:count]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One IMA measurement to be written.

    `third` is the signature of ``ima-sig`` or the buffer of ``ima-buf``.
    """

    path: bytes
    content: bytes = b""
    template: str = "ima-ng"
    algorithm: str = "sha256"
    third: bytes = b""
    violation: bool = False

    @property
    def file_digest(self) -> bytes:
        """The digest of the content; zeros for a violation."""
        size = hashlib.new(self.algorithm).digest_size
        return bytes(size) if self.violation else hashlib.new(self.algorithm, self.content).digest()

    @property
    def data(self) -> bytes:
        """The template data."""
        fields = [self.algorithm.encode() + b":\0" + self.file_digest, self.path + b"\0"]
        if self.template != "ima-ng":
            fields.append(self.third)
        return b"".join(struct.pack("<I", len(field)) + field for field in fields)

    @property
    def digest(self) -> bytes:
        """The template digest that the list shows."""
        return bytes(20) if self.violation else hashlib.sha1(self.data).digest()

    def to_binary(self) -> bytes:
        """The entry as `binary_runtime_measurements` has it."""
        name = self.template.encode()
        return (
            struct.pack("<I20sI", 10, self.digest, len(name))
            + name
            + struct.pack("<I", len(self.data))
            + self.data
        )

    def to_ascii(self) -> bytes:
        """The entry as `ascii_runtime_measurements` has it."""
        shown = f"10 {self.digest.hex()} {self.template} {self.algorithm}:{self.file_digest.hex()} ".encode()
        shown += self.path
        if self.template != "ima-ng":
            shown += b" " + self.third.hex().encode()
        return shown + b"\n"


def ima_list(lines: Sequence[Line], form: Literal["binary", "ascii"] = "binary") -> bytes:
    """A list in the form of ``binary_runtime_measurements`` or ``ascii_runtime_measurements``."""
    return b"".join(line.to_binary() if form == "binary" else line.to_ascii() for line in lines)


def excerpt(
    lines: Sequence[Line],
    form: Literal["binary", "ascii"] = "binary",
    *,
    first: int = 0,
    total: int | None = None,
) -> ImaExcerpt:
    """The stretch of a list from its entry `first` on; by default nothing came behind `lines`."""
    return ImaExcerpt(
        first=first,
        total=first + len(lines) if total is None else total,
        form=form,
        data=ima_list(lines, form),
    )


def pcr10(lines: Sequence[Line], bank: str = "sha256", start: bytes | None = None) -> bytes:
    """PCR 10 after `lines`: computed apart from the code under test."""
    value = bytes(SIZES[bank]) if start is None else start
    for line in lines:
        value = hashed(bank, value + (b"\xff" * SIZES[bank] if line.violation else hashed(bank, line.data)))
    return value


def running_system(count: int) -> list[Line]:
    """A list of a system of `count` entries: the boot aggregate, then signed and unsigned files."""
    first = Line(path=b"boot_aggregate", content=b"PCRs 0 to 9", template="ima-sig")
    files = [
        Line(
            path=b"/usr/lib/x86_64-linux-gnu/lib%d.so.%d" % (n, n % 7),
            content=b"%d" % n,
            template="ima-sig",
            third=b"\x03\x02\x04" + bytes(64) if n % 50 == 0 else b"",
        )
        for n in range(1, count)
    ]
    return [first, *files]
