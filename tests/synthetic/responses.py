"""Responses added to a synthetic run, from known truths: every span can be asked for again.

Like :mod:`tests.synthetic.evidence` it is pure arithmetic. The response number n carries out the trial's
migration number n where it moves the guest; where it holds, suspends or stops it, or where nothing follows,
the trial has no migration of that number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from harness.evidence.folder import RunFolder
from harness.evidence.journal import Event
from harness.json_types import Json
from tests.synthetic import evidence
from tests.synthetic.evidence import Journalist, events_of, write_journal
from tests.synthetic.seven import COSTS
from tests.synthetic.truths import AttemptTruth, Layout, MigrationTruth, Truths, ns

SCENARIOS = (
    "violation", "attestation", "request", "properties", "moving-target", "suspend", "shut-down",
)  # fmt: skip
WORKLOADS = ("idle", "file", "web")
STAGES_MS: Mapping[str, float] = MappingProxyType(
    {"validate": 0.4, "start": 31_200.0, "enrol": 412.0, "attest": 38.5, "place": 6.1}
)
SIMULATED = frozenset({"violation"})
NO_SERVER = frozenset({"request", "moving-target"})
WORDS: Mapping[str, tuple[str, str, str | None]] = MappingProxyType(
    {
        "violation": ("violation", "memory-violation", "hyperwall"),
        "attestation": ("attestation", "pcr-value", "tpm"),
        "request": ("request", "other_vms_c, hypervisor_c", None),
        "properties": ("properties", "hypervisor_i", None),
        "moving-target": ("moving-target", "due", None),
        "suspend": ("violation", "memory-violation", "hyperwall"),
        "shut-down": ("attestation", "pcr-value", "tpm"),
    }
)
"""Scenario to cause, reason and monitor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseTruth:
    """One response. Spans are in seconds and follow each other as their names say.

    Attributes:
        lead_s: From the decision to the call to migrate; `accept_s` from that to the job on the source.
        after_s: From the call's return to the verdict on arrival.
        quotes_s: The TPMs' own time: of the destination's new quote, None for no quote, and on arrival.
        at_s: When it is decided, seconds after t = 0, where it moves nothing.
        missed: Why nothing followed.
        state: How it ended, where that is not what its action says.
        leave_out: Events of it that the journal lost.
    """

    width_s: float = 0.002
    detect_s: float = 0.6
    appraise_s: float = 0.005
    decide_s: float = 0.030
    lead_s: float = 0.003
    accept_s: float = 0.009
    after_s: float = 0.060
    quotes_s: tuple[float | None, float] = (0.004, 0.009)
    action: str = "move"
    at_s: float = 2.0
    act_s: float = 0.020
    error: str | None = None
    missed: str | None = None
    state: str | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    leave_out: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Responded:
    """What the trials demonstrate: for each attempt its scenario (None for no response) and its responses."""

    scenarios: tuple[str | None, ...]
    responses: tuple[tuple[ResponseTruth, ...], ...]
    launched: bool = True


def build(path: Path, truths: Truths, responded: Responded) -> RunFolder:
    """The run of :func:`tests.synthetic.evidence.build` whose migrations are responses."""
    run = evidence.build(path, truths)
    write_journal(run, journal(truths, responded))
    return run


def journal(truths: Truths, responded: Responded) -> list[Event]:
    """Its events, in order."""
    layouts = [Layout(truths, index) for index in range(len(truths.attempts))]
    named = {
        (at.trial, at.truth.attempt): scenario
        for at, scenario in zip(layouts, responded.scenarios, strict=True)
    }
    events = [_named(event, named) for event in events_of(truths)]
    for at, scenario, mine in zip(layouts, responded.scenarios, responded.responses, strict=True):
        book = Journalist(trial=at.trial, attempt=at.truth.attempt)
        if scenario is not None:
            _launched(book, at, responded)
            for n, truth in enumerate(mine, start=1):
                _response(book, at, scenario, n, truth)
        events += book.found
    return sorted(events, key=lambda event: event.t_ns)


def _named(event: Event, named: Mapping[tuple[str, int], str | None]) -> Event:
    """The attempt's first event says the scenario, and says null where there is none."""
    if event.kind != "attempt.started":
        return event
    scenario = named[str(event.trial), event.attempt or 0]
    return replace(event, data={**event.data, "scenario": scenario})


