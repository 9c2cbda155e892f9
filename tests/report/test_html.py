from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from harness import report
from harness.report.document.model import MISSING
from tests.report import page
from tests.report.page import Element, rows
from tests.synthetic.evidence import AttemptTruth, MigrationTruth, Truths, build

BANNER = "lab, TCG (emulated CPU): not comparable in absolute terms with hardware"
HOSTILE = '<script>alert(1)</script> & "x" |a| `b` $y_1^2$ \\end{document} 100% #1 ~{} ]]>'


def test_nothing_is_loaded_from_elsewhere(html: Element) -> None:
    assert page.external(html) == []


def test_ids_are_unique_and_every_link_has_its_target(html: Element) -> None:
    ids = Counter(one.attributes["id"] for one in html.everything() if "id" in one.attributes)
    assert [key for key, number in ids.items() if number > 1] == []
    for one in html.everything():
        for name, value in one.attributes.items():
            if name.endswith("href"):
                assert value[1:] in ids, value


def test_every_section_says_rig_and_accelerator(html: Element) -> None:
    sections = html.all("section")
    assert len(sections) == 9
    assert all(BANNER in section.text for section in sections)


def test_the_sections_come_in_the_order_a_reader_wants(html: Element) -> None:
    keys = [section.attributes["id"] for section in html.all("section")]
    assert keys == [
        "answer",
        "figures",
        "table",
        "costs",
        "validity",
        "validity-detail",
        "moves",
        "provenance",
        "definitions",
    ]


def test_table_v_shows_the_injected_means_beside_the_papers(html: Element) -> None:
    table = {row[0].split()[0]: row for row in rows(html, "table-v-numbers")}
    idle = table["idle"]
    assert idle[1:3] == ["1", "5"]
    assert idle[3] == "3.20 median 3.20 (0.16)"
    assert idle[4] == "2.6"
    assert idle[5] == "240 median 240 (16)"
    assert idle[6] == "200"
    assert idle[9].startswith("219.0")
    assert idle[10] == "212.34"
    assert idle[11].startswith("223.4")


def test_workloads_of_the_paper_that_did_not_run_are_not_measured(html: Element) -> None:
    table = {row[0].split()[0]: row for row in rows(html, "table-v-numbers")}
    assert list(table) == ["mail", "app", "file", "web", "db", "stream", "idle"]
    assert table["app"][0] == "app not measured"
    assert table["app"][3:7] == [MISSING, "7.5", MISSING, "4050"]


def test_each_migration_has_its_row_in_ms_s_and_mb(html: Element) -> None:
    table = rows(html, "every-migration")
    assert len(table) == 10
    assert table[0][:8] == ["001-idle", "1", "a→b", "0", "0.003", "3.00", "220", "225"]
    assert table[1][2] == "b→a"
    assert [row[-1] for row in table] == ["completed"] * 10


def test_a_missing_value_is_a_dash_with_a_note_that_says_why(html: Element) -> None:
    table = html.by_id("every-migration")
    heads = [head.text for head in table.all("tr")[1].all("th")]
    cell = table.all("tbody")[0].all("tr")[0].all("td")[heads.index("application")]
    (link,) = cell.all("a")
    assert cell.text.startswith(MISSING)
    assert (
        html.by_id(link.attributes["href"][1:]).text
        == f"{link.text} this workload does nothing that could be counted"
    )


def test_figures_are_inline_and_named_by_their_titles(html: Element) -> None:
    drawings = html.all("svg")
    assert len(drawings) == 7
    for drawing in drawings:
        assert html.by_id(drawing.attributes["aria-labelledby"]).text
        assert drawing.attributes["viewbox"]
    assert "silent for at most 345 ms" in html.text


def test_provenance_names_plan_seed_clocks_and_how_to_do_it_again(html: Element) -> None:
    facts = dict(row[:2] for row in rows(html, "run"))
    assert facts["Seed"] == "1"
    assert facts["Plan (SHA-256)"] == "0" * 64
    assert ["a", "its own", "4", "50"] in rows(html, "clocks")
    code = [one.text for one in html.all("code")]
    assert any("sodbench report results/demo/20260921T141320Z-ab12cd" in text for text in code)
    assert any("name: demo" in text for text in code)


def test_every_metric_in_the_results_is_defined(html: Element, demo: report.material.Material) -> None:
    defined = {row[0] for row in rows(html, "metric-definitions")}
    assert defined == set(demo.metrics["metric"])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report whose names and messages are traps for each format."""
    truths = Truths(
        campaign=HOSTILE,
        rig="<b>rig</b>",
        attempts=(
            AttemptTruth(
                verdict="invalid",
                reasons=(HOSTILE,),
                migrations=(MigrationTruth(planned_s=0.0, ok=False, error=HOSTILE),),
                failures=(("wire", 1.0, HOSTILE),),
            ),
        ),
    )
    folder = tmp_path_factory.mktemp("hostile")
    report.build(build(folder / "run", truths), folder / "report")
    return folder / "report"


def test_hostile_names_stay_text_in_html(hostile: Path) -> None:
    found = page.read((hostile / "report.html").read_text(encoding="utf-8"))
    assert page.external(found) == []
    assert HOSTILE in found.all("h1")[0].text
    assert not found.all("b")
    assert any(HOSTILE in cell for row in rows(found, "trials") for cell in row)


def test_hostile_names_stay_text_in_markdown(hostile: Path) -> None:
    text = (hostile / "report.md").read_text(encoding="utf-8")
    prose = [
        line for line in text.split("\n") if "alert" in line and not line.startswith(("name:", "sodbench"))
    ]
    assert prose
    for line in prose:
        assert "<script>" not in line
        assert r"\|a\|" in line


def test_hostile_names_stay_text_in_latex(hostile: Path) -> None:
    text = (hostile / "report.tex").read_text(encoding="utf-8")
    assert text.count(r"\end{document}") == 1
    assert r"100\% \#1" in text
