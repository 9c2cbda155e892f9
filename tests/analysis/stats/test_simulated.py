"""What reports and documents say of coverage is what was simulated, and the simulation repeats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import comparison, equivalence, gate
from benchmarks import coverage as benchmark
from harness.analysis.stats.coverage import COVERAGE

ROOT = Path(__file__).parents[3]


def stored(path: Path) -> Any:
    return json.loads((ROOT / path).read_text(encoding="utf-8"))


def test_the_labels_are_the_stored_coverage() -> None:
    found = {int(trials): tuple(least) for trials, least in stored(benchmark.OUT)["least"].items()}
    assert dict(COVERAGE) == found


def test_the_least_coverage_follows_from_the_stored_rows() -> None:
    document = stored(benchmark.OUT)
    assert benchmark.least(document["rows"]) == document["least"]


def test_from_six_trials_on_the_coverage_is_what_is_promised() -> None:
    assert min(min(both) for trials, both in COVERAGE.items() if trials >= 6) >= 0.93


@pytest.mark.parametrize(
    ("path", "table"),
    [
        (benchmark.OUT, benchmark.table),
        (equivalence.OUT, equivalence.table),
        (comparison.OUT, comparison.table),
        (gate.OUT, gate.table),
    ],
)
def test_the_document_has_the_stored_tables(path: Path, table: Any) -> None:
    text = (ROOT / "docs/statistics.md").read_text(encoding="utf-8")
    assert table(stored(path)) in text


@pytest.mark.parametrize("path", [benchmark.OUT, equivalence.OUT, comparison.OUT, gate.OUT])
def test_the_evidence_names_its_machine_and_an_unchanged_commit(path: Path) -> None:
    document = stored(path)
    assert document["cpu"] and document["kernel"] and len(document["commit"]) == 40
    assert document["changed"] == []


def test_the_same_seed_gives_the_same_rows() -> None:
    one, other = (benchmark.row("bimodal trials, 60/40", 3, 2, 40, 7) for _ in range(2))
    assert one == other
    assert equivalence.row(8, 0.06, 0.1, 40, 7) == equivalence.row(8, 0.06, 0.1, 40, 7)


def test_a_false_difference_is_shown_as_rarely_as_promised() -> None:
    rows = [row for row in stored(comparison.OUT)["rows"] if row["factor"] == 1.0]
    assert rows and max(row["shown"] for row in rows) <= 0.06
    assert comparison.row("clustered", 4, 1.5, 40, 7) == comparison.row("clustered", 4, 1.5, 40, 7)


def test_false_alarms_and_misses_of_a_gate_are_as_rare_as_documented() -> None:
    rows = stored(gate.OUT)["rows"]
    even = "bimodal trials, 60/40"
    alarms = [(row["regressed"], row["distribution"]) for row in rows if row["multiple"] == 0]
    assert max(rate for rate, _ in alarms) <= 0.062
    assert max(rate for rate, name in alarms if name != even) <= 0.05
    assert max(row["passed"] for row in rows if row["multiple"] >= 1) <= 0.0445
    assert gate.row("normal", 6, 1.2, 50, 7) == gate.row("normal", 6, 1.2, 50, 7)


def test_trials_of_two_kinds_are_mostly_seen_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "TRUTH_TRIALS", 10_000)
    found = benchmark.row("bimodal trials, 60/40", 8, 5, 60, 3)
    assert found["looks_bimodal"] > 0.8
    assert found["pooled_coverage"] < 0.8 < found["coverage"]
