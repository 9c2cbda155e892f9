"""What a host protects now, as traits of its resource provider: for flavors, and to narrow a search.

A trait says yes by being there, and has neither an age nor a code. So it never decides: it can only keep a
host out that lacks it, before the filter looks at the host's statement. Who writes traits removes those that
no longer hold, and a host of which nothing is known has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from harness.policy.capability import Capability, Table
from harness.policy.request import Request
from harness.policy.server import Server, doubt, effective
from harness.policy.threats import CELLS, COLUMNS, Cell

PREFIX: Final = "CUSTOM_SOD_"
ARCHITECTURE: Final = f"{PREFIX}ARCHITECTURE_"
MOST_CHARACTERS: Final = 255
"""How long a trait may be: placement's column is no longer."""


def trait(cell: Cell) -> str:
    """The trait of a host that protects in this cell."""
    return f"{PREFIX}{str(cell).upper()}"


def traits(server: Server, table: Table, now_ns: int, *, warning_counts: bool = False) -> frozenset[str]:
    """The traits of a server now: its architecture and each cell in which it protects.

    What it removes at run time is no trait: only a request can accept that. Arguments as of
    :func:`harness.policy.server.doubt`.
    """
    if doubt(server, table, now_ns, warning_counts=warning_counts) is not None or not server.architecture:
        return frozenset()
    counts = effective(server, table, now_ns, warning_counts=warning_counts).cells
    architecture = ARCHITECTURE + re.sub(r"[^A-Z0-9]", "_", server.architecture.upper())
    return frozenset({architecture, *(trait(cell) for cell in CELLS if counts[cell] is Capability.YES)})


def replaced(present: Iterable[str], wanted: frozenset[str]) -> frozenset[str]:
    """The traits that a provider is to have: `wanted` of ours, and all that are not ours."""
    return frozenset(one for one in present if not one.startswith(PREFIX)) | wanted


def cells(present: Iterable[str]) -> frozenset[Cell]:
    """The cells that traits name; other traits name none."""
    names = {one.removeprefix(PREFIX).lower() for one in present if one.startswith(PREFIX)}
    return frozenset(cell for name, cell in COLUMNS.items() if name in names)


def required(asked: Request) -> dict[str, str]:
    """The extra specs of a flavor whose servers need what is asked for, such as ``trait:X: required``."""
    return {f"trait:{trait(cell)}": "required" for cell in CELLS if cell in asked.cells}
