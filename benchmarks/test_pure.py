"""How long the pure parts take: parsing, metrics, figures' series and plan of the demo, report of a campaign.

Run with ``python -m pytest benchmarks --benchmark-only``. Figures of one machine compare with figures of the
same machine alone; what is to be faster than something else is measured next to it, in one run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from harness import report, resources
from harness.analysis import table as results
from harness.campaign import file as campaign_file
from harness.campaign import plan as plans
from harness.evidence import journal
from harness.evidence.folder import RunFolder
from harness.workloads.contract import Line
from harness.workloads.file import File, FileOptions
from tests.synthetic import evidence, load, seven

GOLDEN = Path(__file__).parent.parent / "tests/workloads/golden/dbench-4.00.txt"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Ten migrations with all their evidence."""
    return evidence.build(tmp_path_factory.mktemp("evidence") / "run")


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    """Seven workloads four times for 60 s, five migrations each, and a control trial of each: 35 trials."""
    with pytest.MonkeyPatch.context() as patch:
        load.readable(patch)
        folder = tmp_path_factory.mktemp("campaign") / "run"
        yield evidence.build(folder, seven.seven(repetitions=4, window_s=60.0))


def test_all_metrics_of_a_campaign(benchmark: BenchmarkFixture, campaign: RunFolder) -> None:
    table = benchmark.pedantic(results.compute, args=(campaign,), rounds=3)
    assert len(results.floor(table)) > 100


def test_report_of_a_campaign(benchmark: BenchmarkFixture, campaign: RunFolder, tmp_path: Path) -> None:
    made = benchmark.pedantic(report.build, args=(campaign, tmp_path), rounds=3)
    assert len(made.documents) == 3


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
    timeline = benchmark(File(FileOptions()).parse, lines)
    assert len(timeline.samples) > 5


def test_load_and_expand_a_campaign(benchmark: BenchmarkFixture) -> None:
    path = resources.campaigns() / "paper.yml"
    plan = benchmark(lambda: plans.expand(campaign_file.load(path)))
    assert plan.trials
