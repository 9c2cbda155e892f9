"""What must hold for any evidence: clocks do not matter, and what is cut off is null with a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis import series
from harness.analysis import table as results
from harness.evidence.folder import RunFolder
from harness.evidence.journal import Event
from harness.json_types import Json
from tests.migration.runs import SMALL
from tests.synthetic.evidence import ClockTruth, MigrationTruth, Truths, build, events_of, write_journal

TWO = (
    MigrationTruth(planned_s=0.0, total_s=2.0, command_s=2.1),
    MigrationTruth(planned_s=5.0, total_s=2.0, command_s=2.1),
)
SHORT = replace(SMALL, heartbeat_hz=50.0, attempts=(replace(SMALL.attempts[0], migrations=TWO),))
EVENTS = events_of(SHORT)
KEY = ["trial", "migration", "metric"]
DAYS_400_NS = 400 * 86_400 * 10**9
offsets = st.integers(min_value=-DAYS_400_NS, max_value=DAYS_400_NS)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def kept(place: Path) -> RunFolder:
    """The run whose journal each example writes again; its series stay as they are."""
    return build(place / "kept", SHORT)


@pytest.fixture(scope="module")
def whole(kept: RunFolder) -> pd.DataFrame:
    """What is measured where nothing is missing."""
    write_journal(kept, EVENTS)
    return results.compute(kept)


def _check_reasons(table: pd.DataFrame) -> None:
    missing = table["value"].isna()
    assert table.loc[missing, "reason"].str.len().gt(0).all()
    assert table.loc[~missing, "reason"].isna().all()


@settings(max_examples=12, deadline=None)
@given(offsets, offsets, offsets, offsets, st.integers(min_value=10**9, max_value=DAYS_400_NS))
def test_shifting_every_clock_changes_nothing(
    place: Path, whole: pd.DataFrame, a_ns: int, b_ns: int, client_ns: int, wall_ns: int, start_ns: int
) -> None:
    wall = -1_800_000_000_000_000_000 + wall_ns // 2
    shifted: Truths = replace(
        SHORT,
        start_ns=start_ns,
        clocks={
            "a": ClockTruth(monotonic_offset_ns=a_ns, realtime_offset_ns=wall + a_ns),
            "b": ClockTruth(monotonic_offset_ns=b_ns, realtime_offset_ns=wall - b_ns),
            "client": ClockTruth(monotonic_offset_ns=client_ns, realtime_offset_ns=wall),
        },
    )
    before, after = whole, results.compute(build(place / "shifted", shifted))
    assert before["reason"].equals(after["reason"])
    # QEMU's stamps are whole microseconds, so that two of them move by up to two.
    for column in ("value", "resolution"):
        pd.testing.assert_series_equal(before[column], after[column], rtol=1e-6, atol=3e-6)
    # libvirt subtracts the hosts' wall clocks: what it says is as uncertain as they differ.
    stands = ~before["metric"].isin(["total_time_libvirt", "downtime_libvirt"])
    pd.testing.assert_series_equal(
        before["uncertainty"][stands], after["uncertainty"][stands], rtol=1e-6, atol=3e-6
    )


@settings(max_examples=25, deadline=None)
@given(count=st.integers(min_value=0, max_value=len(EVENTS)))
def test_a_journal_cut_anywhere_is_null_with_a_reason_and_never_zero(
    kept: RunFolder, whole: pd.DataFrame, count: int
) -> None:
    values = whole.set_index(KEY)["value"]
    end = next(event for event in EVENTS if event.kind == "attempt.finished")
    events = [event for event in EVENTS[:count] if event.kind != "attempt.finished"]
    write_journal(kept, [*events, replace(end, t_ns=events[-1].t_ns if events else 0)])
    table = results.compute(kept)
    _check_reasons(table)
    zeros = table[table["value"] == 0].set_index(KEY).index
    assert [key for key in zeros if values[key] != 0] == []


@settings(max_examples=25, deadline=None)
@given(st.sets(st.sampled_from(sorted({event.kind for event in EVENTS} - {"attempt.finished"})), min_size=1))
def test_any_kinds_of_events_may_be_missing(kept: RunFolder, kinds: set[str]) -> None:
    write_journal(kept, [event for event in EVENTS if event.kind not in kinds])
    _check_reasons(results.compute(kept))
    attempts = list(results.read_attempts(kept))
    for of in (series.gaps, series.precopy, series.timelines, series.pauses):
        assert (of(attempts)["trial"] == "001-file").all()


@settings(max_examples=20, deadline=None)
@given(st.integers(min_value=0, max_value=len(EVENTS) - 1), st.sampled_from([None, {}, "?", 7]))
def test_an_event_that_says_nothing_sensible_is_survived(kept: RunFolder, index: int, how: Json) -> None:
    events: list[Event] = list(EVENTS)
    events[index] = replace(events[index], data=dict.fromkeys(EVENTS[index].data, how))
    write_journal(kept, events)
    _check_reasons(results.compute(kept))


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(["heartbeat.csv", "wire-a.csv", "host-b.csv", "controller.csv", "workload.log"]),
    st.integers(min_value=0, max_value=200_000),
)
def test_a_series_cut_anywhere_is_survived(place: Path, name: str, size: int) -> None:
    run = build(place / "series", SHORT)
    path = run.attempt("001-file", 1) / name
    path.write_bytes(path.read_bytes()[:size])
    _check_reasons(results.compute(run))
