"""`sodbench policy validate` and `explain`: which servers satisfy a request, and why the others do not."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from harness.cli.attest import inputs as attest_inputs
from harness.cli.attest.inputs import Json, RegistryUrl
from harness.cli.policy import inputs as policy_inputs
from harness.cli.policy.inputs import (
    Accepted,
    AppraisalName,
    Files,
    Metadata,
    Options,
    Packages,
    Vm,
    WarningCounts,
)
from harness.cli.terminal import Output, Styled
from harness.policy.capability import Table
from harness.policy.fleet import Fleet
from harness.policy.refusal import Refusal, refusal
from harness.policy.request import Request
from harness.policy.threats import CELLS, mask
from harness.policy.validated import Validated
from harness.policy.validation import NoServerError, deploy, relocate, satisfied
from harness.registry.registry import Registry


def validate(
    vm: Annotated[str | None, typer.Argument(metavar="VM", help="A VM with a stored request.")] = None,
    options: Options = None,
    packages: Packages = None,
    accepted: Accepted = None,
    servers: Annotated[
        list[str] | None,
        typer.Option("--server", "-s", help="Only these servers; may be given several times."),
    ] = None,
    here: Annotated[
        str | None,
        typer.Option("--here", help="The server that the VM must leave; by default its present server."),
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="How many eligible servers are shown.")] = 20,
    warning_counts: WarningCounts = None,
    policy: AppraisalName = "default",
    files: Files = None,
    registry: RegistryUrl = None,
    as_json: Json = False,
) -> None:
    """Say which servers satisfy a request now, best first, and what the others lack.

    Of a VM: what is asked for it, and where it may go from where it is; options that are named take the place
    of what is stored. Without a VM: where a new one with these options may start. Ends with 20 where there is
    no such server.
    """
    table = policy_inputs.table(files)
    counts = policy_inputs.warning_counts(warning_counts, policy)
    with attest_inputs.looking(registry) as store:
        asked = policy_inputs.wanted(store, vm, table, (options, packages, accepted))
        fleet = _fleet(store, table, servers, counts)
        left = here or _place(store, vm)
        now_ns = store.now().monotonic_ns
    verdict = deploy(asked, fleet, now_ns) if left is None else relocate(asked, fleet, left, now_ns)
    stays = None if left is None else satisfied(asked, fleet, left, now_ns)
    if as_json:
        typer.echo(json.dumps(_verdict(verdict, stays), indent=2))
    else:
        _show(verdict, stays, vm or "a new VM", most)
    if verdict.reason is not None:
        raise typer.Exit(NoServerError.exit_code)


def explain(
    vm: Vm,
    server: Annotated[str, typer.Argument(metavar="SERVER", help="An enrolled server.")],
    options: Options = None,
    packages: Packages = None,
    accepted: Accepted = None,
    metadata: Metadata = None,
    warning_counts: WarningCounts = None,
    policy: AppraisalName = "default",
    files: Files = None,
    registry: RegistryUrl = None,
    as_json: Json = False,
) -> None:
    """Say cell by cell what is asked for a VM, what a server has by design, and what counts of it now.

    The metadata of a server of OpenStack take the place of what is stored or named.
    """
    table = policy_inputs.table(files)
    counts = policy_inputs.warning_counts(warning_counts, policy)
    with attest_inputs.looking(registry) as store:
        named = (options, packages, accepted)
        asked = (
            policy_inputs.wanted(store, vm, table, named)
            if metadata is None
            else policy_inputs.of_metadata(metadata)
        )
        fleet = _fleet(store, table, [server], counts)
        fleet.advance(store.now().monotonic_ns)
    rows, why = _cells(asked, fleet, server)
    if as_json:
        found = {"vm": vm, "server": server, "satisfied": not why, "why": why, "cells": rows}
        typer.echo(json.dumps(found, indent=2))
        return
    one = fleet.get(server)
    architecture = "unknown" if one is None or one.architecture is None else one.architecture
    shown = []
    for name, row in rows.items():
        lacking, wanted = row["lacking"], row["asked"]
        so = Styled(str(lacking), "bold red") if lacking else Styled("satisfied" if wanted else "", "green")
        shown.append((name, "yes" if wanted else "", str(row["architecture"] or ""), str(row["now"]), so))
    output = Output()
    output.table(("cell", "asked for", architecture, f"{server} now", "so"), shown)
    said = (
        f"{server} satisfies what is asked for {vm}." if not why else f"{server} does not satisfy it: {why}"
    )
    output.say(said)


def _fleet(store: Registry, table: Table, named: list[str] | None, warning_counts: bool) -> Fleet:
    return Fleet(table, policy_inputs.servers(store, named), warning_counts=warning_counts)


def _place(store: Registry, vm: str | None) -> str | None:
    """Where the VM is, as far as the registry knows."""
    placed = None if vm is None else store.placement(vm)
    return None if placed is None else placed.host


def _cells(asked: Request, fleet: Fleet, server: str) -> tuple[dict[str, dict[str, object]], str]:
    """Each cell in the tables' order, and why the server does not satisfy the request; empty if it does."""
    one, refused = fleet.get(server), refusal(asked, fleet, server)
    row = None if one is None or one.architecture is None else fleet.table.get(one.architecture)
    counts = None if one is None else fleet.effective(one)
    wanted, lacking = asked.cells, {} if refused is None else refused.cells
    found: dict[str, dict[str, object]] = {
        str(cell): {
            "asked": cell in wanted,
            "architecture": None if row is None else row.cells[cell].value,
            "now": "no" if counts is None else counts.cells[cell].value,
            "lacking": lacking.get(cell),
        }
        for cell in CELLS
    }
    return found, "" if refused is None else refused.why


