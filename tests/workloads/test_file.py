"""dbench's output: exactly on a real sample, and never an exception on anything else."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness import workloads
from harness.workloads.contract import Line, Site, Workload
from harness.workloads.file import File, FileOptions

GOLDEN = Path(__file__).parent / "golden" / "dbench-4.00.txt"
TEXTS = GOLDEN.read_text(encoding="utf-8").splitlines()
S = 1_000_000_000
FILE = File(FileOptions())


def _stamped(texts: list[str]) -> list[Line]:
    return [Line(t_ns=(number + 1) * S, text=text) for number, text in enumerate(texts)]


def _report(done: int, second: int, phase: str = "execute", latency: bool = True) -> str:
    tail = "  latency 12.500 ms" if latency else ""
    return f"   4  {done:8d}  {23.28:7.2f} MB/sec  {phase} {second:3d} sec{tail}"


def test_the_golden_sample() -> None:
    timeline = FILE.parse(_stamped(TEXTS))
    assert [sample.work for sample in timeline.samples] == [363, 248, 406, 663, 577, 575, 651, 442, 322]
    assert [sample.t_ns // S for sample in timeline.samples] == list(range(9, 18))
    assert [sample.latency_s for sample in timeline.samples[1:3]] == pytest.approx([0.102553, 0.064545])
    assert timeline.summary == pytest.approx({"throughput_mb_per_s": 12.8339, "max_latency_s": 0.360432})
    assert (timeline.work_unit, timeline.period_s, list(timeline.problems)) == ("operations", 1.0, [])


def test_the_golden_sample_becomes_steady_once_and_in_time() -> None:
    lines = _stamped(TEXTS)
    first = next(count for count in range(len(lines)) if FILE.steady(lines[:count]))
    # Eight execute lines: means 549 and 556 over three seconds each.
    assert sum(1 for line in lines[:first] if "execute" in line.text) == 8


def test_a_rising_load_is_not_steady_and_a_dead_one_neither() -> None:
    rising = [_report(100 * 2**second, second) for second in range(1, 10)]
    dead = [_report(100, second) for second in range(1, 10)]
    level = [_report(100 * second, second) for second in range(1, 8)]
    assert not FILE.steady(_stamped(rising))
    assert not FILE.steady(_stamped(dead))
    assert FILE.steady(_stamped(level))


def test_a_version_without_latencies() -> None:
    timeline = FILE.parse(_stamped([_report(100, 1, latency=False), _report(250, 2, latency=False)]))
    assert [(sample.work, sample.latency_s) for sample in timeline.samples] == [(150, None)]


def test_operations_count_on_through_dbenchs_own_warm_up() -> None:
    lines = [_report(100, 1, "warmup"), _report(350, 2, "warmup"), _report(500, 1), _report(800, 2)]
    assert [sample.work for sample in FILE.parse(_stamped(lines)).samples] == [250, 150, 300]


def test_a_count_that_begins_anew_is_no_negative_work() -> None:
    lines = [_report(100, 1), _report(300, 2), _report(50, 3), _report(90, 4)]
    assert [sample.work for sample in FILE.parse(_stamped(lines)).samples] == [200, 40]


def test_a_torn_line_is_left_out() -> None:
    lines = [_report(100, 1), _report(200, 2), _report(300, 3)[:25]]
    assert [sample.work for sample in FILE.parse(_stamped(lines)).samples] == [100]


@pytest.mark.parametrize(
    "text",
    [
        "[12] write failed on handle 10003 (No space left on device)",
        "mkdir: cannot create directory '/nowhere': Permission denied",
        "sh: 1: dbench: not found",
    ],
)
def test_a_failure_of_the_tool_is_a_problem(text: str) -> None:
    problems = FILE.parse(_stamped([_report(1, 1), _report(2, 2), text])).problems
    assert any(text in problem for problem in problems)


def test_no_output_is_a_problem_not_a_zero() -> None:
    timeline = FILE.parse([])
    assert not timeline.samples and not timeline.summary
    assert any("no two lines" in problem for problem in timeline.problems)


@given(st.integers(min_value=0, max_value=len(TEXTS)), st.integers(min_value=0, max_value=60))
def test_truncated_output_yields_a_prefix(lines: int, characters: int) -> None:
    texts = TEXTS[:lines]
    if texts:
        texts[-1] = texts[-1][:characters]
    whole = [(sample.t_ns, sample.work) for sample in FILE.parse(_stamped(TEXTS)).samples]
    part = [(sample.t_ns, sample.work) for sample in FILE.parse(_stamped(texts)).samples]
    assert part == whole[: len(part)]


@given(st.randoms(use_true_random=False))
def test_reordered_output_never_has_negative_work(generator: random.Random) -> None:
    lines = _stamped(TEXTS)
    generator.shuffle(lines)
    timeline = FILE.parse(lines)
    assert all(sample.work >= 0 for sample in timeline.samples)
    stamps = [sample.t_ns for sample in timeline.samples]
    assert stamps == sorted(stamps)


@given(st.lists(st.binary(max_size=80)))
def test_binary_output_never_raises(chunks: list[bytes]) -> None:
    texts = [chunk.decode("utf-8", errors="replace") for chunk in chunks]
    timeline = FILE.parse(_stamped(texts))
    assert timeline.problems, "bytes that are no report cannot be a valid output"
    assert not FILE.steady(_stamped(texts))


def test_dbench_runs_long_enough_in_its_folder() -> None:
    site = Site(
        guest_address="198.18.0.1", client_address="198.18.0.2", baseline_s=10.0, window_s=40.0, limit_s=60.2
    )
    found: Workload = workloads.get("file")(FileOptions(clients=2, directory="/srv/some where"))
    (step,), (process,) = found.preparation(site), found.processes(site)
    assert (step.machine, step.command) == ("guest", "mkdir -p '/srv/some where'")
    assert (process.machine, process.finish_s) == ("guest", 0.0)
    # Five times the limit, a fifth of which is warm-up: its end is after the trial's.
    assert process.command == "exec dbench -t 305 -D '/srv/some where' 2"


def test_the_version_is_taken_from_what_dbench_says(tmp_path: Path) -> None:
    step = FILE.version()
    assert step is not None
    fake = tmp_path / "dbench"
    fake.write_text("#!/bin/sh\necho 'dbench version 4.00 - Copyright Andrew Tridgell 1999-2004' >&2\n")
    fake.chmod(0o755)
    found = subprocess.run(
        step.command,
        shell=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "4.00\n"


@pytest.mark.parametrize("wrong", [{"clients": 0}, {"directory": ""}, {"client": 4}])
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FileOptions.model_validate(wrong)


def test_thousands_of_complaints_are_bounded_and_counted() -> None:
    """A tool whose disk is full says so for every operation, each with a handle of its own."""
    flood = [f"[{at}] write failed on handle {at} (No space left on device)" for at in range(20_000)]
    problems = list(FILE.parse(_stamped([_report(1, 1), _report(2, 2), *flood])).problems)
    assert len(problems) <= 8
    assert sum(map(len, problems)) < 10_000
    assert "19993 more" in problems[-1]


def test_one_complaint_said_often_is_one_with_its_count() -> None:
    said = ["mkdir: cannot create directory '/nowhere': Permission denied"] * 400
    problems = FILE.parse(_stamped([_report(1, 1), _report(2, 2), *said])).problems
    assert list(problems) == [f"dbench said: {said[0]} (400 times)"]


@pytest.mark.parametrize("change", [3, 5])
def test_the_missing_second_between_the_phases_is_not_observed(change: int) -> None:
    lines = [
        Line(t_ns=second * S, text=_report(100 * second, second, "warmup" if second < change else "execute"))
        for second in range(1, 9)
        if second != change
    ]
    timeline = FILE.parse(lines)
    assert list(timeline.unobserved) == [((change - 1) * S, (change + 1) * S)]
    assert sum(sample.work for sample in timeline.samples) == 700
