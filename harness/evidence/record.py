"""Where an attempt's evidence goes: events into the journal, rows into series."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

from harness import disk
from harness.clock import Clock
from harness.errors import StorageError
from harness.evidence.account import Account
from harness.evidence.events import (
    HostStateSampled,
    ObserverFailed,
    OfGuest,
    ResponseClosed,
    Value,
    WindowOpened,
)
from harness.evidence.journal import Event, Journal

_DECIDING = (WindowOpened.OBSERVER, ResponseClosed.OBSERVER, HostStateSampled.OBSERVER)
"""The observers by whose events it is decided what to do next, and how the attempt is judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Where an attempt's evidence goes.

    Attributes:
        journal: Where events go.
        clock: The controller's.
        folder: Where series go.
        trial: The trial's id.
        attempt: The attempt's number.
        guest: The guest that events are about, which each of them then names; None for the attempt itself.
        history: What the runner, the response loop and the hosts' state said in this attempt, whichever guest
            it is about.
    """

    journal: Journal
    clock: Clock
    folder: Path
    trial: str
    attempt: int
    guest: str | None = None
    history: list[Event] = field(default_factory=list)

    def add(self, value: Value, *, t_ns: int | None = None, durable: bool = False) -> Event:
        """Append an event of this attempt and return it; the last of `history` may be another observer's.

        Args:
            value: What it says; what is said of a guest names this record's guest.
            t_ns: The arrival stamp where it was taken before the call; now otherwise.
            durable: Also fsync: for events a resume depends on.

        Raises:
            StorageError: The disk is full or gone, or the journal is closed.
        """
        if self.guest is not None and isinstance(value, OfGuest):
            value = value.model_copy(update={"guest": self.guest})
        event = self.journal.add(value, trial=self.trial, attempt=self.attempt, t_ns=t_ns, durable=durable)
        if event.observer in _DECIDING:
            self.history.append(event)
        return event

    @property
    def account(self) -> Account:
        """What the runner and the response loop said in this attempt until now."""
        return Account(trial=self.trial, attempt=self.attempt, events=tuple(self.history))

    def of(self, guest: str | None) -> Record:
        """The same record for events about `guest`, or about the attempt itself."""
        return replace(self, guest=guest)

    def failed(self, observer: str, reason: str) -> None:
        """Record that `observer` can say nothing more in this attempt."""
        self.add(ObserverFailed(observer=observer, reason=reason))


class Series:
    """A CSV file of the attempt, appended and flushed row by row as rows arrive from a remote program.

    Rows arrive on threads that cannot report an error: a row that cannot be written is remembered, no row is
    written behind it, and :meth:`close` raises what happened.

    Raises:
        StorageError: The file cannot be made.
    """

    def __init__(self, path: Path, header: str | None = None) -> None:
        self.path = path
        self.rows = 0
        self._lock = threading.Lock()
        self._failure: OSError | None = None
        try:
            self._file: TextIO = path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise self._storage_error(error) from error
        if header is not None:
            self._write(header)

    def add(self, row: str) -> None:
        """Append one row; rows after :meth:`close` are dropped."""
        with self._lock:
            if not self._file.closed and self._failure is None:
                self._write(row)
                self.rows += 1

    def _write(self, row: str) -> None:
        try:
            self._file.write(row + "\n")
        except OSError as error:
            self._failure = error

    def close(self) -> None:
        """Close the file; twice is fine.

        Raises:
            StorageError: A row could not be written, so that the file ends too early.
        """
        with self._lock:
            try:
                self._file.close()
            except OSError as error:
                self._failure = self._failure or error
            failure, self._failure = self._failure, None
        if failure is not None:
            raise self._storage_error(failure) from failure

    def _storage_error(self, error: OSError) -> StorageError:
        then = "`sodbench resume` goes on with this trial"
        return disk.failure("the evidence cannot be written", self.path, error, then=then)
