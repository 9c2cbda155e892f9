"""Claims that need no machine: what the paper's tables and rules say, against what the policy core does."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harness.policy.capability import Capability, Table
from harness.policy.request import Request, RequestReason, RequestRefusedError, request
from harness.policy.threats import CELLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The papers' tables.

    Attributes:
        requests: Table II as CSV.
        capabilities: Table III.
    """

    requests: str
    capabilities: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Whether a check holds, and what it found."""

    holds: bool
    found: str


_EXAMPLES: Mapping[str, tuple[str, ...]] = MappingProxyType({"VM-A": ("1",), "VM-B": ("1", "2")})
"""The options of Table II's rows (section III-B)."""


def _matrices(tables: Tables) -> Checked:
    rows = {row["vm"]: row for row in csv.DictReader(io.StringIO(tables.requests))}
    wrong = [
        f"{vm} {cell}"
        for vm, options in _EXAMPLES.items()
        for cell, asked in request(options).matrix().items()
        if rows.get(vm, {}).get(str(cell)) != ("yes" if asked else "no")
    ]
    return _checked(wrong, f"{len(_EXAMPLES) * len(CELLS)} cells are Table II's")


def _served(tables: Tables) -> Checked:
    by = {vm: _able(request(options), tables.capabilities) for vm, options in _EXAMPLES.items()}
    found = "; ".join(f"{vm}: {', '.join(names)}" for vm, names in by.items())
    return _checked([vm for vm, names in by.items() if not names], found)


def _output_control(tables: Tables) -> Checked:
    names = _able(request(("7",)), tables.capabilities)
    return _checked([] if "DataSafe" in names else ["DataSafe"], f"option 7: {', '.join(names)}")


def _able(asked: Request, table: Table) -> list[str]:
    """The architectures that protect against all that `asked` names."""
    cells = [cell for cell, wanted in asked.matrix().items() if wanted]
    return [name for name, one in table.items() if all(one.cells[cell] is Capability.YES for cell in cells)]


def _introspection(_: Tables) -> Checked:
    refused: list[tuple[str, ...]] = [("2", "5"), ("2", "6"), ("2", "5", "6")]
    accepted: list[tuple[str, ...]] = [("2",), ("5",), ("6",), ("5", "6")]
    wrong = [one for one in refused if _refusal(one) is not RequestReason.INTROSPECTION_CONFLICT]
    wrong += [one for one in accepted if _refusal(one) is not None]
    return _checked([" with ".join(one) for one in wrong], "2 with 5 or 6 is refused, each alone is not")


def _cloud_manager(_: Tables) -> Checked:
    wrong = [] if _refusal(("4",)) is RequestReason.CLOUD_MANAGER_TRUSTED else ["option 4"]
    return _checked(wrong, "option 4 is refused: the cloud manager is trusted")


def _refusal(options: tuple[str, ...]) -> RequestReason | None:
    try:
        request(options)
    except RequestRefusedError as error:
        return error.reason
    return None


def _checked(wrong: list[str], found: str) -> Checked:
    return Checked(holds=not wrong, found=f"does not hold: {', '.join(wrong)}" if wrong else found)


CHECKS: Mapping[str, Callable[[Tables], Checked]] = MappingProxyType(
    {
        "request-matrix": _matrices,
        "requests-served": _served,
        "output-control": _output_control,
        "introspection-exclusion": _introspection,
        "cloud-manager-trusted": _cloud_manager,
    }
)
"""The checks by the name that a claim gives."""