def _verdict(verdict: Validated, stays: Refusal | None) -> dict[str, object]:
    return {
        "mode": "deployment" if verdict.here is None else "relocation",
        "request": verdict.request.to_json(),
        "here": verdict.here,
        "stays": None if verdict.here is None else stays is None,
        "count": verdict.count,
        "eligible": list(verdict.eligible),
        "refused": {name: _refusal(one) for name, one in sorted(verdict.refused.items())},
        "reason": None if verdict.reason is None else verdict.reason.value,
    }


def _refusal(one: Refusal) -> dict[str, object]:
    return {"cells": {str(cell): word for cell, word in one.cells.items()}, "why": one.why}


def _show(verdict: Validated, stays: Refusal | None, vm: str, most: int) -> None:
    output = Output()
    asked = ", ".join(verdict.request.texts())
    mode = "Deployment of" if verdict.here is None else "Relocation of"
    output.say(f"{mode} {vm}, options {asked}")
    if verdict.here is not None:
        may = "it may stay there" if stays is None else f"it must not stay there: {stays.why}"
        output.say(f"It is on {verdict.here}; {may}.")
    if verdict.count:
        output.table(("eligible", "architecture", "more than asked for", "VMs"), _ranked(verdict, most))
    else:
        why = "." if verdict.refused else ": none is enrolled (`sodbench attest enrol`)."
        output.say(f"No server is eligible{why}")
    if verdict.count > most:
        output.say(f"and {verdict.count - most} more")
    refused = [
        (one.example.server + (f" and {one.count - 1} more" if one.count > 1 else ""), one.example.why)
        for one in verdict.summary()
    ]
    if refused:
        output.table(("refused", "why"), refused)


def _ranked(verdict: Validated, most: int) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    asked = mask(verdict.request.cells)
    for name in verdict.first(most):
        one, offer = verdict.fleet.get(name), verdict.fleet.offer(name)
        if one is None or offer is None:
            continue
        simulated = " (simulated)" if one.simulated else ""
        beyond = (offer.yes & ~asked).bit_count()
        rows.append((name, f"{one.architecture}{simulated}", f"{beyond} cells", str(one.running_vms)))
    return rows
