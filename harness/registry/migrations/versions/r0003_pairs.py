"""Ids become ``<pair>/<role>``; what was stored before belongs to the default pair.

Some of these tables are append-only, so their triggers are taken away for the length of the transaction. The
audit log's digests are made of the ids as the default pair calls them, so they hold as before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from harness.pair_name import DEFAULT_PAIR
from harness.registry.errors import RegistryError

revision = "r0003"
down_revision: str | None = "r0002"
branch_labels: str | None = None
depends_on: str | None = None

_IDS = (
    ("attesters", "id"),
    ("results", "attester"),
    ("properties", "server"),
    ("property_changes", "server"),
    ("requests", "vm"),
    ("responses", "vm"),
)
"""Each column that holds the id of a machine or a guest."""


def upgrade() -> None:
    """Put the default pair before every id.

    Raises:
        RegistryError: An id names a pair already, so that it cannot be told what it is.
    """
    for table, column in _IDS:
        _refuse_a_pair(table, column)
    for table, column in _IDS:
        triggers = _without_triggers(table)
        op.execute(sa.text(f"UPDATE {table} SET {column} = '{DEFAULT_PAIR}/' || {column}"))
        for statement in triggers:
            op.execute(sa.text(statement.replace(":", r"\:")))


def _refuse_a_pair(table: str, column: str) -> None:
    question = sa.text(f"SELECT {column} FROM {table} WHERE {column} LIKE '%/%' LIMIT 1")
    found = op.get_bind().scalar(question)
    if found is not None:
        raise RegistryError(
            "the registry cannot be upgraded",
            where=f"column {column} of {table}",
            why=f"{found!r} holds a /, which no version of sodbench stored there",
            remedy="restore the registry from a copy, or begin a new one; nothing was changed",
        )


def _without_triggers(table: str) -> list[str]:
    """Take the triggers of `table` away; the statements that bring them back."""
    if op.get_bind().dialect.name != "sqlite":
        op.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        return [f"ALTER TABLE {table} ENABLE TRIGGER USER"]
    question = sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table")
    found = op.get_bind().execute(question, {"table": table}).all()
    for name, _ in found:
        op.execute(sa.text(f"DROP TRIGGER {name}"))
    return [str(statement) for _, statement in found]
