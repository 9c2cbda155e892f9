"""The installed workloads: whatever is registered under the entry points ``sodbench.workloads``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from harness.plugins import Group

if TYPE_CHECKING:
    from harness.workloads.contract import Workload

GROUP = "sodbench.workloads"
_PLUGINS = Group(GROUP, "workload")


def available() -> dict[str, type[Workload]]:
    """Every registered workload, name to class, by name. Errors: :meth:`harness.plugins.Group.load`."""
    return cast("dict[str, type[Workload]]", _PLUGINS.load())


def get(name: str) -> type[Workload]:
    """The class of the workload `name`. Errors: :meth:`harness.plugins.Group.get`."""
    return cast("type[Workload]", _PLUGINS.get(name))


def make(name: str, options: Mapping[str, object]) -> Workload:
    """The workload `name` as it was chosen.

    Raises:
        UsageError: There is no workload of that name.
        PrerequisiteError: It is registered and cannot be imported.
        pydantic.ValidationError: It has no such options.
    """
    kind = get(name)
    return kind(kind.Options.model_validate(options))
