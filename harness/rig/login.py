"""How Ansible would log in to a machine: the harness and libvirt do it alike, or it is refused.

Names and their order are those of Ansible's connection plugin ``ssh``: of several variables for one option
the last that is set counts, and the environment counts where none is.
"""

from __future__ import annotations

import getpass
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from harness.errors import InventoryError
from harness.rig import ssh_arguments
from harness.rig.ssh_arguments import SshArguments, UnsupportedError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Option:
    variables: tuple[str, ...]
    environment: str = ""


_HOST = _Option(variables=("ansible_host", "ansible_ssh_host"))
_USER = _Option(variables=("ansible_user", "ansible_ssh_user"), environment="ANSIBLE_REMOTE_USER")
_PORT = _Option(variables=("ansible_port", "ansible_ssh_port"), environment="ANSIBLE_REMOTE_PORT")
_KEY = _Option(
    variables=("ansible_private_key_file", "ansible_ssh_private_key_file"),
    environment="ANSIBLE_PRIVATE_KEY_FILE",
)
_ARGUMENTS = (
    _Option(variables=("ansible_ssh_args",), environment="ANSIBLE_SSH_ARGS"),
    _Option(variables=("ansible_ssh_common_args",), environment="ANSIBLE_SSH_COMMON_ARGS"),
    _Option(variables=("ansible_ssh_extra_args",), environment="ANSIBLE_SSH_EXTRA_ARGS"),
)
_FIXED: Mapping[_Option, tuple[tuple[str, ...], str]] = MappingProxyType(
    {
        _Option(variables=("ansible_connection",), environment="ANSIBLE_TRANSPORT"): (
            ("ssh", "smart", "ansible.builtin.ssh"),
            "the harness and libvirt reach machines over ssh alone",
        ),
        _Option(variables=("ansible_ssh_executable",), environment="ANSIBLE_SSH_EXECUTABLE"): (
            ("ssh", "/usr/bin/ssh"),
            "the harness speaks the protocol itself and libvirt uses ssh",
        ),
        _Option(
            variables=("ansible_host_key_checking", "ansible_ssh_host_key_checking"),
        ): (("true", "yes", "on", "1"), "the harness always checks host keys"),
        _Option(variables=("ansible_become_method",), environment="ANSIBLE_BECOME_METHOD"): (
            ("sudo", "ansible.builtin.sudo"),
            "the harness becomes root by `sudo -n`",
        ),
        _Option(variables=("ansible_become_user",), environment="ANSIBLE_BECOME_USER"): (
            ("root",),
            "the harness becomes root by `sudo -n`",
        ),
        _Option(variables=("ansible_become_exe",), environment="ANSIBLE_BECOME_EXE"): (
            ("sudo", "/usr/bin/sudo"),
            "the harness becomes root by `sudo -n`",
        ),
    }
)
"""Options of which one value alone can be carried over: the values, and why no other."""

SECRETS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password"),
            "libvirt's ssh cannot be given a password: log in by a key (ansible_ssh_private_key_file)",
        ),
        **dict.fromkeys(
            (
                *("ansible_private_key", "ansible_ssh_private_key"),
                *("ansible_private_key_passphrase", "ansible_ssh_private_key_passphrase"),
                "ansible_ssh_pkcs11_provider",
            ),
            "libvirt's ssh cannot be given it: name a key file without a passphrase, or use an agent",
        ),
        **dict.fromkeys(
            ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass"),
            "the harness runs `sudo -n`, which asks for none: let the user use sudo without (NOPASSWD)",
        ),
    }
)
"""Variables that are never read, only known to be set, with the reason why they are refused."""

VARIABLES = tuple(
    name for option in (_HOST, _USER, _PORT, _KEY, *_ARGUMENTS, *_FIXED) for name in option.variables
)
"""The variables that :func:`login` wants to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How a machine is logged in to.

    Attributes:
        address: Name or address.
        user: Login name.
        port: SSH port.
        key: Private key file, or None for the user's agent and defaults.
        known_hosts: File with the machine's host key, or None for the user's own.
        proxy: A ProxyCommand, see :class:`.ssh_arguments.SshArguments`, or None.
        own_config: Whether the user's configuration of ssh counts.
    """

    address: str
    user: str
    port: int
    key: Path | None
    known_hosts: Path | None
    proxy: str | None
    own_config: bool


@dataclass(frozen=True, slots=True)
class _Machine:
    """Where the values come from: for messages."""

    role: str
    inventory: Path
    variables: Mapping[str, object]

    def value(self, option: _Option) -> tuple[str, str]:
        """Name and text of what is set for `option`; the text is empty where nothing is."""
        for name in reversed(option.variables):
            if self.variables.get(name) is not None:
                return name, str(self.variables[name])
        return option.environment, os.environ.get(option.environment, "") if option.environment else ""

    def refusal(self, name: str, why: str, remedy: str = "") -> InventoryError:
        return InventoryError(
            f"{name} of {self.role} cannot be carried over from Ansible",
            where=str(self.inventory),
            why=why,
            remedy=remedy
            or f"leave {name} out, or change how {self.role} is logged in to (docs/provisioning.md)",
        )


