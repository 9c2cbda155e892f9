"""A provider's capabilities in YAML: the form of the file as models, and its rows with their lines.

Every row names all fourteen cells: a cell that a provider forgot must not count as a no, let alone as a yes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from harness.policy.capability import Architecture, Capability, Kind
from harness.policy.threats import CELLS, Cell
from harness.strict import Strict
from harness.yaml_model import file_schema, validated
from harness.yaml_source import Problem, parse

NAME = r"[A-Za-z0-9]([A-Za-z0-9 ._+-]{0,62}[A-Za-z0-9._+-])?"
NAME_FORM = "1 to 64 letters, digits, blanks and ._+-, beginning with a letter or digit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One architecture of a file.

    Attributes:
        line: Where it begins.
        path: Its key path, for messages; empty in a CSV file.
        name: See :class:`Architecture`, as the rest.
        kind: Likewise.
        cells: Likewise.
        protected: Likewise.
        source: What the file says of where the row is from; may be empty.
    """

    line: int
    path: str = ""
    name: str
    kind: Kind
    cells: Mapping[Cell, Capability]
    protected: str
    source: str = ""

    def architecture(self, source: str) -> Architecture:
        """The row as an architecture; from `source`, if it does not say so itself."""
        return Architecture(
            name=self.name,
            kind=self.kind,
            cells=self.cells,
            protected=self.protected,
            source=self.source or source,
        )


Value = Annotated[Literal["yes", "no", "n-a", "removed"], Field(description="yes, no, n-a or removed")]
Line = Annotated[str, Field(pattern=r"^\S(.*\S)?$", max_length=200)]


class Cells(Strict):
    """All fourteen cells by their columns' names; ``_c`` is confidentiality and ``_i`` integrity."""

    same_app_c: Value
    same_app_i: Value
    other_apps_c: Value
    other_apps_i: Value
    same_os_c: Value
    same_os_i: Value
    other_vms_c: Value
    other_vms_i: Value
    hypervisor_c: Value
    hypervisor_i: Value
    hardware_c: Value
    hardware_i: Value
    cloud_manager_c: Value
    cloud_manager_i: Value


class Entry(Strict):
    """One architecture."""

    name: str = Field(pattern=f"^{NAME}$", description=NAME_FORM)
    kind: Kind = Field(description="hardware, software or commercial")
    protected: Line = Field(description="what it protects, such as Full VM")
    source: Line | None = Field(default=None, description="where these claims are from")
    cells: Cells = Field(description="the fourteen cells of the table")


class CapabilityFile(Strict):
    """A provider's own rows of the capability table."""

    version: Literal[1] = Field(description="1, the version of this form")
    architectures: tuple[Entry, ...] = Field(strict=False, min_length=1, description="the rows to add")


def from_yaml(text: str) -> tuple[Sequence[Row], Sequence[Problem]]:
    """The rows in `text`, and all mistakes in it; no rows if there is a mistake."""
    source = parse(text)
    found, problems = validated(CapabilityFile, source)
    if found is None:
        return (), problems
    return tuple(
        Row(
            line=source.line(("architectures", index)),
            path=f"architectures[{index}].name",
            name=one.name,
            kind=one.kind,
            cells={cell: Capability(getattr(one.cells, str(cell))) for cell in CELLS},
            protected=one.protected,
            source=one.source or "",
        )
        for index, one in enumerate(found.architectures)
    ), ()


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a provider's file, for editors."""
    return file_schema(CapabilityFile)
