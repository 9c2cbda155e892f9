"""The database's own guards: triggers that refuse edits, indexes that keep identities apart, and constraints.

A registry without one of them takes what it should refuse, and the audit log would say nothing of it; with
one more it may refuse or drop what it should take. A file's are compared with those of a new registry, made
for the purpose: the migrations are the one place that says what they are. A server's are compared with what
the migrations make there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection, PrimaryKeyConstraint, UniqueConstraint, text

from harness.instant import Instant
from harness.registry import schema
from harness.registry.audit.chain import wrong
from harness.registry.database import Database
from harness.registry.models import Base
from harness.registry.translation import translated
from harness.registry.url import sqlite_url

Guards = Mapping[tuple[str, str], str]
"""What each guard says, by its kind and name."""

_SQLITE = text(
    "SELECT type, name, sql FROM sqlite_master WHERE type IN ('trigger', 'index', 'table') "
    "AND sql NOT NULL AND name NOT LIKE 'sqlite@_%' ESCAPE '@'"
)
_POSTGRES_TRIGGERS = text(
    "SELECT c.relname, t.tgname, t.tgenabled::text, t.tgtype, pg_get_triggerdef(t.oid), p.prosrc "
    "FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid "
    "WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace"
)
_POSTGRES_OTHERS = text(
    "SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() "
    f"AND tablename <> '{schema.VERSION_TABLE}' "
    "UNION SELECT 'rule', tablename, rulename, definition FROM pg_rules WHERE schemaname = current_schema()"
)
_POSTGRES_TABLES = text(
    "SELECT c.relname, c.relkind::text, c.relrowsecurity OR c.relforcerowsecurity, "
    "EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid) FROM pg_class c "
    "WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND c.relnamespace = current_schema()::regnamespace"
)
_POSTGRES_CONSTRAINTS = text(
    "SELECT c.relname, o.conname FROM pg_constraint o "
    "JOIN pg_class c ON c.oid = o.conrelid "
    "WHERE o.contype IN ('c', 'f') AND o.convalidated AND c.relnamespace = current_schema()::regnamespace"
)
_ORDINARY = "a table that shows all of its rows and no others"
_DISABLED = ("D", "R")
"""Never, or in a replica alone (pg_trigger.tgenabled)."""
_WHEN = re.compile(r" WHEN \((.*)\) EXECUTE ", re.DOTALL)
_REFUSES: Final = (
    "BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME "
    "USING ERRCODE = 'integrity_constraint_violation'; END"
)
"""The function that each trigger calls."""
_NEVER, _NO_DELETE, _ROW_UPDATE, _ROW_CHANGE = 58, 42, 19, 27
"""When a trigger is asked (pg_trigger.tgtype): before a statement that updates, deletes or truncates; before
one that deletes or truncates; before a row is updated; before it is updated or deleted."""
_ONLY_EVER_ADDED = (
    *("identity_events", "results", "property_changes", "placements", "requests", "response_steps", "audit"),
)
POSTGRES_TRIGGERS: Mapping[str, tuple[str, int, str]] = {
    "challenges_stay_used": ("challenges", _ROW_CHANGE, "(old.used_boot_id IS NOT NULL)"),
    "responses_stay_closed": ("responses", _ROW_UPDATE, "old.closed"),
    "audit_head_goes_forward": ("audit_head", _ROW_UPDATE, "(new.number <> (old.number + 1))"),
    **{f"{table}_append_only": (table, _NEVER, "") for table in _ONLY_EVER_ADDED},
    **{f"{table}_no_delete": (table, _NO_DELETE, "") for table in ("audit_head", "responses")},
}
"""Those of a server: of which table, when each is asked, and for which rows, in PostgreSQL's spelling."""


