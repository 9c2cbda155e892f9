"""Ctrl-C, kill -9 and a second user, in one run in the lab: nothing is lost, doubled or left behind."""

from __future__ import annotations

import getpass
import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from conftest import Finished, Lab
from harness.clock import sleep
from harness.evidence import folder as store
from harness.evidence import journal
from harness.evidence.folder import RunFolder
from harness.evidence.journal import Event

pytestmark = pytest.mark.lab

CAMPAIGN = """\
name: cut
rig: lab
guest: {image: small}
workloads: [idle, memory]
schedule: {window_s: 10, points_s: [0, 5], baseline_s: 3}
"""
"""With a guest that is up within seconds: what is interrupted is the same, and it is started four times."""


@dataclass(frozen=True, slots=True)
class Story:
    """What happened to one run, in order."""

    run: RunFolder
    second_user: Finished
    interrupted: Finished
    domains_after_interrupt: dict[str, str]
    finished_before_kill: list[str | None]
    sums_held: list[bool]
    last: Finished


def events(run: RunFolder) -> list[Event]:
    return journal.read(run.journal) if run.journal.exists() else []


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str], timeout_s: float = 120.0) -> None:
    for _ in range(int(timeout_s / 0.2)):
        if what():
            return
        assert process.poll() is None, process.communicate()[0]
        sleep(0.2)
    raise AssertionError("it did not come to that in time")


def run_of(results: Path) -> RunFolder | None:
    return store.find(results) if list(results.glob("**/manifest.json")) else None


def sums_hold(run: RunFolder) -> bool:
    """Whether the run's evidence has sums, and is as they say."""
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    return subprocess.run(command, cwd=run.root, capture_output=True, check=False).returncode == 0


def count(results: Path, kind: str) -> int:
    run = run_of(results)
    return sum(one.kind == kind for one in events(run)) if run else 0


@pytest.fixture(scope="module")
def story(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A run that is interrupted in its first window, resumed, killed in its second trial, and resumed.

    The second user comes while the first trial's guest is on its way up: he has until its window closes to be
    refused, and the interrupt comes right after the window's first migration has begun, or after him.
    """
    results = tmp_path_factory.mktemp("interrupted")
    campaign = results / "cut.yml"
    campaign.write_text(CAMPAIGN)
    process = lab.start("run", campaign, "--results", results)
    wait_for(lambda: count(results, "attempt.started") == 1, process)
    second = lab.sodbench("run", campaign, "--results", results / "second")
    wait_for(lambda: count(results, "migration.started") >= 1, process)
    assert count(results, "attempt.finished") == 0, "the second user was refused too late for this test"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=90)
    interrupted = Finished(process.returncode, output)
    domains = lab.domains()
    run = store.find(results)
    held = [sums_hold(run)]

    process = lab.start("resume", run.root)
    wait_for(lambda: count(results, "attempt.finished") == 2, process)
    before = [one.trial for one in finished(run, "valid")]
    wait_for(lambda: count(results, "window.opened") == 3, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with run.journal.open("ab") as file:  # what a kill in the middle of a write leaves
        file.write(b'{"seq":')
    held.append(sums_hold(run))
    last = lab.sodbench("resume", run.root)
    held.append(sums_hold(run))
    return Story(run, second, interrupted, domains, before, held, last)


def finished(run: RunFolder, verdict: str) -> list[Event]:
    return [one for one in events(run) if one.kind == "attempt.finished" and one.data["verdict"] == verdict]


def test_a_second_user_is_told_who_has_the_rig(story: Story) -> None:
    assert story.second_user.status == 7, story.second_user
    assert "sodbench run cut.yml" in story.second_user.output
    assert f"{getpass.getuser()}@" in story.second_user.output


def test_an_interrupt_ends_with_its_own_exit_code_and_clean_machines(story: Story) -> None:
    assert story.interrupted.status == 130, story.interrupted
    assert "resume" in story.interrupted.output
    assert story.domains_after_interrupt == {"a": "", "b": ""}


def test_each_trial_counts_once_whatever_happened(story: Story) -> None:
    assert story.last.status == 0, story.last
    valid = Counter(str(one.trial) for one in finished(story.run, "valid"))
    plan = json.loads(story.run.plan.read_text())
    assert valid == Counter(trial["id"] for trial in plan["trials"])


def test_the_evidence_has_sums_when_the_run_ended_and_none_when_it_was_killed(story: Story) -> None:
    assert story.sums_held == [True, False, True]
    assert "metrics.parquet" in (story.run.root / "SHA256SUMS.derived").read_text()


def test_a_finished_trial_is_not_run_again(story: Story) -> None:
    assert len(story.finished_before_kill) == 1
    first = story.finished_before_kill[0]
    started = [one for one in events(story.run) if one.kind == "attempt.started"]
    assert [one.attempt for one in started if one.trial == first] == [1, 2]


def test_every_attempt_is_kept(story: Story) -> None:
    started = {(str(one.trial), one.attempt) for one in events(story.run) if one.kind == "attempt.started"}
    assert len(started) == 4
    for trial, attempt in started:
        assert attempt is not None
        assert (story.run.attempt(trial, attempt) / "heartbeat.csv").exists()


def test_the_interrupted_attempts_are_not_counted(story: Story) -> None:
    assert len(finished(story.run, "skipped")) == 1
    table = pd.read_csv(story.run.metrics_csv)
    assert set(table.verdict) == {"valid", "skipped"}
    plan = json.loads(story.run.plan.read_text())
    counted = table[table.verdict == "valid"].groupby("trial").attempt.nunique()
    assert dict(counted) == {trial["id"]: 1 for trial in plan["trials"]}


def test_the_small_guest_answers_soon(story: Story) -> None:
    """On idle cores in about half of this; the standard image takes 45 s and more."""
    started = [one.data for one in events(story.run) if one.kind == "guest.started"]
    boots_s = [float(str(data["boot_s"])) for data in started]
    assert len(boots_s) == 4
    assert 0 < min(boots_s) <= 10.0, f"{boots_s} s; load {Path('/proc/loadavg').read_text()}"
