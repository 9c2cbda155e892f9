"""The lab: two KVM hosts and a client on one Linux machine, built from nothing and removed again.

`up` builds machines and writes an inventory. From then on no other code knows that it is a lab: provisioning
and measuring see only the inventory. Everything that `up` makes is named after the lab and found again by
name, so leftovers of a crashed lab are reused or removed. `down` leaves only the cache
(``/var/cache/sodbench``), which makes the next `up` quick; `purge` removes the cache too.
"""

from __future__ import annotations

import ipaddress
import os
import shlex
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from harness.clock import sleep
from harness.errors import PrerequisiteError, ProvisionError
from harness.json_types import Json
from harness.pair_name import CLIENT, FIRST, GUEST, HOSTS, MACHINES, SECOND
from harness.rig import ready
from harness.rig.guest import host_key
from harness.rig.lab import base as lab_base
from harness.rig.lab import machine as lab_machine
from harness.rig.lab import network
from harness.rig.lab import variables as lab_variables
from harness.rig.lab.local import run
from harness.rig.lab.machine import Machine

LINK_BIT_S = 1_000_000_000
"""The paper's network, 1 Gb/s (Security on Demand, section VI)."""

GUEST_ADDRESS = ipaddress.ip_address("198.18.0.100")
_ADDRESSES = {FIRST: "198.18.0.11", SECOND: "198.18.0.12", CLIENT: "198.18.0.13"}
ROLES = (*MACHINES, GUEST)
_BOOT_LIMIT_S = 90.0


@dataclass(frozen=True, slots=True)
class Places:
    """The lab's folders on the controller: `cache` outlives the lab, `state` and `run` do not."""

    cache: Path = Path("/var/cache/sodbench/lab")
    state: Path = Path("/var/lib/sodbench/lab")
    run: Path = Path("/run/sodbench/lab")

    @property
    def inventory(self) -> Path:
        """The inventory that `up` writes last."""
        return self.state / "inventory.yml"

    @property
    def variables(self) -> Path:
        """A user's additions to the inventory, kept until `down`; see :mod:`harness.rig.lab.variables`."""
        return self.state / "variables.yml"

    @property
    def key(self) -> Path:
        """The lab's own ssh key; its public half has ``.pub`` added."""
        return self.cache / "keys/id_ed25519"

    @property
    def guest_key(self) -> Path:
        """The ssh key that opens the lab's guests, and none of its machines."""
        return self.cache / "keys/guest_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The lab's own known_hosts: never the user's."""
        return self.state / "known_hosts"

    @property
    def storage(self) -> Path:
        """The folder that both hosts mount as their shared storage."""
        return self.cache / "storage"

    @property
    def kept_settings(self) -> Path:
        """The controller's own settings, to be put back."""
        return self.run / "kept.json"

    def machine(self, role: str) -> Machine:
        """The machine with that role."""
        return Machine(
            role=role,
            address=ipaddress.IPv4Address(_ADDRESSES[role]),
            layers=self.cache / "machines" / role,
            root=self.run / role,
            log=self.state / f"{role}.console.log",
        )

    def machines(self) -> list[Machine]:
        """All three, hosts first."""
        return [self.machine(role) for role in _ADDRESSES]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineStatus:
    """What can be seen of one machine: its process and whether its sshd answers."""

    role: str
    address: str
    running: bool
    answers: bool


def up(
    places: Places, variables: Path | None = None, *, warn: Callable[[str], None] = lambda _warning: None
) -> Path:
    """Build and start what is missing; the path of the inventory.

    Idempotent: a lab that is up stays as it is, a broken one is mended, stale leftovers are cleared. The
    inventory gets what the file `variables` says, or what the last `up` with such a file was told.

    Args:
        places: Where the lab lies.
        variables: A file of the inventory's variables, or None for the last one.
        warn: Told what is not as it should be and is no error.

    Raises:
        InventoryError: The file of variables is wrong, or an archive in it; nothing was touched.
        PrerequisiteError: Not root, or a program is missing.
        ProvisionError: A machine cannot be built or does not answer.
    """
    given = variables or (places.variables if places.variables.exists() else None)
    extra = lab_variables.read(given) if given else {}
    if os.geteuid() != 0:
        raise PrerequisiteError(
            "the lab makes bridges and mounts and needs root", remedy="run it through sudo"
        )
    for folder in (places.state, places.run, places.storage, places.key.parent):
        folder.mkdir(parents=True, exist_ok=True)
    lab_variables.keep(places.variables, extra)
    _make_keys(places)
    base = lab_base.base(places.cache, places.machines(), warn)
    network.up(places.kept_settings)
    fresh = [machine for machine in places.machines() if not _healthy(machine)]
    for machine in fresh:
        lab_machine.stop(machine)
        if not (machine.layers / f"upper{ready.MARK}").exists():
            lab_machine.forget_layers(machine)  # its provisioning never ended: half of it is worse than none
            shutil.rmtree(places.storage / "snapshots", ignore_errors=True)  # TPMs of its former authority
        lab_machine.mount(machine, base)
        lab_machine.personalise(
            machine, host_key=_host_key(places, machine), authorized_key=_public(places.key)
        )
        lab_machine.start(machine, storage=places.storage)
    _write_known_hosts(places)
    for machine in places.machines():
        _await_ssh(machine)
        lab_machine.shape(machine, LINK_BIT_S)
    _write_inventory(places, extra)
    return places.inventory


