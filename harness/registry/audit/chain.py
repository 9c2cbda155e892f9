"""The audit log as a chain: every entry carries the digest of the one before it (pure).

An entry that is changed, removed, added or swapped breaks a digest. A rewrite of the whole chain does not; an
earlier head that was noted elsewhere detects it. Nothing here knows a database or a clock.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.errors import SodbenchError
from harness.instant import Instant
from harness.json_types import Json

GENESIS = "genesis"
"""The kind of the first entry; it says what the registry held before the chain."""

NO_DIGEST = "0" * 64
"""What the first entry names as its predecessor."""


class AuditError(SodbenchError):
    """The audit log, or a row that it speaks of, is not as it was written."""

    exit_code = 19
    kind = "audit"

    def __init__(self, what: str, *, entry: int, where: str = "", why: str = "", remedy: str = "") -> None:
        """Make the error; `entry` is the number of the first entry that is wrong."""
        super().__init__(what, where=where or f"audit entry {entry}", why=why, remedy=remedy)
        self.entry = entry


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHead:
    """The end of the chain, which stands for all of it: its last entry's number and digest."""

    number: int
    digest: str

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One entry of the chain.

    Attributes:
        number: Its place, from 1 without gaps.
        at: When it was written.
        kind: What it is of: ``result``, ``identity``, ``placement``, ``property``, ``request``, ``response``
            for a row that was stored with it; or what the caller called it, e.g. ``alarm``.
        subject: Whom it is about: an attester, a server, a VM.
        body: What matters; `rows` in it names the rows that were stored with it, each with its digest.
        previous: The digest of the entry before.
        digest: SHA-256 over the canonical JSON of everything else, hexadecimal.
    """

    number: int
    at: Instant
    kind: str
    subject: str
    body: Mapping[str, Json]
    previous: str
    digest: str

    @property
    def head(self) -> AuditHead:
        """The head of the chain that ends with this entry."""
        return AuditHead(number=self.number, digest=self.digest)


def canonical(value: Json) -> str:
    """The one spelling of a JSON value: keys sorted, no blanks, ASCII (after the example of RFC 8785).

    Raises:
        ValueError: It holds NaN or an infinity.
        TypeError: It holds what JSON has not.
        RecursionError: It is nested too deeply.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def sha256(text: str) -> str:
    """The digest of a text, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def linked(
    before: AuditHead | None, *, at: Instant, kind: str, subject: str, body: Mapping[str, Json]
) -> AuditEntry:
    """The entry that comes after `before`; None for the first."""
    number = 1 if before is None else before.number + 1
    previous = NO_DIGEST if before is None else before.digest
    return AuditEntry(
        number=number,
        at=at,
        kind=kind,
        subject=subject,
        body=body,
        previous=previous,
        digest=_digest(number, at, kind, subject, body, previous),
    )


def _digest(
    number: int, at: Instant, kind: str, subject: str, body: Mapping[str, Json], previous: str
) -> str:
    return sha256(canonical(_fields(number, at, kind, subject, body, previous)))


def _fields(
    number: int, at: Instant, kind: str, subject: str, body: Mapping[str, Json], previous: str
) -> dict[str, Json]:
    return {
        "number": number,
        "at": {"realtime_ns": at.realtime_ns, "monotonic_ns": at.monotonic_ns, "boot_id": at.boot_id},
        "kind": kind,
        "subject": subject,
        "body": body,
        "previous": previous,
    }


def as_json(entry: AuditEntry) -> dict[str, Json]:
    """All of an entry, its digest among it."""
    fields = _fields(entry.number, entry.at, entry.kind, entry.subject, entry.body, entry.previous)
    return fields | {"digest": entry.digest}


class Chain:
    """Entries in the order of their numbers, each checked against the one before it."""

    def __init__(self, noted: AuditHead | None = None, anchored: Iterable[AuditHead] = ()) -> None:
        """Begin before the first entry; `noted` and `anchored` are heads that the chain must have had."""
        self.head: AuditHead | None = None
        self._noted = noted
        self._anchored: dict[int, set[str]] = {}
        for one in anchored:
            self._anchored.setdefault(one.number, set()).add(one.digest)

    def add(self, entry: AuditEntry) -> None:
        """Take the next entry.

        Raises:
            AuditError: It does not follow, or it is not as it was written, or not the one that was noted.
        """
        due = 1 if self.head is None else self.head.number + 1
        previous = NO_DIGEST if self.head is None else self.head.digest
        if entry.number != due:
            missing = f"entry {due} is missing" if entry.number > due else f"it comes where {due} was due"
            raise wrong(due, "the chain has a gap", missing)
        follows = linked(self.head, at=entry.at, kind=entry.kind, subject=entry.subject, body=entry.body)
        if entry.previous != previous:
            raise wrong(due, "the entry does not follow the one before it", "it names another predecessor")
        if entry.digest != follows.digest:
            raise wrong(due, "the entry is not as it was written", "its digest is another")
        if (entry.kind == GENESIS) != (due == 1):
            raise wrong(due, "the chain does not begin where it should", f"a {entry.kind} at place {due}")
        if self._noted is not None and self._noted.number == due and self._noted != entry.head:
            raise wrong(due, "this is not the chain whose head was noted", f"noted was {self._noted}")
        if self._anchored.get(due, {entry.digest}) != {entry.digest}:
            why = f"the anchor of entry {due} has another digest"
            raise wrong(due, "this is not the chain whose head was anchored", why)
        self.head = entry.head

    def end(self) -> AuditHead:
        """The head of the chain, once all entries were taken.

        Raises:
            AuditError: There is no entry; or the head that was noted lies beyond the last.
        """
        if self.head is None:
            raise wrong(1, "the log is empty", "even a new registry's has its first entry")
        if self._noted is not None and (self._noted.number > self.head.number or self._noted.number < 1):
            why = f"noted was entry {self._noted.number}, the last one is {self.head.number}"
            raise wrong(self.head.number + 1, "this is not the chain whose head was noted", why)
        last = max(self._anchored, default=0)
        if last > self.head.number or min(self._anchored, default=1) < 1:
            why = f"anchored was entry {last}, the last one is {self.head.number}"
            raise wrong(self.head.number + 1, "this is not the chain whose head was anchored", why)
        return self.head


def wrong(entry: int, what: str, why: str) -> AuditError:
    """The error that names the first entry that is wrong."""
    return AuditError(
        what,
        entry=entry,
        why=why,
        remedy="keep this registry unchanged for the investigation, and compare it with a copy or an "
        "earlier export: `sodbench audit verify --file` says whether those are whole",
    )
