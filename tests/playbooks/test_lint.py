"""The playbooks hold the linter's strictest profile and describe their roles' arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

pytestmark = pytest.mark.programs

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
ROLES = sorted(path for path in (ROOT / "playbooks/roles").iterdir() if path.is_dir())
EXAMPLE = ROOT / "playbooks/inventories/pair.example.yml"


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of this interpreter's environment, with nothing of the user's Ansible configuration."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    programs = Path(sys.executable).parent
    return subprocess.run(
        [str(programs / name), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={
            **own,
            "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "ANSIBLE_CONFIG": str(ROOT / "playbooks/ansible.cfg"),
            "NO_COLOR": "1",
        },
    )


def load(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def tasks_in(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every task of a list, those in blocks as well."""
    flat: list[dict[str, Any]] = []
    for task in tasks:
        flat.append(task)
        for part in ("block", "rescue", "always"):
            flat.extend(tasks_in(task.get(part, [])))
    return flat


def test_production_profile_is_clean() -> None:
    done = tool("ansible-lint", "--offline", "--profile", "production", "--format", "pep8", "playbooks")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_playbooks_are_there() -> None:
    names = {path.name for path in PLAYBOOKS}
    assert {
        "provision.yml",
        "guest_image.yml",
        "verify.yml",
        "destroy.yml",
        "tune.yml",
        "restore.yml",
    } <= names


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.name)
def test_syntax_holds_for_the_example_inventory(playbook: Path) -> None:
    done = tool("ansible-playbook", "--syntax-check", "--inventory", str(EXAMPLE), str(playbook))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_role_describes_each_entry_point_and_option(role: Path) -> None:
    specs = load(role / "meta/argument_specs.yml")["argument_specs"]
    entries = {
        path.stem for path in (role / "tasks").glob("*.yml") if path.stem in {"main", "remove", "restore"}
    }  # the other files are parts of these
    assert set(specs) == entries
    for spec in specs.values():
        assert spec["short_description"]
        for name, option in spec["options"].items():
            assert name.startswith(f"{role.name}_"), f"{name} is not {role.name}'s own"
            assert option["description"], f"{name} is not described"


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_role_gives_each_option_a_default(role: Path) -> None:
    options = load(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    defaults = load(role / "defaults/main.yml") if (role / "defaults/main.yml").exists() else {}
    assert set(options) <= set(defaults)


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_role_uses_builtin_modules_only(role: Path) -> None:
    keywords = {
        "name",
        "when",
        "loop",
        "loop_control",
        "register",
        "changed_when",
        "failed_when",
        "notify",
        "vars",
    }
    keywords |= {"block", "rescue", "always", "check_mode", "become", "until", "retries", "delay", "no_log"}
    keywords |= {"delegate_to", "run_once"}
    for path in [*role.glob("tasks/*.yml"), *role.glob("handlers/*.yml")]:
        for task in tasks_in(load(path)):
            modules = set(task) - keywords
            assert all(module.startswith("ansible.builtin.") for module in modules), f"{path}: {modules}"


def test_the_example_inventory_has_the_groups_that_the_playbooks_use() -> None:
    groups = load(EXAMPLE)["all"]["children"]
    assert set(groups["hosts"]["hosts"]) == {"a", "b"}
    assert set(groups["clients"]["hosts"]) == {"client"}
    assert set(groups["builder"]["hosts"]) == {"a"}
