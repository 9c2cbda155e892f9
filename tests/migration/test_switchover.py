"""Which STOP belongs to which RESUME: pauses, failures and post-copy must not be taken for a blackout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.analysis import series
from harness.analysis import table as results
from harness.clock import ClockOffset
from harness.evidence.attempt import Attempt
from harness.evidence.clocks import Clocks
from harness.evidence.folder import RunFolder
from harness.evidence.journal import Event
from harness.evidence.metric import NotMeasured
from harness.evidence.reading import attempts_of
from harness.json_types import Json
from harness.migration.measures.switchover import pauses, switchover
from harness.workloads.contract import Timeline
from tests.migration.runs import ONE, SMALL, attempt_of, edited, reason, row, small, value, without
from tests.synthetic.evidence import AttemptTruth, ClockTruth, MigrationTruth, PauseTruth
from tests.synthetic.vocabulary import whole


def test_a_pause_during_pre_copy_is_not_the_blackout(tmp_path: Path) -> None:
    run = small(tmp_path, pauses=(PauseTruth(at_s=2.0, seconds=0.7),))
    table = results.compute(run)
    assert value(table, "blackout") == pytest.approx(ONE.blackout_s, abs=2e-6)
    assert value(table, "paused", None) == pytest.approx(0.7, abs=2e-6)
    found = series.pauses(results.read_attempts(run))
    assert list(found["host"]) == ["a"]
    assert list(found["migration"]) == [1]
    assert found["start_s"].iloc[0] == pytest.approx(2.0, abs=1e-4)


@pytest.mark.parametrize("at_s", [0.2, 5.5])
def test_a_pause_outside_a_migration_belongs_to_none(tmp_path: Path, at_s: float) -> None:
    run = small(tmp_path, pauses=(PauseTruth(at_s=at_s, seconds=0.5),))
    table = results.compute(run)
    assert value(table, "blackout") == pytest.approx(ONE.blackout_s, abs=2e-6)
    found = series.pauses(results.read_attempts(run))
    assert list(found["host"]) == ["a" if at_s < 1 else "b"]
    assert found["migration"].isna().all()
    assert found["length_s"].iloc[0] == pytest.approx(0.5, abs=2e-6)


def test_a_known_pause_is_seen_by_every_observer(tmp_path: Path) -> None:
    run = small(tmp_path, pauses=(PauseTruth(at_s=6.0, seconds=1.5),))
    table = results.compute(run)
    # Not while the guest is migrated, so that it is no outage of the migration.
    gap = row(table, "other_gap_network")
    assert -1e-3 <= gap["value"] - 1.5 <= 2 * gap["resolution"] + 1e-3
    application = row(table, "other_gap_application")
    assert abs(application["value"] - 1.5) <= application["resolution"]
    assert value(table, "paused", None) == pytest.approx(1.5, abs=2e-6)


def test_a_failed_switch_over_is_a_pause_of_the_source(tmp_path: Path) -> None:
    failed = MigrationTruth(planned_s=1.0, ok=False, error="no route to host")
    run = small(tmp_path, failed)
    assert "failed" in reason(results.compute(run), "blackout")
    found = series.pauses(results.read_attempts(run))
    assert (list(found["host"]), list(found["migration"])) == (["a"], [1])
    assert found["length_s"].iloc[0] == pytest.approx(failed.blackout_s, abs=2e-6)


def test_post_copy_ends_with_the_first_resume_on_the_destination(tmp_path: Path) -> None:
    # The guest runs on at the destination, and is paused there, long before the call returns.
    early = MigrationTruth(planned_s=1.0, total_s=1.0, blackout_s=0.05, command_s=6.0)
    run = small(tmp_path, early, pauses=(PauseTruth(at_s=4.0, seconds=0.3),))
    table = results.compute(run)
    assert value(table, "blackout") == pytest.approx(0.05, abs=2e-6)
    assert value(table, "total_time") == pytest.approx(1.0, abs=2e-6)
    assert value(table, "command_time") == pytest.approx(6.0)
    found = series.pauses(results.read_attempts(run))
    assert (list(found["host"]), list(found["migration"])) == (["b"], [1])


@pytest.mark.parametrize(("event", "said"), [("STOP", "no STOP on a"), ("RESUME", "no RESUME on b")])
def test_half_a_pair_is_no_blackout(tmp_path: Path, event: str, said: str) -> None:
    table = results.compute(without(tmp_path, "qmp.event", event=event))
    assert said in reason(table, "blackout")
    if event == "STOP":
        assert value(table, "total_time") == pytest.approx(ONE.total_s, abs=2e-6)


def test_without_events_a_pause_cannot_be_ruled_out(tmp_path: Path) -> None:
    assert "no QMP event" in reason(results.compute(without(tmp_path, "qmp.event")), "paused", None)


def test_one_kernel_has_no_uncertainty_and_no_sampling_error(tmp_path: Path) -> None:
    wall = -1_789_995_000_000_000_000
    same = ClockTruth(monotonic_offset_ns=0, realtime_offset_ns=wall, uncertainty_ns=0, same_kernel=True)
    truths = replace(SMALL, clocks={"a": same, "b": same, "client": same})

    def jitter(event: Event) -> Event:
        if event.kind != "clock.sampled" or event.data["machine"] != "b":
            return event
        return replace(event, data={**event.data, "realtime_offset_ns": wall + 40_000})

    table = results.compute(edited(tmp_path, jitter, truths))
    found = row(table, "blackout")
    assert found["value"] == pytest.approx(ONE.blackout_s, abs=1.5e-6)
    assert found["uncertainty"] == 0
    assert value(table, "clock_uncertainty", None) == 0


def _sampled(seq: int, t_ns: int, offset_ns: int) -> Event:
    data: dict[str, Json] = {
        "machine": "a", "monotonic_offset_ns": offset_ns, "realtime_offset_ns": offset_ns,
        "uncertainty_ns": 10, "same_kernel": False,
    }  # fmt: skip
    return Event(seq=seq, t_ns=t_ns, observer="clocks", kind="clock.sampled", data=data)


def _boot(seq: int, t_ns: int, kind: str, boot: str) -> Event:
    return Event(seq=seq, t_ns=t_ns, observer="runner", kind=kind, data=whole(kind, {"boot_id": boot}))


def test_the_nearest_sample_of_the_same_boot_maps_a_stamp() -> None:
    events = [
        _boot(0, 0, "run.started", "one"),
        _sampled(1, 100, 7),
        _sampled(2, 900, 9),
        _boot(3, 10, "run.resumed", "two"),
        _sampled(4, 100, 1000),
    ]
    before, after = Clocks.of(events, events[2]), Clocks.of(events, events[4])
    assert before.nearest("a", 400).monotonic_offset_ns == 7
    assert before.nearest("a", 600).monotonic_offset_ns == 9
    assert after.nearest("a", 600).monotonic_offset_ns == 1000


def test_a_clock_that_was_never_compared_is_no_clock() -> None:
    with pytest.raises(NotMeasured, match="never compared"):
        Clocks().nearest("a", 0)


def test_an_offset_is_what_maps_a_machine_to_the_controller() -> None:
    offset = ClockOffset(
        machine="a", monotonic_offset_ns=5, realtime_offset_ns=6, uncertainty_ns=7, same_kernel=False
    )
    clocks = Clocks({"a": ((0, offset),)})
    assert clocks.uncertainty_ns("a", 0) == 7
    assert clocks.from_monotonic("a", np.array([1], dtype=np.int64)).tolist() == [6]


def test_five_switch_overs_leave_no_pause(tmp_path: Path) -> None:
    moves = tuple(
        MigrationTruth(planned_s=2.0 * index, total_s=1.0, blackout_s=0.1, command_s=1.1)
        for index in range(5)
    )
    attempt = attempt_of(small(tmp_path, migrations=moves))
    assert pauses(attempt) == []
    lengths = [switchover(migration) for migration in attempt.migrations]
    assert [round((one.resume.t_ns - one.stop.t_ns) / 1e9, 5) for one in lengths] == [0.1] * 5


def test_half_finished_attempts_are_left_out() -> None:
    def attempts(*events: Event) -> list[Attempt]:
        parse = lambda workload, options, lines: Timeline(work_unit="", period_s=0)  # noqa: E731
        return list(attempts_of(events, RunFolder(Path("/nowhere")), parse))

    started = Event(seq=0, t_ns=0, observer="runner", kind="attempt.started", trial="001-idle", attempt=1)
    finished = replace(started, seq=1, kind="attempt.finished", data={"verdict": "valid"})
    assert attempts(started) == []
    assert [(one.trial, one.attempt) for one in attempts(started, finished)] == [("001-idle", 1)]
    assert AttemptTruth().finished
