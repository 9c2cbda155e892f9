"""What a server lacks for a request: cell by cell, and in one sentence.

An explanation follows from what is known of the server, not from how the fleet stores it, so that the two can
be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.policy.capability import Capability
from harness.policy.fleet import Fleet
from harness.policy.request import Request
from harness.policy.server import Effective, Lost, Server
from harness.policy.threats import CELLS, Cell

NOT_ACCEPTED = "removed, not accepted"
UNKNOWN_SERVER = "unknown server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a server is not eligible.

    Attributes:
        server: Its name.
        cells: Each cell that is asked for and does not count, in the tables' order: the value of the
            architecture (``no``, ``n-a``), ``removed, not accepted``, or why it does not count on this server
            (:class:`harness.policy.server.Lost`). Empty for a server that lacks nothing and is to be left.
        why: The same in one sentence.
    """

    server: str
    cells: Mapping[Cell, str]
    why: str


def lacking(request: Request, effective: Effective, architecture: str | None) -> Mapping[Cell, str]:
    """The requested cells that do not count, and why each does not, in the tables' order."""
    asked, found = request.cells, {}
    accepts = architecture in request.accept_removed
    for cell in CELLS:
        value = effective.cells[cell]
        if cell not in asked or value is Capability.YES or (value is Capability.REMOVED and accepts):
            continue
        lost = effective.lost.get(cell)
        plain = NOT_ACCEPTED if value is Capability.REMOVED else value.value
        found[cell] = plain if lost is None else lost.value
    return found


def refusal(request: Request, fleet: Fleet, name: str, *, leaving: bool = False) -> Refusal | None:
    """Why the server `name` is not eligible at the fleet's moment; None where it is.

    Args:
        request: What is asked for.
        fleet: The servers.
        name: Which one.
        leaving: Whether the VM is on it and is to leave it.
    """
    server = fleet.get(name)
    if server is None:
        cells = {cell: UNKNOWN_SERVER for cell in CELLS if cell in request.cells}
        return Refusal(server=name, cells=cells, why=f"nothing is known of {name}")
    effective = fleet.effective(server)
    cells = dict(lacking(request, effective, server.architecture))
    if not cells and not leaving:
        return None
    reasons = [f"the VM is on {name} and is to leave it"] if leaving else []
    if cells:
        reasons.append(_sentence(server, effective, cells))
    return Refusal(server=name, cells=cells, why="; ".join(reasons))


def _sentence(server: Server, effective: Effective, cells: Mapping[Cell, str]) -> str:
    if set(effective.lost.values()) - {Lost.WITHDRAWN}:
        return effective.why
    words: dict[str, list[str]] = {}
    for cell, word in cells.items():
        words.setdefault(word, []).append(str(cell))
    lacks = "; ".join(f"{', '.join(names)}: {word}" for word, names in words.items())
    return f"{server.name} ({server.architecture}): {lacks}"
