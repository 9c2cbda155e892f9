"""The idle guest: nothing runs, and that is said rather than shown as zeros."""

from __future__ import annotations

from harness import workloads
from harness.workloads.contract import Line, Workload
from harness.workloads.idle import Idle, IdleOptions


def test_idle_is_registered_and_runs_nothing() -> None:
    found: Workload = workloads.get("idle")()
    assert isinstance(found, Idle)
    assert found.command(IdleOptions(), guest_address="198.18.0.1", duration_s=60) is None
    assert found.version_command() is None
    assert found.steady([])


def test_its_timeline_counts_nothing() -> None:
    timeline = Idle().parse([])
    assert (timeline.work_unit, list(timeline.samples), list(timeline.problems)) == ("", [], [])


def test_output_where_none_is_due_is_a_problem() -> None:
    assert Idle().parse([Line(t_ns=1, text="hello")]).problems
