"""The kernel's IMA measurement list: read strictly, and replayed until PCR 10 agrees.

The list grows while it is read, so it may run ahead of the quote; what it may not do is lack an entry. An
entry is vouched for only by :func:`replay`, and only up to the count that it returns: a caller must never
appraise the tail behind it. This module must never judge what was measured, nor read beyond its bounds.

Source: Linux ``Documentation/security/IMA-templates.rst``; the forms are those of ``ima_fs.c`` and
``ima_template_lib.c`` in ``security/integrity/ima``. Since Linux 5.8 each PCR bank is extended with its own
hash of the template data; older kernels pad SHA-1 instead and are not supported.
"""

from __future__ import annotations

import hashlib
import struct
from binascii import hexlify, unhexlify
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from harness.attest.evidence import Bank, ImaExcerpt, RefusedError
from harness.attest.reasons import Reason

PCR: Final = 10
"""The PCR that IMA extends unless its policy says otherwise for a rule; entries of others are refused."""

MAX_BYTES: Final = 128 * 2**20
"""The longest stretch that is looked at."""

MAX_ENTRIES: Final = 1_000_000
MAX_TEMPLATE_BYTES: Final = 2**20
"""The most template data that one entry may carry; buffers of ``ima-buf`` are the longest."""

_MAX_NAME_BYTES: Final = 255
_MAX_LINE_BYTES: Final = 2 * MAX_TEMPLATE_BYTES + 1024
_MAX_JOINED_BYTES: Final = 16 * 2**10
_MAX_JOINED_LINES: Final = 64
"""A path may hold line feeds, which the ASCII form does not escape: so many lines are tried as one entry."""

_FIELDS: Final[Mapping[bytes, tuple[str, bool]]] = {
    b"ima-ng": ("ima-ng", False),
    b"ima-sig": ("ima-sig", True),
    b"ima-buf": ("ima-buf", True),
}
"""Templates, and whether a third field (signature or buffer) follows d-ng and n-ng."""

_DIGEST_BYTES: Final[Mapping[bytes, tuple[str, int]]] = {
    name.encode(): (name, size)
    for name, size in (
        ("md5", 16),
        ("sha1", 20),
        ("rmd160", 20),
        ("sha224", 28),
        ("sha256", 32),
        ("sha384", 48),
        ("sha512", 64),
        ("sm3", 32),
        ("streebog256", 32),
        ("streebog512", 64),
        ("sha3-256", 32),
        ("sha3-384", 48),
        ("sha3-512", 64),
    )
}
"""The kernel's names of hashes (``crypto/hash_info.c``), and their bytes."""

_HASHES: Final = {"sha256": hashlib.sha256, "sha384": hashlib.sha384}
_BANK_BYTES: Final = {"sha256": 32, "sha384": 48}
_HEADER: Final = struct.Struct("<I20sI")
_U32: Final = struct.Struct("<I")
_NO_DIGEST: Final = bytes(20)
_ASCII_PCR: Final = b"%2d" % PCR


class ImaEntry(NamedTuple):
    r"""One measurement; a named tuple because a list has 100,000 of them.

    Attributes:
        pcr: Always 10.
        template: ``ima-ng``, ``ima-sig`` or ``ima-buf``.
        template_digest: SHA-1 of the template data; twenty zeros for a violation.
        path: The file's path, or the name of a buffer for ``ima-buf``. The kernel writes ``_`` for a space;
            bytes that are not UTF-8 read ``\xNN`` here.
        file_hash_alg: The hash of the measured content, by the kernel's name.
        file_digest: The measured content's digest.
        template_data: What is hashed and extended.
        violation: The file was written while it was measured: PCR 10 was extended with ones, so that nothing
            that this entry says is vouched for, not even the path.
    """

    pcr: int
    template: str
    template_digest: bytes
    path: str
    file_hash_alg: str
    file_digest: bytes
    template_data: bytes
    violation: bool

    @property
    def of_file(self) -> bool:
        """Whether a file was measured, and not a buffer of the kernel or the boot aggregate."""
        return self.template != "ima-buf" and self.path != BOOT_AGGREGATE


