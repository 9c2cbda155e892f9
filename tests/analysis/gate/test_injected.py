"""Runs of the lab with a link that was slowed down from outside: the gate's outcomes come out again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.gate import rows, sides
from harness.evidence import archive
from harness.evidence.folder import RunFolder

MEASURED = Path(__file__).parents[3] / "benchmarks/measured"
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    folder = tmp_path_factory.mktemp("injected")
    kept = sorted((MEASURED / "injected").iterdir())
    return {one.name: archive.unpack(one, folder / one.name) for one in kept}


@pytest.mark.parametrize(
    ("night", "outcome"), [("unchanged", "passed"), ("large", "regressed"), ("small", "regressed")]
)
def test_the_outcome_of_each_night_comes_out_again(
    runs: dict[str, RunFolder], night: str, outcome: str
) -> None:
    (kept,) = [one["gate"] for one in _kept()["nights"] if one["night"] == night]
    pairing = sides.pair(runs["baseline"], runs[night], [])
    result = rows.judge(pairing.cells, ())
    assert result.outcome == kept["outcome"] == outcome
    assert [row.worse for row in result.rows] == [row["worse"] for row in kept["rows"]]
    assert pairing.accepted == ()


def test_the_slower_links_are_a_large_change_and_1_2_times_what_matters() -> None:
    speed = {one["night"]: one["link_bit_s"] for one in _kept()["nights"]}
    smallest = 0.1
    assert speed == {
        "unchanged": 1_000_000_000,
        "large": 600_000_000,
        "small": round(1_000_000_000 / (1 + 1.2 * smallest)),
    }


def _kept() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((MEASURED / "injected-lab.json").read_text())
    return kept
