"""sysbench's output: exactly on real samples, and never an exception on anything else."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.workloads.contract import Line, Workload
from harness.workloads.db import REPORT, Db, DbOptions
from tests.workloads.commands import SITE, refused

SAMPLES = Path(__file__).parent / "samples" / "sysbench-1.0.20"
S = 1_000_000_000
DB = Db(DbOptions())
V05 = (
    "[  65s] threads: 4, tps: 12.50, reads: 175.02, writes: 50.01, response time: 480.25ms (99%), "
    "errors: 2.00, reconnects:  1.00"
)


def texts(name: str) -> list[str]:
    return (SAMPLES / name).read_text(encoding="utf-8").splitlines()


def stamped(rows: list[str]) -> list[Line]:
    return [Line(t_ns=(number + 1) * S, text=text) for number, text in enumerate(rows)]


GOLDEN = texts("stdout.txt")


def report(tps: float, errors: float = 0.0, reconnects: float = 0.0) -> str:
    return (
        f"[ 1s ] thds: 4 tps: {tps:.2f} qps: {20 * tps:.2f} (r/w/o: {14 * tps:.2f}/0.00/0.00) "
        f"lat (ms,99%): {12.5 if tps else 0:.2f} err/s: {errors:.2f} reconn/s: {reconnects:.2f}"
    )


def test_the_golden_sample() -> None:
    timeline = DB.parse(stamped(GOLDEN))
    work = [sample.work for sample in timeline.samples]
    assert work == [3.16, 10.56, 11.15, 10.0, 10.99, 10.96, 11.04, 9.84, 8.06, 10.76, 3.08, 10.98]
    assert [sample.t_ns // S for sample in timeline.samples] == list(range(13, 25))
    assert timeline.samples[0].latency_s == pytest.approx(0.71992)
    assert {sample.lost for sample in timeline.samples} == {0}
    assert timeline.summary == {"transactions": 113.0, "ignored_errors": 0.0, "reconnects": 0.0}
    # sysbench's own total includes what ended after the last report.
    assert sum(work) == pytest.approx(timeline.summary["transactions"], abs=4)
    assert (timeline.work_unit, timeline.period_s, timeline.latency) == (
        "transactions",
        1.0,
        "99th percentile",
    )
    assert not timeline.problems


def test_lines_about_the_queue_of_a_given_rate_are_no_reports() -> None:
    timeline = DB.parse(stamped(texts("rate.txt")))
    assert len(timeline.samples) == 9
    assert sum("queue length" in text for text in texts("rate.txt")) == 9
    assert sum(sample.work for sample in timeline.samples) == pytest.approx(
        timeline.summary["transactions"], abs=2
    )
    assert not timeline.problems


def test_a_server_that_goes_is_said_once_a_reason_whatever_the_threads() -> None:
    timeline = DB.parse(stamped(texts("server-gone.txt")))
    assert timeline.samples
    assert any("Lost connection to server during query" in problem for problem in timeline.problems)
    assert len(set(timeline.problems)) == len(timeline.problems) <= 5


def test_version_0_5_is_read_too() -> None:
    (sample,) = DB.parse(stamped([V05])).samples
    assert sample.latency_s == pytest.approx(0.48025)
    assert (sample.work, sample.lost) == (12.5, 3)


def test_a_version_without_interval_lines_is_named_as_that() -> None:
    old = [
        "sysbench 0.4.12:  multi-threaded system evaluation benchmark",
        "    transactions:                        10000  (567.33 per sec.)",
        "    deadlocks:                           0      (0.00 per sec.)",
    ]
    assert list(DB.parse(stamped(old)).problems) == [
        "no interval lines: this version of sysbench prints none"
    ]


def test_no_output_is_a_problem_not_a_zero() -> None:
    timeline = DB.parse([])
    assert not timeline.samples and not timeline.summary
    assert list(timeline.problems) == ["no interval line was printed"]


@pytest.mark.parametrize(
    "text",
    [
        "FATAL: unable to connect to MySQL server on socket '/run/mysqld/mysqld.sock', aborting...",
        "FATAL: MySQL error: 1146 \"Table 'sbtest.sbtest5' doesn't exist\"",
        "FATAL: The event queue is full. This means the worker threads are unable to keep up with the "
        "specified event generation rate",
        "sh: 1: exec: sysbench: not found",
        "invalid option: --tables=4",
    ],
)
def test_a_failure_of_the_tool_is_a_problem_in_its_words(text: str) -> None:
    problems = DB.parse(stamped([report(10.0), text, text])).problems
    assert list(problems) == [f"sysbench said: {text}"]


def test_failed_transactions_and_reconnects_are_lost_work() -> None:
    (sample,) = DB.parse(stamped([report(10.0, errors=1.0, reconnects=2.0)])).samples
    assert sample.lost == 3


def test_a_second_without_a_transaction_has_no_latency() -> None:
    (sample,) = DB.parse(stamped([report(0.0)])).samples
    assert (sample.work, sample.latency_s) == (0.0, None)


def test_another_percentile_is_not_taken_for_the_99th() -> None:
    assert not DB.parse(stamped([report(10.0).replace("99%", "95%")])).samples


def test_steady_when_two_stretches_agree() -> None:
    warm = [report(rate) for rate in (2.0, 4.0, 8.0, 10.0, 11.0, 9.0)]
    assert not DB.steady(stamped(warm))
    assert DB.steady(stamped([*warm, report(10.0), report(9.5), report(10.5)]))
    assert not DB.steady(stamped([report(0.0)] * 10))


@given(st.integers(min_value=0, max_value=len(GOLDEN)), st.integers(min_value=0, max_value=130))
def test_truncated_output_yields_a_prefix(lines: int, characters: int) -> None:
    rows = GOLDEN[:lines]
    if rows:
        rows[-1] = rows[-1][:characters]
    whole, part = DB.parse(stamped(GOLDEN)).samples, DB.parse(stamped(rows)).samples
    assert part == whole[: len(part)]
    assert bool(part) or "no interval line was printed" in DB.parse(stamped(rows)).problems


@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(GOLDEN)))
def test_reordered_and_repeated_output_never_raises(generator: random.Random, more: list[str]) -> None:
    rows = [*GOLDEN, *more]
    generator.shuffle(rows)
    timeline = DB.parse(stamped(rows))
    assert len(timeline.samples) == sum("thds:" in row for row in rows)
    assert DB.steady(stamped(rows)) in (True, False)


@given(st.lists(st.binary(max_size=80).map(lambda data: data.decode(errors="replace")) | st.text()))
def test_what_is_no_report_is_never_valid(rows: list[str]) -> None:
    timeline = DB.parse(stamped(rows))
    assert timeline.problems and not timeline.samples


@given(st.lists(st.from_regex(REPORT, fullmatch=True), max_size=5))
def test_whatever_looks_like_a_report_is_a_number(rows: list[str]) -> None:
    for sample in DB.parse(stamped(rows)).samples:
        assert sample.work >= 0 and sample.lost is not None and sample.lost >= 0


def test_the_commands_are_shell_and_outlast_the_trial() -> None:
    workload: Workload = Db(DbOptions(threads=2, rate=5, tables=3, table_size=1000))
    assert not refused(workload)
    (process,) = workload.processes(SITE)
    assert process.machine == "guest"
    wanted = {"--threads=2", "--rate=5", "--tables=3", "--table-size=1000", "--time=61", "--percentile=99"}
    assert wanted <= set(process.command.split())


@pytest.mark.parametrize(
    ("answer", "status", "complaint"),
    [
        ("4\t50000", 0, ""),
        ("8\t90000", 0, ""),
        ("4\t40000", 1, "it has 4 tables of 40000 rows, not 4 of 50000\n"),
        ("0\tNULL", 1, "it has 0 tables of NULL rows, not 4 of 50000\n"),
        ("", 1, "it has no tables of no rows, not 4 of 50000\n"),
    ],
)
def test_data_of_another_size_is_named(tmp_path: Path, answer: str, status: int, complaint: str) -> None:
    fake = tmp_path / "mariadb"
    fake.write_text(f"#!/bin/sh\nprintf '{answer}'\n")
    fake.chmod(0o755)
    check = DB.preparation(SITE)[-1].command
    done = subprocess.run(
        ["sh", "-c", check],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert done.stderr.endswith(complaint)


@pytest.mark.parametrize(
    "wrong", [{"threads": 0}, {"rate": -1}, {"tables": 0}, {"table_size": 0}, {"thread": 1}]
)
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DbOptions.model_validate(wrong)
