"""`sodbench policy capabilities`, `withdraw` and `restore`: what servers can do by design, and now."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from harness.cli import tiers
from harness.cli.attest import inputs as attest_inputs
from harness.cli.attest.inputs import Json, RegistryUrl
from harness.cli.policy import inputs as policy_inputs
from harness.cli.policy.inputs import AppraisalName, Files, WarningCounts
from harness.cli.terminal import Cell as Shown
from harness.cli.terminal import Output, Styled
from harness.errors import UsageError
from harness.policy.capability import Architecture, Table
from harness.policy.fleet import Fleet
from harness.policy.known import WITHDRAWN, withdrawal
from harness.policy.server import Server
from harness.policy.threats import CELLS, Aspect, Cell, Entity
from harness.registry.registry import Registry
from harness.registry.values import checked_text

Why = Annotated[str, typer.Option("--why", help="The reason, for the record.")]
ServerName = Annotated[str, typer.Argument(metavar="SERVER", help="An enrolled server.")]
CellNames = Annotated[
    list[str],
    typer.Argument(metavar="CELL", help="Such as hypervisor_c, or hypervisor for both of its cells."),
]

_STYLES = {"yes": "green", "no": "dim", "n-a": "dim", "removed": "yellow", "lost": "bold red"}
_TITLES = ("same app", "other apps", "same OS", "other VMs", "hypervisor", "hardware", "cloud mgr.")
"""The entities in the tables' order."""


def capabilities(
    servers: Annotated[
        list[str] | None, typer.Argument(metavar="SERVER", help="Only these servers, without the table.")
    ] = None,
    files: Files = None,
    warning_counts: WarningCounts = None,
    policy: AppraisalName = "default",
    registry: RegistryUrl = None,
    as_json: Json = False,
) -> None:
    """Show the capability table (the paper's Table III) and what counts of it on each server now.

    A server has what its architecture has, less what was withdrawn from it. One that is contraindicated, was
    not heard of in time or states no known architecture has nothing.
    """
    table = policy_inputs.table(files)
    counts = policy_inputs.warning_counts(warning_counts, policy)
    with attest_inputs.looking(registry) as store:
        known = policy_inputs.servers(store, servers)
        fleet = _fleet(store, table, known, counts)
    if as_json:
        found = {
            "architectures": [_architecture(one) for one in ([] if servers else table.values())],
            "servers": [_server(one, fleet) for one in known],
        }
        typer.echo(json.dumps(found, indent=2))
        return
    output = Output()
    if not servers:
        output.table(("architecture", "protects", *_TITLES), _rows_of_table(table))
        output.say()
    if known:
        output.table(("server now", "architecture", "trust", "VMs", *_TITLES), _rows_of_servers(known, fleet))
        output.say()
    output.say(
        "One value is for confidentiality and integrity, c/i where they differ.",
        "lost: the architecture has it, and it does not count on this server now. *: by a simulated monitor.",
        style="dim",
    )
    for one in known:
        why = fleet.effective(one).why
        if why:
            output.say(why)
    if not known:
        output.say("No server is enrolled: `sodbench attest enrol`.")


def withdraw(server: ServerName, cells: CellNames, why: Why, registry: RegistryUrl = None) -> None:
    """Withdraw capabilities from a server, as when a flaw was found in it. They no longer count.

    A loop that watches it (`sodbench watch`) moves the VMs that ask for them.
    """
    _change(server, frozenset(), policy_inputs.cells(cells), why, registry)


def restore(server: ServerName, cells: CellNames, why: Why, registry: RegistryUrl = None) -> None:
    """Give a server back what was withdrawn from it."""
    _change(server, policy_inputs.cells(cells), frozenset(), why, registry)


def _change(
    server: str, less: frozenset[Cell], more: frozenset[Cell], why: str, registry: str | None
) -> None:
    """Change what is withdrawn from a server by its provider."""
    reason = checked_text(why, "a reason")
    with attest_inputs.registry(registry) as store:
        policy_inputs.servers(store, [server])
        stored = store.properties(server).get(WITHDRAWN)
        before = frozenset() if stored is None else withdrawal(stored.value)
        if before is None:
            raise UsageError(
                f"what was withdrawn from {server} cannot be read, so that all of it is",
                why=str(getattr(stored, "value", None)),
                remedy="restore nothing before it is known what was meant; set the property again",
            )
        after = (before - less) | more
        names = [str(cell) for cell in CELLS if cell in after]
        store.set_property(
            server, WITHDRAWN, {"cells": names, "why": reason}, source="provider", simulated=False
        )
    said = ", ".join(names) or "nothing"
    Output().say(f"{server}: withdrawn is {said}")


def _fleet(store: Registry, table: Table, known: Sequence[Server], warning_counts: bool) -> Fleet:
    fleet = Fleet(table, known, warning_counts=warning_counts)
    fleet.advance(store.now().monotonic_ns)
    return fleet


def _architecture(one: Architecture) -> dict[str, object]:
    return {
        "name": one.name,
        "kind": one.kind,
        "cells": {str(cell): value.value for cell, value in one.cells.items()},
        "protected": one.protected,
        "source": one.source,
    }


def _server(one: Server, fleet: Fleet) -> dict[str, object]:
    found, verdict = fleet.effective(one), one.verdict
    left_ns = None if verdict.expires_ns is None else verdict.expires_ns - fleet.now_ns
    return {
        "name": one.name,
        "architecture": one.architecture,
        "simulated": one.simulated,
        "tier": verdict.tier.value,
        "reason": verdict.reason.value,
        "detail": verdict.detail,
        "expires_in_s": None if left_ns is None else left_ns / 1e9,
        "running_vms": one.running_vms,
        "withdrawn": sorted(map(str, one.withdrawn)),
        "cells": {str(cell): value.value for cell, value in found.cells.items()},
        "lost": {str(cell): lost.value for cell, lost in found.lost.items()},
        "why": found.why,
    }


def _rows_of_table(table: Table) -> list[list[Shown]]:
    rows: list[list[Shown]] = []
    kind = None
    for one in table.values():
        if one.kind != kind:
            rows.append([Styled(one.kind, "bold")])
            kind = one.kind
        cells = {cell: value.value for cell, value in one.cells.items()}
        rows.append([f"  {one.name}", one.protected, *_pairs(cells)])
    return rows


def _rows_of_servers(known: Sequence[Server], fleet: Fleet) -> list[list[Shown]]:
    rows: list[list[Shown]] = []
    for one in known:
        found, verdict = fleet.effective(one), one.verdict
        cells = {cell: value.value for cell, value in found.cells.items()}
        cells |= dict.fromkeys(found.lost, "lost")
        simulated = "*" if one.simulated else ""
        rows.append(
            [
                one.name,
                f"{one.architecture or 'not stated'}{simulated}",
                tiers.shown(verdict.tier),
                str(one.running_vms),
                *_pairs(cells),
            ]
        )
    return rows


def _pairs(cells: Mapping[Cell, str]) -> list[Shown]:
    """One text for each entity: the value, or confidentiality's and integrity's where they differ."""
    found: list[Shown] = []
    for entity in Entity:
        values = dict.fromkeys(cells[Cell(entity, aspect)] for aspect in Aspect)
        first, *other = (Styled(one, _STYLES[one]) for one in values)
        found.append([first, *(part for one in other for part in ("/", one))])
    return found
