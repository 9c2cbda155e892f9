"""`sodbench provision`: make the machines of a rig ready, and build the guest image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.inputs import Inventory, RunInventory, inventory_file
from harness.cli.terminal import Output
from harness.rig import lock, ready
from harness.rig.guest import image
from harness.rig.host import Host
from harness.rig.pair import load


def provision(
    inventory: Inventory = None,
    run_inventory: RunInventory = False,
    force: Annotated[bool, typer.Option("--force", help="Run the playbook even if nothing changed.")] = False,
    artifacts: Annotated[Path | None, typer.Option(help="Keep ansible-runner's artifacts here.")] = None,
) -> None:
    """Install and configure what the hosts and the client need, then build the guest image if it is missing.

    Machines that were provisioned by the same playbooks and inventory are left alone.
    """
    output = Output()
    pair = load(inventory_file(inventory, "lab"), programs=run_inventory)
    with output.status("looking at the machines") as show:

        def progress(task: str) -> None:
            show(task)
            if not output.is_terminal:
                output.say(f"  {task}")

        with Host(pair.machines["a"]) as builder, lock.hold(builder, "sodbench provision"):
            done = ready.provision(pair, force=force, artifacts=artifacts, progress=progress)
            said = "The machines are provisioned." if done else "The machines were provisioned already."
            output.say(said)
            key, built = image.ensure(pair, builder, artifacts=artifacts, progress=progress)
        output.say(f"Guest image {key} {'built' if built else 'was there already'}.")