def down(places: Places, *, purge: bool = False) -> None:
    """Stop and remove the lab in any state; with `purge` its cache as well."""
    for machine in places.machines():
        lab_machine.stop(machine)
    network.down(places.kept_settings)
    for folder in (places.state, places.run):
        if folder.is_dir():
            shutil.rmtree(folder)
        _remove_if_empty(folder.parent)
    if purge and places.cache.is_dir():
        shutil.rmtree(places.cache)
        _remove_if_empty(places.cache.parent)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def status(places: Places) -> list[MachineStatus]:
    """The state of each machine; touches nothing."""
    return [
        MachineStatus(
            role=machine.role,
            address=str(machine.address),
            running=lab_machine.container_pid(machine) is not None,
            answers=_answers(machine),
        )
        for machine in places.machines()
    ]


def ssh_argv(places: Places, role: str) -> list[str]:
    """The ssh command line for a machine of the lab or its guest, with the lab's own key and known_hosts.

    Raises:
        PrerequisiteError: The lab is down.
    """
    if not places.inventory.exists():
        raise PrerequisiteError("the lab is down", remedy="`sodbench lab up`")
    _write_known_hosts(places)  # the guest told its key when it booted
    address = GUEST_ADDRESS if role == GUEST else places.machine(role).address
    key = places.guest_key if role == GUEST else places.key
    return ["ssh", "-i", str(key), *_ssh_options(places), f"root@{address}"]


def _ssh_options(places: Places) -> list[str]:
    known = f"UserKnownHostsFile={places.known_hosts}"
    return ["-F", "none", "-o", known, "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes"]


def _make_keys(places: Places) -> None:
    for key in (places.key, places.guest_key, *(_host_key(places, machine) for machine in places.machines())):
        if not key.exists():
            key.parent.mkdir(parents=True, exist_ok=True)
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "sodbench-lab", "-f", str(key)])


def _host_key(places: Places, machine: Machine) -> Path:
    return places.cache / "keys" / machine.role / "ssh_host_ed25519_key"


def _public(key: Path) -> str:
    return key.with_name(key.name + ".pub").read_text()


def _write_known_hosts(places: Places) -> None:
    entries = [f"{machine.address} {_public(_host_key(places, machine))}" for machine in places.machines()]
    consoles = places.storage.glob("guests/*/console.log")
    keys = filter(None, (host_key.told(one.read_text(errors="replace")) for one in consoles))
    entries += [f"{GUEST_ADDRESS} {key}\n" for key in keys]
    places.known_hosts.write_text("".join(entries))


def _healthy(machine: Machine) -> bool:
    return lab_machine.container_pid(machine) is not None and _answers(machine)


def _answers(machine: Machine) -> bool:
    try:
        with socket.create_connection((str(machine.address), 22), timeout=1.0) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _await_ssh(machine: Machine) -> None:
    for _ in range(int(_BOOT_LIMIT_S / 0.25)):
        if _answers(machine):
            return
        if lab_machine.container_pid(machine) is None:
            break
        sleep(0.25)
    tail = machine.log.read_text(errors="replace").splitlines()[-8:] if machine.log.exists() else []
    raise ProvisionError(
        "the machine does not answer on its ssh port",
        where=f"{machine.name} ({machine.address})",
        why="\n".join(tail),
        remedy=f"read {machine.log}, then `sodbench lab down` and `lab up`",
    )


def _write_inventory(places: Places, extra: Mapping[str, Json]) -> None:
    hosts = {
        machine.role: {"ansible_host": str(machine.address), "sodbench_uuid": machine.uuid}
        for machine in places.machines()
    }
    inventory = {
        "all": {
            "vars": {
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(places.key),
                "ansible_ssh_common_args": shlex.join(_ssh_options(places)),
                "ansible_python_interpreter": "/usr/bin/python3",
                "sodbench_rig": "lab",
                "sodbench_known_hosts": str(places.known_hosts),
                "sodbench_guest_key_file": str(places.guest_key),
                "sodbench_link_bit_s": LINK_BIT_S,
                "sodbench_storage_path": "/srv/sodbench",
                "sodbench_storage": {"kind": "bind"},
                "sodbench_bridge": "br0",
                "sodbench_bridge_manage": False,
                "sodbench_tpm": "software",
                # Hardware that counts violations of memory is not to be had: the number is set by hand.
                "sodbench_simulated": {"memory_violations": "/var/lib/sodbench/memory_violations"},
                "sodbench_guest_network": {
                    "address": str(GUEST_ADDRESS),
                    "prefix": network.NETWORK.prefixlen,
                    "gateway": str(network.CONTROLLER.ip),
                },
                "sodbench_image_apt_sources": lab_base.apt_sources(),
                **extra,
            },
            "children": {
                "hosts": {"hosts": {role: hosts[role] for role in HOSTS}},
                "clients": {"hosts": {CLIENT: hosts[CLIENT]}},
                "builder": {"hosts": {FIRST: None}},
            },
        }
    }
    partial = places.inventory.with_suffix(".partial")
    with partial.open("w") as file:
        file.write("# Written by `sodbench lab up`; of a real pair: playbooks/inventories/pair.example.yml\n")
        YAML().dump(inventory, file)
    partial.replace(places.inventory)
