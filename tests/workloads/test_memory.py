"""The paced writer: what it printed in an emulated guest, and when its load counts as steady."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness import workloads
from harness.clock import NS_PER_S
from harness.workloads.contract import Line, Site, Workload
from harness.workloads.memory import Memory, MemoryOptions
from tests.workloads.commands import refused

SAMPLE = Path(__file__).parent / "samples/sodbench-memory/32-mib-at-16.txt"
SITE = Site(
    guest_address="192.0.2.9", client_address="192.0.2.8", baseline_s=10.0, window_s=40.0, limit_s=60.0
)


def lines(*texts: str) -> list[Line]:
    return [Line(t_ns=number * NS_PER_S, text=text) for number, text in enumerate(texts)]


def memory(**options: int) -> Workload:
    return Memory(MemoryOptions(**options))


REAL = lines(*SAMPLE.read_text().splitlines())


def test_it_is_registered_and_runs_in_the_guest() -> None:
    assert workloads.get("memory") is Memory
    one = memory(size_mib=48, rate_mib_s=64)
    (process,) = one.processes(SITE)
    assert (process.machine, process.command) == ("guest", "exec sodbench-memory 48 64")
    assert not refused(one)
    assert not one.preparation(SITE)
    assert one.version() is None


def test_real_output_is_read_to_the_page() -> None:
    timeline = memory().parse(REAL)
    assert [sample.work * 256 for sample in timeline.samples] == [4127, 4126, 4102, 4120, 4130, 3664, 4136]
    assert timeline.samples[0].t_ns == NS_PER_S
    assert (timeline.work_unit, timeline.period_s, list(timeline.problems)) == ("MiB", 1.0, [])
    # 28,405 pages in 7.053073747 s
    assert timeline.summary["dirty_rate_mib_per_s"] == pytest.approx(28405 / 256 / 7.053073747)
    assert timeline.summary["stated_rate_mib_per_s"] == 16


@pytest.mark.parametrize(
    ("upto", "steady"), [(1, False), (3, False), (4, True), (6, True), (7, False), (8, False)]
)
def test_it_is_steady_at_the_stated_rate_alone(upto: int, steady: bool) -> None:
    """The sixth report has 14.1 of 16 MiB/s: the three that it is among are not at the rate."""
    assert memory().steady(REAL[:upto]) is steady


def test_a_guest_that_is_too_slow_is_never_steady() -> None:
    assert not memory(rate_mib_s=20).steady(REAL)


def test_a_second_without_a_page_counts_with_its_time() -> None:
    timeline = memory().parse(
        lines("dirtied 4096 pages in 1000000000 ns", "dirtied 0 pages in 1000000000 ns")
    )
    assert timeline.summary["dirty_rate_mib_per_s"] == 8


def test_the_shells_word_when_the_load_is_ended_is_no_problem() -> None:
    """In the lab it was the last line of every trial."""
    timeline = memory().parse([*REAL, Line(t_ns=9 * NS_PER_S, text="Terminated")])
    assert not timeline.problems
    assert len(timeline.samples) == 7


def test_a_complaint_and_an_empty_output_are_problems() -> None:
    said = memory().parse(lines("sodbench-memory: cannot have 200 MiB: Cannot allocate memory"))
    assert list(said.problems) == [
        "no report was printed",
        "sodbench-memory said: sodbench-memory: cannot have 200 MiB: Cannot allocate memory",
    ]
    assert said.summary == {}


@given(st.lists(st.text() | st.from_regex(r"dirtied \d+ pages in \d+ ns\s?", fullmatch=True)))
def test_no_output_makes_it_raise(texts: list[str]) -> None:
    timeline = memory().parse(lines(*texts))
    assert bool(timeline.samples) or "no report was printed" in timeline.problems
    assert memory().steady(lines(*texts)) in (True, False)


@pytest.mark.parametrize("options", [{"rate_mib_s": 0}, {"size_mib": 0}, {"size_mib": 1.5}, {"rate": 1}])
def test_options_are_strict(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MemoryOptions.model_validate(options)
