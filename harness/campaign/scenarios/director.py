"""When a scenario provokes: the director of a guarded trial, asked "what next, given now and what happened".

Pure: no sleeping, no side effects, no state. At each point of the plan it provokes once the guest is well,
another server would take it, and the response before has settled. Then it waits until that provocation's
response is over, or for the stated time, and has it undone. A guest that was shut down ends the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.clock import NS_PER_S
from harness.evidence.events import ResponseClosed, ResponseMissed, ResponseProvoked, WindowOpened
from harness.evidence.journal import Event
from harness.migration.actions import Action, Close, Miss, Provoke, Undo, Wait

_ANSWERED = frozenset({"completed", "held", "suspended", "shut-down"})
"""States of a response after which nothing more is decided about its guest."""
LOOK_UP_S = 0.2
"""How often the guest is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What a guarded trial plays.

    Attributes:
        points_s: When to provoke, in s after t = 0; empty for a scenario that provokes nothing.
        window_s: Length of the window in s; nothing is provoked after it.
        wait_s: How long a provocation's response is awaited, in s.
        calm_s: Between the end of any response and the next provocation, in s.
        settle_s: How long the guest must have been well then, in s.
        guests: The guests' names where there are several, each of which must have an answer of its own.
    """

    points_s: Sequence[float]
    window_s: float
    wait_s: float
    calm_s: float
    settle_s: float
    guests: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the journal does not say.

    Attributes:
        busy: Whether a response is under way.
        well_since_s: Since when the guest is where its request is satisfied and another server would take it,
            in s after t = 0; None while it is not, or was not looked at.
        standing: Whether what was provoked last is still to be undone.
    """

    busy: bool
    well_since_s: float | None
    standing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """What the attempt's events say; seconds after t = 0."""

    provoked: tuple[tuple[int, float], ...]
    answers: tuple[tuple[int, str, str], ...]
    missed: frozenset[int]
    settled: frozenset[int]
    last_over_s: float | None
    gone: bool

    def is_over(self, n: int, guests: frozenset[str]) -> bool:
        """Whether what was provoked as response `n` is answered, of several guests by each, or was missed."""
        if not guests or n in self.missed:
            return n in self.settled
        return guests <= {guest for one, guest, state in self.answers if one >= n and state in _ANSWERED}


def next_point(script: Script, history: Sequence[Event]) -> int | None:
    """The point that comes next, from 1; None when all were played."""
    point = len(_past(history).provoked) + 1
    return point if point <= len(script.points_s) else None


def next_action(script: Script, now_s: float, history: Sequence[Event], sight: Sight) -> Action:
    """What to do `now_s` seconds after the window opened.

    Args:
        script: What is played.
        now_s: Seconds since ``window.opened``, by the clock that stamps the events.
        history: The attempt's events so far, of the runner and of the response loop.
        sight: What is true now.
    """
    past = _past(history)
    if sight.standing:
        n, at_s = past.provoked[-1]
        if not past.is_over(n, script.guests):
            return _awaited(script, n, now_s - at_s)
        if not past.gone:
            return Undo()
    if past.gone:
        # The loop has to take the end in before it is stopped.
        return Wait(LOOK_UP_S) if sight.busy else Close()
    if now_s >= script.window_s:
        return Close()
    point = len(past.provoked) + 1
    if point > len(script.points_s) or not _is_turn(script, point, now_s, past, sight):
        return Wait(LOOK_UP_S)
    return Provoke(point)


def _awaited(script: Script, n: int, since_s: float) -> Action:
    """What was provoked as response `n` is not over yet."""
    if since_s < script.wait_s:
        return Wait(LOOK_UP_S)
    return Miss(n, f"nothing was over within {script.wait_s:g} s")


def _is_turn(script: Script, point: int, now_s: float, past: _Past, sight: Sight) -> bool:
    """Whether the point has come, the guest is well, and the last response has settled."""
    if now_s < script.points_s[point - 1] or sight.busy or sight.well_since_s is None:
        return False
    if past.last_over_s is None:
        return True
    calm = now_s - past.last_over_s >= script.calm_s + LOOK_UP_S
    return calm and now_s - sight.well_since_s >= script.settle_s + LOOK_UP_S


def _past(history: Sequence[Event]) -> _Past:
    opened_ns = next((event.t_ns for event in history if event.says(WindowOpened)), 0)
    provoked: list[tuple[int, float]] = []
    over: dict[int, float] = {}
    answers: list[tuple[int, str, str]] = []
    missed: set[int] = set()
    gone = False
    for event in history:
        at_s = (event.t_ns - opened_ns) / NS_PER_S
        match event.value:
            case ResponseProvoked(n=n):
                provoked.append((n, at_s))
            case ResponseClosed(n=n, state=state, guest=guest):
                over[n] = at_s
                answers.append((n, guest or "", state))
                gone = gone or state == "shut-down"
            case ResponseMissed(n=n):
                missed.add(n)
            case _:
                continue
    return _Past(
        provoked=tuple(provoked),
        answers=tuple(answers),
        missed=frozenset(missed),
        settled=frozenset(over) | missed,
        last_over_s=max(over.values(), default=None),
        gone=gone,
    )
