"""Gaps and outages: every one, with where it began, and never a length that was not seen to its end."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis import series
from harness.analysis import table as results
from harness.evidence.folder import RunFolder
from harness.migration.measures.outage import PERIODS_OF_A_GAP, gaps
from tests.migration.runs import ONE, SMALL, attempt_of, reason, row, small, value
from tests.synthetic.evidence import MigrationTruth, PauseTruth

PERIOD_S = 1 / SMALL.heartbeat_hz


def _heartbeat(run: RunFolder) -> Path:
    return run.attempt("001-file", 1) / "heartbeat.csv"


def test_every_gap_is_listed_with_its_migration(tmp_path: Path) -> None:
    pauses = (PauseTruth(at_s=-3.0, seconds=0.1), PauseTruth(at_s=7.0, seconds=0.05))
    found = series.gaps(results.read_attempts(small(tmp_path, pauses=pauses)))
    assert len(found) == 3
    assert found["migration"].isna().tolist() == [True, False, False]
    assert found["start_s"].tolist() == sorted(found["start_s"])
    assert found["length_s"].tolist() == pytest.approx([0.1, ONE.outage_s, 0.05], abs=2 * PERIOD_S + 1e-3)
    assert found["closed"].all()


def test_one_lost_reply_is_no_outage(tmp_path: Path) -> None:
    run = small(tmp_path)
    lines = _heartbeat(run).read_text().splitlines()
    lines[10] = lines[10].rsplit(",", 1)[0] + ","
    _heartbeat(run).write_text("\n".join(lines) + "\n")
    assert len(series.gaps(results.read_attempts(run))) == 1
    background = value(results.compute(run), "heartbeat_background_gap", None)
    assert background == pytest.approx(PERIOD_S, abs=1e-4), "the tenth request is before the baseline"


def test_an_outage_without_end_has_no_length(tmp_path: Path) -> None:
    run = small(tmp_path, MigrationTruth(planned_s=1.0, outage_s=1000.0))
    table = results.compute(run)
    assert "at least" in reason(table, "outage_network")
    found = series.gaps(results.read_attempts(run))
    assert not found["closed"].any()
    assert found["length_s"].iloc[0] > 5


def test_a_heartbeat_without_any_reply_is_not_an_outage_of_zero(tmp_path: Path) -> None:
    run = small(tmp_path)
    lines = _heartbeat(run).read_text().splitlines()
    silent = [lines[0], *(line.rsplit(",", 1)[0] + "," for line in lines[1:])]
    _heartbeat(run).write_text("\n".join(silent) + "\n")
    table = results.compute(run)
    assert "no reply at all" in reason(table, "outage_network")
    assert value(table, "heartbeat_loss", None) == 1


def test_a_silent_sender_is_the_observers_own_uncertainty(tmp_path: Path) -> None:
    run = small(tmp_path)
    lines = _heartbeat(run).read_text().splitlines()
    # Between t = 5 and 6 s the client itself sent nothing.
    start = 1 + round((SMALL.baseline_s + 1 + 5) / PERIOD_S)
    _heartbeat(run).write_text("\n".join(lines[:start] + lines[start + 100 :]) + "\n")
    # Long after the migration's return, so that it is another gap and not its outage.
    found = row(results.compute(run), "other_gap_network")
    assert found["value"] == pytest.approx(1.0, abs=2 * PERIOD_S)
    assert found["uncertainty"] == pytest.approx(1.0, abs=2 * PERIOD_S)


@pytest.mark.parametrize("damage", ["", "seq,sent_ns\n1,2\n", "seq,sent_ns,received_ns\na,b,c\n"])
def test_a_damaged_series_is_null_with_the_reason(tmp_path: Path, damage: str) -> None:
    run = small(tmp_path)
    _heartbeat(run).write_text(damage)
    assert "heartbeat.csv" in reason(results.compute(run), "outage_network")
    assert series.gaps(results.read_attempts(run)).empty


def test_a_torn_last_row_is_left_out(tmp_path: Path) -> None:
    run = small(tmp_path)
    before = results.compute(run)
    _heartbeat(run).write_text(_heartbeat(run).read_text() + "1600,123")
    assert results.compute(run).equals(before)


def test_a_workload_that_never_comes_back_has_no_outage_length(tmp_path: Path) -> None:
    run = small(tmp_path)
    log = run.attempt("001-file", 1) / "workload.log"
    lines = log.read_text().splitlines()
    log.write_text("\n".join(lines[:-6]) + "\n")
    assert "at least" in reason(results.compute(run), "outage_application")


def test_an_unknown_workload_cannot_be_read(tmp_path: Path) -> None:
    table = results.compute(small(tmp_path, workload="crystal-ball"))
    assert "crystal-ball" in reason(table, "outage_application")
    assert value(table, "blackout") > 0


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(min_value=5, max_value=9), st.floats(min_value=0.05, max_value=0.6)),
        unique_by=lambda pair: pair[0],
        max_size=4,
    )
)
def test_gaps_are_in_order_apart_and_longer_than_the_threshold(
    tmp_path_factory: pytest.TempPathFactory, injected: list[tuple[int, float]]
) -> None:
    pauses = tuple(PauseTruth(at_s=float(at_s), seconds=length_s) for at_s, length_s in sorted(injected))
    found = gaps(attempt_of(small(tmp_path_factory.mktemp("run"), pauses=pauses)))
    assert len(found) == len(pauses) + 1
    for gap, later in pairwise(found):
        assert gap.start_ns + gap.length_s * 1e9 <= later.start_ns + 1
    assert all(gap.length_s > PERIODS_OF_A_GAP * PERIOD_S for gap in found)
    for gap, pause in zip(found[1:], pauses, strict=True):
        assert -1e-3 <= gap.length_s - pause.seconds <= 2 * PERIOD_S + 1e-3
