"""The responses of a run as one tidy table: a row a response, whatever came of it.

Where a response ended without a migration there is no migration to hang its numbers on, and where nothing
followed a provocation there are no numbers at all: both are rows here. The same evidence, the same table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from harness.evidence.attempt import Attempt, Migration, number, seconds
from harness.evidence.events import (
    ResponseArrived,
    ResponseClosed,
    ResponseDecided,
    ResponseDetected,
    ResponseProvoked,
)
from harness.evidence.metric import Metric, NotMeasured, Value
from harness.migration.measures import metrics as migration_metrics
from harness.response.measures.evidence import Response, responses
from harness.response.measures.metrics import EVERY, measure

COLUMNS: Mapping[str, tuple[str, str]] = {
    "campaign": ("string", "The campaign's name."),
    "run": ("string", "The run: the name of its folder, `<utc>-<short id>`."),
    "trial": ("string", "The trial's id in the plan, such as `001-idle`."),
    "attempt": ("int64", "Which try at the trial, from 1."),
    "verdict": ("string", "The attempt's: `valid`, `invalid`, `unknown` or `skipped`; only `valid` counts in "
                          "summaries."),
    "workload": ("string", "The workload's name."),
    "repetition": ("Int64", "Which repetition of the workload, from 1."),
    "scenario": ("string", "What the trial demonstrates: `violation`, `attestation`, `request`, `properties` "
                           "or `moving-target`."),
    "n": ("int64", "The response's number in its attempt, from 1; also that of its migration."),
    "response": ("Int64", "Its number in the registry; empty where none was begun."),
    "provoked": ("string", "What was done to provoke it; empty where nothing was."),
    "t_s": ("float64", "When it was provoked, else when the result was there; seconds after t = 0."),
    "cause": ("string", "What the loop found wrong; empty where it found nothing."),
    "server": ("string", "Of which server; empty for a customer's request and for moving-target defence."),
    "monitor": ("string", "Which monitor said so; empty where none did."),
    "reason": ("string", "The reason code of what it found."),
    "simulated": ("boolean", "Whether the hardware that said so is simulated."),
    "action": ("string", "What was decided: `move`, `hold`, `suspend` or `shut-down`."),
    "source": ("string", "The host the guest was on."),
    "destination": ("string", "The host it went to; empty where it was not moved."),
    "candidates": ("string", "The hosts that were eligible, a JSON list in their order."),
    "refused": ("string", "The hosts that were not, a JSON object of the reasons."),
    "requote_tier": ("string", "The tier of the destination's new quote; empty where it was not asked."),
    "requote_reason": ("string", "Its reason code."),
    "arrival_tier": ("string", "The tier of the verdict on the guest at its destination."),
    "arrival_reason": ("string", "Its reason code."),
    "same_key": ("boolean", "Whether the guest's attestation key before and after is one."),
    "window_s": ("float64", "From the destination's new quote to the call to migrate."),
    "state": ("string", "How it ended: `completed`, `failed`, `called-off`, `held`, `suspended`, "
                        "`shut-down`, `abandoned`; `missed` where nothing followed; empty where its end was "
                        "not recorded."),
    "why": ("string", "The reason of that end."),
    "requote_s": ("float64", "What the destination's new quote took, from question to verdict."),
    "quotes_s": ("float64", "What the TPMs themselves took for the destination's and the arrival's quotes."),
    **{metric.name: ("float64", f"s. {metric.definition}") for metric in EVERY},
    "reaction_uncertainty": ("float64", "s. `reaction_time` is certain within ± this."),
    "total_time": ("float64", "s. The migration's, as in `metrics.parquet`."),
    "blackout": ("float64", "s. The same."),
    "missing": ("string", "Why times are empty, a JSON object of column and reason; what is not applicable "
                          "is not in it."),
    "rig": ("string", "`lab` or `pair`."),
    "accelerator": ("string", "`kvm` or `tcg`: what the guest ran under."),
}  # fmt: skip
"""The table's columns in order: pandas type and meaning."""
GUEST: Mapping[str, tuple[str, str]] = {
    "guest": ("string", "The guest that it is about; empty where nothing followed. Only the table of a run "
                        "with several guests has this column."),
}  # fmt: skip
"""The column that says which of several guests a response is about."""


