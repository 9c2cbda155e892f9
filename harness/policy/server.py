"""A server as it is known now, and which of its architecture's capabilities count.

A capability counts only while there is evidence for it. A server that was found wrong, was silent for too
long, or states an unknown architecture has no capability, in spite of its row in the table. Only evidence
adds a capability.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from harness.attest.reasons import Tier
from harness.attest.verdict import NOTHING_KNOWN, Verdict
from harness.clock import NS_PER_S
from harness.policy.capability import Capability, Table
from harness.policy.threats import CELLS, Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server.

    Attributes:
        name: Its id.
        architecture: As it states it; None where it does not.
        verdict: What attestation and monitors say of it. A tier that anything may be based on has an end.
        running_vms: How many VMs are known to be on it.
        withdrawn: Cells in which the provider, or a monitor, no longer vouches for it.
        simulated: Whether some of the verdict was said by a monitor that simulates its hardware.
    """

    name: str
    architecture: str | None
    verdict: Verdict
    running_vms: int = 0
    withdrawn: frozenset[Cell] = frozenset()
    simulated: bool = False

    def __post_init__(self) -> None:
        if self.verdict.tier.believed and self.verdict.expires_ns is None:
            raise ValueError(f"the tier {self.verdict.tier} without an end")


class Lost(StrEnum):
    """Why a capability of the architecture does not count on a server."""

    UNTRUSTED = "not trusted"
    UNKNOWN = "unknown architecture"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Why nothing of a server counts.

    Attributes:
        lost: In a word.
        kind: What servers in the same doubt have in common, e.g. ``contraindicated: pcr-value``.
        why: In one sentence.
    """

    lost: Lost
    kind: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """What a server's capabilities amount to at one moment.

    Attributes:
        cells: All fourteen; what the architecture has and does not count is ``no``.
        lost: The cells that do not count, and why. For a server of unknown architecture that is all of them.
        why: Why capabilities are lost, in one sentence; empty where none is.
    """

    cells: Mapping[Cell, Capability]
    lost: Mapping[Cell, Lost] = field(default_factory=dict)
    why: str = ""


def believed(server: Server | None, now_ns: int) -> Verdict:
    """The verdict on `server` at `now_ns`, controller's CLOCK_MONOTONIC; nothing for an unknown server."""
    return NOTHING_KNOWN if server is None else server.verdict.at(now_ns)


def doubt(server: Server, table: Table, now_ns: int, *, warning_counts: bool = False) -> Doubt | None:
    """Why nothing of `server` counts at `now_ns`; None where what it has counts.

    Args:
        server: Which one.
        table: The architectures that are known.
        now_ns: The moment, controller's CLOCK_MONOTONIC.
        warning_counts: Whether a server with a reservation is good enough.
    """
    found = believed(server, now_ns)
    if not found.tier.trusted(warning_counts=warning_counts):
        return Doubt(
            lost=Lost.UNTRUSTED, kind=f"{found.tier}: {found.reason}", why=_untrusted(server, found, now_ns)
        )
    if server.architecture not in table:
        why = f"{server.name} states no architecture"
        if server.architecture is not None:
            why = f"{server.name} states the architecture {server.architecture!r}, which is not in the table"
        return Doubt(lost=Lost.UNKNOWN, kind=Lost.UNKNOWN.value, why=why)
    return None


def _untrusted(server: Server, found: Verdict, now_ns: int) -> str:
    """Why a server with that verdict is not trusted, in one sentence."""
    ended_ns = server.verdict.expires_ns
    if found is not server.verdict and ended_ns is not None:
        late_s = (now_ns - ended_ns) / NS_PER_S
        return f"what was known of {server.name} expired {late_s:.3f} s ago"
    why = f"{found.reason}, {found.detail}" if found.detail else found.reason.value
    if found.tier is Tier.WARNING:
        return f"{server.name} has a warning, and that does not count: {why}"
    known = "is contraindicated" if found.tier is Tier.CONTRAINDICATED else "cannot be believed"
    return f"{server.name} {known}: {why}"


def effective(server: Server, table: Table, now_ns: int, *, warning_counts: bool = False) -> Effective:
    """The capabilities of `server` that count at `now_ns`. Arguments as of :func:`doubt`."""
    found = doubt(server, table, now_ns, warning_counts=warning_counts)
    row = table.get(server.architecture) if server.architecture is not None else None
    stated = dict.fromkeys(CELLS, Capability.NO) if row is None else row.cells
    held = CELLS if row is None else (*row.having(Capability.YES), *row.having(Capability.REMOVED))
    if found is not None:
        lost, why = dict.fromkeys(held, found.lost), found.why
    else:
        lost = {cell: Lost.WITHDRAWN for cell in held if cell in server.withdrawn}
        names = ", ".join(str(cell) for cell in CELLS if cell in lost)
        why = f"withdrawn from {server.name}: {names}" if lost else ""
    cells = {cell: Capability.NO if cell in lost else stated[cell] for cell in CELLS}
    return Effective(cells=cells, lost=lost, why=why)
