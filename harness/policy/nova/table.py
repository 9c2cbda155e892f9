"""The capability table for a program that has the standard library alone.

It reads the one form that this project ships (``table3_capabilities.csv``) and that a provider made of its
own rows was checked in (:mod:`harness.policy.capability_file`); it explains nothing.
"""

from __future__ import annotations

import csv
import io
from typing import cast, get_args

from harness.errors import RecordError
from harness.policy.capability import Architecture, Capability, Kind, Table
from harness.policy.threats import CELLS, COLUMNS

_NEEDED = frozenset({"kind", "architecture", "protected_entity", *COLUMNS})


def read_table(text: str) -> Table:
    """The architectures in `text`, by name.

    Raises:
        RecordError: It is not such a table, or has an architecture twice.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [_architecture(row) for row in reader if set(row) >= _NEEDED]
        lines = reader.line_num
    except (csv.Error, ValueError, TypeError) as error:
        raise _damaged(f"line {reader.line_num}: {error}") from error
    found = {one.name: one for one in rows}
    if not rows or len(found) != len(rows):
        raise _damaged(
            f"{lines} lines and {len(found)} architectures with all columns and a name of their own"
        )
    return found


def _architecture(row: dict[str, str]) -> Architecture:
    if None in row or None in row.values():
        raise ValueError("it has not as many fields as there are columns")
    if row["kind"] not in get_args(Kind) or not row["architecture"]:
        raise ValueError(f"{row['kind']!r} is no kind, or the architecture has no name")
    return Architecture(
        name=row["architecture"],
        kind=cast(Kind, row["kind"]),
        cells={cell: Capability(row[str(cell)]) for cell in CELLS},
        protected=row["protected_entity"],
        source=row.get("source", ""),
    )


def _damaged(why: str) -> RecordError:
    return RecordError(
        "the capability table cannot be read",
        why=why,
        remedy="`sodbench policy capabilities --file` checks a table and says what is wrong",
    )
