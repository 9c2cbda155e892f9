"""What pairs, their machines and their guests are called: an id is ``<pair>/<role>``."""

from __future__ import annotations

from typing import Final

DEFAULT_PAIR: Final = "default"
"""The pair of an inventory that does not name it (``sodbench_pair``), and of every older registry."""

FIRST: Final = "a"
"""The host that does what concerns both: it holds the lock, describes the image and removes disks."""

SECOND: Final = "b"
HOSTS: Final = (FIRST, SECOND)
CLIENT: Final = "client"
MACHINES: Final = (*HOSTS, CLIENT)

GUEST: Final = "guest"
"""The role of a guest among the machines of a pair."""

ONLY_GUEST: Final = GUEST
"""The guest of a rig that has one, and of a journal that names none."""

_BETWEEN = "/"


def full_id(name: str, pair: str) -> str:
    """The id of `name` in `pair`; a name that is an id already stays one."""
    return name if _BETWEEN in name else f"{pair}{_BETWEEN}{name}"


def name_in(identity: str, pair: str) -> str:
    """What `identity` is called in `pair`: its role where it is of that pair, else its whole id."""
    return identity.removeprefix(f"{pair}{_BETWEEN}")