def login(role: str, inventory: Path, variables: Mapping[str, object], withheld: Iterable[str]) -> Login:
    """How Ansible would log in to the machine `role`.

    Args:
        role: The machine's name in the inventory.
        inventory: For messages.
        variables: What the inventory says of it, resolved.
        withheld: Which of :data:`SECRETS` it sets.

    Raises:
        InventoryError: Something that the inventory asks for cannot be carried over.
    """
    machine = _Machine(role, inventory, variables)
    for name in withheld:
        raise machine.refusal(name, SECRETS[name])
    for option, (values, why) in _FIXED.items():
        name, text = machine.value(option)
        if text and text.lower() not in values:
            raise machine.refusal(name, f"it is {text[:100]!r}; {why}")
    asked = _arguments(machine)
    key = _key(machine, asked)
    known_hosts = _known_hosts(machine) or asked.known_hosts
    address = _plain(machine, _HOST, role, "an address")
    # With a file of host keys of its own a machine is reached without the user's configuration (ssh -F none).
    own_config = asked.own_config and known_hosts is None
    complete = all(machine.value(option)[1] for option in (_USER, _PORT))
    own, own_port = _configured(address) if own_config and not complete else ("", "")
    user = _plain(machine, _USER, asked.user or own or getpass.getuser(), "a login name")
    if asked.proxy and "%r" in asked.proxy and not re.fullmatch(r"[\w.@+-]+", user):
        raise machine.refusal(_USER.variables[0], f"{user!r} in a ProxyCommand is read by a shell")
    return Login(
        address=address,
        user=user,
        port=_port(machine, asked.port or own_port or "22"),
        key=key,
        known_hosts=known_hosts,
        proxy=asked.proxy,
        own_config=own_config,
    )


def _arguments(machine: _Machine) -> SshArguments:
    """What ssh's arguments ask for, in the order in which Ansible gives them; the first of two counts."""
    merged = SshArguments()
    for option in _ARGUMENTS:
        name, text = machine.value(option)
        try:
            found = ssh_arguments.parse(text)
        except UnsupportedError as error:
            raise machine.refusal(
                name,
                str(error),
                "known are ProxyJump, ProxyCommand, UserKnownHostsFile, IdentityFile, User, Port, `-F none`, "
                "and options that change nothing of what is reached (docs/provisioning.md)",
            ) from error
        for field in ("proxy", "key", "known_hosts", "user", "port"):
            setattr(merged, field, getattr(merged, field) or getattr(found, field))
        merged.own_config = merged.own_config and found.own_config
    return merged


def _plain(machine: _Machine, option: _Option, default: str, what: str) -> str:
    """The value of `option`, without anything that a program would take for more than a name."""
    name, text = machine.value(option)
    text = text or default
    forbidden = r"[\s\x00-\x1f\x7f/@'\"`$;&|<>(){}]" if option is _HOST else r"[\x00-\x1f\x7f]"
    if text.startswith("-") or re.search(forbidden, text):
        raise machine.refusal(name or option.variables[0], f"{text[:100]!r} is not {what}", f"name {what}")
    return text


def _port(machine: _Machine, default: str) -> int:
    name, text = machine.value(_PORT)
    text = text or default
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:6]) < 65536:
        raise machine.refusal(name or _PORT.variables[0], f"{text[:100]!r} is no port", "1 to 65535")
    return int(text)


def _key(machine: _Machine, asked: SshArguments) -> Path | None:
    name, text = machine.value(_KEY)
    if not text:
        return asked.key
    key = Path(text).expanduser()
    if not key.is_absolute():
        raise machine.refusal(
            name,
            f"{text[:200]!r} is not an absolute path: each program would look in a folder of its own",
            f'an absolute path, `~/...`, or "{{{{ inventory_dir }}}}/{text[:200]}"',
        )
    if asked.key not in (None, key):
        raise machine.refusal(name, f"it names {key} and ssh's arguments name {asked.key}", "name one key")
    return key


def _known_hosts(machine: _Machine) -> Path | None:
    text = machine.variables.get("sodbench_known_hosts")
    return machine.inventory.parent.absolute() / Path(str(text)).expanduser() if text else None


def _configured(address: str) -> tuple[str, str]:
    """User and port that ssh's own configuration has for `address`; empty where ssh cannot say."""
    if address.startswith("-"):
        return "", ""
    try:
        done = subprocess.run(
            ["ssh", "-G", "--", address], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return "", ""
    said = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    return said.get("user", ""), said.get("port", "")
