"""Edits that bypass the registry, by a person who has the database itself and takes its guards away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import JSON, Boolean, Column, text
from sqlalchemy.orm import Session

from harness.registry.audit import rows as audit_rows
from harness.registry.database import Database
from harness.registry.models import Base


@contextmanager
def unguarded(database: Database) -> Iterator[Session]:
    """A session that may change anything, and whose changes are taken back when the block ends."""
    with Session(database.engine) as session:
        if database.is_sqlite:
            _unguard_sqlite(session)
        else:
            _unguard_postgres(session)
        yield session
        session.rollback()
        if database.is_sqlite:
            session.execute(text("PRAGMA ignore_check_constraints = OFF"))


def _unguard_sqlite(session: Session) -> None:
    session.execute(text("PRAGMA ignore_check_constraints = ON"))
    session.execute(text("PRAGMA defer_foreign_keys = ON"))
    for name in session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
        session.execute(text(f"DROP TRIGGER {name}"))


def _unguard_postgres(session: Session) -> None:
    for table in Base.metadata.tables:
        session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
    constraints = text(
        "SELECT conrelid::regclass AS place, conname FROM pg_constraint"
        " WHERE connamespace = current_schema()::regnamespace AND contype IN ('c', 'f')"
    )
    for place, name in session.execute(constraints).all():
        session.execute(text(f"ALTER TABLE {place} DROP CONSTRAINT {name}"))


def edits(column: Column[object], *, sqlite: bool) -> Sequence[str]:
    """Expressions in SQL, each of which makes another value of what stands in `column`."""
    name = f'"{column.name}"'
    if isinstance(column.type, JSON):
        made = [f"'{value}'" for value in ('{"edited": true}', "null", "[]", '"edited"')]
        # one blank more means the same and is an edit nevertheless
        blank = f"replace(CAST({name} AS TEXT), ':', ': ')"
        return [*made, blank] if sqlite else [f"CAST({one} AS JSON)" for one in [*made, blank]]
    if column.type.python_type is bytes:
        return ["x'00'"] if sqlite else ["decode('00', 'hex')"]
    if isinstance(column.type, Boolean):
        return [f"NOT {name}", "2"] if sqlite else [f"NOT {name}"]
    if column.type.python_type is int:
        # SQLite itself refuses a key that is no whole number
        own = ["'x'", f"{name} + 0.5"] if sqlite and not column.primary_key else []
        return [f"coalesce({name}, 0) + 1000003", f"coalesce({name}, 0) - 1000003", *own]
    own = [f"CAST({name} AS BLOB)"] if sqlite else []
    return [f"coalesce({name}, '') || ' '", "''", "'edited'", *own]


def change(session: Session, table: str, number: int, column: str, value: str) -> bool:
    """Set one column of one row; whether that made another value of it."""
    row = audit_rows.plain(session, table).where(Base.metadata.tables[table].c.number == number)
    before = session.execute(row).one_or_none()
    session.execute(text(f'UPDATE {table} SET "{column}" = {value} WHERE number = {number}'))
    after = session.execute(row).one_or_none()
    return after is None or [*map(repr, before or ())] != [*map(repr, after)]
