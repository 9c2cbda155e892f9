"""Five real kill -9 of the command line, one after another, in one run: the last resume finishes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path

from harness.campaign import plan as plans
from harness.campaign import state
from harness.cli import main
from harness.evidence import journal, seal
from harness.evidence.folder import find
from harness.files import read_json
from tests.played import campaigns

CAMPAIGN = """\
name: kills
workloads: [idle]
repetitions: 8
schedule: {window_s: 20, baseline_s: 2, points_s: [0, 5, 10, 15]}
heartbeat: {rate_hz: 10}
"""
KILLS = 5
_LIMIT_S = 120.0


def begun(campaign: Path, results: Path) -> subprocess.Popen[bytes]:
    """The command line that begins the run, as a user starts it."""
    program = "import sys; sys.argv[0] = 'sodbench'; from harness.cli import main; main()"
    words = ("run", "--rig", "played", campaign, "--results", results)
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)], stdout=subprocess.DEVNULL, start_new_session=True
    )


def resumed(results: Path) -> ForkProcess:
    """The command line that resumes it, in a fork of this process: that has the imports behind it."""
    process = get_context("fork").Process(target=_resume, args=(results,))
    process.start()
    return process


def _resume(results: Path) -> None:
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.argv = ["sodbench", "resume", str(results)]
    main()


def killed_after(process: subprocess.Popen[bytes] | ForkProcess, results: Path, lines: int) -> None:
    """Kill the process once the run's journal has grown by so many lines."""
    end_s, first = time.monotonic() + _LIMIT_S, _lines(results)
    while _lines(results) < first + lines:
        assert _ended(process) is None, f"it ended with {_ended(process)}"
        assert time.monotonic() < end_s, "the journal does not grow"
        time.sleep(0.001)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.wait() if isinstance(process, subprocess.Popen) else process.join()
    assert _ended(process) == -signal.SIGKILL


def _ended(process: subprocess.Popen[bytes] | ForkProcess) -> int | None:
    return process.poll() if isinstance(process, subprocess.Popen) else process.exitcode


def _lines(results: Path) -> int:
    return sum(one.read_bytes().count(b"\n") for one in results.glob("*/*/journal.jsonl"))


def finished(results: Path) -> Sequence[tuple[str, int]]:
    """The trials that are finished, with the number of attempts at each."""
    run = find(results)
    plan = plans.from_json(read_json(run.plan), where=str(run.plan))
    whole = run.journal.read_bytes()
    stands = state.fold(journal.parse(whole[: whole.rfind(b"\n") + 1].decode()), plan)
    return [(one.trial.id, len(one.attempts)) for one in stands.trials if one.finished]


def test_a_run_that_is_killed_five_times_is_finished_by_the_sixth_process(tmp_path: Path) -> None:
    results, campaign = tmp_path / "results", tmp_path / "kills.yml"
    campaign.write_text(CAMPAIGN)
    killed_after(begun(campaign, results), results, 60)
    stood = [finished(results)]
    for _ in range(1, KILLS):
        killed_after(resumed(results), results, 120)
        stood.append(finished(results))
    last = resumed(results)
    last.join(_LIMIT_S)
    assert last.exitcode == 0
    stood.append(finished(results))
    assert all(set(before) <= set(after) for before, after in pairwise(stood)), stood
    run = find(results)
    events = journal.read(run.journal)
    assert [one.kind for one in events if one.kind.startswith("run.")] == [
        "run.started", *["run.resumed"] * KILLS, "run.finished"
    ]  # fmt: skip
    assert len(stood[-1]) == 8
    assert seal.require(run)
    table = campaigns.figures(run)
    assert list(table[table["metric"].eq("blackout")]["value"].round(9)) == [0.2] * 32
