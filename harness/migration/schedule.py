"""When to migrate: the director of a planned schedule, asked "what next, given now and what happened so far".

Pure: no sleeping, no side effects, no state. What runs and what is over follows from the attempt's events.
Nothing shifts silently: a migration that cannot start at its point is skipped, delayed or displaces the
running one, as the campaign says, and each of these is a decision of its own that the window records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from harness.evidence.account import Account
from harness.evidence.events import (
    MigrationAborted,
    MigrationDelayed,
    MigrationReturned,
    MigrationSkipped,
    MigrationStarted,
)
from harness.evidence.journal import Event
from harness.migration.actions import Abort, Action, Close, Delay, Director, Fire, Skip, Wait
from harness.strict import Strict


class PlannedMigration(Strict):
    """One move of a guest: the `n`-th of its trial, `at_s` seconds after the window opens.

    `guest` names the guest where the trial has several.
    """

    n: int = Field(ge=1)
    at_s: float = Field(ge=0)
    guest: str | None = None

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Of the one guest nothing is said, as before there were several: plans keep their hash."""
        found: dict[str, Any] = dump(self)
        if self.guest is None:
            found.pop("guest", None)
        return found


Overlap: TypeAlias = Literal["skip", "delay", "abort"]


AWAIT_S = 1.0
"""How long to wait at most for a running migration before asking again; its return should wake the caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """What the attempt's events say about its migrations."""

    running: tuple[int, ...]
    settled: frozenset[int]
    delayed: frozenset[int]
    aborted: frozenset[int]
    spans_s: tuple[tuple[int, float, float], ...]

    def busy_at(self, at_s: float) -> tuple[int, ...]:
        """The finished migrations that were under way at `at_s`."""
        return tuple(n for n, start_s, end_s in self.spans_s if start_s <= at_s < end_s)


def directed(
    migrations: Sequence[PlannedMigration], overlap: Overlap, window_s: float, concurrency: int = 1
) -> Director:
    """The director of a trial's planned migrations; see :func:`next_action`."""
    return lambda now: next_action(
        migrations, overlap, window_s, now.now_s, now.history, concurrency=concurrency
    )


def next_action(
    migrations: Sequence[PlannedMigration],
    overlap: Overlap,
    window_s: float,
    now_s: float,
    history: Sequence[Event],
    *,
    concurrency: int = 1,
) -> Action:
    """What to do `now_s` seconds after the window opened.

    Args:
        migrations: The trial's, in any order.
        overlap: What to do when a point comes while another migration is under way.
        window_s: Length of the window in s. Nothing is started after it; what still runs then is awaited.
        now_s: Seconds since ``window.opened``, by the clock that stamps the events.
        history: The attempt's events so far; those of other kinds do not matter.
        concurrency: How many migrations may be under way at once, each of another guest.

    Returns:
        One action. The window records it as an event before it asks again.
    """
    past = _past(history)
    waiting = sorted(
        (item for item in migrations if item.n not in past.settled), key=lambda item: (item.at_s, item.n)
    )
    due = [item for item in waiting if item.at_s <= now_s]
    free = len(past.running) < concurrency
    if due and now_s >= window_s and free:
        return Skip(due[0].n, due[0].at_s, "the window closed before its turn came")
    guests = {item.n: item.guest for item in migrations}
    moving = {guests.get(n) for n in past.running}
    ready = next((item for item in due if item.guest not in moving), None) if free else None
    if ready is not None:
        at_its_point = past.busy_at(ready.at_s)
        held = len(at_its_point) >= concurrency or ready.guest in {guests.get(n) for n in at_its_point}
        return _slot_free(ready, overlap, past, at_its_point if held else ())
    if due:
        return _slot_taken(due, overlap, past)
    if waiting:
        return Wait(waiting[0].at_s - now_s)
    if past.running:
        return Wait(AWAIT_S)
    return Wait(window_s - now_s) if now_s < window_s else Close()


def _slot_free(first: PlannedMigration, overlap: Overlap, past: _Past, earlier: tuple[int, ...]) -> Action:
    """`first` is due and may start; `earlier` are those that kept it from starting at its point."""
    # The caller may ask late, after another has returned: at its point the slot was taken all the same.
    if overlap == "skip" and earlier:
        return Skip(first.n, first.at_s, _taken(earlier))
    if overlap == "delay" and earlier and first.n not in past.delayed:
        return Delay(first.n, first.at_s, _taken(earlier))
    return Fire(first.n, first.at_s)


def _slot_taken(due: Sequence[PlannedMigration], overlap: Overlap, past: _Past) -> Action:
    """All of `due`, in the order of their points, are due and cannot start yet."""
    first, running = due[0], past.running[0]
    if overlap == "skip":
        return Skip(first.n, first.at_s, _taken(past.running))
    if overlap == "abort":
        aborted = running in past.aborted
        return (
            Wait(AWAIT_S) if aborted else Abort(running, f"migration {first.n} was due at {first.at_s:g} s")
        )
    unsaid = next((item for item in due if item.n not in past.delayed), None)
    return Wait(AWAIT_S) if unsaid is None else Delay(unsaid.n, unsaid.at_s, _taken(past.running))


def _taken(running: Sequence[int]) -> str:
    if len(running) == 1:
        return f"migration {running[0]} was under way"
    return f"migrations {', '.join(map(str, running))} were under way"


def _past(history: Sequence[Event]) -> _Past:
    moves = Account(trial="", attempt=0, events=tuple(history)).moves
    started = [move for move in moves if move.last(MigrationStarted) is not None]
    spans = ((move.n, move.started_s, move.returned_s) for move in started)
    return _Past(
        running=tuple(move.n for move in started if move.last(MigrationReturned) is None),
        settled=frozenset(move.n for move in moves if move in started or move.last(MigrationSkipped)),
        delayed=frozenset(move.n for move in moves if move.last(MigrationDelayed)),
        aborted=frozenset(move.n for move in moves if move.last(MigrationAborted)),
        spans_s=tuple((n, begin, end) for n, begin, end in spans if begin is not None and end is not None),
    )
