"""Opens a played rig: the same value that an opened real one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from harness.errors import PrerequisiteError, UnreachableError
from harness.json_types import Json
from harness.pair_name import CLIENT, FIRST, HOSTS, MACHINES, SECOND
from harness.rig.pair import Endpoint, GuestNetwork, Pair
from harness.rig.played import streams
from harness.rig.played.clock import PlayedClock
from harness.rig.played.hypervisor import PlayedHosts
from harness.rig.played.machines import NOTHING, Installed, PlayedMachine
from harness.rig.played.script import Script
from harness.rig.played.world import World
from harness.rig.rig import Rig

NAME = "played"
"""What the inventory's place says on the command line, and the rig's name in every result."""

BEGIN_NS = 1_000_000_000_000
"""When played time begins, so that the same campaign has the same stamps."""

_ADDRESSES = {FIRST: "192.0.2.1", SECOND: "192.0.2.2", CLIENT: "192.0.2.3"}
"""Addresses that no machine has (RFC 5737)."""

_FREE_BYTES = 10**13
_MEMORY_BYTES = 1 << 33


def pair() -> Pair:
    """The machines, as an inventory would describe them."""
    machines = {role: Endpoint(role=role, address=_ADDRESSES[role], user="root") for role in MACHINES}
    return Pair(
        inventory=Path(NAME),
        rig=NAME,
        machines=machines,
        migration_address={role: _ADDRESSES[role] for role in HOSTS},
        link_bit_s=10**9,
        storage_path="/srv/played",
        bridge="br0",
        guest_network=GuestNetwork(address="192.0.2.9"),
        image_options={},
        tpm=dict.fromkeys(HOSTS, "none"),
    )


def open_rig(script: Script, clock: PlayedClock, installed: Installed = NOTHING) -> Rig:
    """A rig that plays `script`, by `clock`; `installed` is what its machines have in addition."""
    described = pair()
    only = described.only_guest
    world = World(clock, script, only.domain, only.address)
    world.on_start.append(installed.on_start)
    hosts = {role: PlayedMachine(world, described.machines[role], installed) for role in HOSTS}
    client = PlayedMachine(world, described.machines[CLIENT])
    return Rig(
        pair=described,
        hosts=hosts,
        client=client,
        subject=only,
        guest=PlayedMachine(world, described.guest(only, Path("known_hosts")), installed),
        hypervisors=PlayedHosts(world),
        accelerator="tcg",
        image_key="played",
        image={"image": "played: there is no image"},
        facts=partial(facts, world),
        played=True,
        reach=lambda guest: PlayedMachine(
            world.of(guest.domain, guest.address), described.guest(guest, Path("known_hosts")), installed
        ),
    )


def facts(world: World) -> Mapping[str, Mapping[str, Json]]:
    """What the machines say of themselves: two hosts that are alike.

    Raises:
        UnreachableError: One has died.
    """
    for name in sorted(world.dead):
        raise UnreachableError(
            "the machine does not answer", where=f"host {name} (played)", why="it has died", retry=True
        )
    host: dict[str, Json] = {
        "cpu_model": "played",
        "cpu_flags_hash": "played",
        "kernel": "played",
        "qemu_version": "played",
        "libvirt_version": "played",
        "storage_id": "played",
        "storage_free_bytes": _FREE_BYTES,
        "memory_bytes": _MEMORY_BYTES,
    }
    return {**{role: {**host, "hostname": f"played-{role}"} for role in HOSTS}, CLIENT: {"generators": {}}}


def require(workloads: Sequence[str], *, responds: bool) -> None:
    """Refuse a campaign that cannot be played.

    Raises:
        PrerequisiteError: A workload is not played, or a guest is to be guarded.
    """
    unknown = sorted(set(workloads) - set(streams.WORKLOADS))
    problems = [f"the workload {name} is not played" for name in unknown]
    problems += ["scenarios and responses to them are not played"] if responds else []
    if problems:
        raise PrerequisiteError(
            "the played rig cannot carry this campaign",
            where=NAME,
            why="; ".join(problems),
            remedy=f"played are the workloads {', '.join(streams.WORKLOADS)}, without `respond`",
        )
