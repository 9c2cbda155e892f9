"""Who may attack a VM and what must be protected: the columns of the paper's Tables II and III.

A request and a capability use the same fourteen cells, each an entity and an aspect. Everything else here
follows from their one order: the tables' columns, and the bits of a mask. :mod:`harness.policy.request`
decides which cells a customer may request.

Source: Security on Demand, sections II and III-B.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple


class Entity(StrEnum):
    """Where an attack may come from, in the order of the tables."""

    SAME_APP = "same_app"
    OTHER_APPS = "other_apps"
    SAME_OS = "same_os"
    OTHER_VMS = "other_vms"
    HYPERVISOR = "hypervisor"
    HARDWARE = "hardware"
    CLOUD_MANAGER = "cloud_manager"

    __hash__ = str.__hash__  # Enum's own is written in Python, and cells are looked up for every server


class Aspect(StrEnum):
    """What is protected."""

    CONFIDENTIALITY = "c"
    INTEGRITY = "i"

    __hash__ = str.__hash__


BOTH: Final = frozenset(Aspect)


class Cell(NamedTuple):
    """One aspect against one entity; as a text it is the tables' column, such as ``other_vms_c``."""

    entity: Entity
    aspect: Aspect

    def __str__(self) -> str:
        """The column's name."""
        return f"{self.entity}_{self.aspect}"


CELLS: Final = tuple(Cell(entity, aspect) for entity in Entity for aspect in Aspect)
"""All fourteen cells, in the order of the tables' columns."""

COLUMNS: Final[Mapping[str, Cell]] = MappingProxyType({str(cell): cell for cell in CELLS})
"""A column's name to its cell, in the same order."""

OPTIONS: Final[Mapping[int, Entity]] = MappingProxyType(
    {
        1: Entity.OTHER_VMS,
        2: Entity.HYPERVISOR,
        3: Entity.HARDWARE,
        4: Entity.CLOUD_MANAGER,
        5: Entity.SAME_OS,
        6: Entity.OTHER_APPS,
        7: Entity.SAME_APP,
    }
)
"""The customer's options by their numbers in section III-B, and whom each does not trust."""

MEANINGS: Final[Mapping[Entity, str]] = MappingProxyType(
    {
        Entity.SAME_APP: "the application that works on the data",
        Entity.OTHER_APPS: "other applications in the VM",
        Entity.SAME_OS: "the guest's operating system",
        Entity.OTHER_VMS: "other VMs on the server",
        Entity.HYPERVISOR: "the hypervisor, or the host's operating system",
        Entity.HARDWARE: "attacks on the hardware",
        Entity.CLOUD_MANAGER: "the cloud manager",
    }
)
"""Each entity in words."""

_BITS: Final[Mapping[Cell, int]] = MappingProxyType({cell: 1 << bit for bit, cell in enumerate(CELLS)})


def mask(cells: Iterable[Cell]) -> int:
    """The set of cells as bits, the first of `CELLS` being the lowest."""
    bits = 0
    for cell in cells:
        bits |= _BITS[cell]
    return bits
