"""`sodbench lab`: the embedded pair of hosts on this machine: up, down, status, ssh."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import Output
from harness.errors import UsageError
from harness.rig.lab import lab as labs

lab = typer.Typer(
    help="Two KVM hosts and a client on this machine, built from nothing. Needs root.", no_args_is_help=True
)


@lab.command()
def up(
    variables: Annotated[
        Path | None,
        typer.Option(
            "--vars",
            metavar="FILE",
            help="Variables for the inventory, such as archives of mstone and Faban (docs/provisioning.md); "
            "they hold until `lab down`.",
        ),
    ] = None,
) -> None:
    """Build and start what is missing, and write the inventory. A lab that is up stays as it is."""
    output = Output()
    warnings: list[str] = []
    with output.status("building the lab: the first time takes about a minute"):
        inventory = labs.up(labs.Places(), variables, warn=warnings.append)
    for warning in warnings:
        output.say(f"Warning: {warning}")
    output.say(f"The lab is up. Inventory: {inventory}")


@lab.command()
def down(
    purge: Annotated[
        bool,
        typer.Option("--purge", help="Also delete the cache: base system, machines' disks, guest image."),
    ] = False,
) -> None:
    """Stop and remove the lab in any state. Only its cache stays, for a quick next start."""
    places = labs.Places()
    labs.down(places, purge=purge)
    kept = "" if purge or not places.cache.is_dir() else f" Kept: {places.cache} (--purge deletes it)."
    Output().say(f"The lab is down.{kept}")


@lab.command()
def status() -> None:
    """Show each machine of the lab: exit code 4 when the lab is not wholly up."""
    found = labs.status(labs.Places())
    Output().table(
        ("machine", "address", "state"),
        [
            (one.role, one.address, "up" if one.answers else "starting or broken" if one.running else "down")
            for one in found
        ],
    )
    if not all(one.answers for one in found):
        raise typer.Exit(4)


@lab.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def ssh(
    context: typer.Context,
    machine: Annotated[str, typer.Argument(metavar="MACHINE", help="a, b, client, or guest.")],
) -> None:
    """Log in to a machine of the lab, or run the command that follows there.

    Such as `sodbench lab ssh a uname -r`.
    """
    if machine not in labs.ROLES:
        raise UsageError(f"no machine {machine!r} in the lab", remedy=f"one of: {', '.join(labs.ROLES)}")
    argv = [*labs.ssh_argv(labs.Places(), machine), *context.args]
    os.execvp(argv[0], argv)
