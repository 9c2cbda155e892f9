"""IMA entries of any template, as the kernel would write them, made by tests without the parsers."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.attest.evidence import ImaExcerpt
from harness.attest.played.logs import SIZES, hashed


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One measurement.

    Attributes:
        template: Its template's name.
        fields: The bytes of each field, and what stands for it in the ASCII form.
        pcr: The PCR that it was extended into.
        violation: Extended as ones.
    """

    template: str
    fields: Sequence[tuple[bytes, bytes]]
    pcr: int = 10
    violation: bool = False

    @property
    def data(self) -> bytes:
        """What is hashed; of the oldest template without sizes, the name padded to 256 bytes."""
        if self.template == "ima":
            (digest, _), (name, _) = self.fields
            return digest + name + bytes(256 - len(name))
        return b"".join(struct.pack("<I", len(raw)) + raw for raw, _ in self.fields)

    @property
    def digest(self) -> bytes:
        return bytes(20) if self.violation else hashlib.sha1(self.data).digest()

    def to_binary(self) -> bytes:
        name = self.template.encode()
        head = struct.pack("<I20sI", self.pcr, self.digest, len(name)) + name
        if self.template == "ima":
            (digest, _), (path, _) = self.fields
            return head + digest + struct.pack("<I", len(path)) + path
        return head + struct.pack("<I", len(self.data)) + self.data

    def to_ascii(self) -> bytes:
        shown = [b"%2d" % self.pcr, self.digest.hex().encode(), self.template.encode()]
        return b" ".join((*shown, *(text for _, text in self.fields))) + b"\n"


def hexed(data: bytes) -> tuple[bytes, bytes]:
    """A field that is shown in hexadecimal."""
    return data, data.hex().encode()


def digest(content: bytes, *, alg: str = "sha256", kind: str = "") -> tuple[bytes, bytes]:
    """The field ``d-ng``, or ``d-ngv2`` with a `kind` such as ``ima:``."""
    head, value = f"{kind}{alg}".encode(), hashlib.new(alg, content).digest()
    return head + b":\0" + value, head + b":" + value.hex().encode()


def name(path: bytes) -> tuple[bytes, bytes]:
    """The field ``n-ng``."""
    return path + b"\0", path


def number(value: int, size: int = 4) -> tuple[bytes, bytes]:
    """An owner, a group or a mode."""
    return value.to_bytes(size, "little"), b"%d" % value


def excerpt(
    entries: Sequence[Entry], form: Literal["binary", "ascii"] = "binary", *, first: int = 0
) -> ImaExcerpt:
    """The stretch of a list that begins with its entry `first`."""
    data = b"".join(one.to_binary() if form == "binary" else one.to_ascii() for one in entries)
    return ImaExcerpt(first=first, total=first + len(entries), form=form, data=data)


def value(entries: Sequence[Entry], pcr: int = 10, bank: str = "sha256") -> bytes:
    """What a PCR holds after `entries`: computed apart from the code under test."""
    held = bytes(SIZES[bank])
    for one in entries:
        if one.pcr == pcr:
            held = hashed(bank, held + (b"\xff" * SIZES[bank] if one.violation else hashed(bank, one.data)))
    return held
