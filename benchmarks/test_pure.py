"""How long the pure parts take on a run of the demo's size: parsing, metrics, figures' series, plan.

Run with ``python -m pytest benchmarks --benchmark-only``. Figures of one machine compare with figures of the
same machine alone; what is to be faster than something else is measured beside it, in one run.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from harness import campaign_file, journal, resources, results
from harness import plan as plans
from harness.store import RunFolder
from harness.workloads.contract import Line
from harness.workloads.file import File
from tests import evidence

GOLDEN = Path(__file__).parent.parent / "tests/workloads/golden/dbench-4.00.txt"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Ten migrations with all their evidence."""
    return evidence.build(tmp_path_factory.mktemp("evidence") / "run")


def test_read_journal(benchmark: BenchmarkFixture, run: RunFolder) -> None:
    events = benchmark(journal.read, run.journal)
    assert len(events) > 100


def test_all_metrics_of_a_run(benchmark: BenchmarkFixture, run: RunFolder) -> None:
    table = benchmark(results.compute, run)
    assert table.value.notna().sum() > 100


def test_heartbeat_gaps(benchmark: BenchmarkFixture, run: RunFolder) -> None:
    gaps = benchmark(results.gaps, run)
    assert len(gaps) >= 10


def test_parse_dbench(benchmark: BenchmarkFixture) -> None:
    lines = [Line(t_ns=n * 10**9, text=text) for n, text in enumerate(GOLDEN.read_text().splitlines())]
    timeline = benchmark(File().parse, lines)
    assert len(timeline.samples) > 5


def test_load_and_expand_a_campaign(benchmark: BenchmarkFixture) -> None:
    path = resources.campaigns() / "paper.yml"
    plan = benchmark(lambda: plans.expand(campaign_file.load(path)))
    assert plan.trials
