"""A night that is killed anywhere leaves hosts that the next start restores, and nothing half published."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.evidence.folder import RunFolder
from tests.played.nightly_killer import STEPS
from tests.played.test_gate import made
from tests.played.test_nightly import NIGHT, place, records
from tests.rig.tune import machines
from tests.rig.tune.compare import values

ROOT = Path(__file__).parents[2]
SEED, MOST = 20_261_128, 12


@pytest.mark.long
def test_a_night_that_is_killed_at_any_step_is_restored_by_the_next(tmp_path: Path) -> None:
    baseline: RunFolder = made(tmp_path / "base")
    file = place(tmp_path / "night", f"{NIGHT}keep: 2\nbaseline: {baseline.root}\n")
    tree = machines.make("intel-server", tmp_path / "tree")
    before = values(tree)
    done = subprocess.run(
        [sys.executable, "-m", "tests.played.nightly_killer", str(file), str(tree), str(SEED), str(MOST)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kills = [line.split("\t") for line in done.stdout.splitlines()]
    assert {step for step, operations, *_ in kills if operations == "0"} == set(STEPS)
    # A step may be over before its operation is; at its beginning every one is killed.
    assert all(ended == "killed" for _, operations, ended, *_ in kills if operations == "0"), kills
    assert sum(ended == "killed" for _, _, ended, *_ in kills) > len(STEPS) + 4, kills
    assert any(tuned == "True" for *_, tuned, _ in kills), kills
    assert [one for one in kills if one[-1] != "True"] == []
    assert values(tree) == before
    public = tmp_path / "night/public"
    assert not list(public.glob(".partial-*"))
    assert records(tmp_path / "night")[-1]["exit_code"] == 0
    for report in public.glob("2*"):
        assert (report / "report.html").is_file()
