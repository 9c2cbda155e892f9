"""Which gap is a migration's: one that overlaps it, and no other of its interval."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.analysis import series
from harness.analysis import table as results
from tests.migration.runs import ONE, SMALL, reason, row, small, value
from tests.synthetic.evidence import AttemptTruth, MigrationTruth, PauseTruth, build

PERIOD_S = 1 / SMALL.heartbeat_hz
LATER = PauseTruth(at_s=7.0, seconds=0.8)
"""Longer than the migration's own outage, and long after its call returned."""


def test_a_longer_gap_after_the_migration_is_not_its_outage(tmp_path: Path) -> None:
    table = results.compute(small(tmp_path, pauses=(LATER,)))
    assert value(table, "outage_network") == pytest.approx(ONE.outage_s, abs=2 * PERIOD_S + 1e-3)


def test_the_other_gap_is_kept_beside_it(tmp_path: Path) -> None:
    table = results.compute(small(tmp_path, pauses=(LATER,)))
    other = row(table, "other_gap_network")
    assert other["value"] == pytest.approx(LATER.seconds, abs=2 * PERIOD_S + 1e-3)
    assert other["resolution"] == PERIOD_S
    assert value(table, "other_gap_application") == pytest.approx(LATER.seconds, abs=1e-6)


def test_a_longer_stall_after_the_migration_is_not_its_outage_either(tmp_path: Path) -> None:
    table = results.compute(small(tmp_path, pauses=(LATER,)))
    assert value(table, "outage_application") == pytest.approx(ONE.blackout_s, abs=1e-6)


def test_a_gap_that_began_right_before_the_call_belongs_to_the_migration(tmp_path: Path) -> None:
    """The destination may be prepared, or the network moved, as the call is made."""
    across = PauseTruth(at_s=0.9, seconds=0.5)
    run = small(tmp_path, pauses=(across,))
    table = results.compute(run)
    assert value(table, "outage_network") == pytest.approx(across.seconds, abs=2 * PERIOD_S + 1e-3)
    assert value(table, "other_gap_network") < 3 * PERIOD_S
    gaps = series.gaps(results.read_attempts(run))
    assert gaps["migration"].tolist() == [1, 1]
    assert gaps["during"].tolist() == [True, True]


def test_a_gap_of_the_next_migration_is_no_other_gap_of_the_one_before(tmp_path: Path) -> None:
    two = (ONE, MigrationTruth(planned_s=6.0, total_s=2.0, command_s=2.1, outage_s=0.5))
    attempt = AttemptTruth(workload="file", migrations=two, pauses=(PauseTruth(at_s=5.9, seconds=0.4),))
    table = results.compute(build(tmp_path, replace(SMALL, attempts=(attempt,))))
    assert value(table, "outage_network", 1) == pytest.approx(ONE.outage_s, abs=2 * PERIOD_S + 1e-3)
    assert value(table, "other_gap_network", 1) < 3 * PERIOD_S
    assert value(table, "outage_network", 2) == pytest.approx(0.5, abs=2 * PERIOD_S + 1e-3)


def test_every_gap_says_whether_it_overlaps_its_migration(tmp_path: Path) -> None:
    early = PauseTruth(at_s=-3.0, seconds=0.1)
    found = series.gaps(results.read_attempts(small(tmp_path, pauses=(early, LATER))))
    assert found["during"].tolist() == [False, True, False]
    assert found["migration"].isna().tolist() == [True, False, False]


def test_a_control_slot_has_every_gap_that_began_in_it_and_no_other_gaps(tmp_path: Path) -> None:
    control = AttemptTruth(
        workload="file", kind="control", migrations=(), points_s=(0.0, 4.0), pauses=(LATER,)
    )
    table = results.compute(build(tmp_path, replace(SMALL, attempts=(control,))))
    assert value(table, "outage_network", 2) == pytest.approx(LATER.seconds, abs=2 * PERIOD_S + 1e-3)
    assert value(table, "outage_network", 1) < 3 * PERIOD_S
    assert "other_gap_network" not in set(table["metric"])


def test_a_failed_migration_has_neither(tmp_path: Path) -> None:
    table = results.compute(small(tmp_path, replace(ONE, ok=False, error="no route")))
    for metric in ("outage_network", "other_gap_network", "other_gap_application"):
        assert "no route" in reason(table, metric)
