"""The installed monitors: whatever is registered under the entry points ``sodbench.monitors``.

A monitor that cannot be imported is an error: an attester without a monitor must not pass for one that is
watched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from harness.plugins import Group

if TYPE_CHECKING:
    from harness.attest.monitor.kinds.contract import Monitor

GROUP = "sodbench.monitors"
_PLUGINS = Group(GROUP, "monitor")


def available() -> dict[str, type[Monitor]]:
    """Every registered monitor, name to class, sorted by name. Errors: :meth:`harness.plugins.Group.load`."""
    return cast("dict[str, type[Monitor]]", _PLUGINS.load())


def get(name: str) -> type[Monitor]:
    """The class of the monitor `name`. Errors: :meth:`harness.plugins.Group.get`."""
    return cast("type[Monitor]", _PLUGINS.get(name))