BOOT_AGGREGATE: Final = "boot_aggregate"
"""The name of the first entry of a list, a digest of PCRs 0 to 9 (0 to 7 where the bank is SHA-1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImaState:
    """How far a list was replayed.

    Attributes:
        entries: How many entries of the whole list are in `values`.
        values: PCR 10 by bank, for the banks that are followed.
    """

    entries: int
    values: Mapping[str, bytes]

    @classmethod
    def start(cls, *banks: Bank) -> ImaState:
        """The state after a boot: no entry, and zeros in the banks that are to be followed."""
        return cls(entries=0, values=MappingProxyType({bank: bytes(_BANK_BYTES[bank]) for bank in banks}))


def parse(
    excerpt: ImaExcerpt, *, limit_bytes: int = MAX_BYTES, limit_entries: int = MAX_ENTRIES
) -> tuple[ImaEntry, ...]:
    """The entries of a stretch of the list, the one at ``excerpt.first`` first.

    Every entry's template digest is the SHA-1 of its template data, or is zeros (a violation).

    Raises:
        RefusedError: ``size-limit`` where a bound is exceeded; ``ima-malformed`` where an entry is cut, is of
            another template or PCR, says another digest than its data have, or where more entries come than
            the list had.
    """
    data = excerpt.data
    if len(data) > limit_bytes:
        raise RefusedError(Reason.SIZE_LIMIT, f"an IMA list of {len(data)} bytes; {limit_bytes} are allowed")
    read = _binary_entry if excerpt.form == "binary" else _ascii_entry
    entries: list[ImaEntry] = []
    offset, end = 0, len(data)
    try:
        while offset < end:
            if len(entries) >= limit_entries:
                raise RefusedError(Reason.SIZE_LIMIT, f"more than {limit_entries} IMA entries")
            entry, offset = read(data, offset)
            entries.append(entry)
    except (_MalformedError, struct.error) as error:
        raise RefusedError(
            Reason.IMA_MALFORMED, f"entry {excerpt.first + len(entries)} of the IMA list: {error}"
        ) from error
    if excerpt.first + len(entries) > excerpt.total:
        raise RefusedError(
            Reason.IMA_MALFORMED,
            f"{len(entries)} entries from {excerpt.first} on of a list that had {excerpt.total}",
        )
    return tuple(entries)


def replay(
    state: ImaState, entries: Sequence[ImaEntry], *, bank: Bank, expected: bytes, first: int | None = None
) -> ImaState:
    """The state at the first point where PCR 10 of `bank` is `expected`: none or some of `entries` on.

    Entries behind that point are the tail that the list was ahead of the quote. Every bank of `state` is
    brought to the same point. `first` is the index of ``entries[0]`` in the whole list, where the caller
    knows it.

    Raises:
        RefusedError: ``ima-gap`` where `first` is not ``state.entries``, or `state` does not follow `bank`;
            ``ima-replay`` where PCR 10 is never `expected`: an entry is missing or was changed.
    """
    if first is not None and first != state.entries:
        raise RefusedError(Reason.IMA_GAP, f"{state.entries} entries are known and the next is {first}")
    if bank not in state.values:
        raise RefusedError(Reason.IMA_GAP, f"the {bank} bank was not followed from the list's start")
    chain = enumerate(_values(state.values[bank], entries, bank))
    count = next((number for number, value in chain if value == expected), None)
    if count is None:
        raise RefusedError(
            Reason.IMA_REPLAY,
            f"PCR {PCR} is nowhere as quoted from entry {state.entries} to {state.entries + len(entries)}",
        )
    values = {
        other: expected if other == bank else deque(_values(before, entries[:count], other), maxlen=1)[0]
        for other, before in state.values.items()
    }
    return ImaState(entries=state.entries + count, values=MappingProxyType(values))


class _MalformedError(Exception):
    """Why an entry is none; :func:`parse` adds which one and turns it into a refusal."""


_Found: TypeAlias = tuple[ImaEntry, int]


def _values(value: bytes, entries: Sequence[ImaEntry], bank: str) -> Iterator[bytes]:
    """PCR 10 of `bank`: `value`, then what it is after each entry."""
    new = _HASHES[bank]
    ones = b"\xff" * _BANK_BYTES[bank]
    yield value
    for entry in entries:
        value = new(value + (ones if entry.violation else new(entry.template_data).digest())).digest()
        yield value


def _binary_entry(data: bytes, offset: int) -> _Found:
    """The entry at `offset` of the binary form, and where the next begins."""
    pcr, digest, name_size = _HEADER.unpack_from(data, offset)
    offset += 28
    if pcr != PCR:
        raise _MalformedError(f"it is of PCR {pcr}")
    if name_size > _MAX_NAME_BYTES:
        raise _MalformedError(f"a template name of {name_size} bytes")
    template = data[offset : offset + name_size]
    offset += name_size
    (size,) = _U32.unpack_from(data, offset)
    offset += 4
    if size > MAX_TEMPLATE_BYTES:
        raise _MalformedError(f"{size} bytes of template data")
    body = data[offset : offset + size]
    if len(body) != size:
        raise _MalformedError("it is cut")
    return _entry(template, digest, body), offset + size


def _entry(template: bytes, digest: bytes, body: bytes) -> ImaEntry:
    """The entry of a template's data: fields with a size before each."""
    if template not in _FIELDS:
        raise _MalformedError(f"the template {template!r} is not known")
    name, has_third = _FIELDS[template]
    violation = digest == _NO_DIGEST
    if not violation and hashlib.sha1(body).digest() != digest:
        raise _MalformedError("its template digest is not that of its data")
    (size,) = _U32.unpack_from(body)
    at = 4 + size
    algorithm, _, content = body[4:at].partition(b":\0")
    (size,) = _U32.unpack_from(body, at)
    start = at + 4
    at = start + size
    path = body[start : at - 1] if size else b""
    if not size or body[at - 1 : at] != b"\0" or 0 in path:
        raise _MalformedError("its name does not end with a zero byte, or has one inside")
    if has_third:
        (size,) = _U32.unpack_from(body, at)
        at += 4 + size
    if at != len(body):
        raise _MalformedError("the sizes of its fields do not add up")
    known = _DIGEST_BYTES.get(algorithm)
    if known is None or len(content) != known[1]:
        raise _MalformedError("its file digest is of no known form")
    return ImaEntry(PCR, name, digest, _text(path), known[0], content, body, violation)


