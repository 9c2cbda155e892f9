"""The slots of control trials, and what is measured over them and over migrations alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis import table as results
from harness.evidence.attempt import Attempt
from harness.evidence.journal import Event
from harness.evidence.metric import NotMeasured
from harness.json_types import Json
from harness.migration.measures.intervals import Slot, slots
from harness.migration.measures.service import (
    application_outage,
    latency_baseline,
    latency_worst,
    work_failed,
)
from harness.workloads.contract import Sample, Timeline
from tests.migration.runs import SMALL, attempt_of, edited, reason, row, value
from tests.synthetic.evidence import AttemptTruth, MigrationTruth, Truths, build
from tests.synthetic.load import LATENCY, readable

S = 1_000_000_000
CONTROL = AttemptTruth(workload="file", kind="control", migrations=(), points_s=(0.0, 4.0, 50.0))


def control(path: Path, points: Json) -> Attempt:
    """A control trial of ten seconds with these points in its journal."""

    def set_points(event: Event) -> Event:
        return (
            replace(event, data={**event.data, "points_s": points})
            if event.kind == "window.opened"
            else event
        )

    return attempt_of(edited(path, set_points, replace(SMALL, attempts=(CONTROL,))))


def test_a_control_trial_is_cut_at_the_migrations_points(tmp_path: Path) -> None:
    attempt = control(tmp_path, [0.0, 4.0, 50.0])
    found = slots(attempt)
    assert [(slot.n, slot.planned_s) for slot in found] == [(1, 0.0), (2, 4.0)], "50 s is after the window"
    assert [slot.until_ns - slot.started_ns for slot in found] == [4 * S, 6 * S]
    assert found[0].started_ns == attempt.window_ns


@pytest.mark.parametrize("points", [None, [], "0, 4", ["x", True], [50.0]])
def test_without_usable_points_there_are_no_slots(tmp_path: Path, points: Json) -> None:
    assert slots(control(tmp_path, points)) == ()


def test_the_noise_floor_is_in_the_table_and_in_no_mean(tmp_path: Path) -> None:
    table = results.compute(build(tmp_path, replace(SMALL, attempts=(SMALL.attempts[0], CONTROL))))
    known = results.metric_set()
    floor = results.floor(table)
    assert len(floor) == 2 * len(known.interval)
    assert set(floor["metric"]) == {metric.name for metric in known.interval}
    assert floor["direction"].isna().all()
    assert set(results.valid(table)["kind"]) == {"migrations"}
    assert value(table, "work_lost", 1, trial=2) == pytest.approx(0, abs=1)
    assert value(table, "below_90", 2, trial=2) == 0
    assert value(table, "outage_network", 1, trial=2) == pytest.approx(0.01, abs=1e-3)
    assert "work_failed" in set(floor["metric"])


def test_an_observer_that_failed_says_nothing_of_a_slot_either(tmp_path: Path) -> None:
    failing = replace(CONTROL, failures=(("heartbeat", 5.0, "it died"),))
    table = results.compute(build(tmp_path, replace(SMALL, attempts=(failing,))))
    assert value(table, "outage_network", 1) > 0
    assert "it died" in reason(table, "outage_network", 2)


def test_lost_work_as_time_is_lost_work_by_the_baselines_rate(tmp_path: Path) -> None:
    table = results.compute(build(tmp_path, SMALL))
    rate = value(table, "baseline_rate", None)
    assert value(table, "work_lost_time") == pytest.approx(value(table, "work_lost") / rate)
    assert row(table, "work_lost_time")["unit"] == "s"


def test_a_client_that_knows_each_completion_is_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readable(monkeypatch)
    move = MigrationTruth(planned_s=1.3, blackout_s=0.4, outage_s=0.45)
    one = AttemptTruth(workload="mail", work_per_s=50.0, latency_s=0.02, lost=3, migrations=(move,))
    table = results.compute(build(tmp_path, replace(SMALL, attempts=(one,))))
    outage = row(table, "outage_application")
    assert outage["value"] == pytest.approx(0.45 + 1 / 50, abs=1e-6)
    assert outage["resolution"] == pytest.approx(1 / 50, rel=0.01)
    assert outage["note"] == "between single completions"
    failed = row(table, "work_failed")
    assert (failed["value"], failed["unit"]) == (3, "requests")
    worst = row(table, "latency_worst")
    assert worst["value"] > 0.45
    assert worst["note"] == LATENCY
    assert value(table, "latency_baseline", None) == pytest.approx(0.02, rel=0.01)


def test_a_tool_that_cannot_know_what_failed_gives_no_number(tmp_path: Path) -> None:
    table = results.compute(build(tmp_path, SMALL))
    assert reason(table, "work_failed") == "the load generator does not say what failed"
    assert row(table, "outage_application")["note"] == "between reports of progress"


def test_an_idle_guest_has_nothing_to_fail(tmp_path: Path) -> None:
    truths = Truths(attempts=(AttemptTruth(migrations=(MigrationTruth(planned_s=1.0),)),))
    table = results.compute(build(tmp_path, truths))
    for metric in ("work_failed", "latency_worst", "work_lost_time"):
        assert "nothing that could be counted" in reason(table, metric)


def timed(samples: list[Sample], tmp: Attempt) -> Slot:
    """A slot from 10 to 20 s of an attempt whose workload reported these."""
    attempt = replace(tmp, timeline=Timeline(work_unit="requests", period_s=1.0, samples=samples))
    return Slot(attempt=attempt, n=1, planned_s=0.0, started_ns=10 * S, until_ns=20 * S)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Attempt:
    return attempt_of(build(tmp_path_factory.mktemp("bare"), SMALL))


def every_second(until: int, **changed: Sample) -> list[Sample]:
    return [
        changed.get(f"at{second}", Sample(t_ns=second * S, work=10, stall_s=0.1, lost=0, latency_s=0.05))
        for second in range(5, until)
    ]


def test_a_stall_belongs_to_the_interval_in_which_it_began(bare: Attempt) -> None:
    before = Sample(t_ns=12 * S, work=1, stall_s=3.0)
    assert application_outage(timed(every_second(22, at12=before), bare)).value == 0.1
    after = Sample(t_ns=21 * S, work=1, stall_s=3.0)
    assert application_outage(timed(every_second(23, at21=after), bare)).value == 3.0


def test_a_stall_without_end_has_no_length(bare: Attempt) -> None:
    with pytest.raises(NotMeasured, match=r"at least 6\.000 s"):
        application_outage(timed(every_second(15), bare))


def test_reports_that_do_not_all_say_what_failed_give_no_sum(bare: Attempt) -> None:
    silent = Sample(t_ns=12 * S, work=10, stall_s=0.1)
    with pytest.raises(NotMeasured, match="1 of 10 reports"):
        work_failed(timed(every_second(22, at12=silent), bare))
    assert latency_worst(timed(every_second(22, at12=silent), bare)).value == 0.05


def test_without_any_report_nothing_is_said(bare: Attempt) -> None:
    for metric in (work_failed, latency_worst):
        with pytest.raises(NotMeasured, match="no report"):
            metric(timed(every_second(8), bare))
    with pytest.raises(NotMeasured, match="no report"):
        latency_baseline(timed(every_second(8), bare).attempt)


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 30), st.none() | st.integers(0, 9)), max_size=12))
def test_any_reports_give_a_number_or_a_reason(
    bare: Attempt, reports: list[tuple[int, float, int | None]]
) -> None:
    samples = [
        Sample(t_ns=second * S, work=1.0, stall_s=stall_s, lost=lost, latency_s=stall_s)
        for second, stall_s, lost in sorted(reports, key=lambda report: report[0])
    ]
    slot = timed(samples, bare)
    for metric in (application_outage, work_failed, latency_worst):
        try:
            found = metric(slot).value
        except NotMeasured as why:
            assert str(why)
        else:
            assert found is not None and found >= 0
