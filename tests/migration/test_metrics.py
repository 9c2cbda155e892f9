"""The metrics of a synthetic run come out as the truths that were put in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from harness.analysis import table as results
from harness.evidence.journal import Event
from harness.evidence.metric import Value
from harness.json_types import Json
from harness.migration.measures.transfer import wire_agreement
from tests.migration.runs import ONE, SMALL, edited, reason, row, small, value, without
from tests.synthetic.evidence import MigrationTruth, Truths, build
from tests.synthetic.series import BUSY_CORES, CONTROLLER_CORES, COPYING_CORES, QEMU_CORES
from tests.synthetic.truths import PAGE_BYTES

TRUTHS = Truths()
FIVE = range(1, 6)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return results.compute(build(tmp_path_factory.mktemp("run") / "r", TRUTHS))


def _truths() -> Iterator[tuple[int, int, MigrationTruth]]:
    for trial in (1, 2):
        for n, truth in enumerate(TRUTHS.attempts[trial - 1].migrations, start=1):
            yield trial, n, truth


@pytest.mark.parametrize(("trial", "n", "truth"), list(_truths()))
def test_times_and_bytes_of_each_migration(
    table: pd.DataFrame, trial: int, n: int, truth: MigrationTruth
) -> None:
    expected = {
        "total_time": truth.total_s,
        "command_time": truth.command_s,
        "total_time_qemu": truth.total_s - 0.02,
        "total_time_libvirt": truth.total_s - 0.01,
        "blackout": truth.blackout_s,
        "downtime_qemu": truth.blackout_s + 0.005,
        "downtime_libvirt": truth.blackout_s - 0.008,
        "downtime_libvirt_net": truth.blackout_s - 0.010,
        "setup_time": 0.012,
        "start_lateness": truth.lateness_s,
    }
    for metric, seconds in expected.items():
        assert value(table, metric, n, trial) == pytest.approx(seconds, abs=2e-6), metric
    assert value(table, "data_sent", n, trial) == truth.data_sent_bytes
    assert value(table, "wire_bytes", n, trial) == truth.wire_bytes
    assert value(table, "wire_ratio", n, trial) == pytest.approx(1.02, abs=1e-6)
    assert value(table, "wire_agrees", n, trial) == 1
    assert value(table, "iterations", n, trial) == truth.iterations


@pytest.mark.parametrize(("trial", "n", "truth"), list(_truths()))
def test_outages_within_their_resolution(
    table: pd.DataFrame, trial: int, n: int, truth: MigrationTruth
) -> None:
    found = row(table, "outage_network", n, trial)
    assert found["resolution"] == pytest.approx(0.005)
    # From the last reply before to the first after: the silence and less than one period more at either end.
    assert truth.outage_s - 1e-4 <= found["value"] <= truth.outage_s + 2 * 0.005 + 1e-4
    assert found["uncertainty"] == pytest.approx(0.0, abs=1e-5)
    if trial == 2:
        assert value(table, "outage_application", n, trial) == pytest.approx(truth.blackout_s, abs=1e-6)
    else:
        assert "nothing" in reason(table, "outage_application", n, trial)


def test_clock_uncertainties_are_summed_for_the_blackout(table: pd.DataFrame) -> None:
    assert row(table, "blackout")["uncertainty"] == pytest.approx(100e-6)
    assert row(table, "total_time")["uncertainty"] == pytest.approx(50e-6)
    assert value(table, "clock_uncertainty", None) == pytest.approx(50e-6)


def test_directions_alternate_and_only_the_first_is_first(table: pd.DataFrame) -> None:
    mine = [row(table, "total_time", n) for n in FIVE]
    assert [one["direction"] for one in mine] == ["a->b", "b->a", "a->b", "b->a", "a->b"]
    assert [bool(one["first_after_boot"]) for one in mine] == [True, False, False, False, False]
    assert [one["planned_s"] for one in mine] == [0, 12, 24, 36, 48]


def test_memory_and_rates(table: pd.DataFrame) -> None:
    assert value(table, "zero_bytes") == 200_000 * PAGE_BYTES
    assert value(table, "ram_bytes") == (1 << 30) + 33_554_432
    # The last of the 5 Hz samples falls into the second pass; the passes after it are shorter than a period.
    assert value(table, "dirty_rate_last") == 1100 * PAGE_BYTES
    assert 1000 * PAGE_BYTES < value(table, "dirty_rate") < 1100 * PAGE_BYTES
    assert value(table, "bandwidth") == pytest.approx(217e6 / 3.0, rel=1e-6)
    assert "auto_converge_throttle" in reason(table, "throttle")


def test_machines(table: pd.DataFrame) -> None:
    # The counters are read at 5 Hz, so that up to a reading's distance on either side belongs to no copying.
    assert BUSY_CORES + 0.8 * COPYING_CORES <= value(table, "cpu_source") <= BUSY_CORES + COPYING_CORES
    assert 0.8 * QEMU_CORES <= value(table, "cpu_qemu_source") <= QEMU_CORES + COPYING_CORES
    assert 0 <= value(table, "cpu_qemu_destination") < 0.1
    assert value(table, "cpu_controller") == pytest.approx(CONTROLLER_CORES, rel=1e-3)
    assert value(table, "controller_cpu", None) == pytest.approx(CONTROLLER_CORES, rel=1e-3)


@pytest.mark.parametrize("n", FIVE)
def test_what_the_workload_lost(table: pd.DataFrame, n: int) -> None:
    truth = TRUTHS.attempts[1].migrations[n - 1]
    copying_s = truth.total_s - truth.blackout_s
    lost = 600 * (truth.blackout_s + (1 - truth.slowdown) * copying_s)
    found = row(table, "work_lost", n, 2)
    assert found["unit"] == "operations"
    assert found["value"] == pytest.approx(lost, abs=found["resolution"] / 4)
    below = row(table, "below_90", n, 2)
    assert abs(below["value"] - truth.total_s) <= 2 * below["resolution"]
    assert value(table, "below_50", n, 2) == 0
    assert value(table, "below_10", n, 2) == 0
    assert 0 <= value(table, "time_to_recover", n, 2) <= 1
    assert value(table, "throughput_during", n, 2) < 0.8 * value(table, "throughput_before", n, 2)
    assert value(table, "throughput_after", n, 2) == pytest.approx(600, rel=0.05)


def test_the_trial(table: pd.DataFrame) -> None:
    assert value(table, "steady", None) == 1
    assert value(table, "completed_migrations", None) == 5
    assert value(table, "heartbeat_background_gap", None) == pytest.approx(0.005, abs=1e-5)
    assert value(table, "baseline_rate", None, 2) == pytest.approx(600)
    assert row(table, "baseline_rate", None, 2)["unit"] == "operations/s"
    longest = max(value(table, "outage_network", n) for n in FIVE)
    assert value(table, "heartbeat_window_gap", None) == longest
    silent_s = sum(one.outage_s for one in TRUTHS.attempts[0].migrations)
    assert value(table, "heartbeat_loss", None) == pytest.approx(silent_s / 70, rel=0.02)
    assert value(table, "paused", None) == 0


def test_a_failed_migration_has_no_metrics_and_says_why(tmp_path: Path) -> None:
    failed = MigrationTruth(planned_s=1.0, ok=False, error="connection reset by peer")
    table = results.compute(small(tmp_path, failed))
    mine = table[table["migration"] == 1]
    assert mine["value"].isna().all()
    assert set(mine["reason"]) == {"failed: connection reset by peer"}
    assert value(table, "completed_migrations", None) == 0


def test_a_skipped_migration_has_no_metrics_and_says_why(tmp_path: Path) -> None:
    skipped = MigrationTruth(planned_s=5.0, skipped="its slot was taken")
    table = results.compute(small(tmp_path, migrations=(ONE, skipped)))
    mine = table[table["migration"] == 2]
    assert mine["value"].isna().all()
    assert set(mine["reason"]) == {"skipped: its slot was taken"}
    assert mine["direction"].isna().all()
    assert value(table, "blackout", 1) == pytest.approx(ONE.blackout_s, abs=2e-6)


@pytest.mark.parametrize(
    ("observer", "lost", "kept"),
    [
        ("qmp", "blackout", "outage_network"),
        ("heartbeat", "outage_network", "blackout"),
        ("wire", "wire_ratio", "data_sent"),
        ("libvirt-job", "data_sent", "wire_bytes"),
        ("workload", "work_lost", "blackout"),
        ("host-sampler", "cpu_source", "data_sent"),
    ],
)
def test_an_observer_that_failed_has_nothing_to_say(
    tmp_path: Path, observer: str, lost: str, kept: str
) -> None:
    table = results.compute(small(tmp_path, failures=((observer, 0.5, "it died"),)))
    assert reason(table, lost) == f"the observer {observer} failed: it died"
    assert value(table, kept) > 0


def test_an_observer_that_failed_later_keeps_what_it_saw(tmp_path: Path) -> None:
    table = results.compute(
        small(tmp_path, failures=(("qmp", 9.0, "it died"), ("heartbeat", 9.0, "it died")))
    )
    assert value(table, "blackout") == pytest.approx(ONE.blackout_s, abs=2e-6)
    assert "it died" in reason(table, "outage_network"), "its interval lasts until the window's end"
    assert value(table, "heartbeat_background_gap", None) > 0


@pytest.mark.parametrize(
    ("kind", "metric", "said"),
    [
        ("qemu.completed", "downtime_qemu", "QEMU's own statistics"),
        ("job.completed", "data_sent", "completed job were not seen"),
        ("job.sampled", "dirty_rate", "no sample"),
        ("clock.sampled", "blackout", "never compared"),
        ("heartbeat.started", "outage_network", "heartbeat.started"),
        ("window.closed", "outage_network", "window.closed"),
        ("workload.steady", "steady", "workload.steady"),
    ],
)
def test_what_was_not_recorded_is_null_with_the_reason(
    tmp_path: Path, kind: str, metric: str, said: str
) -> None:
    table = results.compute(without(tmp_path, kind))
    assert said in reason(table, metric, None if metric == "steady" else 1)


def test_kept_statistics_serve_where_the_event_was_missed(tmp_path: Path) -> None:
    table = results.compute(without(tmp_path, "job.completed", origin="event"))
    assert value(table, "data_sent") == ONE.data_sent_bytes


def test_the_sources_event_counts_before_the_destinations(tmp_path: Path) -> None:
    def elsewhere(event: Event) -> Event:
        if event.kind != "job.completed" or event.data["origin"] != "kept":
            return event
        stats: dict[str, Json] = {"data_processed": 7}
        return replace(event, data={**event.data, "origin": "event", "host": "b", "stats": stats})

    assert value(results.compute(edited(tmp_path, elsewhere)), "data_sent") == ONE.data_sent_bytes


def test_a_clock_that_failed_later_keeps_its_samples(tmp_path: Path) -> None:
    table = results.compute(small(tmp_path, failures=(("clocks", -5.0, "guest: no clock reading"),)))
    assert value(table, "clock_uncertainty", None) == pytest.approx(50e-6)


@pytest.mark.parametrize(("ratio", "agrees"), [(1.049, 1), (0.951, 1), (1.06, 0), (0.9, 0)])
def test_the_wire_check(tmp_path: Path, ratio: float, agrees: int) -> None:
    off = MigrationTruth(planned_s=1.0, wire_bytes=round(ONE.data_sent_bytes * ratio))
    table = results.compute(small(tmp_path, off))
    assert value(table, "wire_ratio") == pytest.approx(ratio, abs=1e-6)
    assert value(table, "wire_agrees") == agrees


def test_the_wire_check_is_unknown_without_a_ratio(tmp_path: Path) -> None:
    assert wire_agreement(Value.missing("no counter")) == "unknown"
    run = small(tmp_path)
    (run.attempt("001-file", 1) / "wire-a.csv").unlink()
    assert "wire-a.csv" in reason(results.compute(run), "wire_agrees")


def test_a_reset_counter_is_no_measurement(tmp_path: Path) -> None:
    run = small(tmp_path)
    path = run.attempt("001-file", 1) / "wire-a.csv"
    lines = path.read_text().splitlines()
    middle = next(index for index, line in enumerate(lines) if index and int(line.split(",")[1]) > 1e8)
    cells = lines[middle].split(",")
    lines[middle] = ",".join([cells[0], "0", *cells[2:]])
    path.write_text("\n".join(lines) + "\n")
    assert "reset" in reason(results.compute(run), "wire_bytes")


def test_a_control_trial_has_a_noise_floor_and_no_migrations(tmp_path: Path) -> None:
    table = results.compute(small(tmp_path, kind="control", migrations=()))
    assert table["migration"].isna().all()
    assert value(table, "heartbeat_window_gap", None) == pytest.approx(1 / SMALL.heartbeat_hz, abs=1e-5)
    assert value(table, "completed_migrations", None) == 0
    assert "control" in reason(table, "late_close", None)


def test_a_migration_whose_start_cannot_be_read_keeps_its_rows_with_the_reason(tmp_path: Path) -> None:
    def damaged(event: Event) -> Event:
        if event.kind != "migration.started":
            return event
        return replace(event, data={**event.data, "source": 7})

    table = results.compute(edited(tmp_path, damaged))
    assert reason(table, "data_sent") == "the journal's migration.started cannot be read"
