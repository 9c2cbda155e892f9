"""`sodbench doctor`: every prerequisite of this machine and of a rig, with its remedy. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.cli.inputs import Inventory
from harness.errors import PrerequisiteError

if TYPE_CHECKING:
    from harness.doctor import Check

_STYLES = {"ok": "green", "warning": "yellow", "missing": "bold red"}


def doctor(
    inventory: Inventory = None,
    as_json: Annotated[bool, typer.Option("--json", help="The checks as JSON.")] = False,
) -> None:
    """Check what this machine needs and say how to get what is missing. Changes nothing.

    With --inventory also the machines named there: ssh, libvirt, provisioning, who holds the lock. For a rig
    of real machines what only the lab needs is left out. The exit code is 0 when nothing is missing, else 4;
    a warning is something that may be fine or could not be told.
    """
    from harness.doctor import checks, nothing_missing  # noqa: PLC0415
    from harness.doctor_facts import gather  # noqa: PLC0415

    console = Console(highlight=False, soft_wrap=True)
    with Console(stderr=True).status("looking; nothing is changed"):
        found = checks(gather(inventory))
    if as_json:
        value = {"nothing_missing": nothing_missing(found), "checks": [asdict(check) for check in found]}
        typer.echo(json.dumps(value, indent=2))
    elif console.is_terminal:
        Console(highlight=False).print(_table(found))
        console.print(_summary(found))
    else:
        console.print("\n".join([*plain(found), "", _summary(found)]), markup=False)
    if not nothing_missing(found):
        raise typer.Exit(PrerequisiteError.exit_code)


def _table(found: Sequence[Check]) -> Table:
    table = Table(box=None, header_style="bold")
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    for title in ("found", "why it matters", "what to do"):
        table.add_column(title, overflow="fold")
    for check in found:
        table.add_row(
            check.name,
            f"[{_STYLES[check.level]}]{check.level}[/]",
            escape(check.found),
            f"[dim]{escape(check.why)}[/dim]",
            escape(check.remedy),
        )
    return table


def plain(found: Sequence[Check]) -> list[str]:
    """Aligned lines without any style: one a check, and for what is not ok why it matters and what to do."""
    width = max((len(check.name) for check in found), default=0)
    lines = []
    for check in found:
        lines.append(f"{check.level:<8} {check.name:<{width}}  {check.found}")
        if check.level != "ok":
            lines += [
                f"{'':<8} {'':<{width}}  why: {check.why}",
                f"{'':<8} {'':<{width}}  do:  {check.remedy}",
            ]
    return lines


def _summary(found: Sequence[Check]) -> str:
    counts = {level: sum(check.level == level for check in found) for level in _STYLES}
    return f"{counts['ok']} ok, {counts['warning']} warnings, {counts['missing']} missing."
