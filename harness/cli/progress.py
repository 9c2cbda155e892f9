"""A run's progress for people: one line for what happens, and on a terminal a bar with the time left.

Reads events as they are journalled and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Self

from harness.campaign.plan import Plan
from harness.cli.terminal import Output
from harness.clock import NS_PER_S
from harness.evidence.events import (
    AttemptFinished,
    AttemptStarted,
    GuardStarted,
    GuardStopped,
    GuestStarted,
    MigrationAborted,
    MigrationDelayed,
    MigrationReturned,
    MigrationSkipped,
    MigrationStarted,
    ObserverFailed,
    ResponseActed,
    ResponseArrived,
    ResponseClosed,
    ResponseDecided,
    ResponseDetected,
    ResponseMissed,
    ResponseProvoked,
    ResponseRecovered,
    ResponseWaiting,
    WindowOpened,
    WorkloadSteady,
    WorkloadUnsteady,
)
from harness.evidence.journal import Event

_INDENT = " " * 12
"""Of a line that belongs to the one above it."""


class RunProgress:
    """Tells of a run while it goes on. A context manager; `on_event` is the journal's listener."""

    def __init__(self, output: Output, plan: Plan, *, total_s: float, finished: int) -> None:
        self._output = output
        self._plan = plan
        self._share = total_s / max(1, len(plan.trials))
        self._begin_ns: int | None = None
        self._started: dict[int, int] = {}
        self._finished = finished
        self._advance: Callable[[], None] = lambda: None
        self._shown = ExitStack()

    def __enter__(self) -> Self:
        bar = self._output.bar(total=max(1, len(self._plan.trials)), done=self._finished)
        self._advance = self._shown.enter_context(bar)
        return self

    def __exit__(self, *details: object) -> None:
        self._shown.close()

    def on_event(self, event: Event) -> None:
        """Say what `event` means, if it means something to a person."""
        if event.observer not in {AttemptStarted.OBSERVER, ResponseDecided.OBSERVER}:
            return
        self._begin_ns = self._begin_ns or event.t_ns
        text = of_response(event) or self._text(event)
        if text:
            elapsed = int((event.t_ns - self._begin_ns) / NS_PER_S)
            label = f"{elapsed // 60:3d}:{elapsed % 60:02d}  {event.trial or '':<12} {text}"
            self._output.say(label, *(f"{_INDENT}{line}" for line in _reasons(event)[1:]))
        if event.kind == AttemptFinished.KIND:
            self._advance()

    def _text(self, event: Event) -> str:
        match event.value:
            case AttemptStarted():
                return f"attempt {event.attempt}: starting the guest ({self._left(event)})"
            case GuestStarted() as guest:
                return f"guest is up on {guest.host} after {guest.boot_s:.0f} s ({guest.accelerator})"
            case WorkloadSteady(after_s=after_s):
                return f"load is steady after {after_s:.0f} s"
            case WindowOpened(window_s=window_s):
                return f"window of {window_s} s opens"
            case MigrationStarted() as started:
                self._started[started.n] = event.t_ns
                return f"migration {started.n} {started.source} -> {started.destination}"
            case MigrationReturned() as returned:
                return self._returned(event, returned)
            case (
                MigrationSkipped(reason=reason)
                | MigrationDelayed(reason=reason)
                | MigrationAborted(reason=reason)
                | WorkloadUnsteady(reason=reason)
            ):
                return f"{event.kind.replace('.', ' ')}: {reason}"
            case ObserverFailed(observer=observer, reason=reason):
                return f"observer {observer} failed, its metrics are null: {reason}"
            case AttemptFinished(verdict=verdict):
                cause = "".join(f": {reason}" for reason in _reasons(event)[:1])
                return f"{verdict}{cause}"
            case _:
                return ""

    def _returned(self, event: Event, returned: MigrationReturned) -> str:
        took_s = (event.t_ns - self._started.get(returned.n, event.t_ns)) / NS_PER_S
        if returned.ok:
            return f"migration {returned.n} done in {took_s:.2f} s"
        return f"migration {returned.n} failed after {took_s:.2f} s: {returned.error}"

    def _left(self, event: Event) -> str:
        """How far the run is; without a terminal the only hint at the time left."""
        ids = [trial.id for trial in self._plan.trials]
        place = ids.index(event.trial) if event.trial in ids else 0
        left_s = (len(ids) - place) * self._share
        return f"trial {place + 1} of {len(ids)}, about {left_s / 60:.0f} min left"


def _reasons(event: Event) -> Sequence[str]:
    """Why the attempt that `event` ends is not valid, the cause first."""
    finished = event.says(AttemptFinished)
    return [] if finished is None else finished.reasons


def of_response(event: Event) -> str:
    """What a guarded guest's event means to a person."""
    match event.value:
        case ResponseProvoked(what=what, server=server):
            return f"{what} on {server}" if server else what
        case ResponseDecided() as decided:
            goal = f" to {decided.destination}" if decided.destination else ""
            return f"response {decided.n}: {decided.action}{goal}"
        case ResponseClosed() as closed:
            return f"response {closed.n} {closed.state}: {closed.reason}"
        case ResponseDetected() as detected:
            played = " (simulated)" if detected.simulated else ""
            return f"{detected.cause}: {detected.detail or detected.reason}{played}"
        case ResponseRecovered() as left:
            return f"response {left.response} was left open: {left.step}, {left.why}"
        case ResponseArrived(tier=tier, reason=reason):
            return f"{tier}: {reason} after the arrival"
        case ResponseActed() as acted:
            return f"{acted.action}: {'done' if acted.ok else acted.error}"
        case GuardStarted(vm=vm):
            return f"{vm} is guarded"
        case GuardStopped(vm=vm):
            return f"{vm} is not guarded any more"
        case ResponseMissed(reason=why) | ResponseWaiting(why=why):
            return f"{event.kind.replace('.', ' ')}: {why}"
        case _:
            return ""