def _launched(book: Journalist, at: Layout, responded: Responded) -> None:
    if responded.launched:
        factor = 1 + 0.02 * (at.index % 5)
        stages: dict[str, Json] = {name: round(ms * factor * 1e6) for name, ms in STAGES_MS.items()}
        book.add(at.workload_ns, "response", "response.launched", vm="guest", host="a", stages_ns=stages)


@dataclass(frozen=True, slots=True)
class Moments:
    """When a response's moments are, controller's ns."""

    provoked_ns: int
    evidence_ns: int
    result_ns: int
    decided_ns: int


def moments(at: Layout, n: int, truth: ResponseTruth) -> Moments:
    """The moments of the response number `n`: backwards from the call to migrate, or from when it decided."""
    moves = truth.action == "move" and truth.missed is None
    decided = at.span(n).start_ns - ns(truth.lead_s) if moves else at.window_ns + ns(truth.at_s)
    result = decided - ns(truth.decide_s)
    seen = result - ns(truth.appraise_s)
    return Moments(seen - ns(truth.detect_s), seen, result, decided)


def _response(book: Journalist, at: Layout, scenario: str, n: int, truth: ResponseTruth) -> None:
    when = moments(at, n, truth)
    here, there = at.direction(n) if n <= len(at.truth.migrations) else ("a", "b")
    cause, reason, monitor = WORDS[scenario]
    say = _Saying(book, n, truth.leave_out)
    if scenario != "moving-target":
        say.at(
            when.provoked_ns, "provoked", scenario=scenario, server=here, vm="guest",
            what=f"{reason} on {here}", earliest_ns=when.provoked_ns - ns(truth.width_s),
            latest_ns=when.provoked_ns,
        )  # fmt: skip
    if truth.missed is not None:
        say.at(when.decided_ns, "missed", reason=truth.missed)
        return
    say.at(
        when.result_ns + 40_000, "detected", cause=cause, server=None if scenario in NO_SERVER else here,
        monitor=monitor, reason=reason, simulated=monitor == "hyperwall", asked_ns=when.evidence_ns - 900_000,
        evidence_ns=when.evidence_ns, result_ns=when.result_ns,
    )  # fmt: skip
    _decided(say, at, n, truth, (here, there))
    if truth.action == "move":
        _arrived(say, at, n, truth)
    else:
        say.at(
            when.decided_ns + ns(truth.act_s), "acted", action=truth.action, ok=truth.error is None,
            error=truth.error,
        )  # fmt: skip
    ended = {"move": "completed", "hold": "held", "suspend": "suspended", "shut-down": "shut-down"}
    end_ns = _end_ns(at, n, truth)
    say.at(
        end_ns, "closed", response=100 * at.index + n, state=truth.state or ended[truth.action],
        reason=truth.error or "as decided",
    )  # fmt: skip


def _end_ns(at: Layout, n: int, truth: ResponseTruth) -> int:
    if truth.action == "move":
        return at.span(n).returned_ns + ns(truth.after_s) + 900_000
    return moments(at, n, truth).decided_ns + ns(truth.act_s) + 900_000


@dataclass(frozen=True, slots=True)
class _Saying:
    """Says what happens in one response, but for what is to be lost."""

    book: Journalist
    n: int
    leave_out: frozenset[str]

    def at(self, t_ns: int, kind: str, /, **data: Json) -> None:
        if kind not in self.leave_out:
            self.book.add(t_ns, "response", f"response.{kind}", n=self.n, **data)


def _decided(say: _Saying, at: Layout, n: int, truth: ResponseTruth, way: tuple[str, str]) -> None:
    here, there = way
    moves = truth.action == "move"
    quote_s = truth.quotes_s[0]
    requote: dict[str, Json] | None = None
    if moves and quote_s is not None:
        requote = {
            "tier": "affirming", "reason": "accepted", "quote_ns": ns(quote_s),
            "latency_ns": ns(truth.decide_s * 0.6),
        }  # fmt: skip
    refused: dict[str, Json] = {here: "the guest is on it", **truth.refused}
    decided_ns = moments(at, n, truth).decided_ns
    say.at(
        decided_ns, "decided", response=100 * at.index + n, vm="guest", source=here,
        destination=there if moves else None, action=truth.action, candidates=[there] if moves else [],
        refused=refused, validated_ns=decided_ns - ns(truth.decide_s * 0.9), requote=requote,
    )  # fmt: skip


