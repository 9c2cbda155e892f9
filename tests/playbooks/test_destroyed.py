"""What provisioning writes into the project's own folders, `destroy` removes by its name.

It removes the folders only when they are empty, so that one forgotten file would keep them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks.local_plays import local
from tests.playbooks.test_lint import ROOT, load, tasks_in

PLAYBOOKS = ROOT / "playbooks"
FOLDERS = ("/etc/sodbench", "/opt/sodbench", "/var/lib/sodbench")
_NAME = re.compile(r"(?:/etc|/opt|/var/lib)/sodbench/[\w.-]+")


def named(task: Any) -> Iterator[str]:
    """The paths below the folders that a task names, each item of its loop put in."""
    text = re.sub(r"\{\{ item \}\}", "ITEM", str({key: task[key] for key in task if key != "name"}))
    items = [str(one) for one in task["loop"]] if isinstance(task.get("loop"), list) else []
    for found in _NAME.findall(text):
        yield from [found.replace("ITEM", one) for one in items] if "ITEM" in found else [found]


def written(role: Path) -> set[str]:
    files = [one for one in (role / "tasks").glob("*.yml") if one.name != "remove.yml"]
    tasks = [task for one in files for task in tasks_in(load(one))]
    return {path for task in tasks for path in named(task)}


def removed() -> set[str]:
    tasks = [task for one in PLAYBOOKS.glob("roles/*/tasks/remove.yml") for task in tasks_in(load(one))]
    for play in load(PLAYBOOKS / "destroy.yml"):
        tasks += tasks_in(play["tasks"])
    return {path for task in tasks for path in named(task)}


def roles() -> list[str]:
    """The roles that change the hosts."""
    plays = load(PLAYBOOKS / "provision.yml")
    return [role["role"] for play in plays if play["hosts"] == "hosts" for role in play["roles"]]


@pytest.mark.parametrize("role", roles())
def test_destroying_removes_what_a_role_writes(role: str) -> None:
    left = {
        path
        for path in written(PLAYBOOKS / "roles" / role)
        if not any(path == gone or path.startswith(f"{gone}/") for gone in removed())
    }
    assert left == set()


def test_the_search_finds_what_the_roles_write() -> None:
    found = {path for role in roles() for path in written(PLAYBOOKS / "roles" / role)}
    assert {
        "/etc/sodbench/wire.nft",
        "/etc/sodbench/measured.conf",
        "/etc/sodbench/attester.toml",
        "/etc/sodbench/attester-auth.toml",
        "/var/lib/sodbench/libvirt-member",
        "/var/lib/sodbench/tpm",
    } <= found


def test_the_folders_are_removed_last() -> None:
    (*_, folders, _) = load(PLAYBOOKS / "destroy.yml")[-1]["tasks"]
    assert folders["loop"] == list(FOLDERS)


def _removing(task: Any) -> bool:
    """Whether a task takes away something in the project's folders, and no more."""
    file, command = task.get("ansible.builtin.file", {}), task.get("ansible.builtin.command", {})
    takes_away = file.get("state") == "absent" or "-delete" in command.get("argv", [])
    return takes_away and any(folder in str(task) for folder in FOLDERS)


@pytest.mark.programs
def test_nothing_is_left_in_the_projects_folders(tmp_path: Path) -> None:
    """Played here, in the order of the playbook, on made-up folders with all that the roles write."""
    before = {path for role in roles() for path in written(PLAYBOOKS / "roles" / role)}
    for path in (*before, "/etc/sodbench/provisioned"):
        file = tmp_path / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    tasks: list[Any] = []
    for play in load(PLAYBOOKS / "destroy.yml"):
        for task in tasks_in(play["tasks"]):
            role = task.get("ansible.builtin.include_role", {}).get("name")
            tasks += tasks_in(load(PLAYBOOKS / f"roles/{role}/tasks/remove.yml")) if role else [task]
    kept = [
        {key: value for key, value in task.items() if key not in {"notify", "register", "changed_when"}}
        for task in tasks
        if _removing(task)
    ]
    moved = json.loads(re.sub(r"(/etc|/opt|/var/lib)/sodbench", rf"{tmp_path}\1/sodbench", json.dumps(kept)))
    done = local(tmp_path, moved, {})
    assert done.returncode == 0, done.stdout
    left = sorted(str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*") if "sodbench" in one.parts)
    assert left == []
