"""Loads that go wrong, provoked on real servers and generators: invalid with its reason, never a zero."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from functools import partial
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
workloads: [{workloads}]
schedule: {{points_s: [0], window_s: 6, baseline_s: 1, settle_timeout_s: {settle_s}}}
"""


def campaign(folder: Path, workloads: str, *, settle_s: int = 120) -> Path:
    path = folder / "loads.yml"
    path.write_text(CAMPAIGN.format(workloads=workloads, settle_s=settle_s))
    return path


def reached(results: Path, kind: str, number: int) -> bool:
    return count(results, kind) == number


def run_and_break(lab: Lab, folder: Path, breaks: Mapping[str, tuple[str, str]]) -> RunFolder:
    """Run a trial of each workload in `breaks` and, once its window is open, the command on that machine.

    The run must end as incomplete. Logging in to a loaded, emulated guest may take as long as the window: it
    is done before it opens.
    """
    results = folder / "r"
    process = lab.start("run", campaign(folder, ", ".join(breaks)), "--results", results)
    for trials in range(1, len(breaks) + 1):
        wait_for(partial(reached, results, "workload.started", trials), process, timeout_s=240.0)
        begun = [one for one in journal.read(store.find(results).journal) if one.kind == "workload.started"]
        machine, command = breaks[str(begun[-1].data["workload"])]
        argv = [*labs.ssh_argv(lab.places, machine), f"read go && {command}"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, text=True) as shell:
            wait_for(partial(reached, results, "window.opened", trials), process, timeout_s=240.0)
            shell.communicate("go\n", timeout=60)
        assert shell.returncode == 0
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 13, output
    return store.find(results)


def ended(run: RunFolder, workload: str) -> tuple[str, str]:
    """Verdict and reasons of the trial of `workload`."""
    (last,) = (
        one
        for one in journal.read(run.journal)
        if one.kind == "attempt.finished" and str(one.trial).endswith(f"-{workload}")
    )
    return str(last.data["verdict"]), str(last.data["reasons"])


@pytest.fixture(scope="module")
def broken(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A trial whose generator dies, and one whose source does."""
    # The generator's program is on the command line; the brackets keep the shell that looks for it from
    # finding itself.
    breaks = {
        "web": ("client", "pkill -9 -f '[o]pt/sodbench/locust/bin/python'"),
        "stream": ("guest", "pkill -9 -x vlc"),
    }
    return run_and_break(lab, tmp_path_factory.mktemp("broken"), breaks)


def test_a_generator_that_dies_makes_the_trial_invalid(broken: RunFolder) -> None:
    verdict, reasons = ended(broken, "web")
    assert verdict == "invalid"
    assert "generator ended by itself" in reasons


def test_a_stream_whose_source_dies_makes_the_trial_invalid(broken: RunFolder) -> None:
    verdict, reasons = ended(broken, "stream")
    assert verdict == "invalid"
    assert "server ended by itself" in reasons


def test_a_server_that_dies_makes_the_trial_invalid(lab: Lab, tmp_path: Path) -> None:
    run = run_and_break(lab, tmp_path, {"web": ("guest", "systemctl kill --signal=KILL apache2")})
    verdict, reasons = outcome(run)
    assert verdict == "invalid"
    assert "error" in reasons or "failed" in reasons, reasons
    table = tables.read(run)
    assert set(table.verdict) == {"invalid"}


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
