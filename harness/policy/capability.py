"""What a security architecture protects from whom: one row of the paper's Table III.

A capability is what an architecture can do by design. Whether a server of it does so at this moment is
another question (:mod:`harness.policy.server`). Nothing here reads a file.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from harness.policy.threats import CELLS, Cell


class Capability(StrEnum):
    """The values of Table III."""

    YES = "yes"
    NO = "no"
    NOT_APPLICABLE = "n-a"
    """The architecture has no such entity, because it is older than clouds; it protects against none."""
    REMOVED = "removed"
    """No protection, because the entity is absent while the VM runs (No* of Table III). Satisfies only a
    request that accepts it by the architecture's name."""


Kind: TypeAlias = Literal["hardware", "software", "commercial"]
"""The groups of Table III."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One row of the table.

    Attributes:
        name: As servers state it, e.g. ``HyperWall``.
        kind: Its group.
        cells: All fourteen cells.
        protected: What is protected, e.g. ``Full VM``.
        source: Where the row is from.
    """

    name: str
    kind: Kind
    cells: Mapping[Cell, Capability]
    protected: str
    source: str

    def __post_init__(self) -> None:
        missing = [str(cell) for cell in CELLS if cell not in self.cells]
        if missing:
            raise ValueError(f"{self.name} says nothing of {', '.join(missing)}")

    def having(self, value: Capability) -> tuple[Cell, ...]:
        """The cells of this value, in the table's order."""
        return tuple(cell for cell in CELLS if self.cells[cell] is value)


Table: TypeAlias = Mapping[str, Architecture]
"""Architectures by name."""


def near(name: str, table: Table) -> str:
    """A hint at the known architecture that is nearest to `name`; empty where no name is near."""
    lowered = {one.lower(): one for one in table}
    found = difflib.get_close_matches(name.lower(), lowered, n=1)
    return f"did you mean {lowered[found[0]]!r}?" if found else ""
