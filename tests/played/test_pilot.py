"""`sodbench pilot` on played runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from harness.cli.pilot import run_pilot
from harness.errors import InconclusiveError
from tests.played import campaigns
from tests.played.test_gate import made


def said(*words: str) -> Result:
    app = typer.Typer()
    app.command()(run_pilot)
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})


def test_a_small_run_says_what_each_level_costs(tmp_path: Path) -> None:
    run = str(made(tmp_path / "run").root)
    found = json.loads(said(run, "--json", "--effect-percent", "20").output)
    assert {row["metric"] for row in found["rows"]} == {"total_time", "blackout"}
    assert all(row["trials"] == 3 and row["needed"] for row in found["rows"])
    assert found["rows"][0]["cost"]["migration_s"] == pytest.approx(4, abs=0.5)
    text = said(run).output
    assert "find a worsening by 10 %" in text and "PLAYED" in text


def test_too_few_trials_are_told(tmp_path: Path) -> None:
    run = made(tmp_path / "run", campaigns.SMALL)
    error = said(str(run.root)).exception
    assert isinstance(error, InconclusiveError) and error.exit_code == 24
