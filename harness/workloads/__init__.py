"""The installed workloads: everything that is registered under the entry points ``sodbench.workloads``.

The registry is read on every call, so that an installed package adds a workload without a change of this
project and without global state. A workload that cannot be imported is an error with its name, never a
workload that silently does not exist.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, cast

from harness.errors import PrerequisiteError, UsageError

if TYPE_CHECKING:
    from harness.workloads.contract import Workload

GROUP = "sodbench.workloads"


def available() -> dict[str, type[Workload]]:
    """Every registered workload, name to class, sorted by name.

    Raises:
        PrerequisiteError: A registered workload cannot be imported.
    """
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return {point.name: _load(point) for point in points}


def get(name: str) -> type[Workload]:
    """The class of the workload `name`; only that one is imported.

    Raises:
        UsageError: There is no workload of that name; the message has the nearest ones.
        PrerequisiteError: It is registered and cannot be imported.
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name not in points:
        near = difflib.get_close_matches(name, points, n=1)
        raise UsageError(
            f"there is no workload {name!r}",
            why=f"registered under {GROUP}: {', '.join(sorted(points)) or 'none'}",
            remedy=f"did you mean {near[0]!r}?" if near else "choose one of the registered workloads",
        )
    return _load(points[name])


def make(name: str, options: Mapping[str, object]) -> Workload:
    """The workload `name` as it was chosen.

    Raises:
        UsageError: There is no workload of that name.
        PrerequisiteError: It is registered and cannot be imported.
        pydantic.ValidationError: It has no such options.
    """
    kind = get(name)
    return kind(kind.Options.model_validate(options))


def _load(point: EntryPoint) -> type[Workload]:
    try:
        return cast("type[Workload]", point.load())
    except (ImportError, AttributeError) as error:
        raise PrerequisiteError(
            f"the workload {point.name!r} is registered and cannot be imported",
            where=point.value,
            why=str(error),
            remedy="install what it needs (after an update of this clone: `make setup`), or remove the "
            "package that registers it",
        ) from error
