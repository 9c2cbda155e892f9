"""The journal: append-only evidence, one JSON object a line, flushed as it happens.

The journal is the only thing written while a trial runs besides the raw files it names. Nothing here judges
what it records. A reader tolerates a torn last line, because a killed controller leaves one; damage anywhere
else is an error. The vocabulary of kinds is in ``docs/journal.md``.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

from harness.clock import Clock
from harness.errors import RecordError, StorageError

Json: TypeAlias = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One piece of evidence.

    Attributes:
        seq: Position in the journal, from 0 without gaps.
        t_ns: Controller's CLOCK_MONOTONIC on arrival, in ns.
        observer: Who says so: ``runner`` or an observer's name.
        kind: What it is, from the vocabulary in ``docs/journal.md``.
        trial: The trial's id such as ``001-idle``, or None for the run itself.
        attempt: The attempt's number from 1, or None outside an attempt.
        data: The rest, JSON values only.
    """

    seq: int
    t_ns: int
    observer: str
    kind: str
    trial: str | None = None
    attempt: int | None = None
    data: Mapping[str, Json] = field(default_factory=dict)


class Journal:
    """The writer. Safe to call from several threads; each event is on its way to the disk when `add` returns."""

    def __init__(self, path: Path, clock: Clock, *, next_seq: int = 0) -> None:
        self._path = path
        self._clock = clock
        self._seq = next_seq
        self._lock = threading.Lock()
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def add(
        self,
        observer: str,
        kind: str,
        data: Mapping[str, Json] | None = None,
        *,
        trial: str | None = None,
        attempt: int | None = None,
        t_ns: int | None = None,
        durable: bool = False,
    ) -> Event:
        """Append one event and return it.

        Args:
            observer: See :class:`Event`.
            kind: See :class:`Event`.
            data: See :class:`Event`.
            trial: See :class:`Event`.
            attempt: See :class:`Event`.
            t_ns: The arrival stamp where it was taken before the call; now otherwise.
            durable: Also fsync: for events a resume depends on.

        Raises:
            StorageError: The disk is full or gone; what was written before is intact.
        """
        with self._lock:
            event = Event(
                seq=self._seq,
                t_ns=self._clock.now_ns() if t_ns is None else t_ns,
                observer=observer,
                kind=kind,
                trial=trial,
                attempt=attempt,
                data=dict(data or {}),
            )
            self._append((json.dumps(asdict(event), separators=(",", ":")) + "\n").encode())
            self._seq += 1
            if durable:
                os.fsync(self._fd)
        return event

    def _append(self, line: bytes) -> None:
        """Write one line whole or not at all: a partial one is cut off again before the error is raised."""
        size = os.fstat(self._fd).st_size
        try:
            written = os.write(self._fd, line)
            if written != len(line):
                raise OSError(28, os.strerror(28))
        except OSError as error:
            os.ftruncate(self._fd, size)
            raise StorageError(
                "the journal cannot be written",
                where=str(self._path),
                why=str(error),
                remedy="free space on the results disk, then `sodbench resume`",
                retry=True,
            ) from error

    def close(self) -> None:
        """Flush to the disk and close."""
        os.fsync(self._fd)
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def parse(text: str, *, where: str = "journal") -> list[Event]:
    """The events of a journal's text; a torn last line is left out.

    Raises:
        RecordError: A line before the last does not parse, or the sequence has a gap.
    """
    return list(_events(text, where))


def _events(text: str, where: str) -> Iterator[Event]:
    lines = text.split("\n")
    torn = lines.pop()  # what follows the last newline: empty, or a line the writer did not finish
    del torn
    for number, line in enumerate(lines):
        try:
            event = Event(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise RecordError(
                "not a journal line",
                where=f"{where}:{number + 1}",
                why=str(error),
                remedy="restore the file from a copy; `sha256sum -c SHA256SUMS` shows what changed",
            ) from error
        if event.seq != number:
            raise RecordError(
                f"sequence {event.seq} where {number} was due",
                where=f"{where}:{number + 1}",
                why="lines are missing or doubled",
            )
        yield event


def read(path: Path) -> list[Event]:
    """The events stored in `path`; see :func:`parse`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecordError("the journal cannot be read", where=str(path), why=str(error)) from error
    return parse(text, where=str(path))


def repair_tail(path: Path) -> int:
    """Cut a torn last line off a killed run's journal; the next sequence number."""
    events = read(path)
    raw = path.read_bytes()
    whole = raw.rfind(b"\n") + 1
    if whole != len(raw):
        os.truncate(path, whole)
    return len(events)