def check(database: Database, last: int) -> None:
    """Refuse a registry that lacks a guard, or has another or one more; its log ends with `last`.

    Raises:
        AuditError: It names the guard.
        RegistryError: The database does not answer.
    """
    due = _due_in_file() if database.is_sqlite else _due_on_server()
    with translated(database.place), database.engine.connect() as connection:
        there = _of_file(connection) if database.is_sqlite else _of_server(connection, due)
    for key, what in sorted(due.items()):
        kind, name = key
        if key not in there:
            raise wrong(last, f"the {kind} {name} is missing", "the database takes what it should refuse")
        if there[key] == _DISABLED[0]:
            raise wrong(last, f"the {kind} {name} is disabled", "the database takes what it should refuse")
        if there[key] != what:
            raise wrong(last, f"the {kind} {name} is not as it was made", "it says something else")
    for kind, name in sorted(there.keys() - due):
        if kind not in {"table", "constraint"}:
            raise wrong(last, f"the {kind} {name} was added", "it is not this program's")


@cache
def _due_in_file() -> Guards:
    """The guards of a new registry, which takes longer to make than a log of a hundred entries to check."""
    with TemporaryDirectory(prefix="sodbench-guards-") as folder:
        made = Database(sqlite_url(Path(folder) / "registry.sqlite"), wait_s=5.0)
        try:
            never = partial(Instant, realtime_ns=0, monotonic_ns=0, boot_id="")
            schema.bring_up(made, never)
            with made.engine.connect() as connection:
                return MappingProxyType(_of_file(connection))
        finally:
            made.close()


def _of_file(connection: Connection) -> dict[tuple[str, str], str]:
    rows = connection.execute(_SQLITE)
    return {(str(kind), str(name)): " ".join(str(what).split()) for kind, name, what in rows}


def _due_on_server() -> Guards:
    due: dict[tuple[str, str], str] = {}
    for table in Base.metadata.tables.values():
        due["table", table.name] = _ORDINARY
        for index in table.indexes:
            where = index.dialect_options["postgresql"]["where"]
            columns = [column.name for column in index.columns]
            said = _keeps(columns, unique=bool(index.unique), where=where)
            due["index", str(index.name)] = f"{table.name} {said}"
        for constraint in table.constraints:
            if isinstance(constraint, UniqueConstraint | PrimaryKeyConstraint):
                columns = [column.name for column in constraint.columns]
                said = _keeps(columns, unique=True, where=None)
                due["index", str(constraint.name)] = f"{table.name} {said}"
            else:
                due["constraint", str(constraint.name)] = table.name
    return due | {("trigger", name): _asked(*asked, _REFUSES) for name, asked in POSTGRES_TRIGGERS.items()}


def _of_server(connection: Connection, due: Guards) -> Guards:
    found: dict[tuple[str, str], str] = {}
    for table, name, enabled, asked, definition, source in connection.execute(_POSTGRES_TRIGGERS):
        when = _WHEN.search(definition)
        says = _asked(table, asked, when[1] if when else "", " ".join(source.split()))
        found["trigger", name] = _DISABLED[0] if enabled in _DISABLED else says
    for kind, table, name, definition in connection.execute(_POSTGRES_OTHERS):
        _, _, rest = definition.partition(" USING ")
        unique = definition.startswith("CREATE UNIQUE ")
        keeps = f"{table} {'unique ' if unique else ''}{rest}"
        found[kind, name] = keeps if kind == "index" else definition
    for name, kind, hides, has_children in connection.execute(_POSTGRES_TABLES):
        found["table", name] = _ORDINARY if kind == "r" and not hides and not has_children else kind
    # Several tables can have constraints of one name; a child has its parent's. The registry's own counts.
    for table, name in connection.execute(_POSTGRES_CONSTRAINTS):
        key = ("constraint", name)
        if key not in found or table == due.get(key):
            found[key] = table
    return found


def _asked(table: str, kind: int, when: str, source: str) -> str:
    return f"{table} {kind} {when} {source}"


def _keeps(columns: list[str], *, unique: bool, where: object) -> str:
    condition = "" if where is None else f" WHERE ({where})"
    return f"{'unique ' if unique else ''}btree ({', '.join(columns)}){condition}"
