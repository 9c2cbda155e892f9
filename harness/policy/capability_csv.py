"""Capabilities as CSV, with the columns of the paper's Table III; each row carries its line.

The columns may be in any order, and all are required. A line that begins with ``#`` is no comment: a file
means what any reader of CSV takes it to mean. The variants that spreadsheets write (other separators, a line
``sep=;``, an empty last column, no-break spaces) are refused with their cause, not with its consequences.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import cast, get_args

from harness.nearest import nearest
from harness.policy.capability import Capability, Kind
from harness.policy.capability_yaml import NAME, NAME_FORM, Row
from harness.policy.threats import CELLS, COLUMNS
from harness.yaml_source import Problem

REQUIRED = ("kind", "architecture", *COLUMNS, "protected_entity")
OPTIONAL = ("source",)
_VALUES = tuple(one.value for one in Capability)


def from_csv(text: str) -> tuple[Sequence[Row], Sequence[Problem]]:
    """The rows in `text`, and all mistakes in it; no rows if there is a mistake."""
    cause = _spreadsheet(text)
    if cause is not None:
        return [], [cause]
    rows: list[Row] = []
    problems: list[Problem] = []
    columns: list[str] = []
    records = _records(text)
    try:
        for line, fields in records:
            if not columns:
                columns = fields
                problems += _of_header(line, columns)
                if problems:
                    break
                continue
            found = list(_of_record(line, columns, fields))
            problems += found
            if not found:
                rows.append(_row(line, dict(zip(columns, fields, strict=True))))
    except csv.Error as error:
        problems.append(Problem(line=max(1, text.count("\n")), path="", text=f"not CSV: {error}"))
    if not problems and not rows:
        text = "there is no row" if columns else "the file is empty"
        problems.append(Problem(line=1, path="", text=text, allowed=f"columns {', '.join(REQUIRED)}"))
    return ([], problems) if problems else (rows, ())


def _spreadsheet(text: str) -> Problem | None:
    """The one cause why no line of a spreadsheet's file can be read; None without such a cause."""
    lines = text.splitlines()
    number, header = next(((number, line) for number, line in enumerate(lines, 1) if line.strip()), (1, ""))
    if re.fullmatch(r'"?sep=.?"?\s*', header, re.IGNORECASE):
        said, allowed = f"the line {header.strip()!r} is for a spreadsheet", "the columns' names"
        return Problem(line=number, path="", text=said, allowed=allowed, hint="delete the line")
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        names = {field.strip().strip('"') for field in header.split(separator)}
        alone = len(names) > 1 and "," not in header
        if alone or len(names & {*REQUIRED, *OPTIONAL}) > 1:
            said, hint = f"the fields are separated by {name}", "save it with commas between the fields"
            return Problem(line=number, path="", text=said, allowed="commas", hint=hint)
    if header.rstrip().endswith(","):
        said = "the line ends with a comma, which makes one more column, without a name"
        hint = "delete the comma at the end of every line"
        return Problem(line=number, path="", text=said, allowed="one field for each column", hint=hint)
    odd = re.search(r"[^\S \t\r\n\f\v]", text)
    if odd is None:
        return None
    said = f"it contains the character U+{ord(odd[0]):04X} ({unicodedata.name(odd[0], 'a blank')})"
    line = text.count("\n", 0, odd.start()) + 1
    return Problem(line=line, path="", text=said, allowed="ordinary blanks", hint="replace it everywhere")


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not empty, with the line it begins in."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    begins = 1
    for fields in reader:
        if any(field.strip() for field in fields):
            yield begins, [field.strip() for field in fields]
        begins = reader.line_num + 1


def _of_header(line: int, columns: Sequence[str]) -> Iterator[Problem]:
    known = (*REQUIRED, *OPTIONAL)
    for name in dict.fromkeys(columns):
        if name not in known:
            hint = nearest(name, known)
            yield Problem(line=line, path=name, text="unknown column", allowed=", ".join(known), hint=hint)
        elif columns.count(name) > 1:
            yield Problem(line=line, path=name, text="the column is there twice", allowed="each column once")
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        text = "the column is missing" if len(missing) == 1 else "the columns are missing"
        yield Problem(line=line, path=", ".join(missing), text=text, allowed=", ".join(known))


def _of_record(line: int, columns: Sequence[str], fields: Sequence[str]) -> Iterator[Problem]:
    if len(fields) != len(columns):
        text = f"{len(fields)} fields under {len(columns)} columns"
        if len(fields) > len(columns) and not any(fields[len(columns) :]):
            text = f"the line ends with a comma: {text}"
        yield Problem(line=line, path="", text=text, allowed="one field for each column")
        return
    for column, value in zip(columns, fields, strict=True):
        if column in COLUMNS and value not in _VALUES:
            yield _wrong(line, column, value, _VALUES)
        elif column == "kind" and value not in get_args(Kind):
            yield _wrong(line, column, value, get_args(Kind))
        elif column == "architecture" and not re.fullmatch(NAME, value):
            yield Problem(line=line, path=column, text=f"{value!r} is not allowed", allowed=NAME_FORM)
        elif column in {"protected_entity", "source"} and not (value.isprintable() and len(value) <= 200):
            yield Problem(
                line=line, path=column, text="not one line of text", allowed="at most 200 characters"
            )
        elif column == "protected_entity" and not value:
            yield Problem(
                line=line, path=column, text="an empty value is not allowed", allowed="such as Full VM"
            )


def _wrong(line: int, column: str, value: str, allowed: Sequence[str]) -> Problem:
    hint = nearest(value, allowed)
    return Problem(
        line=line, path=column, text=f"{value!r} is not allowed", allowed=", ".join(allowed), hint=hint
    )


def _row(line: int, values: Mapping[str, str]) -> Row:
    return Row(
        line=line,
        name=values["architecture"],
        kind=cast(Kind, values["kind"]),
        cells={cell: Capability(values[str(cell)]) for cell in CELLS},
        protected=values["protected_entity"],
        source=values.get("source", ""),
    )