def _arrived(say: _Saying, at: Layout, n: int, truth: ResponseTruth) -> None:
    span = at.span(n)
    say.at(span.start_ns + ns(truth.accept_s), "accepted")
    if at.truth.migrations[n - 1].ok:
        say.at(
            span.returned_ns + ns(truth.after_s), "arrived", tier="affirming", reason="accepted",
            quotes_ns=ns(truth.quotes_s[1]), window_ns=ns(truth.lead_s + 0.004), same_key=True,
        )  # fmt: skip


def whole(*, repetitions: int = 2, points: int = 5, window_s: float = 90.0) -> tuple[Truths, Responded]:
    """Every scenario under idle, file and web, `repetitions` trials of each with `points` responses.

    A guest is suspended or shut down once a trial. The numbers are invented.
    """
    attempts: list[AttemptTruth] = []
    scenarios: list[str | None] = []
    responses: list[tuple[ResponseTruth, ...]] = []
    for repetition in range(1, repetitions + 1):
        for scenario in SCENARIOS:
            for workload in WORKLOADS:
                attempt, mine = _trial(workload, scenario, repetition, points, window_s)
                attempts.append(attempt)
                scenarios.append(scenario)
                responses.append(mine)
    truths = Truths(
        campaign="respond", window_s=window_s, baseline_s=6.0, heartbeat_hz=20.0, attempts=tuple(attempts)
    )
    return truths, Responded(scenarios=tuple(scenarios), responses=tuple(responses))


def _trial(
    workload: str, scenario: str, repetition: int, points: int, window_s: float
) -> tuple[AttemptTruth, tuple[ResponseTruth, ...]]:
    stays = scenario in ("suspend", "shut-down")
    seed = repetition + 10 * SCENARIOS.index(scenario) + 100 * WORKLOADS.index(workload)
    moves = () if stays else tuple(_move(workload, seed + n, n, window_s / points) for n in range(points))
    attempt = AttemptTruth(workload=workload, repetition=repetition, migrations=moves)
    if workload == "web":
        attempt = replace(
            attempt, generator="locust", version="2.43.1", substitutes="Faban", work_per_s=180.0,
            latency_s=0.025, jitter=0.05,
        )  # fmt: skip
    count = 1 if stays else points
    return attempt, tuple(_one(workload, scenario, seed + n) for n in range(count))


def _wobble(seed: int) -> float:
    """Between 0 and 1, the same every time."""
    return abs(math.sin(12.9898 * seed) * 43758.5453) % 1


def _move(workload: str, seed: int, n: int, every_s: float) -> MigrationTruth:
    total_s, blackout_s, data = COSTS[workload]
    spread = 0.9 + 0.25 * _wobble(seed)
    return MigrationTruth(
        planned_s=3.0 + every_s * n,
        total_s=total_s * spread,
        command_s=total_s * spread + 0.1,
        blackout_s=blackout_s * spread,
        outage_s=blackout_s * spread + 0.03,
        data_sent_bytes=round(data * spread),
        wire_bytes=round(data * spread * 1.01),
    )


def _one(workload: str, scenario: str, seed: int) -> ResponseTruth:
    load = {"idle": 1.0, "file": 1.5, "web": 1.8}[workload]
    slow = load * (0.8 + 0.7 * _wobble(seed + 7) ** 3)
    detect_s = {"violation": 0.55, "attestation": 0.9}.get(scenario, 0.02) * (0.3 + 1.4 * _wobble(seed + 3))
    return ResponseTruth(
        detect_s=detect_s,
        appraise_s=0.0004 if scenario in ("request", "properties", "moving-target") else 0.005 * slow,
        decide_s=0.026 * slow,
        accept_s=0.008 * slow,
        after_s=0.055 * slow,
        action={"suspend": "suspend", "shut-down": "shut-down"}.get(scenario, "move"),
        at_s=12.0,
        act_s=2.4 * slow if scenario == "shut-down" else 0.012 * slow,
        refused={"c": "its architecture TPM does not keep other_vms_c"} if scenario == "request" else {},
    )
