"""An inventory as a value: which machines there are and how each is reached.

Lab and real pair differ in that file alone. It is an Ansible inventory, resolved by Ansible itself, so that
groups, ``host_vars``, templates and vaulted values mean here what they mean in the playbooks. Reading it
touches no machine.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from harness.errors import InventoryError
from harness.json_types import Json
from harness.pair_name import CLIENT, DEFAULT_PAIR, FIRST, GUEST, HOSTS, MACHINES, ONLY_GUEST
from harness.rig import login, uri
from harness.rig.guest import login_key
from harness.rig.guest.guest import Guest
from harness.rig.inventory import Resolved
from harness.rig.kept_inventory import resolve
from harness.rig.limits import NUMBER, Limits

_DOMAIN = "sodbench-guest"
_MAC = "52:54:00:5d:be:4c"


def is_of_harness(domain: str) -> bool:
    """Whether a libvirt domain of that name is a guest of the harness: of this run or of any other."""
    return domain == _DOMAIN or domain.startswith(f"{_DOMAIN}-")


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
        proxy: A ProxyCommand of ssh(1) by which it is reached, or None for a direct connection.
        own_config: Whether the user's configuration of ssh counts; never where `known_hosts` is given.
        limits: How long it may take.
    """

    role: str
    address: str
    user: str
    port: int = 22
    key: Path | None = None
    known_hosts: Path | None = None
    proxy: str | None = None
    own_config: bool = True
    limits: Limits = field(default_factory=Limits)

    @property
    def reads_configuration(self) -> bool:
        """Whether the user's configuration of ssh counts for it."""
        return self.own_config and self.known_hosts is None

    def ssh_options(self) -> list[str]:
        """The same connection as options of ssh(1)."""
        limit = f"ConnectTimeout={max(1, round(self.limits.connect_s))}"
        options = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", limit]
        if self.key:
            options += ["-i", str(self.key), "-o", "IdentitiesOnly=yes"]
        if not self.reads_configuration:
            options += ["-F", "none"]
        if self.known_hosts:
            options += ["-o", f"UserKnownHostsFile={_in_configuration(self.known_hosts)}"]
        if self.proxy:
            options += ["-o", f"ProxyCommand={self.proxy}"]
        return options


def _in_configuration(path: Path) -> str:
    """`path` as ssh_config(5) wants it, where a blank separates files and % begins a token."""
    text = str(path).replace("%", "%%")
    return f'"{text}"' if any(one.isspace() for one in text) else text


def _ipv4(address: str) -> str:
    try:
        IPv4Address(address)
    except ValueError as error:
        raise ValueError("not an IPv4 address, and the guest's kernel is given no other") from error
    return address


_Ipv4 = Annotated[str, AfterValidator(_ipv4)]


class GuestNetwork(BaseModel):
    """The guest's static address on the bridge; `prefix` in bits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: _Ipv4
    prefix: Annotated[int, NUMBER, Field(ge=0, le=32)] = 24
    gateway: _Ipv4 | None = None
    dns: Sequence[str] = ()


def _absolute(path: str) -> str:
    if not PurePosixPath(path).is_absolute() or any(ord(one) < 32 for one in path):
        raise ValueError("not an absolute path")
    return path


class _Variables(BaseModel):
    """The variables of one machine that the harness reads as well as its login; the playbooks read more."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    sodbench_pair: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = DEFAULT_PAIR
    sodbench_known_hosts: Path | None = None
    sodbench_limits: Limits = Limits()
    sodbench_migration_address: str | None = None
    sodbench_migration_ports: str = "49152-49215"
    sodbench_rig: str = "pair"
    sodbench_link_bit_s: Annotated[int, NUMBER, Field(gt=0)] | None = None
    sodbench_storage_path: Annotated[str, AfterValidator(_absolute)] = "/srv/sodbench"
    sodbench_bridge: str = "br0"
    sodbench_guest_network: GuestNetwork
    sodbench_tpm: Literal["hardware", "software", "none"] = "none"
    sodbench_attest_roots: Path | None = None
    sodbench_guest_key_file: Path | None = None
    sodbench_image_apt_sources: str | None = None
    sodbench_image_suite: str | None = None
    sodbench_image_size: str | None = None
    sodbench_image_extra_packages: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The machines of a rig.

    Attributes:
        inventory: Where it was read from.
        name: Its name in the registry, which several pairs may share.
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
        programs: Whether the inventory may be a program that Ansible runs.
        guest_key: Private key file that opens the guests, and no host.
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
    programs: bool = False
    name: str = DEFAULT_PAIR
    guest_key: Path = field(default_factory=login_key.default)

    @property
    def ansible_limit_s(self) -> float:
        """How long a machine may take to let Ansible in, in s: Ansible has one such limit for all of them."""
        return max(endpoint.limits.ansible_s for endpoint in self.machines.values())

    @property
    def only_guest(self) -> Guest:
        """The guest of a rig that has one."""
        return Guest(name=ONLY_GUEST, domain=_DOMAIN, mac=_MAC, address=self.guest_network.address)

    def guests(self, names: Sequence[str]) -> tuple[Guest, ...]:
        """Several guests: from the inventory's guest address upwards, each has one of its own.

        Raises:
            InventoryError: There are not so many addresses in the guests' network, or one is taken.
        """
        first = IPv4Address(self.guest_network.address)
        network = IPv4Network(f"{first}/{self.guest_network.prefix}", strict=False)
        machines = {machine.address: role for role, machine in self.machines.items()}
        taken = machines | {self.guest_network.gateway: "the gateway"}
        found = []
        for index, name in enumerate(names):
            address = str(first + index)
            if address in taken or first + index not in network or first + index == network.broadcast_address:
                raise InventoryError(
                    f"no address for the guest {name}",
                    where=str(self.inventory),
                    why=f"{address} is {taken[address]}'s" if address in taken else f"{network} has no more",
                    remedy=f"set sodbench_guest_network.address so that {len(names)} from it on are free",
                )
            mac = f"{_MAC[:-2]}{(int(_MAC[-2:], 16) + index) % 256:02x}"
            found.append(Guest(name=name, domain=f"{_DOMAIN}-{name}", mac=mac, address=address))
        return tuple(found)

    def guest(self, guest: Guest, known_hosts: Path) -> Endpoint:
        """The endpoint of `guest`; its host key is in `known_hosts`, and a key of the guests' own opens it.

        It is on the client's network, so it is reached as the client is.
        """
        client = self.machines[CLIENT]
        return Endpoint(
            role=GUEST,
            address=guest.address,
            user="root",
            key=self.guest_key,
            known_hosts=known_hosts,
            proxy=client.proxy,
            limits=client.limits,
        )

    def libvirt_uri(self, role: str, ssh_command: Path) -> str:
        """The address for libvirt of a host over SSH, through `ssh_command` (libvirt, remote URIs)."""
        endpoint = self.machines[role]
        return uri.libvirt_over_ssh(
            user=endpoint.user, address=endpoint.address, port=endpoint.port, command=ssh_command
        )


