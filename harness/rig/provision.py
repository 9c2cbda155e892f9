"""Playbooks through ansible-runner: run one, keep its artifacts, and say which host failed at which task."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness import resources
from harness.errors import ProvisionError, UnreachableError
from harness.json_types import Json
from harness.rig import ansible
from harness.rig.limits import Limits

Progress = Callable[[str], None]
"""Called with the name of each task as it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayResult:
    """What a playbook did.

    Attributes:
        changed: Number of changed tasks by host; 0 everywhere on a machine that was provisioned before.
        facts: Facts that the playbook set with ``set_fact``, by host.
    """

    changed: Mapping[str, int]
    facts: Mapping[str, Mapping[str, Json]]


def play(
    playbook: str,
    inventory: Path,
    *,
    artifacts: Path | None = None,
    variables: Mapping[str, Json] | None = None,
    progress: Progress = lambda _task: None,
    programs: bool = False,
    limit_s: float | None = None,
) -> PlayResult:
    """Run ``playbooks/<playbook>`` over `inventory`.

    Args:
        playbook: File name such as ``provision.yml``.
        inventory: An Ansible inventory.
        artifacts: Folder that keeps ansible-runner's output; thrown away when None.
        variables: Extra variables.
        progress: Told of each task.
        programs: Whether the inventory may be a program.
        limit_s: How long a machine may take to let Ansible in, instead of Ansible's own limit.

    Raises:
        UnreachableError: A machine does not answer.
        ProvisionError: A task failed; the message has host, task and what it said.
    """
    watch = _Watch(progress)
    with TemporaryDirectory(prefix="sodbench-play-") as scratch:
        result = ansible.run(
            resources.playbooks() / playbook,
            inventory.resolve(),
            Path(scratch),
            environment=environment(programs=programs, limit_s=limit_s),
            on_event=watch.on_event,
            artifacts=artifacts,
            variables=variables,
            rotate_artifacts=0,
        )
    if watch.unreachable:
        raise UnreachableError(
            "ansible cannot reach the machine",
            where=watch.unreachable[0],
            why=watch.unreachable[1],
            remedy=Limits.advice("ansible_s", "it"),
            retry=True,
        )
    if result.status != "successful":
        where, why = watch.failure or (playbook, f"ansible-playbook ended as {result.status}, {result.rc}")
        raise ProvisionError(
            f"{playbook} failed",
            where=where,
            why=why,
            remedy=f"`ansible-playbook -i {inventory} {resources.playbooks() / playbook}` shows every step",
        )
    return PlayResult(changed=watch.changed, facts=watch.facts)


def environment(*, programs: bool = False, limit_s: float | None = None) -> dict[str, str]:
    """The environment of Ansible's programs; the caller's own counts as well.

    Args:
        programs: Whether an inventory may be a program as well as a text file.
        limit_s: How long a machine may take to let Ansible in.
    """
    own = str(Path(sys.executable).parent)
    values = {
        "ANSIBLE_CONFIG": str(resources.playbooks() / "ansible.cfg"),
        "PATH": f"{own}:{os.environ.get('PATH', '')}",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_INVENTORY_ENABLED": ("script," if programs else "") + "yaml,ini,host_list",
    }
    if limit_s is not None:
        values["ANSIBLE_TIMEOUT"] = str(max(1, round(limit_s)))
    if password_file := os.environ.get("ANSIBLE_VAULT_PASSWORD_FILE"):
        # Ansible runs in a folder of its own, and would look for a relative path there.
        values["ANSIBLE_VAULT_PASSWORD_FILE"] = str(Path(password_file).expanduser().absolute())
    # ansible-runner writes the whole environment to a file, in UTF-8: another encoding would end it.
    odd = {name: value for name, value in os.environ.items() if _utf_8(value) != value}
    return {name: _utf_8(value) for name, value in {**odd, **values}.items()}


def _utf_8(text: str) -> str:
    """The text with a question mark for each byte that is not UTF-8."""
    return text.encode(errors="replace").decode()


class _Watch:
    """Keeps of ansible-runner's events what an error message and the facts need."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.failure: tuple[str, str] | None = None
        self.unreachable: tuple[str, str] | None = None
        self.facts: dict[str, dict[str, Json]] = {}
        self.changed: dict[str, int] = {}

    def on_event(self, event: Mapping[str, Any]) -> bool:
        """ansible-runner's event handler; True keeps the event in the artifacts."""
        data = event.get("event_data", {})
        host, task, result = data.get("host", "?"), data.get("task", "?"), data.get("res", {})
        match event.get("event"):
            case "playbook_on_task_start":
                self._progress(str(data.get("name", task)))
            case "playbook_on_stats":
                hosts = data.get("processed", {})
                self.changed = {name: int(data.get("changed", {}).get(name, 0)) for name in hosts}
            case "runner_on_failed" if not data.get("ignore_errors") and self.failure is None:
                self.failure = (f"host {host}, task {task!r}", _message(result))
            case "runner_on_unreachable":
                self.unreachable = (f"host {host}", _message(result))
            case "runner_on_ok" if isinstance(result, dict):
                self.facts.setdefault(host, {}).update(_own_facts(result))
        return True


def _own_facts(result: Mapping[str, Any]) -> dict[str, Json]:
    facts = result.get("ansible_facts", {})
    return {name: value for name, value in facts.items() if name.startswith("sodbench_")}


def _message(result: Mapping[str, Any]) -> str:
    parts = [str(result.get(name, "")).strip() for name in ("msg", "stderr", "stdout")]
    failed = [_message(item) for item in result.get("results", []) if item.get("failed")]
    return "\n".join(part for part in [*parts, *failed] if part)[-1500:] or "no message"
