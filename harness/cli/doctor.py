"""`sodbench doctor`: every prerequisite of this machine and of a rig, with its remedy. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.inputs import RunInventory
from harness.cli.terminal import Cell, Output, Styled, number_of
from harness.errors import PrerequisiteError
from harness.rig.doctor import facts
from harness.rig.doctor.checks import Check, checks, nothing_missing

_TITLES = ("check", "level", "found", "why it matters", "what to do")
_STYLES = {"ok": "green", "warning": "yellow", "missing": "bold red"}


def doctor(
    inventory: Annotated[
        Path | None,
        typer.Option(
            "--inventory", "-i", help="A rig's Ansible inventory: check its machines, too. By default none."
        ),
    ] = None,
    run_inventory: RunInventory = False,
    as_json: Annotated[bool, typer.Option("--json", help="The checks as JSON.")] = False,
) -> None:
    """Check what this machine needs and say how to get what is missing. Changes nothing.

    With --inventory also the machines named there: ssh, libvirt, provisioning, who holds the lock. For a rig
    of real machines what only the lab needs is left out. The exit code is 0 when nothing is missing, else 4;
    a warning is something that may be fine or could not be told.
    """
    output = Output()
    with Output(error=True).status("looking; nothing is changed"):
        found = checks(facts.gather(inventory, programs=run_inventory))
    if as_json:
        value = {"nothing_missing": nothing_missing(found), "checks": [asdict(check) for check in found]}
        typer.echo(json.dumps(value, indent=2))
    elif output.is_terminal:
        output.table(_TITLES, _rows(found))
        output.say(_summary(found))
    else:
        output.say(*plain(found), "", _summary(found))
    if not nothing_missing(found):
        raise typer.Exit(PrerequisiteError.exit_code)


def _rows(found: Sequence[Check]) -> list[tuple[Cell, ...]]:
    return [
        (
            check.name,
            Styled(check.level, _STYLES[check.level]),
            check.found,
            Styled(check.why, "dim"),
            check.remedy,
        )
        for check in found
    ]


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
    return f"{counts['ok']} ok, {number_of(counts['warning'], 'warning')}, {counts['missing']} missing."
