"""`sodbench provision`: make the machines of a rig ready, and build the guest image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.inputs import Inventory, RunInventory, inventory_file
from harness.cli.rigs import images
from harness.cli.terminal import Output
from harness.pair_name import FIRST
from harness.rig import lock, ready
from harness.rig.guest import image
from harness.rig.guest.kind import KINDS
from harness.rig.host import Host
from harness.rig.pair import load


def provision(
    inventory: Inventory = None,
    run_inventory: RunInventory = False,
    force: Annotated[bool, typer.Option("--force", help="Run the playbook even if nothing changed.")] = False,
    rotate_certificates: Annotated[
        bool,
        typer.Option(
            "--rotate-certificates",
            help="Run the playbook, and replace the hosts' keys and certificates for migrations.",
        ),
    ] = False,
    artifacts: Annotated[Path | None, typer.Option(help="Keep ansible-runner's artifacts here.")] = None,
) -> None:
    """Install and configure what the hosts and the client need, then build the guest images that are missing.

    Machines that were provisioned by the same playbooks and inventory are left alone.
    """
    output = Output()
    pair = load(inventory_file(inventory, "lab"), programs=run_inventory)
    with output.status("looking at the machines") as show:

        def progress(task: str) -> None:
            show(task)
            if not output.is_terminal:
                output.say(f"  {task}")

        with Host(pair.machines[FIRST]) as builder, lock.hold(builder, "sodbench provision"):
            done = ready.provision(
                pair,
                force=force,
                artifacts=artifacts,
                progress=progress,
                rotate_certificates=rotate_certificates,
            )
            said = "The machines are provisioned." if done else "The machines were provisioned already."
            output.say(said)
            made = {
                kind.name: image.ensure(
                    pair, builder, images(), artifacts=artifacts, progress=progress, kind=kind
                )
                for kind in KINDS
            }
        for name, (key, built) in made.items():
            said = "Guest image" if name == "standard" else "Small guest image"
            output.say(f"{said} {key} {'built' if built else 'was there already'}.")
