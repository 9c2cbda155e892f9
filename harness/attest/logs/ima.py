"""The kernel's IMA measurement list: read strictly, and replayed until PCR 10 agrees.

The list grows while it is read, so it may run ahead of the quote; what it may not do is lack an entry. An
entry is vouched for only by :func:`replay`, and only up to the count that it returns: a caller must never
appraise the tail behind it. Which PCR an entry was extended into is in no digest: one of another PCR is
vouched for only by :func:`follow`. This module must never judge what was measured, nor read beyond its
bounds.

Source: Linux ``Documentation/security/IMA-templates.rst``; the forms are those of ``ima_fs.c`` in
``security/integrity/ima``. Since Linux 5.8 each PCR bank is extended with its own hash of the template data;
older kernels pad SHA-1 instead and are not supported.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Final, NamedTuple, TypeAlias

from pydantic import Field, WrapSerializer

from harness.attest.evidence import Bank, Base64, ImaExcerpt, RefusedError
from harness.attest.logs import ima_templates
from harness.attest.logs.ima_templates import MalformedError, digest_of_text
from harness.attest.reasons import Reason

PCR: Final = 10
"""The PCR that IMA extends unless its policy says otherwise for a rule."""

PCRS: Final = 24

MAX_BYTES: Final = 128 * 2**20
"""The longest stretch that is looked at."""

MAX_ENTRIES: Final = 1_000_000
MAX_TEMPLATE_BYTES: Final = 2**20
"""The most template data that one entry may carry; buffers of ``ima-buf`` are the longest."""

_MAX_NAME_BYTES: Final = 255
_NAME_BYTES: Final = range(1, _MAX_NAME_BYTES + 1)
_MAX_LINE_BYTES: Final = 2 * MAX_TEMPLATE_BYTES + 1024
_MAX_JOINED_BYTES: Final = 16 * 2**10
_MAX_JOINED_LINES: Final = 64
"""A path may hold line feeds, which the ASCII form does not escape: so many lines are tried as one entry."""
_MAX_FEEDS: Final = 10_000
"""In all paths of a list: each is a try, so that a list of nothing else would keep a verifier for minutes."""

_HASHES: Final = {"sha256": hashlib.sha256, "sha384": hashlib.sha384}
_BANK_BYTES: Final = {"sha256": 32, "sha384": 48}
_HEADER: Final = struct.Struct("<I20sI")
_U32: Final = struct.Struct("<I")
_NO_DIGEST: Final = bytes(20)
_TEXTS: Final = {name: name.decode() for name in ima_templates.BUILTIN}
_LOST: Final = b""
"""Stands for the value of a PCR that the list did not lead to at some time: no later entry mends that."""

_LINE: Final = re.compile(rb"[ 0-9][0-9] [0-9a-f]{32,128} [ -~]{1,255} ")
"""How an entry of the ASCII form begins."""

_LINE_PARTS: Final = ("template digest", "template's name", "digest and path")
_PCR_TEXTS: Final[Mapping[bytes, int]] = {b"%2d " % pcr: pcr for pcr in range(PCRS)}


class ImaEntry(NamedTuple):
    r"""One measurement; a named tuple because a list has 100,000 of them.

    Attributes:
        pcr: 0 to 23, 10 as a rule; in no digest.
        template: The name of its template, such as ``ima-sig``, or a custom one's format; in no digest.
        template_digest: SHA-1 of the template data; twenty zeros for a violation.
        path: The file's path, or the name of a buffer for ``ima-buf``. The kernel writes ``_`` for a space;
            bytes that are not UTF-8 read ``\xNN`` here. Empty where it is not :attr:`known`.
        file_hash_alg: The hash of the measured content, by the kernel's name; ``verity-`` and that where it
            is fs-verity's. Likewise.
        file_digest: The measured content's digest. Likewise.
        template_data: What is hashed and extended.
        violation: The file was written while it was measured: PCR 10 was extended with ones, so that nothing
            that this entry says is vouched for, not even the path.
        known: Whether the data say which file or buffer was measured, and its digest.
    """

    pcr: int
    template: str
    template_digest: bytes
    path: str
    file_hash_alg: str
    file_digest: bytes
    template_data: bytes
    violation: bool
    known: bool = True

    @property
    def fields(self) -> Mapping[str, bytes]:
        """The template data's fields by the kernel's names for them; empty where these are not known."""
        return ima_templates.named(self.template.encode("ascii", "replace"), self.template_data)


BOOT_AGGREGATE: Final = "boot_aggregate"
"""The name of the first entry of a list, a digest of PCRs 0 to 9 (0 to 7 where the bank is SHA-1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImaState:
    """How far a list was replayed.

    Attributes:
        entries: How many entries of the whole list are in `values`.
        values: PCR 10 by bank, for the banks that are followed; and other PCRs that the list has entries of,
            by bank, colon and index.
    """

    entries: Annotated[int, Field(ge=0)]
    values: Annotated[Mapping[str, Base64], WrapSerializer(lambda values, stored: stored(dict(values)))]

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
            a PCR that does not exist, says another digest than its data have or has not the fields of its
            template, or where more entries come than the list had.
    """
    data = excerpt.data
    if len(data) > limit_bytes:
        raise RefusedError(Reason.SIZE_LIMIT, f"an IMA list of {len(data)} bytes; {limit_bytes} are allowed")
    read = _binary_entry if excerpt.form == "binary" else _ascii_entry
    entries: list[ImaEntry] = []
    offset, end, feeds = 0, len(data), 0
    try:
        while offset < end:
            if len(entries) >= limit_entries:
                raise RefusedError(Reason.SIZE_LIMIT, f"more than {limit_entries} IMA entries")
            begin = offset
            entry, offset = read(data, begin)
            entries.append(entry)
            if excerpt.form == "ascii":
                feeds += data.count(b"\n", begin, offset) - 1
                if feeds > _MAX_FEEDS:
                    raise RefusedError(Reason.SIZE_LIMIT, f"more than {_MAX_FEEDS} line feeds in its paths")
    except (MalformedError, struct.error) as error:
        why = "it is cut: the list ends within it" if isinstance(error, struct.error) else str(error)
        if excerpt.form == "binary" and _LINE.match(data, offset):
            why = "it is text: the ASCII form of a list was sent as the binary one"
        raise RefusedError(
            Reason.IMA_MALFORMED, f"entry {excerpt.first + len(entries)} of the IMA list: {why}"
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
        other: expected if other == bank else _last(before, entries[:count], other)
        for other, before in state.values.items()
        if other in _HASHES
    }
    return ImaState(entries=state.entries + count, values=MappingProxyType(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What became of PCRs other than 10 over a stretch of a list.

    Attributes:
        count: How many of its entries the quote vouches for, with those that the other PCRs show behind the
            last of PCR 10.
        values: Their values behind these, as :class:`ImaState` keeps them.
        vouched: The PCRs that the list leads to: their entries in the stretch happened as it says.
        aside: The PCRs whose entries, of this stretch or an earlier one, nothing vouches for.
    """

    count: int
    values: Mapping[str, bytes]
    vouched: frozenset[int]
    aside: frozenset[int]


def follow(
    before: Mapping[str, bytes],
    entries: Sequence[ImaEntry],
    count: int,
    bank: Bank,
    signed: Mapping[int, bytes],
) -> Followed:
    """Which PCRs other than 10 a stretch leads to whose first `count` entries lead to PCR 10.

    The kernel extends in the list's order, so that a quote covers what stands before one point of it. That
    point lies behind the `count` entries, and before the next one of PCR 10.

    Args:
        before: The values before the first entry, of an :class:`ImaState`; empty at a list's beginning.
        entries: The entries, with those behind the quote.
        count: How many of them lead to PCR 10.
        bank: The bank that `signed` is of.
        signed: The signed PCRs.
    """
    end = next((at for at in range(count, len(entries)) if entries[at].pcr == PCR), len(entries))
    prefix = f"{bank}:"
    known = {int(key.removeprefix(prefix)): value for key, value in before.items() if key.startswith(prefix)}
    reached: dict[int, int] = {}
    there = {*known, *(entry.pcr for entry in entries[:end] if entry.pcr != PCR)}
    for pcr in sorted(there & signed.keys()):
        value = known.get(pcr, bytes(_BANK_BYTES[bank]))
        at = None if value == _LOST else _reached(value, entries[:end], count, bank, pcr, signed[pcr])
        if at is not None:
            reached[pcr] = at
    covered = max(reached.values(), default=count)
    vouched = {
        pcr for pcr, at in reached.items() if not any(entry.pcr == pcr for entry in entries[at:covered])
    }
    values = {f"{prefix}{pcr}": signed[pcr] if pcr in vouched else _LOST for pcr in sorted(there)}
    return Followed(
        count=covered,
        values=MappingProxyType(values),
        vouched=frozenset(vouched),
        aside=frozenset(there - vouched),
    )


def _reached(
    value: bytes, entries: Sequence[ImaEntry], count: int, bank: Bank, pcr: int, expected: bytes
) -> int | None:
    """The first point from `count` on at which a PCR is `expected`; None where there is none."""
    chain = enumerate(_values(value, entries, bank, pcr))
    return next((at for at, held in chain if at >= count and held == expected), None)


_Found: TypeAlias = tuple[ImaEntry, int]


def _last(value: bytes, entries: Sequence[ImaEntry], bank: str, pcr: int = PCR) -> bytes:
    return deque(_values(value, entries, bank, pcr), maxlen=1)[0]


def _values(value: bytes, entries: Sequence[ImaEntry], bank: str, pcr: int = PCR) -> Iterator[bytes]:
    """A PCR of `bank`: `value`, then what it is after each entry, which most are not of another PCR."""
    new = _HASHES[bank]
    ones = b"\xff" * _BANK_BYTES[bank]
    yield value
    for entry in entries:
        if entry.pcr == pcr:
            value = new(value + (ones if entry.violation else new(entry.template_data).digest())).digest()
        yield value


def _binary_entry(data: bytes, offset: int) -> _Found:
    """The entry at `offset` of the binary form, and where the next begins."""
    pcr, digest, name_size = _HEADER.unpack_from(data, offset)
    offset += _HEADER.size
    if pcr >= PCRS:
        raise MalformedError(f"it is of PCR {pcr}, which does not exist")
    if name_size not in _NAME_BYTES:
        raise MalformedError(
            f"a template name of {name_size} bytes; lists are read whose template digests are SHA-1's"
        )
    template = data[offset : offset + name_size]
    offset += name_size
    if template == ima_templates.LEGACY:
        body, offset = _legacy_body(data, offset, digest)
        return _entry(pcr, template, digest, body), offset
    (size,) = _U32.unpack_from(data, offset)
    offset += 4
    if size > MAX_TEMPLATE_BYTES:
        raise MalformedError(f"{size} bytes of template data")
    body = data[offset : offset + size]
    if len(body) != size:
        raise MalformedError("it is cut: the list ends within its data")
    return _entry(pcr, template, digest, body), offset + size


def _legacy_body(data: bytes, offset: int, digest: bytes) -> tuple[bytes, int]:
    """The data of an entry of the oldest template, and where the next begins.

    No size is before the digest, which has 20 bytes or 16: which of the two the template digest tells.
    """
    for size in (20, 16):
        at = offset + size
        (name_size,) = _U32.unpack_from(data, at)
        at += 4
        name = data[at : at + name_size]
        if name_size > _MAX_NAME_BYTES or len(name) != name_size or 0 in name:
            continue
        body = ima_templates.legacy(data[offset : offset + size], name)
        if digest == _NO_DIGEST or hashlib.sha1(body).digest() == digest:
            return body, at + name_size
    raise MalformedError("its template digest is not that of its data")


def _entry(pcr: int, template: bytes, digest: bytes, body: bytes) -> ImaEntry:
    """The entry of a template's data."""
    violation = digest == _NO_DIGEST
    if not violation and hashlib.sha1(body).digest() != digest:
        raise MalformedError("its template digest is not that of its data")
    name = _TEXTS.get(template) or _name(template)
    found = ima_templates.measured(template, body, violation=violation)
    if found is None:
        return ImaEntry(pcr, name, digest, "", "", b"", body, violation, known=False)
    path, alg, content = found
    return ImaEntry(pcr, name, digest, path, alg, content, body, violation)


def _name(template: bytes) -> str:
    """The name of a template that is not one of the kernel's own."""
    try:
        name = template.decode("ascii")
    except UnicodeDecodeError:
        name = "\0"
    if not name.isprintable():
        raise MalformedError("its template's name is no text")
    return name


def _ascii_entry(data: bytes, offset: int) -> _Found:
    """The entry at `offset` of the ASCII form, and where the next begins; as a rule one line."""
    end = data.find(b"\n", offset)
    if end < 0:
        raise MalformedError("its line does not end")
    try:
        return _line_entry(data[offset:end]), end + 1
    except MalformedError as error:
        for _ in range(_MAX_JOINED_LINES):
            end = data.find(b"\n", end + 1, offset + _MAX_JOINED_BYTES)
            if end < 0:
                break
            try:
                return _line_entry(data[offset:end]), end + 1
            except MalformedError:
                continue
        raise error


def _line_entry(line: bytes) -> ImaEntry:
    """The entry of one line; its template data are made again from the text, then checked as if binary."""
    if len(line) > _MAX_LINE_BYTES:
        raise MalformedError(f"a line of {len(line)} bytes")
    pcr = _PCR_TEXTS.get(line[:3])
    if pcr is None:
        raise MalformedError("its line does not begin with a PCR from 0 to 23")
    parts = line[3:].split(b" ", 2)
    if len(parts) != len(_LINE_PARTS):
        raise MalformedError(f"its line ends before the {_LINE_PARTS[len(parts)]}")
    shown, template, rest = parts
    digest = digest_of_text(shown)
    if len(digest) != len(_NO_DIGEST):
        raise MalformedError(f"a template digest of {len(digest)} bytes; lists with those of SHA-1 are read")
    body = ima_templates.from_text(template, rest)
    if len(body) > MAX_TEMPLATE_BYTES:
        raise MalformedError(f"{len(body)} bytes of template data")
    return _entry(pcr, template, digest, body)