def _text(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


def _ascii_entry(data: bytes, offset: int) -> _Found:
    """The entry at `offset` of the ASCII form, and where the next begins; as a rule one line."""
    end = data.find(b"\n", offset)
    if end < 0:
        raise _MalformedError("its line does not end")
    try:
        return _line_entry(data[offset:end]), end + 1
    except _MalformedError as error:
        for _ in range(_MAX_JOINED_LINES):
            end = data.find(b"\n", end + 1, offset + _MAX_JOINED_BYTES)
            if end < 0:
                break
            try:
                return _line_entry(data[offset:end]), end + 1
            except _MalformedError:
                continue
        raise error


def _line_entry(line: bytes) -> ImaEntry:
    """The entry of one line; its template data are made again from the text, then checked as if binary."""
    if len(line) > _MAX_LINE_BYTES:
        raise _MalformedError(f"a line of {len(line)} bytes")
    parts = line.split(b" ", 4)
    if len(parts) != 5 or parts[0] != _ASCII_PCR:
        raise _MalformedError(f"its line is none of PCR {PCR}")
    _, digest, template, content, rest = parts
    algorithm, _, hexadecimal = content.partition(b":")
    if template not in _FIELDS:
        raise _MalformedError(f"the template {template!r} is not known")
    field = algorithm + b":\0" + _bytes(hexadecimal)
    if _FIELDS[template][1]:
        path, space, third = rest.rpartition(b" ")
        if not space:
            raise _MalformedError("its last field is missing")
        tail = _bytes(third)
        body = b"".join(
            (_U32.pack(len(field)), field, _U32.pack(len(path) + 1), path, b"\0", _U32.pack(len(tail)), tail)
        )
    else:
        body = b"".join((_U32.pack(len(field)), field, _U32.pack(len(rest) + 1), rest, b"\0"))
    if len(body) > MAX_TEMPLATE_BYTES:
        raise _MalformedError(f"{len(body)} bytes of template data")
    return _entry(template, _bytes(digest), body)


def _bytes(hexadecimal: bytes) -> bytes:
    """The bytes of hexadecimal digits in the one spelling that the kernel uses."""
    try:
        data = unhexlify(hexadecimal)
    except ValueError as error:
        raise _MalformedError("a digest or signature is not hexadecimal") from error
    if hexlify(data) != hexadecimal:
        raise _MalformedError("a digest or signature is not in lower case")
    return data
