"""Monitors' statements about servers, inside one transaction: the present, and every change that led to it.

Every function works in the session it is given and commits nothing. Nothing here trusts a monitor; a reader
of a property sees its source, when it was last reported, and whether the hardware is simulated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified

from harness.instant import Instant
from harness.json_types import Json
from harness.registry.audit import log as audit_log
from harness.registry.models import PropertyChangeRow, PropertyRow
from harness.registry.values import Property, PropertyChange, checked_json, checked_name, checked_text


def report(
    session: Session, server: str, name: str, value: Json, source: str, *, simulated: bool, now: Instant
) -> bool:
    """Store what a monitor reports; whether that was a change.

    Raises:
        RegistryError: A name has no place in the registry.
    """
    checked_name(server, "a server")
    checked_name(name, "a property")
    source = checked_text(source, "a property's source")
    checked_json(value, "a property's value")
    row = session.get(PropertyRow, (server, name))
    told = (_spelled(value), source, simulated)
    if row is not None and told == (_spelled(row.value), row.source, row.simulated):
        row.seen = now
        return False
    if row is None:
        row = PropertyRow(server=server, name=name)
        session.add(row)
    row.value, row.source, row.simulated, row.since, row.seen = value, source, simulated, now, now
    flag_modified(row, "value")  # true after 1 is no change to Python, so it would not be written
    change = PropertyChangeRow(
        server=server, name=name, value=value, source=source, simulated=simulated, at=now
    )
    body: dict[str, Json] = {"name": name, "value": value, "source": source, "simulated": simulated}
    audit_log.note(session, change, server, body, now)
    return True


def _spelled(value: Json) -> str:
    """One spelling for one JSON value; Python alone would call true and 1 the same."""
    return json.dumps(value, sort_keys=True)


def of_server(session: Session, server: str) -> Mapping[str, Property]:
    """The server's properties by name."""
    rows = session.scalars(select(PropertyRow).where(PropertyRow.server == server).order_by(PropertyRow.name))
    return {
        row.name: Property(
            server=row.server,
            name=row.name,
            value=cast(Json, row.value),
            source=row.source,
            simulated=row.simulated,
            since=row.since,
            seen=row.seen,
        )
        for row in rows
    }


def changes(session: Session, server: str, name: str | None) -> tuple[PropertyChange, ...]:
    """The changes of a server's properties, or of one of them, oldest first."""
    question = (
        select(PropertyChangeRow).where(PropertyChangeRow.server == server).order_by(PropertyChangeRow.number)
    )
    if name is not None:
        question = question.where(PropertyChangeRow.name == name)
    return tuple(
        PropertyChange(
            server=row.server,
            name=row.name,
            value=cast(Json, row.value),
            source=row.source,
            simulated=row.simulated,
            at=row.at,
        )
        for row in session.scalars(question)
    )
