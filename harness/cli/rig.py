"""`sodbench rig`: how the hosts are set: show it, tune them for measurements, put everything back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from harness.cli.inputs import Inventory, RunInventory, inventory_file
from harness.cli.terminal import Output
from harness.json_types import Json
from harness.pair_name import FIRST, HOSTS
from harness.rig import lock
from harness.rig.host import Host
from harness.rig.pair import Pair, load
from harness.rig.provision import play
from harness.rig.state import read
from harness.rig.state.facts import FACTS, HostFacts

rig = typer.Typer(
    help="How the hosts of a rig are set: show it, tune them, restore them (docs/provisioning.md).",
    no_args_is_help=True,
)

_UNSHOWN = frozenset({"kernel_log_next", "kernel_log_errors"})
_TASK_FACT = "sodbench_tuned"


@rig.command()
def show(inventory: Inventory = None, run_inventory: RunInventory = False) -> None:
    """Show the state of both hosts as a trial records it. Changes nothing."""
    pair = _pair(inventory, run_inventory)
    found: dict[str, HostFacts] = {}
    for role in HOSTS:
        with Host(pair.machines[role]) as host:
            found[role] = read.state(host)
    output = Output()
    names = [name for name in FACTS if name not in _UNSHOWN]
    output.table(
        ("fact", *HOSTS), [(name, *(_text(found[role].facts[name]) for role in HOSTS)) for name in names]
    )
    for name in names:
        for role in HOSTS:
            if name in found[role].reasons:
                output.say(f"{name} of {role} is not known: {found[role].reasons[name]}")


@rig.command()
def tune(inventory: Inventory = None, run_inventory: RunInventory = False) -> None:
    """Set both hosts so that measurements on them repeat; `restore` puts every value back.

    What is set is the inventory's `sodbench_tune_settings`. No run may use the rig meanwhile.
    """
    _play("tune.yml", "set", _pair(inventory, run_inventory))


@rig.command()
def restore(inventory: Inventory = None, run_inventory: RunInventory = False) -> None:
    """Put back every value that `tune` changed, also after a crash or a reboot of a host."""
    _play("restore.yml", "put back", _pair(inventory, run_inventory))


def _pair(inventory: Path | None, programs: bool) -> Pair:
    return load(inventory_file(inventory, "lab"), programs=programs)


def _play(playbook: str, done: str, pair: Pair) -> None:
    """Run the playbook while this command alone has the rig, and say what it did on each host."""
    output = Output()
    with (
        output.status(f"running {playbook}") as progress,
        Host(pair.machines[FIRST]) as first,
        lock.hold(first, f"sodbench rig: {playbook}"),
    ):
        found = play(
            playbook,
            pair.inventory,
            progress=progress,
            programs=pair.programs,
            limit_s=pair.ansible_limit_s,
        ).facts
    for role in HOSTS:
        said = found.get(role, {}).get(_TASK_FACT)
        for line in _told(role, done, said if isinstance(said, Mapping) else {}):
            output.say(line)


def _told(role: str, done: str, said: Mapping[str, Json]) -> list[str]:
    changed, left = said.get("changed"), said.get("left")
    paths = (
        [str(path) for path in changed]
        if isinstance(changed, Sequence) and not isinstance(changed, str)
        else []
    )
    lines = [f"{role}: {len(paths)} value{'' if len(paths) == 1 else 's'} {done}."]
    lines += [f"  {path}" for path in paths]
    if isinstance(left, Mapping):
        lines += [f"  left alone: {name}: {why}" for name, why in left.items()]
    return lines


def _text(value: Json) -> str:
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        told = [f"{name}: {text}" for name, text in value.items() if text != "Not affected"]
        return "; ".join(told) or "not affected"
    return str(value)
