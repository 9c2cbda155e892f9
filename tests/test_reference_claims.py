"""The page of verdicts that is kept with the project comes out of the kept runs again, byte for byte."""

from __future__ import annotations

import filecmp
from pathlib import Path

import pytest

from tests import reference
from tests.cli.command import Sodbench

KEPT = reference.DATA.parent / "claims"
FILES = ("report.html", "report.md", "figures/verdicts.svg")


@pytest.fixture
def sodbench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sodbench:
    return Sodbench(monkeypatch, capsys)


@pytest.mark.long
def test_the_verdicts_come_out_again(sodbench: Sodbench, tmp_path: Path) -> None:
    said = sodbench("reproduce", "--from", reference.DATA.parent, "--unsigned", "--out", tmp_path)
    assert said.code == 0
    kept = sorted(str(one.relative_to(KEPT)) for one in KEPT.rglob("*") if one.is_file())
    assert kept == sorted(FILES)
    assert filecmp.cmpfiles(KEPT, tmp_path, FILES, shallow=False) == (list(FILES), [], [])
