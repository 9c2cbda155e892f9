"""How values of several trials are written, and what a reader is told to doubt."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from harness.analysis.stats import replicated
from harness.report import replicates
from harness.report.document import render
from harness.report.document.model import Answer, Cell, Column, Document, Section, Table
from harness.report.material import Material
from harness.report.migration import answers


def outages(demo: Material, *values_s: float) -> Material:
    """The demo with these application outages of file's five migrations."""
    table = demo.metrics.copy()
    mine = (
        table["workload"].eq("file") & table["metric"].eq("outage_application") & table["migration"].notna()
    )
    table.loc[mine, "value"] = values_s
    table.loc[mine, "reason"] = None
    return replace(demo, metrics=table)


def test_a_mean_that_stands_on_one_migration_is_flagged_with_its_median(demo: Material) -> None:
    material = outages(demo, 0.218, 1.0, 7.061, 1.999, 0.117)
    cell = answers.mean_cell(material, "file", "outage_application", 5)
    assert (cell.text, cell.lines[0].split(" (")[0]) == ("2079", "median 1000")
    assert cell.reason == (
        "one value dominates the mean: without that value it is 834\u00a0ms, and the median of all is "
        "1000\u00a0ms"
    )
    (said,) = [
        one.text for one in answers.sentences(material) if isinstance(one, Answer) and one.subject == "file"
    ]
    assert "the work stalled for 2079\u00a0ms (median 1000\u00a0ms: one value dominates the mean)" in said


def test_three_trials_have_an_interval_below_the_median(demo: Material) -> None:
    mine = demo.metrics[demo.metrics["workload"].eq("file")]
    copies = [mine.assign(trial=f"copy-{n}") for n in (1, 2)]
    material = replace(demo, metrics=pd.concat([demo.metrics, *copies], ignore_index=True))
    (row,) = [row for row in answers.table_v(material).rows if row[0].text == "file"]
    assert [cell.text for cell in row[1:3]] == ["3", "15"]
    assert [line.split()[0] for line in row[3].lines] == ["median", "3.20–3.20"]
    assert "95\u00a0% interval of 3 trials' medians" in answers.table_v(material).caption
    assert "1 trial: no interval" in answers.table_v(material).caption


def test_trials_of_two_kinds_are_told_in_a_note() -> None:
    found = replicated([[1.0, 1.02], [1.01, 1.03], [5.0, 5.1]])
    assert replicates.TWO_KINDS in replicates.doubts(found, str)
    assert replicates.counts(found) == "6 in 3 trials"


def test_nothing_known_gives_nothing() -> None:
    assert replicates.of_trials(pd.DataFrame({"trial": ["a"], "value": [None]})) is None
    assert replicates.methods([]) == "none"


def test_every_format_shows_each_line_below_a_cell() -> None:
    table = Table(
        key="t",
        title="T",
        columns=[Column(label="A"), Column(label="B")],
        rows=[[Cell(text="2.1", below="median 2\n1–3"), Cell(text="5")]],
    )
    document = Document(
        title="D", subtitle="", banner="", sections=[Section(key="s", title="S", blocks=[table])]
    )
    assert '<span class="below">median 2</span><span class="below">1–3</span>' in render.text(
        document, "html"
    )
    assert "2.1<br><sub>median 2</sub><br><sub>1–3</sub>" in render.text(document, "md")
    assert render.text(document, "tex").count(r"{\tiny ") == 4
