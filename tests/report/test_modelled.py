"""Measured migrations next to the model: what the model is given, its error, and where it has no end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.evidence.journal import Event
from harness.report import material
from harness.report.document.model import Figure, Table
from harness.report.material import Material
from harness.report.migration import modelled
from tests.synthetic.evidence import AttemptTruth, Truths, build, events_of, write_journal

RATES_MIB_S = {"001-memory": 16, "002-memory": 120}


def varied(event: Event) -> Event:
    """The event of a trial whose variant states its own dirty rate."""
    rate = RATES_MIB_S.get(event.trial or "")
    if event.kind == "attempt.started":
        return replace(event, data={**event.data, "variant": f"at-{rate}"})
    if event.kind == "workload.started":
        return replace(event, data={**event.data, "options": {"size_mib": 32, "rate_mib_s": rate}})
    return event


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Material:
    truths = Truths(attempts=(AttemptTruth(workload="memory"), AttemptTruth(workload="memory")))
    run = build(tmp_path_factory.mktemp("run") / "run", truths)
    write_journal(run, [varied(event) for event in events_of(truths)])
    return material.read(run)


def test_the_model_is_given_what_was_stated(found: Material) -> None:
    by_name = {one.name: one for one in modelled.points(found)}
    slow, fast = by_name["memory+at-16"], by_name["memory+at-120"]
    assert slow.ratio == pytest.approx(16 / 119)
    assert fast.ratio == pytest.approx(120 / 119)
    assert slow.limit_s == 0.3
    assert slow.model is not None
    assert slow.model.downtime_s <= 0.3


def test_the_working_set_that_fits_into_the_limit_ends_at_any_rate(found: Material) -> None:
    fast = next(one for one in modelled.points(found) if one.name == "memory+at-120")
    assert fast.model is not None
    assert fast.model.downtime_s == pytest.approx(32 / 119)


def test_the_error_is_stated_for_each_row(found: Material) -> None:
    (section,) = modelled.sections(found)
    table, figure = section.blocks
    assert isinstance(table, Table)
    assert isinstance(figure, Figure)
    slow, fast = table.rows
    assert [slow[0].text, slow[2].text, fast[2].text] == ["memory+at-16", "0.13", "1.01"]
    mine = [one for one in modelled.points(found) if one.name == "memory+at-16"]
    errors = sorted(
        one.measured["total_time"] / one.model.total_s - 1 for one in mine if one.model is not None
    )
    assert slow[11].text == f"{errors[len(errors) // 2] * 100:.0f}"


def test_what_never_ends_says_so(found: Material) -> None:
    point = modelled.points(found)[0]
    (row,) = modelled._table([replace(point, model=None)]).rows
    assert "never ends" in row[6].reason
    assert row[11].reason == "there is nothing to compare"


def test_a_run_without_such_a_load_has_no_such_section(tmp_path: Path) -> None:
    assert modelled.sections(material.read(build(tmp_path / "run"))) == []
