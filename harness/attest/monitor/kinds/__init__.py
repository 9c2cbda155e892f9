"""The installed monitors: everything that is registered under the entry points ``sodbench.monitors``.

The registry is read on every call, so that an installed package adds an architecture without a change of this
project. A monitor that cannot be imported is an error with its name: an attester without a monitor must not
pass for one that is watched.
"""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, cast

from harness.errors import PrerequisiteError, UsageError

if TYPE_CHECKING:
    from harness.attest.monitor.kinds.contract import Monitor

GROUP = "sodbench.monitors"


def available() -> dict[str, type[Monitor]]:
    """Every registered monitor, name to class, sorted by name.

    Raises:
        PrerequisiteError: A registered monitor cannot be imported.
    """
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return {point.name: _load(point) for point in points}


def get(name: str) -> type[Monitor]:
    """The class of the monitor `name`; only that one is imported.

    Raises:
        UsageError: There is none of that name; the message has the nearest ones.
        PrerequisiteError: It is registered and cannot be imported.
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name not in points:
        near = difflib.get_close_matches(name, points, n=1)
        raise UsageError(
            f"there is no monitor {name!r}",
            why=f"registered under {GROUP}: {', '.join(sorted(points)) or 'none'}",
            remedy=f"did you mean {near[0]!r}?" if near else "choose one of the registered monitors",
        )
    return _load(points[name])


def _load(point: EntryPoint) -> type[Monitor]:
    try:
        return cast("type[Monitor]", point.load())
    except (ImportError, AttributeError) as error:
        raise PrerequisiteError(
            f"the monitor {point.name!r} is registered and cannot be imported",
            where=point.value,
            why=str(error),
            remedy="install what it needs (after an update of this clone: `make setup`), or remove the "
            "package that registers it",
        ) from error
