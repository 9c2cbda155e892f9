from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.files import read_json
from harness.rig.provision import _Watch, play


def watched(*events: tuple[str, Mapping[str, Any]]) -> tuple[_Watch, list[str]]:
    tasks: list[str] = []
    watch = _Watch(tasks.append)
    kept = [watch.on_event({"event": kind, "event_data": data}) for kind, data in events]
    assert all(kept)  # every event stays in the artifacts
    return watch, tasks


def failed(host: str, task: str, **result: Any) -> tuple[str, Mapping[str, Any]]:
    return "runner_on_failed", {"host": host, "task": task, "res": result}


def test_tasks_are_told_as_they_start() -> None:
    _, tasks = watched(
        ("playbook_on_task_start", {"name": "packages : Install", "task": "Install"}),
        ("playbook_on_task_start", {"task": "Start"}),
    )
    assert tasks == ["packages : Install", "Start"]


def test_a_failure_says_where_and_why() -> None:
    watch, _ = watched(failed("b", "Install", msg="No package", stderr="E: unable", stdout=""))
    assert watch.failure == ("host b, task 'Install'", "No package\nE: unable")
    assert watch.unreachable is None


def test_the_first_failure_is_the_one_that_is_told() -> None:
    watch, _ = watched(failed("a", "One", msg="first"), failed("b", "Two", msg="second"))
    assert watch.failure == ("host a, task 'One'", "first")


def test_a_failure_that_the_play_ignores_is_none() -> None:
    kind, data = failed("a", "One", msg="expected")
    watch, _ = watched((kind, {**data, "ignore_errors": True}), failed("b", "Two", msg="real"))
    assert watch.failure == ("host b, task 'Two'", "real")


def test_of_a_loop_the_items_that_failed_speak() -> None:
    items = [{"msg": "fine"}, {"failed": True, "msg": "item two broke", "stderr": "why"}]
    watch, _ = watched(failed("a", "Loop", msg="One or more items failed", results=items))
    assert watch.failure == ("host a, task 'Loop'", "One or more items failed\nitem two broke\nwhy")


def test_a_failure_without_a_word_says_so() -> None:
    watch, _ = watched(failed("a", "Silent"))
    assert watch.failure == ("host a, task 'Silent'", "no message")


def test_a_long_message_keeps_its_end() -> None:
    watch, _ = watched(failed("a", "Long", msg="x" * 5000 + " the end"))
    assert watch.failure is not None
    assert watch.failure[1].endswith("the end")
    assert len(watch.failure[1]) <= 1500


def test_a_machine_that_cannot_be_reached_is_not_a_failed_task() -> None:
    watch, _ = watched(
        ("runner_on_unreachable", {"host": "b", "task": "Gather", "res": {"msg": "timed out"}})
    )
    assert watch.unreachable == ("host b", "timed out")
    assert watch.failure is None


def ok(host: str, **facts: Any) -> tuple[str, Mapping[str, Any]]:
    return "runner_on_ok", {"host": host, "task": "Publish", "res": {"ansible_facts": facts}}


def test_of_the_facts_the_projects_own_are_kept_by_host() -> None:
    watch, _ = watched(
        ok("a", sodbench_facts={"cores": 2}, ansible_kernel="6.1"), ok("b", sodbench_facts={"cores": 4})
    )
    assert watch.facts == {"a": {"sodbench_facts": {"cores": 2}}, "b": {"sodbench_facts": {"cores": 4}}}


def test_later_facts_replace_earlier_ones() -> None:
    watch, _ = watched(ok("a", sodbench_one=1, sodbench_two=2), ok("a", sodbench_two=3))
    assert watch.facts == {"a": {"sodbench_one": 1, "sodbench_two": 3}}


def test_events_without_data_or_of_other_kinds_change_nothing() -> None:
    watch, tasks = watched(("verbose", {}), ("runner_on_ok", {"host": "a", "res": "text"}))
    assert (tasks, watch.failure, watch.unreachable, watch.facts) == ([], None, None, {})


def test_the_final_counts_name_every_host_also_those_that_nothing_changed_on() -> None:
    stats = {"processed": {"a": 1, "b": 1}, "changed": {"b": 3}, "ok": {"a": 9, "b": 6}}
    watch, _ = watched(("playbook_on_stats", stats))
    assert watch.changed == {"a": 0, "b": 3}


def test_no_value_of_the_environment_stays_in_the_artifacts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "DB-SECRET-4242")
    artifacts = tmp_path / "artifacts"
    inventory = tmp_path / "inventory.yml"
    inventory.write_text("all: {hosts: {}}\n")
    play("verify.yml", inventory, artifacts=artifacts)
    kept = [path for path in artifacts.rglob("*") if path.is_file()]
    assert [path.name for path in kept if "DB-SECRET-4242" in path.read_text(errors="replace")] == []
    (command,) = artifacts.glob("*/command")
    assert "PGPASSWORD" in read_json(command)["env"]  # type: ignore[operator]


KILLED = """
import os, signal, sys
from pathlib import Path
from harness import resources
from harness.rig import ansible

def kill(event):
    os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
verify = resources.playbooks() / "verify.yml"
odd = {"ODD": os.environ["PGPASSWORD"]}
ansible.run(verify, folder / "inventory.yml", folder / "scratch", environment=odd, on_event=kill,
            artifacts=folder / "artifacts")
"""


@pytest.mark.programs
def test_a_controller_that_is_killed_leaves_no_value_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "inventory.yml").write_text("all: {hosts: {}}\n")
    (tmp_path / "scratch").mkdir()
    secret = {**os.environ, "PGPASSWORD": "DB-SECRET-4242", "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=secret, check=False)
    assert done.returncode == -signal.SIGKILL
    left = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [str(path) for path in left if "DB-SECRET-4242" in path.read_text(errors="replace")] == []
    (run,) = (tmp_path / "artifacts").iterdir()
    assert (run / "command").is_symlink()
    assert not (run / "command").exists()
