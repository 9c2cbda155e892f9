"""The idle guest: nothing runs, and that is said rather than shown as zeros."""

from __future__ import annotations

from harness import workloads
from harness.workloads.contract import Line, Site, Workload
from harness.workloads.idle import Idle, IdleOptions

SITE = Site(
    guest_address="198.18.0.1", client_address="198.18.0.2", baseline_s=10.0, window_s=40.0, limit_s=60.0
)


def test_idle_is_registered_and_runs_nothing() -> None:
    found: Workload = workloads.get("idle")(IdleOptions())
    assert isinstance(found, Idle)
    assert not found.preparation(SITE)
    assert not found.processes(SITE)
    assert found.version() is None
    assert (found.generator, found.substitutes, list(found.needs)) == ("none", None, [])
    assert found.steady([])


def test_its_timeline_counts_nothing() -> None:
    timeline = Idle(IdleOptions()).parse([])
    assert (timeline.work_unit, list(timeline.samples), list(timeline.problems)) == ("", [], [])


def test_output_where_none_is_due_is_a_problem() -> None:
    assert Idle(IdleOptions()).parse([Line(t_ns=1, text="hello")]).problems
