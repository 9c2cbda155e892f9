"""Many files go to a machine as one archive: each of its own would cost a connection and a Python there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.playbooks import local_plays
from tests.playbooks.test_lint import ROLES, load, tasks_in
from tests.skips import as_root

pytestmark = pytest.mark.programs

ATTESTER = sorted((local_plays.PLAYBOOKS / "roles/attester/files").glob("*.py"))


def copies(role: Path) -> list[dict[str, Any]]:
    found = [task for path in role.glob("tasks/*.yml") for task in tasks_in(load(path))]
    return [task for task in found if "ansible.builtin.copy" in task]


EACH_TIME = [role for role in ROLES if role.name != "guest_image"]
"""The roles of every provisioning; an image is built once, natively on one host."""


@pytest.mark.parametrize("role", EACH_TIME, ids=lambda path: path.name)
def test_no_folder_is_copied_file_by_file(role: Path) -> None:
    for task in copies(role):
        source = str(task["ansible.builtin.copy"].get("src", ""))
        assert not source.endswith("/"), task["name"]
        assert "fileglob" not in str(task.get("loop", "")), task["name"]


@as_root
def test_the_attester_is_brought_by_one_task_and_a_second_run_finds_it_there(tmp_path: Path) -> None:
    variables = {"attester_root": str(tmp_path / "root"), "attester_archive": str(tmp_path / "packed.tar")}
    (tmp_path / "root").mkdir()
    for changes in (3, 0):  # folders, attester, configuration
        done = local_plays.local(tmp_path, [local_plays.role("attester", "install")], variables)
        assert done.returncode == 0, done.stdout
        assert local_plays.changed(done) == changes, done.stdout
    there = tmp_path / "root/opt/sodbench/attester"
    assert {path.name for path in there.iterdir()} == {path.name for path in ATTESTER}
    for path in ATTESTER:
        assert (there / path.name).read_bytes() == path.read_bytes()
        assert ((there / path.name).stat().st_mode & 0o777, (there / path.name).stat().st_uid) == (0o644, 0)


@as_root
def test_only_logs_that_are_there_are_named(tmp_path: Path) -> None:
    """By the template itself: a host whose loader did not hand on the event log still has the IMA list."""
    logs = {"event_log": "/no/such/log", "ima": str(tmp_path / "ima")}
    variables = {
        "attester_root": str(tmp_path / "root"),
        "attester_archive": str(tmp_path / "packed.tar"),
        "attester_logs": logs,
        "attester_logs_there": {"ima": logs["ima"]},
    }
    (tmp_path / "root").mkdir()
    done = local_plays.local(tmp_path, [local_plays.role("attester", "install")], variables)
    assert done.returncode == 0, done.stdout
    written = (tmp_path / "root/etc/sodbench/attester.toml").read_text()
    assert "no/such" not in written
    assert f'ima = "{tmp_path}/ima"' in written
