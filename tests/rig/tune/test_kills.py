"""Killed after any of its operations, the tuning leaves a machine that is restored to every value it had."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rig.tune import machines

HERE = Path(__file__).parent


def killed(mode: str, tree: Path, work: Path) -> int:
    """How many operations the program had in that mode."""
    program = [sys.executable, *map(str, (HERE / "killer.py", machines.PROGRAM)), mode, str(tree), str(work)]
    done = subprocess.run(
        [*program, json.dumps(machines.SETTINGS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def compared(snapshot: Path, *found: Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, *map(str, (HERE / "compare.py", snapshot, *found))]
    return subprocess.run(program, capture_output=True, text=True, check=False)


MODES = ("tune", "again", "reboot", "restore")
LARGEST = "intel-server"
"""It has the most values to put back; the others are tried in `make programs`."""
OTHERS = ("amd-server", "arm-server", "cloud-vm")
LONG = [pytest.param(tree, mode, marks=pytest.mark.long) for tree in OTHERS for mode in MODES]


@pytest.mark.parametrize(("tree", "mode"), [*((LARGEST, mode) for mode in MODES), *LONG])
def test_every_value_is_put_back_after_a_kill_at_any_operation(tree: str, mode: str, tmp_path: Path) -> None:
    snapshot = machines.make(tree, tmp_path / "snapshot")
    operations = killed(mode, snapshot, tmp_path / "work")
    # To save takes four operations at least, and each value one.
    assert operations > (20 if tree == LARGEST else 6)
    done = compared(snapshot, *(tmp_path / "work").iterdir())
    assert done.returncode == 0, done.stdout


def test_the_comparison_sees_what_was_not_put_back(tmp_path: Path) -> None:
    snapshot = machines.make(LARGEST, tmp_path / "snapshot")
    tuned = machines.make(LARGEST, tmp_path / "tuned")
    assert compared(snapshot, tuned).returncode == 0
    status, said = machines.run(tuned, "tune", machines.SETTINGS)
    assert status == 0
    done = compared(snapshot, tuned)
    assert done.returncode == 1
    # Each value that was written, the restore file, and the unit that was stopped.
    assert len(done.stdout.splitlines()) == len(said["changed"]) + 1
