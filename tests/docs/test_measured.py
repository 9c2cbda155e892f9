"""What a page shows as measured has its evidence in the repository, with CPU, kernel and commit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks import validation, validation_table
from tests.docs.measured_cells import CELLS, Stored

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/measurements.md"
MEASURED = sorted((ROOT / "benchmarks/measured").glob("*.json"))
OLDER = {"attestation-pure", "validation"}
"""Stored before a commit was; the page has no row of them."""
CAMPAIGNS = ROOT / "results/reference/lab"
QUANTITY = re.compile(r"(\d[\d.,]*)[\s\u00a0]?(?:µs|ms|s|min|h|kB|MB|GB|%|times)\b")
NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?")


def rows(heading: str) -> Iterator[list[str]]:
    """The rows of the table under `heading` of the page, its head left out."""
    section = PAGE.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    for line in lines[2:]:
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


def made(path: Path) -> Stored:
    """What the evidence at `path` says of where it was made."""
    found: Stored = json.loads(path.read_text())
    where: Stored = found.get("environment", found)
    return where


@pytest.mark.parametrize("path", MEASURED, ids=[path.stem for path in MEASURED])
def test_every_stored_measurement_names_cpu_kernel_and_commit(path: Path) -> None:
    where = made(path)
    assert where["cpu"]
    assert where["kernel"]
    if path.stem not in OLDER or "commit" in where:
        assert re.fullmatch(r"[0-9a-f]{40}", where["commit"])
        assert where["changed"] == []


@pytest.mark.parametrize("name", sorted(path.name for path in CAMPAIGNS.iterdir()))
def test_every_campaigns_evidence_names_cpu_kernel_and_commit(name: str) -> None:
    run = CAMPAIGNS / name / "run"
    manifest = json.loads((run / "manifest.json").read_text())
    (row,) = [cells for cells in rows_of_campaigns() if f"[{name}]" in cells[0]]
    assert row[1].replace(", with local changes", "+") == manifest["commit"]
    assert " ".join(manifest["command"]).startswith(row[2].strip("`"))
    for host in "ab":
        facts = json.loads((run / f"environment/{host}.before.json").read_text())
        assert facts["cpu_model"]
        assert facts["kernel"]


def rows_of_campaigns() -> list[list[str]]:
    head = PAGE.read_text().split("\n## ", 1)[0]
    lines = [line for line in head.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_every_campaign_of_the_page_has_its_evidence() -> None:
    named = {re.findall(r"\[(.*?)\]", cells[0])[0] for cells in rows_of_campaigns()}
    assert named == {path.name for path in CAMPAIGNS.iterdir()}


def test_the_values_of_table_v_are_those_of_its_report() -> None:
    report = (CAMPAIGNS / "paper-lab/report/report.md").read_text()
    for cells in rows("Table V of the paper"):
        if len(cells) < 11:
            continue
        mine = [line for line in report.splitlines() if re.match(rf"\| {cells[0]}(\\\*)? \|", line)]
        values = {value for line in mine for value in NUMBER.findall(line)}
        assert [cell for cell in cells[2:] if cell.strip() and cell.strip() not in values] == []


def evidence(cells: Sequence[str]) -> Path:
    """The file that the last cell of a row links to."""
    found: list[str] = re.findall(r"\]\((.*?)\)", cells[-1])
    (link,) = found
    return (PAGE.parent / link).resolve()


@pytest.mark.parametrize("cells", list(rows("What the harness costs")), ids=lambda cells: cells[0][:40])
def test_every_row_of_what_the_harness_costs_links_its_evidence(cells: list[str]) -> None:
    path = evidence(cells)
    commit = re.findall(r"\[(\w+)\]", cells[-1])[0]
    if path in MEASURED:
        assert path.stem not in OLDER
        assert made(path)["commit"].startswith(commit)
    else:
        assert path.is_relative_to(CAMPAIGNS)
        assert json.loads((path.parents[1] / "run/manifest.json").read_text())["commit"] == commit


def test_every_figure_of_what_the_harness_costs_is_that_of_its_evidence() -> None:
    shown = {cells[0]: cells for cells in rows("What the harness costs")}
    left = [begin for begin in shown if not any(begin.startswith(start) for _, start, _ in CELLS)]
    assert len(left) == 1
    for file, start, made_of in CELLS:
        (cells,) = [cells for begin, cells in shown.items() if begin.startswith(start)]
        path = ROOT / f"benchmarks/measured/{file}.json"
        assert evidence(cells) == path
        assert cells[1] == made_of(json.loads(path.read_text()))


def test_the_time_of_a_campaign_is_that_of_its_report() -> None:
    (cells,) = [one for one in rows("What the harness costs") if one[0].startswith("a campaign's wall time")]
    lines = [NUMBER.findall(line) for line in evidence(cells).read_text().splitlines()]
    assert any(set(NUMBER.findall(cells[1])) <= set(values) for values in lines)


def test_the_cost_of_validation_is_that_of_its_evidence(tmp_path: Path) -> None:
    page = ROOT / validation.PAGE
    stored = json.loads((ROOT / validation.MEASURED).read_text())
    copy = tmp_path / "policy.md"
    copy.write_text(page.read_text().replace(validation_table.text(stored), "an older table"))
    assert copy.read_text() != page.read_text()
    validation_table.put(stored, copy)
    assert copy.read_text() == page.read_text()
    copy.write_text("a page without such a place")
    with pytest.raises(ValueError, match="no <!-- python"):
        validation_table.put(stored, copy)


def test_the_readme_shows_no_measured_figure_of_its_own() -> None:
    text = re.sub(r"```.*?```", "", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    limits = ["30", "300"]  # QEMU's default downtime limits in ms, which are settings
    assert [number for number in QUANTITY.findall(text) if number not in limits] == []
