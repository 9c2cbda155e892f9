"""Entries of the audit log inside one transaction: what is stored and its entry are stored together.

Every function works in the session it is handed and commits nothing. The next number is the head's plus one:
there is one writer at a time, so no other entry can get it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from harness.instant import Instant
from harness.json_types import Json
from harness.pair_name import DEFAULT_PAIR, full_id, name_in
from harness.registry.audit import rows as audit_rows
from harness.registry.audit.chain import GENESIS, AuditEntry, AuditHead, canonical, linked
from harness.registry.errors import RegistryError
from harness.registry.models import (
    AttesterRow,
    AuditHeadRow,
    AuditRow,
    Base,
    IdentityEventRow,
    PlacementRow,
    PropertyChangeRow,
    RequestRow,
    ResponseStepRow,
    ResultRow,
    pair_of,
)
from harness.registry.values import checked_json, checked_name, checked_text

ROWS = "rows"
"""Where an entry's body names the rows that were stored with it, each with its digest."""

_KINDS = {table: kind for kind, table in audit_rows.TABLES.items()}
_HEAD = Base.metadata.tables[AuditHeadRow.__tablename__]
# made once: every result that is stored goes through them
_THE_HEAD = select(_HEAD.c.number, _HEAD.c.digest)
_FIRST_HEAD = insert(_HEAD)
_NEXT_HEAD = update(_HEAD)
_ADD = insert(Base.metadata.tables[AuditRow.__tablename__])

NotedRow = ResultRow | IdentityEventRow | PlacementRow | PropertyChangeRow | RequestRow | ResponseStepRow
"""A row that is never stored without an entry."""


def begin(session: Session, now: Instant) -> None:
    """Write the first entry, which stands for all rows that are there before it; once is enough."""
    if head(session) is None:
        tables = sorted([*_KINDS, audit_rows.IDENTITIES])
        found = {table: audit_rows.before(session, table) for table in tables}
        counted: dict[str, Json] = {
            table: {"rows": one.rows, "last": one.last, "digest": one.digest} for table, one in found.items()
        }
        _store(session, linked(None, at=now, kind=GENESIS, subject="registry", body={"before": counted}))


def told(session: Session, name: str) -> str:
    """`name` of the session's pair as the log has it: as the default pair calls it."""
    return name_in(full_id(name, pair_of(session.get_bind().dialect)), DEFAULT_PAIR)


def head(session: Session) -> AuditHead | None:
    """The end of the chain; None before the first entry."""
    row = session.connection().execute(_THE_HEAD).one_or_none()
    return None if row is None else AuditHead(number=row.number, digest=row.digest)


def append(session: Session, kind: str, subject: str, body: Mapping[str, Json], now: Instant) -> AuditEntry:
    """Append an entry that speaks of no row.

    Raises:
        RegistryError: The kind is one of those that come with a row, or no name; or the body is no JSON, or
            names a row.
    """
    if kind in audit_rows.TABLES or kind == GENESIS or ROWS in body:
        raise RegistryError("only the registry itself writes entries of rows", where=f"{kind}, {subject}")
    checked_name(kind, "a kind of audit entry")
    subject = checked_text(subject, "the subject of an audit entry")
    return _append(session, kind, told(session, subject), body, now)


def note(
    session: Session,
    row: NotedRow,
    subject: str,
    body: Mapping[str, Json],
    now: Instant,
    *,
    identity: AttesterRow | None = None,
) -> None:
    """Store a row and the entry that speaks of it; also of `identity`, where that is new."""
    session.add(row)
    session.flush()
    rows: Sequence[NotedRow | AttesterRow] = [row] if identity is None else [row, identity]
    named: list[Json] = [
        {
            "table": one.__tablename__,
            "number": one.number,
            "digest": audit_rows.digest(session, one.__tablename__, one.number),
        }
        for one in rows
    ]
    _append(session, _KINDS[row.__tablename__], told(session, subject), {**body, ROWS: named}, now)


def _append(session: Session, kind: str, subject: str, body: Mapping[str, Json], now: Instant) -> AuditEntry:
    before = head(session)
    if before is None:
        raise RegistryError(
            "the audit log has lost its head", remedy="`sodbench audit verify` (docs/registry.md)"
        )
    # as it will be read: keys are texts and a sequence is a list
    plain = json.loads(json.dumps(checked_json(dict(body), "the body of an audit entry")))
    entry = linked(before, at=now, kind=kind, subject=subject, body=cast(Mapping[str, Json], plain))
    _store(session, entry)
    return entry


def _store(session: Session, entry: AuditEntry) -> None:
    connection = session.connection()
    connection.execute(
        _ADD,
        {
            "number": entry.number,
            "at_realtime_ns": entry.at.realtime_ns,
            "at_monotonic_ns": entry.at.monotonic_ns,
            "at_boot_id": entry.at.boot_id,
            "kind": entry.kind,
            "subject": entry.subject,
            "body": canonical(entry.body),
            "previous": entry.previous,
            "digest": entry.digest,
        },
    )
    end = {"number": entry.number, "digest": entry.digest}
    if entry.number == 1:
        connection.execute(_FIRST_HEAD, {"id": 1, **end})
    else:
        connection.execute(_NEXT_HEAD, end)
