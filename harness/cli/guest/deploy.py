"""`sodbench guest launch`, `status`, `end`: deploy the guest where its request holds, find it, end it."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.attest import inputs as attest_inputs
from harness.cli.attest.inputs import RegistryUrl
from harness.cli.guest.inputs import GuardOptions, Interval, guarding
from harness.cli.inputs import Inventory, RunInventory, inventory_file
from harness.cli.rigs import images, vtpm_key
from harness.cli.terminal import Output
from harness.clock import NS_PER_S, MonotonicClock
from harness.errors import PrerequisiteError
from harness.pair_name import ONLY_GUEST
from harness.policy.request import request
from harness.response.deployment import Deployment
from harness.rig.guest.domain import locate, of_harness
from harness.rig.hypervisors import LibvirtHosts
from harness.rig.pair import load
from harness.rig.rig import Rig
from harness.rig.session import open_rig

Options = Annotated[
    list[str] | None,
    typer.Option("--option", help="The requested protection, such as 1, 2:c or 5:ci; may be repeated."),
]
Packages = Annotated[list[str] | None, typer.Option("--package", help="The same by a package's name.")]
Removed = Annotated[
    list[str] | None,
    typer.Option("--accept-removed", help="An architecture whose removed hypervisor is accepted."),
]
_BOOT_LIMIT_S = 300.0
_LOOK_LIMIT_S = 30.0


@guarding
def launch(
    guard: GuardOptions,
    options: Options = None,
    packages: Packages = None,
    accept_removed: Removed = None,
    interval_s: Interval = 2.0,
) -> None:
    """Deploy a guest onto the best server that satisfies its request, and prove that it is there.

    The servers are attested first. Ends with 20 where none satisfies the request; nothing was started then. A
    guest that was there before is refused: end it first.
    """
    clock, output = MonotonicClock(), Output()
    pair = guard.pair()
    given = guard.settings(pair, response=None, interval_s=interval_s, seed=0)
    asked = request(options or (), packages or (), accept_removed or (), table=given.table)
    with (
        attest_inputs.registry(guard.registry, pair.name) as kept,
        open_rig(pair, "sodbench guest launch", clock, vtpm_key=vtpm_key(), images=images()) as rig,
    ):
        _require_none(rig)
        kept.protection.set(given.vm, asked.to_json(), by="sodbench guest launch", why="deployment")
        host, stages_ns = Deployment(rig, kept, given, clock).launch(
            asked, look_limit_s=_LOOK_LIMIT_S, boot_limit_s=_BOOT_LIMIT_S
        )
    parts = ", ".join(f"{name} {ns / NS_PER_S:.3f} s" for name, ns in stages_ns.items())
    output.say(f"{given.vm} runs on {host} and was proved to be there: {parts}")
    output.say("`sodbench watch` guards it, `sodbench guest end` takes it away.")


def _require_none(rig: Rig) -> None:
    connections = rig.hypervisors.connect()
    there = locate(connections, rig.subject)
    others = of_harness(connections)
    if there or others:
        raise PrerequisiteError(
            "there is a guest already",
            where=", ".join(there or others),
            remedy="`sodbench guest end` takes it away",
        )


def status(
    inventory: Inventory = None, run_inventory: RunInventory = False, registry: RegistryUrl = None
) -> None:
    """Show where the guest is, by its hosts and by the registry. Changes nothing."""
    output, pair = Output(), load(inventory_file(inventory, "lab"), programs=run_inventory)
    with attest_inputs.looking(registry, pair.name) as kept, LibvirtHosts(pair) as hosts:
        found = locate(hosts.connect(), pair.only_guest)
        place = kept.placement(ONLY_GUEST) if kept.attester(ONLY_GUEST) is not None else None
        asked = kept.protection.current(ONLY_GUEST)
    there = ", ".join(f"{host} (libvirt state {state})" for host, state in found.items()) or "on no host"
    output.say(f"hosts:    {there}")
    stored = "nowhere" if place is None else f"{place.host}, its stay number {place.epoch}"
    output.say(f"registry: {stored}")
    output.say(f"request:  {'none' if asked is None else asked.body}")


def end(
    why: Annotated[str, typer.Option("--why", help="The reason, for the record.")] = "it is not needed",
    inventory: Inventory = None,
    run_inventory: RunInventory = False,
    registry: RegistryUrl = None,
) -> None:
    """Remove the guest, with its disk, its identity and its request; guests that a killed run left, too."""
    pair = load(inventory_file(inventory, "lab"), programs=run_inventory)
    with (
        attest_inputs.registry(registry, pair.name) as kept,
        open_rig(pair, "sodbench guest end", MonotonicClock()) as rig,
    ):
        rig.vacate()
        rig.clear(rig.specify(memory_mib=1024, vcpus=1))
        if kept.attester(ONLY_GUEST) is not None:
            kept.release(ONLY_GUEST, why)
        if kept.protection.current(ONLY_GUEST) is not None:
            kept.protection.withdraw(ONLY_GUEST, by="sodbench guest end", why=why)
    Output().say(f"{ONLY_GUEST} is gone.")