def columns(*, several: bool) -> dict[str, tuple[str, str]]:
    """The table's columns in order for a run with one guest, or with several: these are named after `n`."""
    found: dict[str, tuple[str, str]] = {}
    for name, column in COLUMNS.items():
        found[name] = column
        if several and name == "n":
            found |= GUEST
    return found


MISSED = "missed"
"""The state of a response that never came."""
MIGRATION: tuple[Metric[Migration], ...] = tuple(
    metric for metric in migration_metrics.METRICS if metric.name in ("total_time", "blackout")
)


def rows(attempt: Attempt, common: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """One row a response of `attempt`, under what is `common` to all of the attempt; each with its guest."""
    for response in responses(attempt):
        readings = _readings(response)
        yield {
            **common,
            "scenario": response.scenario,
            "n": response.n,
            "guest": response.guest,
            **_words(response),
            **_hosts(response),
            **_end(response),
            "t_s": _offset(response),
            "requote_s": _requote_s(response),
            "quotes_s": _quotes_s(response),
            **{name: reading.value for name, reading in readings.items()},
            "reaction_uncertainty": readings["reaction_time"].uncertainty,
            "missing": _missing(readings),
        }


def _readings(response: Response) -> dict[str, Value]:
    found = {metric.name: measure(metric, response) for metric in EVERY}
    migration = response.migration
    for metric in MIGRATION:
        found[metric.name] = (
            Value.missing("no migration followed", applicable=False)
            if migration is None
            else migration_metrics.measure(metric, migration)
        )
    return found


def _missing(readings: Mapping[str, Value]) -> str | None:
    """Column to reason of what should be known and is not; None where all is."""
    found = {name: one.reason for name, one in readings.items() if one.reason is not None and one.applicable}
    return json.dumps(found, separators=(",", ":")) if found else None


def _words(response: Response) -> dict[str, object]:
    provoked, detected = response.said(ResponseProvoked), response.said(ResponseDetected)
    decided, arrived = response.said(ResponseDecided), response.said(ResponseArrived)
    begun = decided or response.said(ResponseClosed)
    asked = (decided and decided.requote) or {}
    return {
        "response": begun and begun.response,
        "provoked": provoked and provoked.what,
        "cause": detected and detected.cause,
        "server": detected and detected.server,
        "monitor": detected and detected.monitor,
        "reason": detected and detected.reason,
        "simulated": detected and detected.simulated,
        "action": response.action,
        "requote_tier": asked.get("tier"),
        "requote_reason": asked.get("reason"),
        "arrival_tier": arrived and arrived.tier,
        "arrival_reason": arrived and arrived.reason,
        "same_key": arrived and arrived.same_key,
        "window_s": None if arrived is None else _seconds(arrived.window_ns),
    }


def _hosts(response: Response) -> dict[str, object]:
    decided = response.said(ResponseDecided)
    return {
        "source": decided and decided.source,
        "destination": decided and decided.destination,
        "candidates": None if decided is None else _json(decided.candidates),
        "refused": None if decided is None else _json(decided.refused),
    }


def _end(response: Response) -> dict[str, object]:
    missed, closed = response.missed, response.said(ResponseClosed)
    if missed is not None:
        return {"state": MISSED, "why": missed.reason}
    return {"state": closed and closed.state, "why": closed and closed.reason}


def _offset(response: Response) -> float | None:
    """Where in its trial it lies."""
    for name in ("provoked_ns", "result_ns"):
        try:
            begun_ns: int = getattr(response, name)
            return seconds(begun_ns - response.attempt.window_ns)
        except NotMeasured:
            continue
    return None


def _requote_s(response: Response) -> float | None:
    decided = response.said(ResponseDecided)
    if decided is None or decided.requote is None:
        return None
    return _seconds(number(decided.requote, "latency_ns"))


def _quotes_s(response: Response) -> float | None:
    try:
        return seconds(response.quotes_ns)
    except NotMeasured:
        return None


def _seconds(span_ns: float | None) -> float | None:
    return None if span_ns is None else seconds(span_ns)


def _json(value: object) -> str:
    """A list in its order, an object by its keys."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
