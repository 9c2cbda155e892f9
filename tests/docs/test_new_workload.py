"""The walk-through's example is run as it is printed, so that it cannot fall behind the contract."""

from __future__ import annotations

import inspect
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.clock import NS_PER_S
from harness.workloads.contract import Line, Site, Workload
from tests.workloads.commands import refused

DOCUMENT = Path(__file__).parents[2] / "docs/new-workload.md"


def block(info: str) -> str:
    """The one fenced block that begins with `info`."""
    (text,) = re.findall(rf"^```{info}\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    return str(text)


def example() -> dict[str, Any]:
    """The names that the example's module defines."""
    names: dict[str, Any] = {"__name__": "example_workload"}
    exec(compile(block("python"), str(DOCUMENT), "exec", dont_inherit=True), names)
    return names


MODULE = example()
MEMORY: Workload = MODULE["Bandwidth"](MODULE["BandwidthOptions"](threads=2))
SITE = Site(
    guest_address="192.0.2.9", client_address="192.0.2.8", baseline_s=10.0, window_s=40.0, limit_s=61.2
)


def lines(*texts: str) -> list[Line]:
    """Lines that arrive a second apart."""
    return [Line(t_ns=number * NS_PER_S, text=text) for number, text in enumerate(texts)]


SAMPLE = lines(*block("text sample").splitlines())


def test_the_example_has_every_name_and_method_of_the_contract() -> None:
    methods = ("version", "preparation", "processes", "steady", "parse")
    names = {name for name in vars(Workload) if not name.startswith("_") and name not in methods}
    assert {"generator", "substitutes", "needs"} <= names
    assert names | set(Workload.__annotations__) <= set(vars(type(MEMORY)))
    for name in methods:
        wanted, made = getattr(Workload, name), getattr(type(MEMORY), name)
        assert inspect.signature(made).parameters.keys() == inspect.signature(wanted).parameters.keys()


def test_the_text_explains_every_name_and_method_of_the_contract() -> None:
    text = DOCUMENT.read_text()
    for name in (
        "version",
        "preparation",
        "processes",
        "steady",
        "parse",
        "generator",
        "substitutes",
        "needs",
    ):
        assert f"`{name}`" in text
    for name in Workload.__annotations__:
        assert f"`{name}`" in text


def test_the_example_reads_the_sample() -> None:
    timeline = MEMORY.parse(SAMPLE)
    assert [sample.work for sample in timeline.samples] == [
        1164.47,
        3150.91,
        3149.22,
        3160.05,
        3148.7,
        3155.41,
        3151.3,
        1203.5,
        3152.88,
    ]
    assert timeline.samples[0].t_ns == 8 * NS_PER_S
    assert (timeline.work_unit, timeline.period_s, list(timeline.problems)) == ("MiB", 1.0, [])
    assert timeline.summary == {"throughput_mib_per_s": 2715.16}


def test_a_run_cut_short_has_no_summary_and_no_problem() -> None:
    timeline = MEMORY.parse(SAMPLE[:11])
    assert len(timeline.samples) == 3
    assert (timeline.summary, list(timeline.problems)) == ({}, [])


@pytest.mark.parametrize(("upto", "steady"), [(0, False), (13, False), (14, False), (15, True), (16, False)])
def test_the_example_is_steady_when_three_seconds_agree_with_three(upto: int, steady: bool) -> None:
    assert MEMORY.steady(SAMPLE[:upto]) is steady


def test_a_failure_is_a_problem_in_the_tools_own_words() -> None:
    timeline = MEMORY.parse(lines("FATAL: Invalid value for memory-block-size: 0"))
    assert list(timeline.problems) == [
        "sysbench said: FATAL: Invalid value for memory-block-size: 0",
        "no report was printed",
    ]


@given(texts=st.lists(st.text() | st.from_regex(MODULE["REPORT"])))
def test_no_output_makes_the_example_raise(texts: list[str]) -> None:
    timeline = MEMORY.parse(lines(*texts))
    assert bool(timeline.samples) or "no report was printed" in timeline.problems
    assert MEMORY.steady(lines(*texts)) in (True, False)


def test_the_commands_are_shell_and_outlast_the_trial() -> None:
    assert not refused(MEMORY)
    (process,) = MEMORY.processes(SITE)
    words = shlex.split(process.command)
    assert (process.machine, words[:3]) == ("guest", ["exec", "sysbench", "memory"])
    assert {"--time=62", "--threads=2"} <= set(words)
    with pytest.raises(ValidationError):
        MEMORY.Options(thread=2)


def test_the_registration_names_the_class_under_the_projects_group() -> None:
    made = tomllib.loads(block("toml"))["project"]["entry-points"]["sodbench.workloads"]
    assert made == {MEMORY.name: f"harness.workloads.bandwidth:{type(MEMORY).__name__}"}


def test_the_files_that_the_text_names_are_there() -> None:
    root = DOCUMENT.parents[1]
    images = (root / "playbooks/roles/guest_image/defaults/main.yml").read_text()
    assert "guest_image_server_packages" in images
    assert "sodbench_image_extra_packages" in images
    assert any((root / "playbooks/roles/guest_image/files/servers").glob("*.sh"))
    assert (root / "harness/workloads/packets/rtp.py").is_file()
    packages = (root / "playbooks/roles/packages/defaults/main.yml").read_text()
    assert "packages_of_purpose" in packages
