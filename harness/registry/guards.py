"""The database's own guards: triggers that refuse edits, and indexes that keep identities apart.

A registry without one of them takes what it should refuse, and the audit log would say nothing of it. So
they are compared with those of a new registry, made for the purpose: the migrations are the one place that
says what they are.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Connection, text

from harness.instant import Instant
from harness.registry import schema
from harness.registry.audit.chain import wrong
from harness.registry.database import Database, sqlite_url
from harness.registry.translation import translated

_SQLITE = text(
    "SELECT type, name, sql FROM sqlite_master WHERE type IN ('trigger', 'index') AND sql NOT NULL"
)
_POSTGRES = text(
    "SELECT 'trigger', t.tgname, t.tgenabled::text || ' ' || p.prosrc FROM pg_trigger t "
    "JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid "
    "WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace "
    "UNION SELECT 'index', indexname, '' FROM pg_indexes WHERE schemaname = current_schema()"
)
_OFF = "D"
"""How PostgreSQL marks a trigger that was disabled (pg_trigger.tgenabled)."""

POSTGRES_TRIGGERS = (
    *("challenges_stay_used", "responses_stay_closed"),
    *(f"{table}_append_only" for table in ("identity_events", "results", "property_changes", "placements")),
    *(f"{table}_append_only" for table in ("requests", "response_steps", "audit")),
    *("audit_head_goes_forward", "audit_head_no_delete", "responses_no_delete"),
)
"""Those of which each must be there and be enabled."""


def check(database: Database, last: int) -> None:
    """Refuse a registry that lacks a guard, or whose guard says something else; its log ends with `last`.

    Raises:
        AuditError: It names the guard.
        RegistryError: The database does not answer.
    """
    with translated(database.place), database.engine.connect() as connection:
        there = _found(connection, sqlite=database.is_sqlite)
    due = _due() if database.is_sqlite else {("trigger", name): "" for name in POSTGRES_TRIGGERS}
    for key, what in sorted(due.items()):
        kind, name = key
        if key not in there:
            raise wrong(last, f"the {kind} {name} is missing", "the database takes what it should refuse")
        if not database.is_sqlite and there[key].startswith(_OFF):
            raise wrong(last, f"the {kind} {name} is disabled", "the database takes what it should refuse")
        if database.is_sqlite and there[key] != what:
            raise wrong(last, f"the {kind} {name} is not as it was made", "it says something else")
    if database.is_sqlite and (
        more := sorted(name for kind, name in there.keys() - due if kind == "trigger")
    ):
        raise wrong(last, f"the trigger {more[0]} was added", "it is not this program's")


def _due() -> dict[tuple[str, str], str]:
    """The guards of a new registry."""
    with TemporaryDirectory(prefix="sodbench-guards-") as folder:
        made = Database(sqlite_url(Path(folder) / "registry.sqlite"), wait_s=5.0)
        try:
            never = partial(Instant, realtime_ns=0, monotonic_ns=0, boot_id="")
            schema.bring_up(made, never)
            with made.engine.connect() as connection:
                return _found(connection, sqlite=True)
        finally:
            made.close()


def _found(connection: Connection, *, sqlite: bool) -> dict[tuple[str, str], str]:
    rows = connection.execute(_SQLITE if sqlite else _POSTGRES)
    return {(str(kind), str(name)): " ".join(str(what).split()) for kind, name, what in rows}
