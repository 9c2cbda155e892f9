"""What the user names on the command line, turned into files: campaigns by name, the lab's inventory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness import resources
from harness.errors import CampaignError
from harness.rig.lab import lab

Inventory = Annotated[
    Path | None,
    typer.Option("--inventory", "-i", help="The rig's Ansible inventory; by default the lab's."),
]
CampaignInventory = Annotated[
    Path | None,
    typer.Option(
        "--inventory",
        "-i",
        help="The rig's Ansible inventory; by default the campaign's `rig`.",
    ),
]
RunInventory = Annotated[
    bool,
    typer.Option(
        "--run-inventory", help="Run an inventory that is a program; without this option it is refused."
    ),
]
CampaignPath = Annotated[
    str,
    typer.Argument(
        metavar="CAMPAIGN",
        help="A campaign's file, or the name of a ready-made one, such as demo, paper or respond.",
    ),
]
"""A text, because a path forgets that it was written as one: ``./demo`` is not the ready-made ``demo``."""

Results = Annotated[Path, typer.Option("--results", help="Where runs are stored.")]


def campaign_file(named: str) -> Path:
    """The file the user means by `named`: a path, or a ready-made campaign's name.

    Raises:
        CampaignError: There is neither.
    """
    ready = resources.campaigns()
    found = resources.chosen(named, ready)
    if found is None:
        raise CampaignError("no such campaign", where=named, remedy=resources.unmet(named, ready))
    return found


def inventory_file(given: Path | None, rig: str, campaign: Path | None = None) -> Path:
    """The inventory for a campaign's `rig`: the one given, the lab's, or a path relative to the campaign."""
    if given is not None:
        return given
    if rig == "lab":
        return lab.Places().inventory
    path = Path(rig)
    return path if path.is_absolute() or campaign is None else campaign.parent / path
