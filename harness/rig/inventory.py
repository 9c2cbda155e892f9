"""An inventory as Ansible understands it: merged, its templates resolved, its vaulted values opened.

Ansible itself is asked, by a play on the controller that only prints: ``ansible-inventory`` does not
template. What it may read is a text file (YAML or INI): a program is an inventory only if the caller says
so, which keeps one from being run by mistake. A text may run commands as well, by lookups: it is trusted as a
playbook is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness import resources
from harness.errors import InventoryError
from harness.rig import ansible
from harness.rig.login import SECRETS
from harness.rig.provision import environment

LIMIT_S = 20
"""For resolving one inventory; a common one takes about two seconds."""

_LONGEST_TEXT = 500


@dataclass(frozen=True, slots=True)
class Resolved:
    """What an inventory says of one machine.

    Attributes:
        values: The wanted variables that are set.
        withheld: The names of :data:`.login.SECRETS` that are set; their values are not read.
    """

    values: Mapping[str, object]
    withheld: Sequence[str]


def resolve(
    inventory: Path, *, machines: Sequence[str], wanted: Sequence[str], programs: bool
) -> Mapping[str, Resolved]:
    """What `inventory` says of those of `machines` that it knows.

    Args:
        inventory: A file, or a folder of them.
        machines: Names of machines; each must be there.
        wanted: The variables to resolve.
        programs: Whether an inventory that is a program may be run.

    Raises:
        InventoryError: It is missing, no inventory, a program that may not be run, lacks a machine, a
            variable cannot be resolved, or it took longer than :data:`LIMIT_S`.
    """
    _require_readable(inventory, programs=programs)
    said = _Said()
    with TemporaryDirectory(prefix="sodbench-inventory-") as scratch:
        result = ansible.run(
            resources.playbooks() / "resolve.yml",
            inventory.absolute(),
            Path(scratch),
            variables={
                "sodbench_machines": list(machines),
                "sodbench_wanted": list(wanted),
                "sodbench_withheld": list(SECRETS),
            },
            environment={
                **environment(programs=programs),
                # An inventory that is read in part would leave machines or variables out in silence.
                "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
                "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
                "ANSIBLE_ASK_VAULT_PASS": "False",
            },
            on_event=said.on_event,
            timeout=LIMIT_S,
            settings={"pexpect_timeout": 1},
        )
        complaint = _complaint(result.stdout.read())
    if result.status == "timeout":
        raise InventoryError(
            f"the inventory cannot be resolved within {LIMIT_S} s",
            where=str(inventory),
            why="Ansible was still reading it or evaluating its templates",
            remedy="look for anchors or templates that multiply, or for a lookup that waits",
        )
    if said.unresolved:
        raise _unresolved(inventory, *said.unresolved[0])
    if said.machines is None or result.status != "successful":
        raise _no_inventory(inventory, complaint)
    _require_machines(inventory, machines, said.machines)
    return said.resolved


def _require_readable(inventory: Path, *, programs: bool) -> None:
    place = str(inventory.absolute())
    try:
        place.encode()
    except UnicodeEncodeError as error:
        raise InventoryError(
            "the inventory's path is not UTF-8",
            where=place,
            why="Ansible is given it as text",
            remedy="give the file and its folders other names",
        ) from error
    if not inventory.exists():
        raise InventoryError(
            "no such inventory",
            where=str(inventory),
            remedy="`sodbench lab up` writes one for the lab; "
            "playbooks/inventories/pair.example.yml shows one for two real hosts",
        )
    files = sorted(inventory.iterdir()) if inventory.is_dir() else [inventory]
    for file in files:
        if not programs and is_program(file):
            raise InventoryError(
                "the inventory is a program, and programs are not run",
                where=str(file),
                why="it is executable and begins as a program does",
                remedy="give --run-inventory if it is to be trusted; a text file must not be executable",
            )


def is_program(file: Path) -> bool:
    """Whether the system would run `file`: an executable text without #! is a text with a wrong mode."""
    if not file.is_file() or not os.access(file, os.X_OK):
        return False
    with file.open("rb") as opened:
        begin = opened.read(4)
    return begin.startswith(b"#!") or begin == b"\x7fELF"


def _require_machines(inventory: Path, machines: Sequence[str], found: Sequence[str]) -> None:
    remedy = "name the two hosts a and b (group hosts) and the load generator client (group clients)"
    if not found:
        why = "Ansible reads none"
        raise InventoryError("no machines in it", where=str(inventory), why=why, remedy=remedy)
    for role in machines:
        if role not in found:
            raise InventoryError(
                f"no machine named {role!r}",
                where=str(inventory),
                why=_shown(f"found: {', '.join(sorted(found))}"),
                remedy=remedy,
            )


def _no_inventory(inventory: Path, complaint: str) -> InventoryError:
    return InventoryError(
        "not an inventory",
        where=str(inventory),
        why=complaint or "Ansible cannot read it",
        remedy=_vault_remedy(complaint)
        or f"`ansible-inventory -i {inventory} --list` shows what Ansible makes of it",
    )


def _unresolved(inventory: Path, role: str, variable: str, why: str) -> InventoryError:
    return InventoryError(
        f"{variable} of {role} cannot be resolved",
        where=str(inventory),
        why=why,
        remedy=_vault_remedy(why)
        or "no facts are gathered here: use values of the inventory only, or write the value out",
    )


def _vault_remedy(why: str) -> str:
    if "vault" not in why.lower() and "decrypt" not in why.lower():
        return ""
    return "name the file of the vault's password in ANSIBLE_VAULT_PASSWORD_FILE, as for ansible-playbook"


def _complaint(output: str) -> str:
    """Of what Ansible printed, why it cannot parse the inventory, else what it calls an error; bounded."""
    lines = [" ".join(line.split()) for line in output.splitlines()]
    for mark in ("[WARNING]: Failed to parse inventory", "[ERROR]: ", "ERROR! "):
        found = [line.removeprefix("[WARNING]: ") for line in lines if line.startswith(mark)]
        if found:
            return _shown("; ".join(found))
    return _shown(" ".join(lines).strip()[-_LONGEST_TEXT:])


def _shown(text: str) -> str:
    """`text` of a tool or a file, bounded, with what a terminal would act on escaped."""
    cut = text[:_LONGEST_TEXT]
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in cut)


@dataclass(slots=True)
class _Said:
    """Keeps of the play's events what it printed."""

    machines: Sequence[str] | None = None
    resolved: dict[str, Resolved] = field(default_factory=dict)
    unresolved: list[tuple[str, str, str]] = field(default_factory=list)

    def on_event(self, event: Mapping[str, Any]) -> bool:
        """ansible-runner's event handler; False keeps the event out of its artifacts."""
        result = event.get("event_data", {}).get("res", {})
        match event.get("event"):
            case "runner_on_ok" if isinstance(result.get("msg"), list):
                self.machines = [str(one) for one in result["msg"]]
            case "runner_item_on_ok" if isinstance(result.get("item"), str):
                said = result["msg"]
                self.resolved[result["item"]] = Resolved(said["values"], said["withheld"])
            case "runner_item_on_failed" if isinstance(result.get("item"), list):
                role, variable = result["item"]
                self.unresolved.append((role, variable, _cause(str(result.get("msg", "")))))
        return False


def _cause(message: str) -> str:
    """Of a failed template's message, what Ansible says of the template itself."""
    begin = r"^.*(?:resolving value for 'msg': |failed: )"
    return _shown(re.sub(begin, "", message, flags=re.DOTALL))
