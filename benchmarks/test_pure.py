"""How long the pure parts take on recorded evidence: parsing, metrics, gaps, reports, and planning.

Run with ``python -m pytest benchmarks --benchmark-only``. Compare figures only with those of the same machine
and data set; what is to be faster than something else is measured next to it, in one run.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from harness import report, resources
from harness.analysis import series
from harness.analysis import table as results
from harness.campaign import file as campaign_file
from harness.campaign import plan as plans
from harness.evidence import archive, journal
from harness.evidence.folder import RunFolder
from harness.evidence.reading import parse_log
from harness.workloads.file import File, FileOptions

REFERENCE = Path(__file__).parent.parent / "results/reference/lab"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The data set paper-lab: seven trials of 120 s with five migrations each."""
    return archive.unpack(REFERENCE / "paper-lab/run", tmp_path_factory.mktemp("evidence") / "run")


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The data set paper-short: seven workloads, three times with migrations and once without, 28 trials."""
    return archive.unpack(REFERENCE / "paper-short/run", tmp_path_factory.mktemp("campaign") / "run")


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
    gaps = benchmark(lambda: series.gaps(results.read_attempts(run)))
    assert len(gaps) >= 10


def test_parse_dbench(benchmark: BenchmarkFixture, run: RunFolder) -> None:
    log = next(run.root.glob("trials/*-file/attempt-1/workload.log"))
    lines = parse_log(log.read_text())
    timeline = benchmark(File(FileOptions()).parse, lines)
    assert len(timeline.samples) > 100


def test_load_and_expand_a_campaign(benchmark: BenchmarkFixture) -> None:
    path = resources.campaigns() / "paper.yml"
    plan = benchmark(lambda: plans.expand(campaign_file.load(path)))
    assert plan.trials
