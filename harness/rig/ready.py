"""Provisioning only where something changed: each machine remembers what it was provisioned with.

The mark is a hash over the playbooks and the inventory, taken away before the playbook runs and written when
it succeeded, so that neither an interrupted run nor a return to an earlier inventory is taken for done.
A machine without it, or with another, is provisioned.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from pathlib import Path

from harness import resources
from harness.pair_name import MACHINES
from harness.rig.host import Host
from harness.rig.pair import Pair
from harness.rig.provision import Progress, play

MARK = "/etc/sodbench/provisioned"


def mark(pair: Pair) -> str:
    """The hash of the playbooks and of the inventory with its variables of groups and hosts."""
    digest = hashlib.sha256()
    for path in _inventory_files(pair.inventory):
        digest.update(path.read_bytes())
    root = resources.playbooks()
    for path in sorted(one for one in root.rglob("*") if one.is_file()):
        if "inventories" not in path.relative_to(root).parts:
            digest.update(f"{path.relative_to(root)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _inventory_files(inventory: Path) -> list[Path]:
    """The inventory's own files: it, or all in it, and the variables of groups and hosts next to it."""
    if inventory.is_dir():
        return sorted(one for one in inventory.rglob("*") if one.is_file())
    neighbours = [inventory.parent / name for name in ("group_vars", "host_vars")]
    return [inventory, *sorted(one for folder in neighbours for one in folder.rglob("*") if one.is_file())]


def provision(
    pair: Pair,
    *,
    force: bool,
    artifacts: Path | None,
    progress: Progress,
    rotate_certificates: bool = False,
) -> bool:
    """Run ``provision.yml`` unless every machine bears the mark; whether it was run.

    Args:
        pair: The rig.
        force: Run it in any case.
        artifacts: Folder for ansible-runner's output.
        progress: Told of each task.
        rotate_certificates: Run it in any case, and replace authority, keys and certificates of migrations.

    Raises:
        UnreachableError: A machine does not answer.
        ProvisionError: A task failed.
    """
    wanted = mark(pair)
    with ExitStack() as stack:
        machines = [stack.enter_context(Host(pair.machines[role])) for role in MACHINES]
        if not (force or rotate_certificates) and all(_bears(machine, wanted) for machine in machines):
            return False
        for machine in machines:  # should the playbook be cut short, none may claim to be provisioned
            machine.run(f"rm -f {MARK}")
        play(
            "provision.yml",
            pair.inventory,
            artifacts=artifacts,
            variables={"sodbench_tls_rotate": True} if rotate_certificates else None,
            progress=progress,
            programs=pair.programs,
            limit_s=pair.ansible_limit_s,
        )
        for machine in machines:
            machine.run(f"mkdir -p {Path(MARK).parent} && echo {wanted} > {MARK}")
    return True


def _bears(machine: Host, wanted: str) -> bool:
    _, out, _ = machine.attempt(f"cat {MARK}")
    return out.strip() == wanted
