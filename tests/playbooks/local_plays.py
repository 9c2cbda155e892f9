"""Plays on this machine alone: parts of the project's playbooks, on made-up places."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"


def run(
    playbook: Path, inventory: Mapping[str, Any], *arguments: str, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `playbook` over `inventory`; programs in `path` stand before the machine's own."""
    listed = playbook.with_name("inventory.yml")
    YAML().dump(inventory, listed)
    own = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    searched = [*([str(path)] if path else []), str(Path(sys.executable).parent), own.get("PATH", os.defpath)]
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            "-i",
            str(listed),
            *arguments,
            str(playbook),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={
            **own,
            "PATH": os.pathsep.join(searched),
            "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
        },
    )


def local(
    folder: Path, tasks: Sequence[Mapping[str, Any]], variables: Mapping[str, Any], **given: Any
) -> Any:
    """Run `tasks` on this machine, which is the pair's host a."""
    playbook = folder / "play.yml"
    play = {"hosts": "a", "gather_facts": False, "vars": dict(variables), "tasks": list(tasks)}
    YAML().dump([play], playbook)
    machine = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = {"all": {"children": {"hosts": {"hosts": {"a": machine}}, "clients": {"hosts": {}}}}}
    return run(playbook, inventory, **given)


def role(name: str, tasks_from: str = "main") -> dict[str, Any]:
    """The task that includes a role of the project's."""
    return {
        "ansible.builtin.include_role": {"name": str(PLAYBOOKS / "roles" / name), "tasks_from": tasks_from}
    }


def changed(done: subprocess.CompletedProcess[str]) -> int:
    """How many tasks changed something on host a."""
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("a ") and "changed=" in line)
    return int(line.split("changed=")[1].split()[0])
