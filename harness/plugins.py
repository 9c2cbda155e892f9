"""What packages register under an entry point of this project: workloads, monitors, metrics.

An installed package adds to a group without a change of this project. A process looks only once at what is
installed, which takes longer than most of what it does with it. What is registered and cannot be imported
is an error with its name, never left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from harness.errors import PrerequisiteError, UsageError
from harness.nearest import nearest

_REMEDY = (
    "install what it needs (after an update of this clone: `make setup`), "
    "or remove the package that registers it"
)


@cache
def registered(group: str) -> tuple[EntryPoint, ...]:
    """What every installed package registers under this entry point."""
    return tuple(entry_points(group=group))


@dataclass(frozen=True, slots=True)
class Group:
    """The plug-ins of one entry point.

    Args:
        name: The entry point's group, such as ``sodbench.workloads``.
        noun: What a member is, in messages.
        kind: What every member is an instance of; None where members are classes of a protocol.
    """

    name: str
    noun: str
    kind: type | None = None

    def load(self) -> dict[str, object]:
        """Every member by name, in the order of the names.

        Raises:
            PrerequisiteError: A member cannot be imported, or is of another kind.
        """
        points = self._points()
        return {name: self._imported(points[name]) for name in sorted(points)}

    def get(self, name: str) -> object:
        """The member `name`; only that one is imported.

        Raises:
            UsageError: There is no such member; the message has the nearest one.
            PrerequisiteError: It cannot be imported.
        """
        points = self._points()
        if name not in points:
            raise UsageError(
                f"there is no {self.noun} {name!r}",
                why=f"registered under {self.name}: {', '.join(sorted(points)) or 'none'}",
                remedy=nearest(name, points) or f"choose one of the registered {self.noun}s",
            )
        return self._imported(points[name])

    def _points(self) -> Mapping[str, EntryPoint]:
        return {point.name: point for point in registered(self.name)}

    def _imported(self, point: EntryPoint) -> object:
        try:
            found: object = point.load()
        except (ImportError, AttributeError) as error:
            raise PrerequisiteError(
                f"the {self.noun} {point.name!r} is registered and cannot be imported",
                where=point.value,
                why=str(error),
                remedy=_REMEDY,
            ) from error
        if self.kind is not None and not isinstance(found, self.kind):
            raise PrerequisiteError(
                f"{point.name!r} is registered as a {self.noun}, which it is not",
                where=point.value,
                remedy=_REMEDY,
            )
        return found
