"""The journal: append-only evidence, one JSON object a line, flushed as it happens.

Apart from the raw files it names, only the journal is written while a trial runs. Nothing here judges
what it records. A reader tolerates a torn last line, because a killed controller leaves one; damage anywhere
else is an error. The vocabulary of kinds is in ``docs/journal.md``.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from harness import disk, sums
from harness.clock import Clock
from harness.errors import RecordError, StorageError
from harness.evidence.events import KINDS, Value
from harness.json_types import Json

V = TypeVar("V", bound=Value)

MAX_BYTES = 512 * 1024 * 1024
"""A longer journal is refused: a trial writes some 100 kB, so this is the journal of thousands of trials."""

_SHOWN = 60
"""How many characters of a kind that does not exist a message shows."""

_RESTORE = "restore the file from a copy; `sha256sum -c SHA256SUMS` shows what changed"


@dataclass(frozen=True, kw_only=True)
class Event:
    """One piece of evidence: one line of the journal.

    Attributes:
        seq: Position in the journal, from 0 without gaps.
        t_ns: Controller's CLOCK_MONOTONIC on arrival, in ns.
        observer: Who says so: ``runner`` or an observer's name.
        kind: What it is, from the vocabulary in ``docs/journal.md``.
        trial: The trial's id such as ``001-idle``, or None for the run itself.
        attempt: The attempt's number from 1, or None outside an attempt.
        data: The rest as it was written, JSON values only.
    """

    seq: int
    t_ns: int
    observer: str
    kind: str
    trial: str | None = None
    attempt: int | None = None
    data: Mapping[str, Json] = field(default_factory=dict)

    @cached_property
    def value(self) -> Value | None:
        """What it says, typed; None where `data` is not what events of this kind say."""
        kind = KINDS.get(self.kind)
        return None if kind is None else kind.read(self.data)

    def says(self, kind: type[V]) -> V | None:
        """The same where it is of that kind, or None."""
        return self.value if isinstance(self.value, kind) else None


class Journal(AbstractContextManager["Journal"]):
    """The writer, safe to call from several threads: an event is with the kernel when `add` returns."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        next_seq: int = 0,
        listener: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        """Open the journal at `path` for appending; `listener` is told of each event once it is written."""
        self._listener = listener
        self._path = path
        self._clock = clock
        self._seq = next_seq
        self._lock = threading.Lock()
        self._open = True
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._failure(error) from error

    def add(
        self,
        value: Value,
        *,
        trial: str | None = None,
        attempt: int | None = None,
        t_ns: int | None = None,
        durable: bool = False,
    ) -> Event:
        """Append one event and return it.

        Args:
            value: What it says.
            trial: See :class:`Event`.
            attempt: See :class:`Event`.
            t_ns: The arrival stamp where it was taken before the call; now otherwise.
            durable: Also fsync: for events a resume depends on.

        Raises:
            StorageError: The disk is full or gone, or the journal is closed; what came before is intact.
            ValueError: `value` holds NaN or an infinity, which JSON has not: an unmeasured value is None.
        """
        with self._lock:
            event = Event(
                seq=self._seq,
                t_ns=self._clock.now_ns() if t_ns is None else t_ns,
                observer=value.OBSERVER,
                kind=value.KIND,
                trial=trial,
                attempt=attempt,
                data=value.to_data(),
            )
            text = json.dumps(asdict(event), separators=(",", ":"), allow_nan=False)
            self._append((text + "\n").encode("ascii"), durable=durable)
            self._seq += 1
        self._listener(event)
        return event

    def _append(self, line: bytes, *, durable: bool) -> None:
        """Write one line whole or not at all: a partial one is cut off again before the error is raised."""
        if not self._open:  # the descriptor's number may be another file's by now
            raise self._failure(OSError(errno.EBADF, "the journal was closed before this event"))
        size: int | None = None
        try:
            size = os.fstat(self._fd).st_size
            rest = memoryview(line)
            while rest:  # a short write is the first sign of a full disk; the next one says why
                rest = rest[os.write(self._fd, rest) :]
            if durable:
                os.fsync(self._fd)
        except OSError as error:
            if size is not None:
                self._cut(size)
            raise self._failure(error) from error

    def _cut(self, size: int) -> None:
        """Take back a partial line; where even that fails, write no more, so that it stays the last line."""
        try:
            os.ftruncate(self._fd, size)
        except OSError:
            self._open = False
            os.close(self._fd)

    def _failure(self, error: OSError) -> StorageError:
        then = "`sodbench resume` goes on"
        return disk.failure("the journal cannot be written", self._path, error, then=then)

    def close(self) -> None:
        """Flush to the disk and close; once is enough, twice does no harm.

        Raises:
            StorageError: The last events may not have reached the disk.
        """
        with self._lock:
            if not self._open:
                return
            self._open = False
            try:
                os.fsync(self._fd)
            except OSError as error:
                raise self._failure(error) from error
            finally:
                os.close(self._fd)

    def __exit__(self, *details: object) -> None:
        self.close()


