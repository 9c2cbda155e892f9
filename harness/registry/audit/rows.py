"""The rows that audit entries cover: their tables, and what represents a row in the chain.

A row's digest is made of what the database returns for it after it was written. So a value that the database
stores in a form of its own has one digest, and any later edit another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from sqlalchemy import JSON, ColumnElement, Select, Table, Text, bindparam, func, select, type_coerce
from sqlalchemy import cast as sql_cast
from sqlalchemy.engine import RowMapping
from sqlalchemy.orm import Session
from sqlalchemy.types import NullType

from harness.json_types import Json
from harness.pair_name import DEFAULT_PAIR, name_in
from harness.registry.audit.chain import canonical, sha256
from harness.registry.models import Base, Id

TABLES: Mapping[str, str] = {
    "result": "results",
    "identity": "identity_events",
    "placement": "placements",
    "property": "property_changes",
    "request": "requests",
    "response": "response_steps",
}
"""The kind of entry that is stored with every row of a table."""

IDENTITIES = "attesters"
"""The table of which a row is named by the entry of its enrolment."""

_LASTING = {IDENTITIES: ("number", "id", "kind", "ek_name")}
"""The columns that a digest is made of, where not of all: those that never change. A column that a later
revision adds to a table is not in the digests of older rows, so such a table belongs here then."""

_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """The rows of a table that were there before the chain.

    Attributes:
        rows: How many.
        last: The greatest number among them; 0 where there was none.
        digest: SHA-256 over their digests, in the order of their numbers.
    """

    rows: int
    last: int
    digest: str


def digest(session: Session, table: str, number: int) -> str:
    """The digest of a row that was just written."""
    question = _one(table, _is_sqlite(session))
    return _digest(table, session.connection().execute(question, {"wanted": number}).mappings().one())


def digests(session: Session, table: str, after: int, until: int | None) -> Iterator[tuple[int, str]]:
    """Number and digest of the rows from after `after` up to `until`, or to the last, in their order."""
    return _pages(session, table, _number(table) > after, until)


def before(session: Session, table: str, last: int | None = None) -> Before:
    """What stands for the rows up to number `last`, or for all."""
    if last is None:
        last = session.scalar(select(func.coalesce(func.max(_number(table)), 0))) or 0
    rows, all_digests = 0, []
    for _, one in _pages(session, table, None, last):
        rows += 1
        all_digests.append(one)
    return Before(rows=rows, last=last, digest=sha256("\n".join(all_digests)))


def plain(session: Session, table: str) -> Select[Any]:
    """The question for all columns of a table as the database has them, unconverted, by number."""
    return _question(table, _is_sqlite(session)).order_by(_number(table))


def _pages(
    session: Session, table: str, beginning: ColumnElement[bool] | None, until: int | None
) -> Iterator[tuple[int, str]]:
    question = plain(session, table).limit(_PAGE)
    if until is not None:
        question = question.where(_number(table) <= until)
    while True:
        page = session.execute(question if beginning is None else question.where(beginning)).mappings().all()
        for row in page:
            yield int(row["number"]), _digest(table, row)
        if len(page) < _PAGE:
            return
        beginning = _number(table) > page[-1]["number"]


def _digest(table: str, row: RowMapping) -> str:
    fields = {name: _told(value) for name, value in row.items()} | _ids(table, row)
    return sha256(canonical({"table": table, "row": fields}))


def _ids(table: str, row: RowMapping) -> dict[str, Json]:
    """The ids in a row as the default pair calls them: so they were stored before there were pairs.

    One without a pair is what the program never writes, and must equal nothing that it wrote.
    """
    columns = Base.metadata.tables[table].columns
    found = {one.name: str(row[one.name]) for one in columns if isinstance(one.type, Id) and one.name in row}
    return {
        name: name_in(value, DEFAULT_PAIR) if "/" in value else {"without a pair": value}
        for name, value in found.items()
    }


def _told(value: object) -> Json:
    if value is None or isinstance(value, bool | int | str):
        return value
    # nothing that the program writes; an edit by hand can leave it, and it must equal nothing else
    return {type(value).__name__: repr(bytes(value) if isinstance(value, memoryview) else value)}


def _number(table: str) -> ColumnElement[int]:
    return cast(ColumnElement[int], Base.metadata.tables[table].c.number)


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"


@cache
def _question(table: str, is_sqlite: bool) -> Select[Any]:
    columns: Table = Base.metadata.tables[table]
    question = select(
        *(
            sql_cast(column, Text).label(column.name)
            if isinstance(column.type, JSON) and not is_sqlite
            else type_coerce(column, NullType()).label(column.name)
            for column in columns.columns
            if column.name in _LASTING.get(table, (column.name,))
        )
    )
    return cast("Select[Any]", question)


@cache
def _one(table: str, is_sqlite: bool) -> Select[Any]:
    return _question(table, is_sqlite).where(_number(table) == bindparam("wanted"))
