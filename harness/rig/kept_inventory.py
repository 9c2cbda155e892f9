"""What Ansible made of an inventory, kept for the next command: to ask Ansible takes two seconds.

Only an answer that follows from the file's own text is kept: without templates, tags and vaulted values, and
without variables in folders next to it. What was asked, Ansible's version and its settings in the environment
belong to the key, so that Ansible is asked again once any of them is another. An error is never kept.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ValidationError

from harness import resources
from harness.errors import StorageError
from harness.files import write_atomic
from harness.rig import inventory as inventories
from harness.rig.inventory import Resolved

MOST = 50
"""So many inventories' answers are kept, the newest."""

_MOST_BYTES = 1_000_000
_DEPENDENT = (b"{{", b"{%", b"{#", b"!")
"""What begins a template, or a tag such as ``!vault``."""
_VARIABLES = ("group_vars", "host_vars")
_PLUGINS = (Path("~/.ansible/plugins/vars"), Path("/usr/share/ansible/plugins/vars"))
"""Where a user's own plugins may add variables."""


class _Machine(BaseModel):
    values: dict[str, object]
    withheld: list[str]


class _Kept(BaseModel):
    key: str
    machines: dict[str, _Machine]


def resolve(
    inventory: Path, *, machines: Sequence[str], wanted: Sequence[str], programs: bool
) -> Mapping[str, Resolved]:
    """As :func:`harness.rig.inventory.resolve`, which is asked where no kept answer holds."""
    asked = json.dumps([list(machines), list(wanted)])
    key = None if programs else _key(inventory, asked)
    if key is not None and (kept := _read(_place(inventory), key)) is not None:
        return kept
    resolved = inventories.resolve(inventory, machines=machines, wanted=wanted, programs=programs)
    if key is not None and key == _key(inventory, asked):  # it was not changed while Ansible read it
        # Where the user's folder cannot be written, the next command asks Ansible again.
        with suppress(StorageError, OSError):
            _keep(_place(inventory), key, resolved)
    return resolved


def _key(inventory: Path, asked: str) -> str | None:
    """What the answer follows from, as a hash; None where it follows from more than the file's text."""
    try:
        if not inventory.is_file() or inventories.is_program(inventory):
            return None
        with inventory.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
    except OSError:
        return None  # Ansible's way of asking says what is wrong
    beside = [inventory.absolute().parent / name for name in _VARIABLES]
    if any(path.exists() for path in (*beside, *(one.expanduser() for one in _PLUGINS))):
        return None
    if len(text) > _MOST_BYTES or any(mark in text for mark in _DEPENDENT):
        return None
    settings = sorted((name, value) for name, value in os.environ.items() if name.startswith("ANSIBLE_"))
    own = [(resources.playbooks() / name).read_bytes() for name in ("ansible.cfg", "resolve.yml")]
    parts = [text, *own, asked.encode(), version("ansible-core").encode(), json.dumps(settings).encode()]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _folder() -> Path:
    """A folder of the user's cache (XDG Base Directory Specification)."""
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / "sodbench/inventories"


def _place(inventory: Path) -> Path:
    return _folder() / f"{hashlib.sha256(os.fsencode(inventory.absolute())).hexdigest()[:32]}.json"


def _read(place: Path, key: str) -> Mapping[str, Resolved] | None:
    """The answer kept under `key`; None where there is none, or where another user wrote it."""
    try:
        with place.open("rb") as file:
            if os.fstat(file.fileno()).st_uid != os.geteuid():
                return None
            kept = _Kept.model_validate_json(file.read(2 * _MOST_BYTES))
    except (OSError, ValidationError):
        return None
    if kept.key != key:
        return None
    return {name: Resolved(one.values, one.withheld) for name, one in kept.machines.items()}


def _keep(place: Path, key: str, resolved: Mapping[str, Resolved]) -> None:
    machines = {
        name: {"values": dict(one.values), "withheld": list(one.withheld)} for name, one in resolved.items()
    }
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(place, json.dumps({"key": key, "machines": machines}).encode())
    place.chmod(0o600)
    newest = sorted(place.parent.glob("*.json"), key=lambda one: one.stat().st_mtime_ns, reverse=True)
    for old in newest[MOST:]:
        old.unlink(missing_ok=True)
