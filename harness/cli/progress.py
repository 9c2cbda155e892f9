"""A run's progress for people: one line for what happens, and on a terminal a bar with the time left.

Reads events as they are journalled and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Self

from harness.campaign.plan import Plan
from harness.cli.terminal import Output
from harness.clock import NS_PER_S
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
        self._window_ns: int | None = None
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
        if event.observer not in {"runner", "response"}:
            return
        self._begin_ns = self._begin_ns or event.t_ns
        text = of_response(event) if event.observer == "response" else self._text(event)
        if text:
            elapsed = int((event.t_ns - self._begin_ns) / NS_PER_S)
            label = f"{elapsed // 60:3d}:{elapsed % 60:02d}  {event.trial or '':<12} {text}"
            self._output.say(label, *(f"{_INDENT}{line}" for line in _further(event)))
        if event.kind == "attempt.finished":
            self._advance()

    def _text(self, event: Event) -> str:
        data = event.data
        match event.kind:
            case "attempt.started":
                left = self._left(event)
                return f"attempt {event.attempt}: starting the guest ({left})"
            case "guest.started":
                boot_s = float(str(data["boot_s"]))
                return f"guest is up on {data['host']} after {boot_s:.0f} s ({data['accelerator']})"
            case "workload.steady":
                return f"load is steady after {float(str(data['after_s'])):.0f} s"
            case "window.opened":
                self._window_ns = event.t_ns
                return f"window of {data['window_s']} s opens"
            case "migration.started":
                self._started[int(str(data["n"]))] = event.t_ns
                return f"migration {data['n']} {data['source']} -> {data['destination']}"
            case "migration.returned":
                return self._returned(event)
            case "migration.skipped" | "migration.delayed" | "migration.aborted" | "workload.unsteady":
                return f"{event.kind.replace('.', ' ')}: {data['reason']}"
            case "observer.failed":
                return f"observer {data['observer']} failed, its metrics are null: {data['reason']}"
            case "attempt.finished":
                cause = "".join(f": {reason}" for reason in _reasons(event)[:1])
                return f"{data['verdict']}{cause}"
            case _:
                return ""

    def _returned(self, event: Event) -> str:
        n = int(str(event.data["n"]))
        took_s = (event.t_ns - self._started.get(n, event.t_ns)) / NS_PER_S
        if event.data["ok"]:
            return f"migration {n} done in {took_s:.2f} s"
        return f"migration {n} failed after {took_s:.2f} s: {event.data['error']}"

    def _left(self, event: Event) -> str:
        """How far the run is; without a terminal the only hint at the time left."""
        ids = [trial.id for trial in self._plan.trials]
        place = ids.index(event.trial) if event.trial in ids else 0
        left_s = (len(ids) - place) * self._share
        return f"trial {place + 1} of {len(ids)}, about {left_s / 60:.0f} min left"


def _reasons(event: Event) -> list[str]:
    """Why the attempt that `event` ends is not valid, the cause first."""
    reasons = event.data.get("reasons") if event.kind == "attempt.finished" else None
    return [str(reason) for reason in reasons] if isinstance(reasons, list) else []


def _further(event: Event) -> list[str]:
    """What is said of `event` on lines of their own."""
    return _reasons(event)[1:]


def of_response(event: Event) -> str:
    """What a guarded guest's event means to a person."""
    data = event.data
    match event.kind:
        case "response.provoked":
            return f"{data['what']}{' on ' + str(data['server']) if data['server'] else ''}"
        case "response.decided":
            goal = f" to {data['destination']}" if data["destination"] else ""
            return f"response {data['n']}: {data['action']}{goal}"
        case "response.closed":
            return f"response {data['n']} {data['state']}: {data['reason']}"
        case "response.detected":
            played = " (simulated)" if data["simulated"] else ""
            return f"{data['cause']}: {data['detail'] or data['reason']}{played}"
        case "response.recovered":
            return f"response {data['response']} was left open: {data['step']}, {data['why']}"
        case "response.arrived":
            return f"{data['tier']}: {data['reason']} after the arrival"
        case "response.acted":
            return f"{data['action']}: {'done' if data['ok'] else data['error']}"
        case "guard.started" | "guard.stopped":
            return f"{data['vm']} is {'guarded' if event.kind == 'guard.started' else 'not guarded any more'}"
        case "response.missed" | "response.waiting":
            return f"{event.kind.replace('.', ' ')}: {data.get('reason') or data.get('why')}"
        case _:
            return ""
