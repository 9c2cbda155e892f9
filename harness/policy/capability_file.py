"""Capability tables as files: the paper's Table III, and the rows that a provider adds to it.

A provider's file is YAML, or CSV with the columns of the shipped table. It becomes either architectures, or
one error that lists every mistake in it. A file must not redefine an existing architecture, in any spelling:
a server that states that name would silently gain or lose capabilities.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from harness import resources
from harness.errors import InputFileError
from harness.policy.capability import Architecture, Table
from harness.policy.capability_csv import from_csv
from harness.policy.capability_yaml import Row, from_yaml, schema
from harness.yaml_model import refusal
from harness.yaml_source import Problem, read_text

__all__ = ["CapabilityFileError", "load_table", "schema"]

SHIPPED = "table3_capabilities.csv"
SHIPPED_SOURCE = "Security on Demand, Table III"

_FORMS: Mapping[str, Callable[[str], tuple[Sequence[Row], Sequence[Problem]]]] = {
    ".csv": from_csv,
    ".yml": from_yaml,
    ".yaml": from_yaml,
}


class CapabilityFileError(InputFileError):
    """A file with capabilities is wrong; no server was judged by it."""

    kind = "capability-file"


def load_table(extra: Sequence[Path] = ()) -> Table:
    """The shipped table with the rows of the files `extra`, by name, in the order of the rows.

    Raises:
        InputFileError: A file cannot be read; as :class:`CapabilityFileError`: something in it is wrong.
    """
    found: dict[str, Architecture] = {}
    _add(found, resources.reference() / SHIPPED, SHIPPED_SOURCE)
    for path in extra:
        _add(found, path, "")
    return MappingProxyType(found)


def _add(found: dict[str, Architecture], path: Path, source: str) -> None:
    """Add the rows of a file to `found`; `source` is what they state as theirs, by default file and line."""
    read = _FORMS.get(path.suffix.lower())
    if read is None:
        raise CapabilityFileError(
            "not known to be a file of capabilities",
            where=str(path),
            remedy=f"name a file that ends in {', '.join(_FORMS)}",
        )
    rows, problems = read(read_text(path))
    twice = _twice(rows, found, str(path))
    if problems or twice:
        raise refusal((*problems, *twice), str(path), CapabilityFileError, "no server was judged by it")
    for row in rows:
        found[row.name] = row.architecture(source or f"{path}:{row.line}")


_ALIKE = str.maketrans(
    {"i": "l", "1": "l", "|": "l", "0": "o", "5": "s", "8": "b", "6": "b", "2": "z", "9": "g"}
)


def looks_like(name: str) -> str:
    """What a name looks like to a hurried reader: two that look alike must not mean two architectures.

    Case, blanks and punctuation make no difference, nor do characters that are drawn almost alike.
    """
    plain = "".join(one for one in unicodedata.normalize("NFKC", name).lower() if one.isalnum() or one == "|")
    return plain.translate(_ALIKE).replace("rn", "m").replace("vv", "w").replace("cl", "d")


def _twice(rows: Iterable[Row], found: Mapping[str, Architecture], where: str) -> list[Problem]:
    """The rows whose architecture is already defined, in the file or before it."""
    known = {looks_like(name): f"{name} of {one.source}" for name, one in found.items()}
    problems = []
    for row in rows:
        before = known.setdefault(looks_like(row.name), f"{row.name} of {where}:{row.line}")
        if before != f"{row.name} of {where}:{row.line}":
            text = f"the architecture {row.name!r} is there already: {before}"
            hint = "give it a name of its own; what an architecture can do is said once"
            problems.append(Problem(line=row.line, path=row.path, text=text, hint=hint))
    return problems
