"""What a director answers when a window asks it what to do next: plain values, compared by value in tests.

A director is a pure function of the moment: of how late it is and of the events so far. It never sleeps and
never acts. :class:`harness.migration.window.Window` carries its answers out, one by one, and records each
before it asks again, so that every decision can be checked afterwards against the evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from harness.evidence.journal import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What a director is asked with.

    Attributes:
        now_s: Seconds since t = 0, by the clock that stamps the events.
        history: The attempt's events so far, of the runner and of the response loop.
        asked_to_stop: Whether the user wants to stop.
    """

    now_s: float
    history: Sequence[Event]
    asked_to_stop: bool = False


@dataclass(frozen=True, slots=True)
class Fire:
    """Start migration `n` now; recorded as ``migration.started``."""

    n: int
    planned_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again after `seconds`, or earlier when something wakes the window."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Skip:
    """Leave migration `n` out; recorded as ``migration.skipped``."""

    n: int
    planned_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Delay:
    """Migration `n` is due and must wait; recorded as ``migration.delayed``. Answered once for each."""

    n: int
    planned_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Abort:
    """Abort the running migration `n`; recorded as ``migration.aborted``. Answered once for each."""

    n: int
    reason: str


@dataclass(frozen=True, slots=True)
class Provoke:
    """Make a server unfit as the scenario says, at its point `point` (from 1); ``response.provoked``."""

    point: int


@dataclass(frozen=True, slots=True)
class Miss:
    """Nothing followed provocation `n` in time; recorded as ``response.missed``."""

    n: int
    reason: str


@dataclass(frozen=True, slots=True)
class Undo:
    """Undo what the last provocation did, so that the next one finds sound servers."""


@dataclass(frozen=True, slots=True)
class Close:
    """Everything is accounted for: the window is over."""


Action: TypeAlias = Fire | Wait | Skip | Delay | Abort | Provoke | Miss | Undo | Close

Director: TypeAlias = Callable[[Now], Action]
