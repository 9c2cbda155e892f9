"""What attesting at intervals costs, from a file: costs against the control, and what is shown of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from harness.cli.report import report as command
from harness.errors import RecordError
from harness.evidence.folder import RunFolder
from harness.report import compose, enclosed, material
from harness.report.document.model import MISSING
from harness.report.response import periodic as response_periodic
from tests.migration.runs import SMALL
from tests.report import unpainted
from tests.report.test_attestation import named, rows, said, table_of, words
from tests.synthetic import evidence
from tests.synthetic.responses import Responded, ResponseTruth, build
from tests.synthetic.truths import MigrationTruth, Truths

CONTROL = (100.0, 98.0, 102.0, 99.0, 101.0)


def row(workload: str, interval_s: float | None, *rates: float, unit: str = "operations/s") -> dict[str, Any]:
    trials = [{"name": f"{n:03d}-{workload}", "rate": rate} for n, rate in enumerate(rates, start=1)]
    return {"workload": workload, "unit": unit, "interval_s": interval_s, "trials": trials}


QUIET = [row("file", None, *CONTROL), row("file", 60.0, 100.1, 99.9, 100.0, 99.8, 100.2)]
COSTLY = row("file", 1.0, 95.0, 94.0, 96.0, 95.5, 94.5)
UNSURE = row("file", 5.0, 99.0, 97.0, 101.0, 99.5, 96.5)


def stored(path: Path, found: list[dict[str, Any]], **changes: Any) -> Path:
    made = {
        "schema": 1, "machine": "x86_64, 2 CPUs", "date": "2026-11-26", "rig": "lab", "accelerator": "tcg",
        "attested": "both hosts and the guest", "rows": found, "margin_percent": 2.0,
        "margin_reason": "less is not missed", **changes,
    }  # fmt: skip
    path.write_text(json.dumps(made))
    return path


@pytest.fixture
def empty(tmp_path: Path) -> RunFolder:
    return evidence.build(tmp_path / "run", Truths(attempts=()))


def test_costs_are_against_the_controls_median_and_judged_by_their_intervals(tmp_path: Path) -> None:
    periodic = enclosed.periodic(stored(tmp_path / "p.json", [*QUIET, COSTLY, UNSURE]))
    (load,) = response_periodic.loads(periodic)
    assert load.median_rate == 100.0
    assert load.swing == pytest.approx(2.0)
    assert [cost.interval_s for cost in load.costs] == [1.0, 5.0, 60.0]
    assert [cost.median for cost in load.costs] == pytest.approx([5.0, 1.0, 0.0], abs=1e-9)
    assert [str(cost.outcome) for cost in load.costs] == [
        "beyond the margin", "not shown", "within the margin",
    ]  # fmt: skip
    assert sorted(load.costs[0].costs) == pytest.approx([4.0, 4.5, 5.0, 5.5, 6.0])


def test_a_run_without_responses_shows_them_in_a_section_of_their_own(
    empty: RunFolder, tmp_path: Path
) -> None:
    path = stored(tmp_path / "p.json", [*QUIET, COSTLY])
    document = compose.document(material.read(empty, periodic=path))
    found = named(document, "periodic")
    assert found.title == "What periodic attestation costs the workload"
    table = table_of(found, "periodic-cost")
    control, one, sixty = rows(table)
    swing = control["Control's largest swing, %"]
    assert (control["Interval"], swing, control["n"]) == ("never", "2.00", "5")
    assert (one["Interval"], one["Cost, %"], one["Finding"]) == ("1 s", "5.00", "beyond the margin")
    assert (sixty["Cost, %"], sixty["Finding"]) == ("0.00", "within the margin")
    assert "within ±2\u00a0% (less is not missed)" in table.caption
    assert table.rows[0][3].below == "median 100 operations/s"
    assert "lab, tcg, x86_64, 2 CPUs; date: 2026-11-26" in table.caption
    assert said(found)[0] == ("warning", "Shown to cost more than 2\u00a0%: file at 1\u00a0s.")


def test_what_is_not_shown_is_said(empty: RunFolder, tmp_path: Path) -> None:
    path = stored(tmp_path / "p.json", [*QUIET, UNSURE])
    found = named(compose.document(material.read(empty, periodic=path)), "periodic")
    assert said(found)[0] == ("warning", "Not shown to cost less than 2\u00a0%: file at 5\u00a0s.")


def test_without_a_stated_margin_nothing_is_judged(empty: RunFolder, tmp_path: Path) -> None:
    path = stored(tmp_path / "p.json", [*QUIET, COSTLY], margin_percent=None, margin_reason=None)
    seen = material.read(empty, periodic=path)
    assert seen.periodic is not None
    found = named(compose.document(seen), "periodic")
    assert said(found)[0][0] == "note"
    assert {row["Finding"] for row in rows(table_of(found, "periodic-cost"))} == {
        "control", "no margin was stated",
    }  # fmt: skip
    figure = response_periodic.figure(seen.periodic)
    assert figure is not None and figure.title == "Periodic attestation: 2 costs against trials without it"


@pytest.mark.parametrize("changes", [{"margin_percent": None}, {"margin_reason": None}])
def test_a_margin_has_its_reason(changes: dict[str, None], tmp_path: Path) -> None:
    with pytest.raises(RecordError) as refused:
        enclosed.periodic(stored(tmp_path / "p.json", QUIET, **changes))
    assert "a margin has its reason" in str(refused.value.why)


def test_where_all_cost_less_than_the_margin_that_is_said(empty: RunFolder, tmp_path: Path) -> None:
    document = compose.document(material.read(empty, periodic=stored(tmp_path / "p.json", QUIET)))
    assert said(named(document, "periodic"))[0][0] == "good"


def test_the_figure_shows_intervals_and_the_margin(tmp_path: Path) -> None:
    web = [row("web", None, 10.0, 10.5, 9.5, unit="requests/s"), row("web", 5.0, 10.1, unit="requests/s")]
    figure = response_periodic.figure(enclosed.periodic(stored(tmp_path / "p.json", [*QUIET, COSTLY, *web])))
    assert figure is not None
    assert figure.title == "Periodic attestation: 1 of 3 costs are shown to lie within ±2\u00a0%"
    drawn = words(figure.drawn())
    for text in ("file", "web", "never (control)", "every 1 s", "every 60 s", "both hosts and the guest"):
        assert text in drawn, text


def test_a_single_control_trial_shows_nothing(tmp_path: Path) -> None:
    alone = [row("file", None, 100.0), row("file", 5.0, 99.0, 99.5)]
    periodic = enclosed.periodic(stored(tmp_path / "p.json", alone))
    (load,) = response_periodic.loads(periodic)
    assert load.swing is None
    control, five = table_rows(periodic)
    assert (control["Control's largest swing, %"], five["Finding"]) == (MISSING, "not shown")


def table_rows(periodic: enclosed.Periodic) -> list[dict[str, str]]:
    return rows(table_of(response_periodic.section(periodic, []), "periodic-cost"))


def test_one_trial_at_an_interval_shows_nothing(tmp_path: Path) -> None:
    found = [QUIET[0], row("file", 5.0, 100.0)]
    periodic = enclosed.periodic(stored(tmp_path / "p.json", found))
    (load,) = response_periodic.loads(periodic)
    assert (load.costs[0].low, str(load.costs[0].outcome)) == (None, "not shown")


def test_control_trials_alone_give_no_figure(tmp_path: Path) -> None:
    periodic = enclosed.periodic(stored(tmp_path / "p.json", QUIET[:1]))
    assert response_periodic.figure(periodic) is None
    assert "control trials alone" in said(response_periodic.section(periodic, []))[0][1]


def test_in_a_run_with_responses_they_are_in_its_section(tmp_path: Path) -> None:
    attempt = replace(SMALL.attempts[0], migrations=(MigrationTruth(planned_s=1.0),))
    responded = Responded(scenarios=("violation",), responses=((ResponseTruth(),),))
    run = build(tmp_path / "run", replace(SMALL, attempts=(attempt,)), responded)
    path = stored(tmp_path / "p.json", [*QUIET, COSTLY])
    with unpainted.figures():
        document = compose.document(material.read(run, periodic=path))
    assert "periodic" not in [one.key for one in document.sections]
    keys = [getattr(block, "key", "") for block in named(document, "response").blocks]
    assert keys.index("response-waterfall") < keys.index("periodic-cost-chart") < keys.index("periodic-cost")


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ([], "rows"),
        ([row("file", 5.0, 1.0)], "file has no control"),
        ([row("file", None, 1.0), row("file", None, 1.0)], "two rows are of file at the interval None"),
        ([row("file", None, 1.0), row("file", 5.0, 1.0, unit="MB/s")], "different units"),
        ([row("file", None)], "trials"),
        ([row("file", None, 0.0)], "rate"),
        ([row("file", None, -1.0)], "rate"),
        ([row("file", None, 1.0), row("file", 0.0, 1.0)], "interval_s"),
        ([{**row("file", None, 1.0), "mean": 1.0}], "mean"),
    ],
)
def test_a_file_that_cannot_be_compared_is_refused(
    found: list[dict[str, Any]], why: str, tmp_path: Path
) -> None:
    with pytest.raises(RecordError, match=r"p\.json") as refused:
        enclosed.periodic(stored(tmp_path / "p.json", found))
    assert why in str(refused.value.why)


def test_what_a_file_does_not_say_stays_unknown(tmp_path: Path) -> None:
    unsaid = dict.fromkeys(("machine", "date", "rig", "accelerator", "attested"))
    periodic = enclosed.periodic(stored(tmp_path / "p.json", QUIET, **unsaid))
    table = table_of(response_periodic.section(periodic, []), "periodic-cost")
    assert table.caption.count(enclosed.UNKNOWN) == 3


def test_the_command_takes_the_file(empty: RunFolder, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    given = [
        str(empty.root), "-f", "md", "--out", str(tmp_path / "here"),
        "--periodic", str(stored(tmp_path / "p.json", [*QUIET, COSTLY])),
    ]  # fmt: skip
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    text = (tmp_path / "here/report.md").read_text(encoding="utf-8")
    assert "## What periodic attestation costs the workload" in text
    assert (tmp_path / "here/figures/periodic-cost-chart.svg").exists()