def ssh_command_text(endpoint: Endpoint) -> str:
    """A shell script that is ssh with the endpoint's options: libvirt takes a command, not options."""
    return f'#!/bin/sh\nexec ssh {shlex.join(endpoint.ssh_options())} "$@"\n'


def load(inventory: Path, *, programs: bool = False) -> Pair:
    """The pair that `inventory` describes; a program is run as an inventory only where `programs` allows it.

    Raises:
        InventoryError: The file is missing, is no inventory, or lacks a machine or a variable; or what it
            says cannot be resolved or carried over from Ansible.
    """
    wanted = (*login.VARIABLES, *_Variables.model_fields)
    resolved = resolve(inventory, machines=MACHINES, wanted=wanted, programs=programs)
    variables = {role: _variables(resolved[role], role, inventory) for role in MACHINES}
    machines = {role: _endpoint(resolved[role], role, inventory, variables[role]) for role in MACHINES}
    first = variables[FIRST]
    folder = inventory if inventory.is_dir() else inventory.parent
    return Pair(
        inventory=inventory,
        rig=first.sodbench_rig,
        machines=machines,
        migration_address={
            role: variables[role].sodbench_migration_address or machines[role].address for role in HOSTS
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
        attest_roots=folder / first.sodbench_attest_roots if first.sodbench_attest_roots else None,
        programs=programs,
        name=first.sodbench_pair,
        guest_key=_guest_key(first.sodbench_guest_key_file, folder, machines),
    )


def _guest_key(named: Path | None, folder: Path, machines: Mapping[str, Endpoint]) -> Path:
    """The key that opens guests: the one that is `named`, as seen from `folder`, or the user's own."""
    if named is None:
        return login_key.default()
    key = folder.absolute() / named.expanduser()
    shared = [
        role for role, machine in machines.items() if machine.key and machine.key.resolve() == key.resolve()
    ]
    if shared:
        raise InventoryError(
            "the guests' key opens other machines as well",
            where=f"{folder}: sodbench_guest_key_file",
            why=f"{key} is the key of {', '.join(shared)} too; a leak would open hosts and guests",
            remedy="name a key of the guests' own, or leave the variable out",
        )
    return key


def _variables(resolved: Resolved, role: str, inventory: Path) -> _Variables:
    # A variable that is null is one that is not set: so Ansible reads its own.
    given = {name: value for name, value in resolved.values.items() if value is not None}
    try:
        return _Variables.model_validate(given)
    except ValidationError as error:
        detail = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise InventoryError(
            f"variables of {role}",
            where=str(inventory),
            why=detail[:2000],
            remedy="playbooks/inventories/pair.example.yml and docs/provisioning.md say what each may be",
        ) from error


def _endpoint(resolved: Resolved, role: str, inventory: Path, variables: _Variables) -> Endpoint:
    found = login.login(role, inventory, resolved.values, resolved.withheld)
    return Endpoint(
        role=role,
        address=found.address,
        user=found.user,
        port=found.port,
        key=found.key,
        known_hosts=found.known_hosts,
        proxy=found.proxy,
        own_config=found.own_config,
        limits=variables.sodbench_limits,
    )
