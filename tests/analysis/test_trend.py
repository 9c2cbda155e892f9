"""Changes of a level in a series, and what a night's environment has changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import against_otava
from benchmarks import trend as simulated
from harness.analysis.trend import changes, course

ROOT = Path(__file__).parents[2]


def test_a_step_is_found_at_its_night() -> None:
    draw = np.random.default_rng(1)
    values = np.concatenate([draw.normal(10, 0.1, 40), draw.normal(11, 0.1, 30), draw.normal(9, 0.1, 20)])
    assert changes.found(list(values)) == [40, 70]


def test_two_nights_out_of_line_are_no_level() -> None:
    draw = np.random.default_rng(2)
    values = draw.normal(10, 0.1, 60)
    values[[30, 31]] = 100.0
    assert changes.found(list(values)) == []


def test_a_large_step_is_found_after_five_nights() -> None:
    draw = np.random.default_rng(3)
    values = [*draw.normal(10, 0.1, 60), *draw.normal(12, 0.1, 5)]
    assert changes.found(values, series=20) == [60]


@pytest.mark.parametrize("kind", ["normal", "lognormal", "tied"])
def test_where_nothing_changes_few_series_have_a_change(kind: str) -> None:
    draw = np.random.default_rng(4)
    rounds = 400
    rows = {
        "normal": draw.normal(size=(rounds, 60)),
        "lognormal": draw.lognormal(sigma=2, size=(rounds, 60)),
        "tied": draw.integers(0, 4, size=(rounds, 60)).astype(float),
    }[kind]
    alarms = sum(bool(changes.found(list(row))) for row in rows)
    assert alarms / rounds <= changes.LEVEL + 3 * (changes.LEVEL / rounds) ** 0.5


def test_more_series_need_more_to_change() -> None:
    assert changes.gain_needed(60, 20) > changes.gain_needed(60)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(-1000, 1000), max_size=30), st.integers(1, 1000), st.integers(-1000, 1000))
def test_neither_scale_nor_origin_matters_and_levels_last(values: list[int], scale: int, shift: int) -> None:
    found = changes.found([float(one) for one in values])
    assert found == changes.found([float(one * scale + shift) for one in values])
    borders = np.diff([0, *found, len(values)])
    assert not found or borders.min() >= changes.LEAST_NIGHTS


@pytest.mark.parametrize(("values", "series"), [([float("nan")] * 9, 1), ([1.0] * 9, 0)])
def test_what_is_no_series_is_refused(values: list[float], series: int) -> None:
    with pytest.raises(ValueError, match="finite"):
        changes.found(values, series)


def test_what_changed_is_named_and_cut() -> None:
    found = course.environment_changes(
        {"kernel.a": "6.1", "same": "x", "gone": "y"}, {"kernel.a": "6.2", "same": "x", "new": "z" * 200}
    )
    assert found[:2] == ("gone: y → not said", "kernel.a: 6.1 → 6.2")
    assert found[2].startswith("new: not said → zzz") and len(found[2]) < 120


def stored(path: Path) -> Any:
    return json.loads((ROOT / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("measured", [simulated, against_otava])
def test_the_document_has_the_measured_tables(measured: Any) -> None:
    found = stored(measured.OUT)
    assert measured.table(found) in (ROOT / "docs/trend.md").read_text(encoding="utf-8")
    assert found["cpu"] and found["kernel"] and len(found["commit"]) == 40 and found["changed"] == []


def test_false_changes_are_as_rare_as_documented_where_nights_are_independent() -> None:
    found = stored(simulated.OUT)
    noise = 3 * (changes.LEVEL / found["rounds"]) ** 0.5
    independent = [row for row in found["quiet"] if row["kind"] in simulated.STEPPED]
    assert len(independent) == len(simulated.STEPPED) * len(simulated.QUIET)
    assert max(row["changed"] for row in independent) <= changes.LEVEL + noise


def test_the_same_seed_gives_the_same_rows() -> None:
    assert simulated.quiet_row("normal", 30, 20, 7) == simulated.quiet_row("normal", 30, 20, 7)
    one = simulated.stepped_row("outliers", 5.0, 10, 7)
    assert one == simulated.stepped_row("outliers", 5.0, 10, 7)
    assert one["found"]["14"] > 0.8