def parse(text: str, *, where: str = "journal") -> list[Event]:
    """The events of a journal's text; a torn last line is left out.

    Raises:
        RecordError: A line before the last does not parse, or the sequence has a gap.
    """
    return list(_events(text, where))


def _events(text: str, where: str) -> Iterator[Event]:
    *lines, _torn = text.split("\n")  # after the last newline: nothing, or a line the writer did not finish
    for number, line in enumerate(lines):
        try:
            event = _event(line)
        except (ValueError, TypeError, RecursionError) as error:
            raise RecordError(
                "not a journal line",
                where=f"{where}:{number + 1}",
                why=str(error),
                remedy=_RESTORE,
            ) from error
        if event.seq != number:
            raise RecordError(
                f"sequence {event.seq} where {number} was due",
                where=f"{where}:{number + 1}",
                why="lines are missing or doubled",
                remedy=_RESTORE,
            )
        yield event


def _event(line: str) -> Event:
    event = Event(**json.loads(line))
    named = (event.observer, event.kind)
    if not all(isinstance(text, str) for text in named) or not isinstance(event.data, dict):
        raise TypeError("observer and kind are texts and data is an object")
    if event.kind not in KINDS:
        raise ValueError(
            f"no event is of the kind {event.kind[:_SHOWN]!r}: a later version may have written it"
        )
    if not all(isinstance(number, int) for number in (event.seq, event.t_ns)):
        raise TypeError("seq and t_ns are integers")
    if event.trial is not None and not _is_name(event.trial):
        raise TypeError("trial is null or the name of a folder")
    if event.attempt is not None and type(event.attempt) is not int:
        raise TypeError("attempt is null or an integer")
    return event


def _is_name(trial: object) -> bool:
    """Whether a folder below the run's own is called so: a trial's files are read by its name."""
    return isinstance(trial, str) and trial not in {"", ".", ".."} and not {"/", "\0"} & set(trial)


def read(path: Path) -> list[Event]:
    """The events stored in `path`; see :func:`parse`."""
    return parse(_text(path, _raw(path)), where=str(path))


def _raw(path: Path) -> bytes:
    try:
        return sums.content(path, limit=MAX_BYTES)
    except RecordError as error:
        what = "the journal cannot be read"
        raise RecordError(what, where=error.where, why=error.why, remedy=error.remedy) from error


def _text(path: Path, raw: bytes) -> str:
    """The whole lines; what follows the last newline may be anything, so it is not even decoded."""
    try:
        return raw[: raw.rfind(b"\n") + 1].decode("ascii")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RecordError(
            "not a journal line",
            where=f"{path}:{line}",
            why=f"byte {raw[error.start]:#04x} is not ASCII",
            remedy=_RESTORE,
        ) from error


def repair_tail(path: Path) -> int:
    """Cut a torn last line off a killed run's journal; the next sequence number.

    Raises:
        RecordError: The journal is damaged elsewhere; it is left as it is.
        StorageError: The file cannot be changed.
    """
    raw = _raw(path)
    events = parse(_text(path, raw), where=str(path))
    whole = raw.rfind(b"\n") + 1
    if whole != len(raw):
        try:
            os.truncate(path, whole)
        except OSError as error:
            raise disk.failure("the journal cannot be repaired", path, error) from error
    return len(events)
