"""Loads that go wrong, provoked on real servers and generators: invalid with its reason, never a zero."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from conftest import Lab
from harness.evidence import folder as store
from harness.evidence import journal
from harness.evidence.folder import RunFolder
from harness.rig.lab import lab as labs
from tests import tables
from tests.lab.test_bad_weather import outcome
from tests.lab.test_interruptions import count, wait_for

pytestmark = pytest.mark.lab

CAMPAIGN = """
name: loads
rig: lab
start: snapshot
workloads: [{workload}]
schedule: {{points_s: [0], window_s: 10, baseline_s: 2, settle_timeout_s: {settle_s}}}
"""


def campaign(folder: Path, workload: str, *, settle_s: int = 120) -> Path:
    path = folder / "loads.yml"
    path.write_text(CAMPAIGN.format(workload=workload, settle_s=settle_s))
    return path


def run_and_break(lab: Lab, folder: Path, workload: str, machine: str, command: str) -> RunFolder:
    """Run `workload` and, once its window is open, `command` on `machine`; the run must end as incomplete.

    Logging in to a loaded, emulated guest may take as long as the window: it is done before it opens.
    """
    process = lab.start("run", campaign(folder, workload), "--results", folder / "r")
    wait_for(lambda: count(folder / "r", "workload.started") == 1, process, timeout_s=240.0)
    argv = [*labs.ssh_argv(lab.places, machine), f"read go && {command}"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, text=True) as shell:
        wait_for(lambda: count(folder / "r", "window.opened") == 1, process, timeout_s=240.0)
        shell.communicate("go\n", timeout=60)
    assert shell.returncode == 0
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 13, output
    return store.find(folder / "r")


def test_a_generator_that_dies_makes_the_trial_invalid(lab: Lab, tmp_path: Path) -> None:
    # Its program is on the command line; the brackets keep the shell that looks for it from finding itself.
    run = run_and_break(lab, tmp_path, "web", "client", "pkill -9 -f '[o]pt/sodbench/locust/bin/python'")
    verdict, reasons = outcome(run)
    assert verdict == "invalid"
    assert "generator ended by itself" in reasons


def test_a_server_that_dies_makes_the_trial_invalid(lab: Lab, tmp_path: Path) -> None:
    run = run_and_break(lab, tmp_path, "web", "guest", "systemctl kill --signal=KILL apache2")
    verdict, reasons = outcome(run)
    assert verdict == "invalid"
    assert "error" in reasons or "failed" in reasons, reasons
    table = tables.read(run)
    assert set(table.verdict) == {"invalid"}


def test_a_stream_whose_source_dies_makes_the_trial_invalid(lab: Lab, tmp_path: Path) -> None:
    run = run_and_break(lab, tmp_path, "stream", "guest", "pkill -9 -x vlc")
    verdict, reasons = outcome(run)
    assert verdict == "invalid"
    assert "server ended by itself" in reasons


def test_a_load_that_never_becomes_steady_is_said_with_its_test(lab: Lab, tmp_path: Path) -> None:
    """Three seconds are fewer than two stretches of reports take."""
    done = lab.sodbench("run", campaign(tmp_path, "db", settle_s=3), "--results", tmp_path / "r")
    assert done.status == 13, done
    run = store.find(tmp_path / "r")
    verdict, reasons = outcome(run)
    assert verdict == "invalid"
    assert "not steady within 3 s" in reasons
    unsteady = [one for one in journal.read(run.journal) if one.kind == "workload.unsteady"]
    assert str(unsteady[0].data["test"]) in reasons


def test_a_generator_that_is_not_installed_is_refused_before_the_run(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "mstone.yml"
    path.write_text(
        "name: mstone\nrig: lab\nworkloads: [{name: mail, options: {generator: mstone}}]\n"
        "schedule: {points_s: [0], window_s: 12}\n"
    )
    done = lab.sodbench("run", path, "--results", tmp_path / "r")
    assert done.status == 4, done
    assert "mstone is not installed" in done.output
    assert "sodbench_mstone_archive" in done.output
    assert not (tmp_path / "r").exists()
