"""What a report says first: the question, one table that answers it, and nothing that is not further down."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd

from harness.report.document.model import Cell, Column, Document, Paragraph, Section, Table, apart
from harness.report.material import Material
from harness.report.migration import answers
from harness.report.migration import front as migration
from tests.report.page import Element


def table_of(section: Section) -> Table:
    (found,) = [block for block in section.blocks if isinstance(block, Table)]
    return found


def test_the_first_section_is_the_question_and_one_table(shown: Document) -> None:
    first = shown.body[0]
    assert first.title == "What does it cost to move a running virtual machine to safety?"
    assert first.label == "The answer"
    kinds = [block.shape for block in first.blocks]
    assert kinds.index("table") < kinds.index("answer")
    assert table_of(first).key == "cost-of-migration"


def test_its_medians_and_intervals_are_those_of_table_v(seven: Material) -> None:
    details = {row[0].text: row for row in answers.table_v(seven).rows}
    heads = [column.flat for column in answers.table_v(seven).columns]
    at = heads.index("Total time, s: measured")
    front = migration.table(seven)
    (mine,) = [index for index, column in enumerate(front.columns) if column.label == "Total time"]
    assert len(front.rows) == 7
    for row in front.rows:
        assert details[row[0].text][at].below.startswith(f"median {row[mine].text} (")


def test_what_stalls_without_a_migration_is_next_to_what_stalls_with_one(
    seven: Material, demo: Material
) -> None:
    assert "The same without a migration, at most" in [one.label for one in migration.table(seven).columns]
    assert "The same without a migration, at most" not in [one.label for one in migration.table(demo).columns]


def test_one_or_two_trials_carry_no_interval(seven: Material) -> None:
    table = migration.table(seven)
    assert not [cell for row in table.rows for cell in row if "–" in cell.below]
    assert "One or two trials carry none" in table.caption


def test_from_three_trials_on_there_is_an_interval(seven: Material) -> None:
    metrics = seven.metrics.copy()
    mine = metrics["workload"].eq("mail") & metrics["verdict"].eq("valid") & metrics["kind"].ne("control")
    last = max(metrics[mine]["trial"].unique())
    copy = metrics[mine & metrics["trial"].eq(last)].assign(trial="099-mail")
    more = pd.concat([metrics, copy], ignore_index=True)
    (row,) = [one for one in migration.table(_with(seven, more)).rows if one[0].text.startswith("mail")]
    assert row[1].text == "3"
    assert re.fullmatch(r"[\d.]+–[\d.]+", row[3].below)


def _with(material: Material, metrics: pd.DataFrame) -> Material:
    return replace(material, metrics=metrics)


def test_single_values_go_to_the_appendix_with_their_sections_name() -> None:
    table = Table(key="each", title="Each", columns=[Column(label="x")], rows=[[Cell(text="1")]], detail=True)
    section = Section(key="s", title="A long title", label="S", blocks=[Paragraph(text="said"), table])
    rest, detail = apart([section])
    assert [block.shape for block in rest.blocks] == ["paragraph"]
    assert (detail.key, detail.title, detail.folded, detail.blocks) == (
        "s-detail",
        "S: in detail",
        True,
        [table],
    )


def test_every_block_is_in_the_body_or_in_the_appendix_once(whole: Document) -> None:
    every = [id(block) for section in whole.sections for block in section.blocks]
    parted = [id(block) for section in [*whole.body, *whole.appendix] for block in section.blocks]
    assert sorted(parted) == sorted(every)


def test_the_appendix_is_folded_and_nothing_else(html: Element) -> None:
    folded = [one.all("section")[0].attributes["id"] for one in html.all("details")]
    assert folded == ["validity-detail", "moves", "provenance", "definitions"]
    assert not [one for one in html.all("details") if "open" in one.attributes]
