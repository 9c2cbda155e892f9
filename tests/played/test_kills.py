"""Five real kill -9 of the command line, one after another, in one run: the last resume finishes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from harness.campaign import plan as plans
from harness.campaign import state
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


def command(*words: object) -> subprocess.Popen[bytes]:
    program = "import sys; sys.argv[0] = 'sodbench'; from harness.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def killed_after(process: subprocess.Popen[bytes], results: Path, lines: int) -> None:
    """Kill the process once the run's journal has grown by so many lines."""
    end_s, first = time.monotonic() + _LIMIT_S, _lines(results)
    while _lines(results) < first + lines:
        assert process.poll() is None, (process.communicate()[1] or b"").decode()
        assert time.monotonic() < end_s, "the journal does not grow"
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


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
    killed_after(command("run", "--rig", "played", campaign, "--results", results), results, 60)
    stood = [finished(results)]
    for _ in range(1, KILLS):
        killed_after(command("resume", results), results, 120)
        stood.append(finished(results))
    last = command("resume", results)
    assert last.wait(_LIMIT_S) == 0, (last.communicate()[1] or b"").decode()
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
