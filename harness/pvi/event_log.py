"""One side's log of a private virtual infrastructure: what its owner saw inside, or its provider outside.

A file of JSON lines. The first says which side's it is, ``{"log": "inside", "version": 1}``; each other one
is an event with ``t_ns`` (the moment on the factory's clock, ns since 1970-01-01 UTC), ``uncertainty_ns`` (by
how much that may be off, either way), ``kind`` and ``guest``. Further keys are ignored. Logs come from other
machines: lines are bounded, and of an event only its place and its numbers are kept.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from harness.errors import RecordError
from harness.legible import legible

MAX_LINE_BYTES = 4096
MOST_KINDS = 100_000
"""Of pairs of a kind and a guest in one log: each takes some 500 bytes, however short its line is."""
MAX_NS = 2**62
"""The largest moment that is taken, in the year 2116: the sum of two of them still fits its column."""

_KIND = re.compile(r"[a-z][a-z0-9.-]{0,63}")
_GUEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._/-]{0,127}")
_REMEDY = "have the side that wrote the log export it again"


class Side(StrEnum):
    """Who wrote a log."""

    INSIDE = "inside"
    OUTSIDE = "outside"

    @property
    def other(self) -> Side:
        """The other side."""
        return Side.OUTSIDE if self is Side.INSIDE else Side.INSIDE


@dataclass(frozen=True, slots=True)
class Stamps:
    """The events of one kind and one guest, in columns: moments, their uncertainty, and their lines."""

    t_ns: array[int] = field(default_factory=lambda: array("q"))
    uncertainty_ns: array[int] = field(default_factory=lambda: array("q"))
    line: array[int] = field(default_factory=lambda: array("q"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A log as it was read.

    Attributes:
        side: Whose it is.
        events: Kind and guest to the stamps of these events, in the order of their lines.
    """

    side: Side
    events: Mapping[tuple[str, str], Stamps]


def read(path: Path, side: Side) -> Log:
    """The log at `path`, which must be of that side.

    Raises:
        RecordError: It cannot be read, is the other side's, or a line of it says no event.
    """
    try:
        if path.exists() and not path.is_file():
            raise OSError("not a regular file")
        with path.open("rb") as file:
            return parse(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), side, where=str(path))
    except OSError as error:
        raise RecordError("a log cannot be read", where=legible(str(path)), why=str(error)) from error


def parse(lines: Iterable[bytes], side: Side, *, where: str) -> Log:
    """The log in `lines`, each with its line end.

    Raises:
        RecordError: As :func:`read`.
    """
    events: dict[tuple[str, str], Stamps] = {}
    number = 0
    for number, line in enumerate(lines, 1):
        said = _object(line, f"{where}:{number}")
        if number == 1:
            _header(said, side, f"{where}:1")
            continue
        kind, guest, t_ns, uncertainty_ns = _event(said, f"{where}:{number}")
        stamps = events.setdefault((kind, guest), Stamps())
        if len(events) > MOST_KINDS:
            raise _damaged(f"{where}:{number}", f"it has events of more than {MOST_KINDS} kinds and guests")
        stamps.t_ns.append(t_ns)
        stamps.uncertainty_ns.append(uncertainty_ns)
        stamps.line.append(number)
    if not number:
        raise _damaged(where, "it is empty")
    return Log(side=side, events=events)


def _object(line: bytes, where: str) -> dict[str, object]:
    if len(line) > MAX_LINE_BYTES:
        raise _damaged(where, f"a line of more than {MAX_LINE_BYTES} bytes")
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _damaged(where, "a line that is not JSON") from error
    if not isinstance(said, dict):
        raise _damaged(where, "a line that is no object")
    return said


def _header(said: Mapping[str, object], side: Side, where: str) -> None:
    if said.get("version") != 1 or said.get("log") not in {one.value for one in Side}:
        raise _damaged(where, 'its first line is not {"log": "inside" or "outside", "version": 1}')
    if said["log"] != side.value:
        raise _damaged(where, f"it is the log of the {side.other}, and the {side} was asked for")


def _event(said: Mapping[str, object], where: str) -> tuple[str, str, int, int]:
    kind, guest = said.get("kind"), said.get("guest")
    t_ns, uncertainty_ns = said.get("t_ns"), said.get("uncertainty_ns")
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise _damaged(where, "its kind is no word such as guest.paused")
    if not isinstance(guest, str) or not _GUEST.fullmatch(guest):
        raise _damaged(where, "its guest is no name")
    if type(t_ns) is not int or not 0 <= t_ns <= MAX_NS:
        raise _damaged(where, f"its t_ns is no number from 0 to {MAX_NS}")
    if type(uncertainty_ns) is not int or not 0 <= uncertainty_ns <= MAX_NS:
        raise _damaged(where, f"its uncertainty_ns is no number from 0 to {MAX_NS}")
    return kind, guest, t_ns, uncertainty_ns


def _damaged(where: str, why: str) -> RecordError:
    return RecordError("the log cannot be used", where=legible(where), why=why, remedy=_REMEDY)
