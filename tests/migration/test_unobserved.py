"""A report that a tool does not print, or that cannot be read, is no outage: nothing is known of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.evidence.attempt import Attempt
from harness.evidence.metric import NotMeasured
from harness.migration.measures.brownout import throughput
from harness.migration.measures.intervals import Slot
from harness.migration.measures.service import application_outage, latency_worst, work_failed
from harness.workloads.contract import Line, Timeline
from harness.workloads.db import Db, DbOptions
from harness.workloads.file import File, FileOptions
from tests.migration.runs import SMALL, attempt_of
from tests.synthetic.evidence import build
from tests.workloads.commands import SITE

S = 1_000_000_000
FILE, DB = File(FileOptions()), Db(DbOptions())
LATE_NS = 3_000_000
"""How much later than a period the lines of these tools arrive now and then."""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Attempt:
    return attempt_of(build(tmp_path_factory.mktemp("bare"), SMALL))


def slot(timeline: Timeline, bare: Attempt) -> Slot:
    """From 10 to 20 s of an attempt with that timeline."""
    attempt = replace(bare, timeline=timeline)
    return Slot(attempt=attempt, n=1, planned_s=0.0, started_ns=10 * S, until_ns=20 * S)


def dbench(phase: str, shown: int, done: int) -> str:
    return f"   4  {done:8d}  {12.34:7.2f} MB/sec  {phase} {shown:3d} sec  latency 12.500 ms"


def through_the_phases(change: int) -> list[Line]:
    """A line a second but in that second, in which the warm-up ends; 100 operations a second throughout."""
    return [
        Line(
            t_ns=second * S + (LATE_NS if second == 16 else 0),
            text=dbench("warmup", second, 100 * second)
            if second < change
            else dbench("execute", second - change, 100 * second),
        )
        for second in range(1, 24)
        if second != change
    ]


def sysbench(tps: str, latency_ms: str = "250.00", errors: str = "0.00") -> str:
    return (
        f"[ 9s ] thds: 4 tps: {tps} qps: 80.00 (r/w/o: 56.00/16.00/8.00) "
        f"lat (ms,99%): {latency_ms} err/s: {errors} reconn/s: 0.00"
    )


def every_second(**said: str) -> list[Line]:
    """sysbench's line a second with 4 transactions, but for those that are said otherwise: ``at15=...``."""
    return [Line(t_ns=second * S, text=said.get(f"at{second}", sysbench("4.00"))) for second in range(1, 24)]


def test_the_second_in_which_dbenchs_warm_up_ends_is_no_outage(bare: Attempt) -> None:
    timeline = FILE.parse(through_the_phases(14))
    assert not timeline.problems
    with pytest.raises(NotMeasured, match=r"not observed"):
        application_outage(slot(timeline, bare))


def test_where_the_warm_up_ends_before_the_interval_the_outage_is_as_it_was(bare: Attempt) -> None:
    found = application_outage(slot(FILE.parse(through_the_phases(5)), bare))
    assert found.value == pytest.approx(LATE_NS / S)


def test_a_stall_longer_than_what_was_not_observed_is_a_value(bare: Attempt) -> None:
    lines = [replace(line, t_ns=line.t_ns + (4 * S if line.t_ns > 16 * S else 0)) for line in
             through_the_phases(12)]  # fmt: skip
    assert application_outage(slot(FILE.parse(lines), bare)).value == pytest.approx(4.0, abs=0.01)


def test_the_work_of_the_missing_second_is_in_the_next_report(bare: Attempt) -> None:
    attempt = replace(bare, timeline=FILE.parse(through_the_phases(14)))
    assert throughput(attempt, 10 * S, 20 * S).value == pytest.approx(100.0, rel=1e-3)


def test_dbench_is_told_so_long_a_time_that_a_trial_ends_within_its_warm_up() -> None:
    (process,) = FILE.processes(SITE)
    words = process.command.split()
    told_s = int(words[words.index("-t") + 1])
    assert told_s / 5 >= SITE.limit_s


@pytest.mark.parametrize(
    "unread",
    [
        pytest.param(sysbench("18446842801212211200.00"), id="a counter that ran over"),
        pytest.param(sysbench("4.00")[:30], id="torn"),
        pytest.param(sysbench("-3.00"), id="negative"),
    ],
)
def test_a_line_of_sysbench_that_cannot_be_read_is_no_outage(bare: Attempt, unread: str) -> None:
    timeline = DB.parse(every_second(at15=unread))
    assert not timeline.problems
    for metric in (application_outage, work_failed, latency_worst):
        with pytest.raises(NotMeasured, match="could not be read"):
            metric(slot(timeline, bare))


def test_the_rate_of_a_second_that_cannot_be_read_is_not_halved(bare: Attempt) -> None:
    broken = replace(bare, timeline=DB.parse(every_second(at15=sysbench("18446842801212211200.00"))))
    assert throughput(broken, 10 * S, 20 * S).value == pytest.approx(4.0)


def test_a_torn_line_about_the_queue_is_no_report(bare: Attempt) -> None:
    lines = every_second()
    lines.insert(15, Line(t_ns=15 * S + 1, text="[ 15s ] queue len"))
    assert application_outage(slot(DB.parse(lines), bare)).value == 0.0


def test_a_line_of_dbench_that_cannot_be_read_is_no_outage(bare: Attempt) -> None:
    lines = [
        Line(t_ns=second * S, text=dbench("warmup", second, 100 * second)[: 20 if second == 15 else None])
        for second in range(1, 24)
    ]
    with pytest.raises(NotMeasured, match="could not be read"):
        application_outage(slot(FILE.parse(lines), bare))


def test_a_percentile_at_the_end_of_its_scale_is_no_latency(bare: Attempt) -> None:
    timeline = DB.parse(every_second(at15=sysbench("4.00", latency_ms="100000.00")))
    assert application_outage(slot(timeline, bare)).value == 0.0
    with pytest.raises(NotMeasured, match=r"1 of 10 reports .* at least 100 s"):
        latency_worst(slot(timeline, bare))


def test_a_damaged_row_of_the_log_makes_its_timeline_unknown(tmp_path: Path) -> None:
    run = build(tmp_path, SMALL)
    log = run.attempt("001-file", 1) / "workload.log"
    rows = log.read_text(encoding="utf-8").splitlines()
    rows[9] = rows[9][5:9]
    log.write_text("\n".join(rows) + "\n", encoding="utf-8")
    timeline = attempt_of(run).timeline
    assert isinstance(timeline, NotMeasured)
    assert "workload.log:10" in str(timeline)
