"""An inventory as a value: which machines there are and how each is reached.

Lab and real pair differ in that file alone. It is an Ansible inventory, read with Ansible's own
``ansible-inventory``, so that groups, ``host_vars`` and INI files mean here what they mean in the playbooks.
Reading it touches no machine.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import CampaignError
from harness.journal import Json

HOSTS = ("a", "b")
MACHINES = ("a", "b", "client")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """How a machine is reached over SSH.

    Attributes:
        role: ``a``, ``b``, ``client`` or ``guest``.
        address: Name or address that the controller connects to.
        user: Login name; commands that need root go through ``sudo -n`` when it is another.
        port: SSH port.
        key: Private key file, or None for the user's agent and defaults.
        known_hosts: File with the machine's host key, or None for the user's own.
    """

    role: str
    address: str
    user: str
    port: int = 22
    key: Path | None = None
    known_hosts: Path | None = None

    def ssh_options(self) -> list[str]:
        """The same connection as options of ssh(1)."""
        options = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=10"]
        if self.key:
            options += ["-i", str(self.key), "-o", "IdentitiesOnly=yes"]
        if self.known_hosts:
            options += ["-F", "none", "-o", f"UserKnownHostsFile={self.known_hosts}"]
        return options


class GuestNetwork(BaseModel):
    """The guest's static address on the bridge; `prefix` in bits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str
    prefix: int = 24
    gateway: str | None = None
    dns: Sequence[str] = ()


class _Variables(BaseModel):
    """The variables of one machine that the harness reads; the playbooks read more."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    ansible_host: str
    ansible_user: str = "root"
    ansible_port: int = 22
    ansible_ssh_private_key_file: Path | None = None
    sodbench_known_hosts: Path | None = None
    sodbench_migration_address: str | None = None
    sodbench_migration_ports: str = "49152-49215"
    sodbench_rig: str = "pair"
    sodbench_link_bit_s: int | None = None
    sodbench_storage_path: str = "/srv/sodbench"
    sodbench_bridge: str = "br0"
    sodbench_guest_network: GuestNetwork
    sodbench_tpm: Literal["hardware", "software", "none"] = "none"
    sodbench_attest_roots: Path | None = None
    sodbench_image_apt_sources: str | None = None
    sodbench_image_suite: str | None = None
    sodbench_image_size: str | None = None
    sodbench_image_extra_packages: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The machines of a rig.

    Attributes:
        inventory: Where it was read from.
        rig: ``lab`` or ``pair``; named in every report.
        machines: Endpoint by role (a, b, client).
        migration_address: By host, the address the migration connects to.
        link_bit_s: Stated speed of the migration link in bit/s, or None when the inventory does not say.
        storage_path: Mount point of the shared storage on both hosts.
        bridge: The bridge on both hosts that guests join.
        guest_network: The guest's address.
        image_options: What the inventory asks of the guest image: its variables ``sodbench_image_*`` by what
            follows in their name; null or empty where the role's default holds.
        tpm: By host, ``hardware``, ``software`` or ``none``.
        attest_roots: PEM file, or folder of them, with the roots of the TPMs' makers, if one is named.
    """

    inventory: Path
    rig: str
    machines: Mapping[str, Endpoint]
    migration_address: Mapping[str, str]
    link_bit_s: int | None
    storage_path: str
    bridge: str
    guest_network: GuestNetwork
    image_options: Mapping[str, Json]
    tpm: Mapping[str, str] = field(default_factory=dict)
    attest_roots: Path | None = None

    def guest(self, known_hosts: Path, key: Path | None = None) -> Endpoint:
        """The guest's endpoint; its host key is in `known_hosts`, the rig's key opens it."""
        return Endpoint(
            role="guest",
            address=self.guest_network.address,
            user="root",
            key=key or self.machines["client"].key,
            known_hosts=known_hosts,
        )

    def libvirt_uri(self, role: str, ssh_command: Path) -> str:
        """The address for libvirt of a host over SSH, through `ssh_command` (libvirt, remote URIs)."""
        endpoint = self.machines[role]
        return f"qemu+ssh://{endpoint.user}@{endpoint.address}:{endpoint.port}/system?command={ssh_command}"


def ssh_command_text(endpoint: Endpoint) -> str:
    """A shell script that is ssh with the endpoint's options: libvirt takes a command, not options."""
    return f'#!/bin/sh\nexec ssh {shlex.join(endpoint.ssh_options())} "$@"\n'


def load(inventory: Path) -> Pair:
    """The pair that `inventory` describes.

    Raises:
        CampaignError: The file is missing, is no inventory, or lacks a machine or a variable.
    """
    listed = _ansible_inventory(inventory)
    variables = {role: _variables(listed, role, inventory) for role in MACHINES}
    first = variables["a"]
    return Pair(
        inventory=inventory,
        rig=first.sodbench_rig,
        machines={
            role: Endpoint(
                role=role,
                address=found.ansible_host,
                user=found.ansible_user,
                port=found.ansible_port,
                key=found.ansible_ssh_private_key_file,
                known_hosts=found.sodbench_known_hosts,
            )
            for role, found in variables.items()
        },
        migration_address={
            role: variables[role].sodbench_migration_address or variables[role].ansible_host for role in HOSTS
        },
        link_bit_s=first.sodbench_link_bit_s,
        storage_path=first.sodbench_storage_path,
        bridge=first.sodbench_bridge,
        guest_network=first.sodbench_guest_network,
        image_options={
            "apt_sources": first.sodbench_image_apt_sources,
            "suite": first.sodbench_image_suite,
            "size": first.sodbench_image_size,
            "extra_packages": list(first.sodbench_image_extra_packages),
        },
        tpm={role: variables[role].sodbench_tpm for role in HOSTS},
        attest_roots=inventory.parent / first.sodbench_attest_roots if first.sodbench_attest_roots else None,
    )


def _ansible_inventory(inventory: Path) -> Mapping[str, Mapping[str, object]]:
    if not inventory.exists():
        raise CampaignError(
            "no such inventory",
            where=str(inventory),
            remedy="`sodbench lab up` writes one for the lab; "
            "inventories/pair.example.yml shows one for two real hosts",
        )
    program = Path(sys.executable).with_name("ansible-inventory")
    done = subprocess.run(
        [str(program), "--inventory", str(inventory), "--list"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CampaignError("not an inventory", where=str(inventory), why=done.stderr.strip()[-500:])
    hostvars = dict(json.loads(done.stdout).get("_meta", {}).get("hostvars", {}))
    if not hostvars:  # Ansible takes anything for an empty inventory and warns
        raise CampaignError(
            "no machines in it",
            where=str(inventory),
            why=done.stderr.strip()[-500:] or "the file is empty",
            remedy="name the two hosts a and b (group hosts) and the load generator client (group clients)",
        )
    return hostvars


def _variables(hostvars: Mapping[str, Mapping[str, object]], role: str, inventory: Path) -> _Variables:
    if role not in hostvars:
        raise CampaignError(
            f"no machine named {role!r}",
            where=str(inventory),
            why=f"found: {', '.join(sorted(hostvars)) or 'none'}",
            remedy="name the two hosts a and b (group hosts) and the load generator client (group clients)",
        )
    try:
        return _Variables.model_validate({"ansible_host": role, **hostvars[role]})
    except ValidationError as error:
        detail = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise CampaignError(f"variables of {role}", where=str(inventory), why=detail) from error
