"""The events of a run, folded from the journal: attempts, their migrations, and other failures.

The report needs outcomes next to metrics: a migration that failed has no metrics but must be shown. Nothing
here judges; verdicts are read as they were recorded, and an attempt without one is ``unfinished``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.clock import NS_PER_S
from harness.evidence.journal import Event
from harness.evidence.verdict import bounded
from harness.json_types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One migration as the runner saw it. Times are seconds from the trial's t = 0."""

    n: int
    planned_s: float | None = None
    started_s: float | None = None
    returned_s: float | None = None
    source: str = ""
    destination: str = ""
    outcome: str = "not returned"
    detail: str = ""

    @property
    def direction(self) -> str:
        """Such as ``a→b``; empty when it never started."""
        return f"{self.source}→{self.destination}" if self.source else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at a trial.

    Attributes:
        window_ns: The controller's clock at t = 0, or None when the window never opened.
        window_s: Length of the window in seconds.
        closed_s: When the window closed, in seconds from t = 0.
        reasons: Why it is not valid; equal ones counted, and of many only the first.
        failures: Observers that failed, with the reason.
        scenario: Which response the trial demonstrates; empty for none.
        remarks: What else a reader must know, in words.
    """

    trial: str
    attempt: int
    workload: str = ""
    kind: str = ""
    repetition: int = 0
    scenario: str = ""
    verdict: str = "unfinished"
    reasons: tuple[str, ...] = ()
    generator: str = ""
    version: str = ""
    substitutes: str = ""
    guest: Mapping[str, Json] = field(default_factory=dict)
    window_ns: int | None = None
    window_s: float | None = None
    closed_s: float | None = None
    moves: Mapping[int, Move] = field(default_factory=dict)
    failures: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def migrations(self) -> list[Move]:
        """The migrations in their order."""
        return [self.moves[n] for n in sorted(self.moves)]

    @property
    def counts(self) -> bool:
        """Whether its numbers enter the tables: valid, and not a control trial."""
        return self.verdict == "valid" and self.kind != "control"

    def offset_s(self, t_ns: int) -> float | None:
        """Seconds from t = 0 of a stamp of the controller's clock."""
        return None if self.window_ns is None else (t_ns - self.window_ns) / NS_PER_S


def attempts(events: Sequence[Event]) -> list[Attempt]:
    """The attempts of a journal, in the order they began."""
    of: dict[tuple[str, int], list[Event]] = defaultdict(list)
    for event in events:
        if event.trial is not None and event.attempt is not None:
            of[event.trial, event.attempt].append(event)
    return [_fold(trial, number, mine) for (trial, number), mine in of.items()]


def _fold(trial: str, number: int, events: Sequence[Event]) -> Attempt:
    window = next((event.t_ns for event in events if event.kind == "window.opened"), None)
    attempt = Attempt(trial=trial, attempt=number, window_ns=window)
    steps = _steps()
    for event in events:
        step = steps.get(event.kind)
        if step is not None:
            attempt = step(attempt, event)
    return attempt


def _steps() -> Mapping[str, Callable[[Attempt, Event], Attempt]]:
    return {
        "attempt.started": _started,
        "guest.started": lambda attempt, event: replace(attempt, guest=event.data),
        "workload.started": _workload,
        "workload.unsteady": _unsteady,
        "window.opened": lambda attempt, event: replace(attempt, window_s=_number(event, "window_s")),
        "migration.started": _move_started,
        "migration.returned": _move_returned,
        "migration.skipped": _move_skipped,
        "migration.delayed": _move_delayed,
        "migration.aborted": _move_aborted,
        "window.closed": _closed,
        "observer.failed": _failed,
        "fault.injected": _fault,
        "attempt.finished": _finished,
    }


def _text(event: Event, key: str) -> str:
    value = event.data.get(key)
    return "" if value is None else str(value)


def _number(event: Event, key: str) -> float | None:
    value = event.data.get(key)
    return float(value) if isinstance(value, (int, float)) else None


def _remark(attempt: Attempt, text: str) -> Attempt:
    return replace(attempt, remarks=(*attempt.remarks, text))


def _move(attempt: Attempt, event: Event, **changes: object) -> Attempt:
    n = int(_number(event, "n") or 0)
    move = attempt.moves.get(n, Move(n=n))
    return replace(attempt, moves={**attempt.moves, n: replace(move, **changes)})  # type: ignore[arg-type]


def _started(attempt: Attempt, event: Event) -> Attempt:
    return replace(
        attempt,
        workload=_text(event, "workload"),
        kind=_text(event, "kind"),
        repetition=int(_number(event, "repetition") or 0),
        scenario=_text(event, "scenario"),
    )


def _workload(attempt: Attempt, event: Event) -> Attempt:
    return replace(
        attempt,
        generator=_text(event, "generator"),
        version=_text(event, "version"),
        substitutes=_text(event, "substitutes"),
    )


def _unsteady(attempt: Attempt, event: Event) -> Attempt:
    return _remark(
        attempt, f"not steady before the window ({_text(event, 'test')}): {_text(event, 'reason')}"
    )


def _move_started(attempt: Attempt, event: Event) -> Attempt:
    return _move(
        attempt,
        event,
        planned_s=_number(event, "planned_s"),
        started_s=attempt.offset_s(event.t_ns),
        source=_text(event, "source"),
        destination=_text(event, "destination"),
    )


def _move_returned(attempt: Attempt, event: Event) -> Attempt:
    move = attempt.moves.get(int(_number(event, "n") or 0))
    aborted = move is not None and move.outcome == "aborted"
    outcome = "completed" if event.data.get("ok") is True else "aborted" if aborted else "failed"
    detail = _text(event, "error") or (move.detail if move else "")
    return _move(attempt, event, returned_s=attempt.offset_s(event.t_ns), outcome=outcome, detail=detail)


def _move_skipped(attempt: Attempt, event: Event) -> Attempt:
    return _move(
        attempt,
        event,
        planned_s=_number(event, "planned_s"),
        outcome="skipped",
        detail=_text(event, "reason"),
    )


def _move_delayed(attempt: Attempt, event: Event) -> Attempt:
    return _move(
        attempt, event, planned_s=_number(event, "planned_s"), detail=f"delayed: {_text(event, 'reason')}"
    )


def _move_aborted(attempt: Attempt, event: Event) -> Attempt:
    return _move(attempt, event, outcome="aborted", detail=_text(event, "reason"))


def _closed(attempt: Attempt, event: Event) -> Attempt:
    late_s = _number(event, "late_s") or 0.0
    closed = replace(attempt, closed_s=attempt.offset_s(event.t_ns))
    if late_s <= 0:
        return closed
    return _remark(closed, f"a migration was still under way at the end and was awaited for {late_s:.1f} s")


def _failed(attempt: Attempt, event: Event) -> Attempt:
    pair = (_text(event, "observer"), _text(event, "reason"))
    return replace(attempt, failures=(*attempt.failures, pair))


def _fault(attempt: Attempt, event: Event) -> Attempt:
    return _remark(attempt, f"a fault was injected: {_text(event, 'fault')}, {_text(event, 'seconds')} s")


def _finished(attempt: Attempt, event: Event) -> Attempt:
    reasons = event.data.get("reasons")
    listed = tuple(map(str, reasons)) if isinstance(reasons, (list, tuple)) else ()
    return replace(attempt, verdict=_text(event, "verdict"), reasons=bounded(listed))
