from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from harness.cli.report import report
from harness.errors import RecordError
from harness.files import read_json, write_json
from tests.synthetic.evidence import Truths, build


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    made = typer.Typer()
    made.command()(report)
    return made


def test_by_default_it_writes_below_reports_by_campaign_and_run(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path / "results" / "demo" / "20260921T141320Z-ab12cd", Truths(attempts=()))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["results"])
    assert done.exit_code == 0, done.output
    place = Path("reports") / "demo" / "20260921T141320Z-ab12cd"
    assert done.stdout.split() == [str(place / f"report.{form}") for form in ("html", "md", "tex")]
    assert (tmp_path / place / "report.html").is_file()


def test_formats_and_place_can_be_chosen(app: typer.Typer, tmp_path: Path) -> None:
    build(tmp_path / "run", Truths(attempts=()))
    done = CliRunner().invoke(app, [str(tmp_path / "run"), "-f", "md", "--out", str(tmp_path / "here")])
    assert done.exit_code == 0, done.output
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["report.md"]


@pytest.mark.parametrize(("rig", "more"), [("lab", ""), ("pair", " --inventory '/srv/my pair.yml'")])
def test_the_command_that_measures_again_finds_the_inventory_from_anywhere(
    app: typer.Typer, tmp_path: Path, rig: str, more: str
) -> None:
    run = build(tmp_path / "run", Truths(attempts=(), rig=rig))
    write_json(run.manifest, {**read_json(run.manifest), "inventory": "/srv/my pair.yml"})
    done = CliRunner().invoke(app, [str(run.root), "-f", "md", "--out", str(tmp_path / "here")])
    assert done.exit_code == 0, done.output
    assert f"/campaign.yml{more}\nsodbench report" in (tmp_path / "here/report.md").read_text()


def test_a_folder_without_a_run_is_refused(app: typer.Typer, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [str(tmp_path)])
    assert isinstance(done.exception, RecordError)
