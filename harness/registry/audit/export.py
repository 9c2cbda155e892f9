"""The audit log as a file of its own, which can be checked without the registry it came from (pure).

The first line is the head, each further line an entry, all in canonical JSON. A line that is not byte for
byte the canonical form of its content is refused, so that no edit of the file passes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any

from harness.instant import Instant
from harness.json_types import Json
from harness.registry.audit.chain import AuditEntry, AuditError, AuditHead, Chain, as_json, canonical

FORMAT = "sodbench-audit-1"
MAX_LINE_BYTES = 16 * 2**20
"""A line is one entry, with what was stored at once."""

_INTEGERS = frozenset({"number", "realtime_ns", "monotonic_ns"})
_CLOCKS = frozenset({"realtime_ns", "monotonic_ns", "boot_id"})
_FIELDS = frozenset({"number", "at", "kind", "subject", "body", "previous", "digest"})


def header(head: AuditHead) -> str:
    """The file's first line."""
    return _line({"format": FORMAT, "head": {"number": head.number, "digest": head.digest}})


def lines(head: AuditHead, entries: Iterable[AuditEntry]) -> Iterator[str]:
    """The file's lines, each with its end."""
    yield header(head)
    for entry in entries:
        yield _line(as_json(entry))


def bounded(file: IO[bytes], name: str) -> Iterator[bytes]:
    """The lines of a file, each with its end.

    Raises:
        AuditError: One is longer than any of an export.
    """
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            why = f"it has more than {MAX_LINE_BYTES} bytes"
            raise _wrong(max(1, number - 1), "this is no line of an export", why, where=f"{name}:{number}")
        yield line


def verify(
    file: Iterable[bytes],
    noted: AuditHead | None,
    name: str,
    each: Callable[[AuditEntry], None] = lambda _entry: None,
) -> AuditHead:
    """The head of an exported log, once every byte of it was found as it was written.

    Args:
        file: The lines, each with its end.
        noted: A head from earlier, which must lie on the chain.
        name: What the file is called in errors.
        each: Given each entry as it is read, before the end of the log was seen.

    Raises:
        AuditError: It names the first line that is wrong.
    """
    chain = Chain(noted)
    first, number = None, 0
    for number, line in enumerate(file, start=1):
        if first is None:
            first = line
            continue
        try:
            entry = _entry(line, entry=number - 1)
            chain.add(entry)
            each(entry)
        except AuditError as error:
            raise _in_line(name, number, error) from None
    try:
        head = chain.end()
    except AuditError as error:
        raise _in_line(name, number + 1, error) from None
    if first != header(head).encode():
        raise _wrong(
            head.number + 1,
            "the end of the export is missing, or its first line was edited",
            f"the entries end with {head}, and the first line says otherwise",
            where=f"{name}:1",
        )
    return head


def _line(value: Mapping[str, Json]) -> str:
    return canonical(value) + "\n"


def _entry(line: bytes, *, entry: int) -> AuditEntry:
    try:
        found = json.loads(line.decode("ascii"))
        told = _told(found)
        if _line(as_json(told)).encode() != line:
            raise _wrong(entry, "the line is not as it was written", "it is spelled in another way")
    except (ValueError, TypeError, RecursionError) as error:
        raise _wrong(entry, "the line is not as it was written", str(error)) from error
    return told


def _told(found: object) -> AuditEntry:
    """The entry that a line's JSON is.

    Raises:
        TypeError: The JSON is not an entry.
    """
    fields = _checked(found, _FIELDS)
    at = _checked(fields["at"], _CLOCKS)
    if not isinstance(fields["body"], dict):
        raise TypeError("its body is not an object")
    return AuditEntry(
        number=fields["number"],
        at=Instant(realtime_ns=at["realtime_ns"], monotonic_ns=at["monotonic_ns"], boot_id=at["boot_id"]),
        kind=fields["kind"],
        subject=fields["subject"],
        body=fields["body"],
        previous=fields["previous"],
        digest=fields["digest"],
    )


def _checked(found: object, names: frozenset[str]) -> dict[str, Any]:
    if not isinstance(found, dict) or found.keys() != names:
        raise TypeError(f"it must have {', '.join(sorted(names))}")
    for name in names - {"at", "body"}:
        if type(found[name]) is not (int if name in _INTEGERS else str):
            raise TypeError(f"{name} is of another type")
    return found


def _in_line(name: str, number: int, error: AuditError) -> AuditError:
    return _wrong(error.entry, error.what, error.why, where=f"{name}:{number}, entry {error.entry}")


def _wrong(entry: int, what: str, why: str, where: str = "") -> AuditError:
    return AuditError(
        what,
        entry=entry,
        where=where,
        why=why,
        remedy="do not rely on this file; export again from the registry, or take an older export",
    )
