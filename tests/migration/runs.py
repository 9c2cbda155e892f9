"""Small synthetic runs for the tests of metrics, and their readings by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from harness.analysis import table as results
from harness.evidence.attempt import Attempt
from harness.evidence.folder import RunFolder
from harness.evidence.journal import Event
from tests.synthetic.evidence import AttemptTruth, MigrationTruth, Truths, build, events_of, write_journal

ONE = MigrationTruth(planned_s=1.0)
SMALL = Truths(
    baseline_s=6.0,
    window_s=10.0,
    heartbeat_hz=100.0,
    attempts=(AttemptTruth(workload="file", migrations=(ONE,)),),
)


def small(path: Path, migration: MigrationTruth = ONE, **attempt: object) -> RunFolder:
    """A run of one short trial with one migration, with what `attempt` changes of it."""
    one = replace(SMALL.attempts[0], **{"migrations": (migration,), **attempt})  # type: ignore[arg-type]
    return build(path, replace(SMALL, attempts=(one,)))


def edited(path: Path, edit: Callable[[Event], Event | None], truths: Truths = SMALL) -> RunFolder:
    """A run whose events went through `edit`, which leaves one out by returning None."""
    run = build(path, truths)
    changed = (edit(event) for event in events_of(truths))
    write_journal(run, [event for event in changed if event is not None])
    return run


def without(path: Path, kind: str, truths: Truths = SMALL, **data: object) -> RunFolder:
    """A run without the events of that kind that say `data`."""

    def drop(event: Event) -> Event | None:
        said = all(event.data.get(key) == value for key, value in data.items())
        return None if event.kind == kind and said else event

    return edited(path, drop, truths)


def attempt_of(run: RunFolder) -> Attempt:
    """The run's first attempt."""
    return next(results.read_attempts(run))


def row(frame: pd.DataFrame, metric: str, migration: int | None = 1, trial: int = 1) -> pd.Series:
    """The row of that metric of the migration (None for the trial's own metrics) in the trial number."""
    mine = frame[(frame["metric"] == metric) & frame["trial"].str.startswith(f"{trial:03d}-")]
    mine = mine[mine["migration"].isna() if migration is None else mine["migration"] == migration]
    assert len(mine) == 1, f"{len(mine)} rows of {metric}"
    return mine.iloc[0]


def value(frame: pd.DataFrame, metric: str, migration: int | None = 1, trial: int = 1) -> float:
    """That row's value, which must be there."""
    found = row(frame, metric, migration, trial)
    assert pd.notna(found["value"]), f"{metric}: {found['reason']}"
    return float(found["value"])


def reason(frame: pd.DataFrame, metric: str, migration: int | None = 1, trial: int = 1) -> str:
    """Why that row has no value, which must not be there."""
    found = row(frame, metric, migration, trial)
    assert pd.isna(found["value"]), f"{metric} is {found['value']}"
    return str(found["reason"])
