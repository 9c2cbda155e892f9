"""What a migration costs the people who use the service, and whether that can be told from noise."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from harness.report.document import render
from harness.report.document.model import MISSING, Callout, Document, Figure, Table
from harness.report.material import Material
from harness.report.migration import service

MARKED = ("mail*", "app*", "web*")
NOTE = "by locust 2.43.1 in place of"


def tables(document: Document) -> dict[str, Table]:
    blocks = [block for section in document.sections for block in section.blocks]
    return {block.key: block for block in blocks if isinstance(block, Table)}


def of(table: Table, workload: str) -> dict[str, dict[str, str]]:
    """The rows of one workload: what they are to the cells' texts by their flat heads."""
    heads = [column.flat for column in table.columns]
    names = [row[0].text.rstrip("*") for row in table.rows]
    first = names.index(workload)
    last = next((at for at in range(first + 1, len(names)) if names[at]), len(names))
    return {
        row[1].text: dict(zip(heads, (cell.text for cell in row), strict=True))
        for row in table.rows[first:last]
    }


def test_each_workload_is_shown_with_and_without_migrations(whole: Document) -> None:
    rows = of(tables(whole)["service"], "mail")
    assert list(rows) == ["with migrations", "control", "above it"]
    moved, control = rows["with migrations"], rows["control"]
    assert moved["n"] == "6"
    assert control["n"] == "3"
    assert float(moved["Outage, ms: application"]) > 10 * float(control["Outage, ms: application"])
    assert moved["Failed or lost"] == "2.0"
    assert control["Failed or lost"] == "0.0"
    assert rows["above it"]["Outage, ms: application"] == "6 of 6"


def test_an_idle_guest_has_an_outage_of_the_network_alone(whole: Document) -> None:
    rows = of(tables(whole)["service"], "idle")
    assert rows["with migrations"]["Outage, ms: network"] != MISSING
    assert rows["with migrations"]["Work lost: s of work"] == MISSING
    assert rows["control"]["Outage, ms: network"] != MISSING


def test_latency_is_named_by_the_tools_own_words(whole: Document) -> None:
    table = tables(whole)["slowness"]
    assert "99th percentile (mail*, app*, web*, db, stream), longest operation (file)" in table.caption
    rows = of(table, "web")
    assert float(rows["with migrations"]["Latency, ms: worst"]) > float(
        rows["with migrations"]["Latency, ms: before"]
    )


def test_what_does_not_stand_out_is_grey_and_said(seven: Material) -> None:
    loud = seven.metrics.copy()
    slots = loud["kind"].eq("control") & loud["workload"].eq("db") & loud["metric"].eq("work_lost_time")
    loud.loc[slots & loud["migration"].notna(), "value"] = 99.0
    blocks = service.blocks(replace(seven, metrics=loud))
    (said,) = [block.text for block in blocks if isinstance(block, Callout)]
    assert "db: work lost" in said
    table = next(block for block in blocks if isinstance(block, Table) and block.key == "service")
    (row,) = [row for row in table.rows if row[0].text == "db"]
    at = [column.flat for column in table.columns].index("Work lost: s of work")
    assert row[at].tone == "quiet"
    assert service.standing(replace(seven, metrics=loud), "db", "work_lost_time") == service.Standing(
        above=0, n=6, median=99.0, most=99.0, slots=3
    )


def test_without_a_control_trial_the_floor_is_said_to_be_unknown(demo: Material, shown: Document) -> None:
    said = [block.text for block in service.blocks(demo) if isinstance(block, Callout)]
    assert said == [
        "No control trial was run: how much of this the workloads show without a migration is not known."
    ]
    assert {row[1].text for row in tables(shown)["service"].rows} == {"with migrations"}


@pytest.mark.parametrize("metric", ["outage_network", "outage_application", "work_lost"])
def test_control_slots_are_in_no_mean(seven: Material, metric: str) -> None:
    mine = seven.valid[seven.valid["metric"] == metric]
    assert set(mine["kind"]) == {"migrations"}
    assert set(seven.floor["kind"]) == {"control"}
    control = [one.trial for one in seven.attempts if one.kind == "control"]
    assert not set(mine["trial"]) & set(control)


def test_every_table_marks_and_names_a_substituted_generator(whole: Document) -> None:
    named = {"mail", "app", "web"}
    checked = 0
    for key, table in tables(whole).items():
        texts = [cell.text for row in table.rows for cell in row]
        plain = [text for text in texts if text in named or text.rpartition("-")[2] in named]
        if key == "generators":
            assert NOTE not in table.caption  # it has a column for them
            continue
        assert plain == [], key
        if any(text.endswith("*") for text in texts):
            assert NOTE in table.caption, key
            checked += 1
    assert checked >= 5


def test_every_figure_marks_and_names_a_substituted_generator(whole: Document) -> None:
    for figure in whole.figures:
        text = words(figure)
        shown = [mark for mark in MARKED if mark in f"{text} {figure.title}"]
        if figure.key in ("timeline-file", "timeline-db", "timeline-stream"):
            assert not shown
        else:
            assert shown, figure.key
            assert NOTE in text, figure.key


def words(figure: Figure) -> str:
    found = ElementTree.fromstring(figure.svg).iter("{http://www.w3.org/2000/svg}text")
    return " ".join("".join(text.itertext()).strip() for text in found)


@pytest.mark.parametrize("form", ["html", "md", "tex"])
def test_every_format_names_them(whole: Document, form: str) -> None:
    text = render.text(whole, form)
    assert text.count(NOTE) >= 5


def test_there_is_one_timeline_a_workload_that_reports(whole: Document) -> None:
    keys = [figure.key for figure in whole.figures if figure.key.startswith("timeline-")]
    assert keys == [f"timeline-{name}" for name in ("mail", "app", "file", "web", "db", "stream")]
    (mail,) = [figure for figure in whole.figures if figure.key == "timeline-mail"]
    assert "the first of 2 valid ones" in mail.caption
    assert "99th percentile" in mail.caption
    assert all(part in words(mail) for part in ("requests/s", "latency, ms"))


def test_many_trials_do_not_make_more_figures(seven: Material, whole: Document) -> None:
    assert len({one.trial for one in seven.attempts}) == 21
    assert len(whole.figures) == 13
