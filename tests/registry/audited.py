"""A registry with a log of every kind of row, and what a check of its audit log says."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from harness.attest.reasons import Reason, Tier
from harness.registry.audit import check as audit_check
from harness.registry.audit import rows as audit_rows
from harness.registry.audit.chain import AuditError, AuditHead
from harness.registry.models import Base
from harness.registry.registry import Registry
from tests.registry.subjects import condemned, enrolment, key, moment, result

KEY = key("tpm of host-a").name
CHAINED = sorted(audit_rows.TABLES.values())


def fill(registry: Registry) -> None:
    """At least two rows of every table that the log speaks of."""
    registry.enrol(enrolment("host-a"))
    registry.enrol(enrolment("host-b"))
    registry.enrol(enrolment("guest-1", kind="guest"))
    registry.set_property("host-a", "trust_evidence", {"violations": 0}, source="wall", simulated=True)
    registry.set_property("host-a", "architecture_type", "HyperWall", source="boot", simulated=False)
    registry.place("guest-1", "host-a", 1)
    registry.accept(result(), key_name=KEY, memory={}, version=1, generated=moment(), expires=moment(60))
    registry.record(condemned("host-b"), generated=moment())
    registry.record(result("stranger", Tier.NONE, Reason.TIMED_OUT, key=None), generated=moment())
    registry.protection.set("guest-1", {"options": ["1"]}, by="customer", why="new")
    begun = registry.responses.begin("guest-1", owner="watch-1", trigger={"cause": "x"}, decision={})
    registry.audit.append("decision", "guest-1", {"to": "host-b", "refused": {}})
    registry.responses.advance(begun.number, "held", {"alarm": True}, owner="watch-1")
    registry.place("guest-1", "host-b", 2)
    registry.protection.withdraw("guest-1", by="customer", why="gone")
    registry.audit.append("alarm", "guest-1", {"what": "nowhere to go"})


def whole(session: Session, noted: AuditHead | None = None) -> AuditHead:
    session.expire_all()  # edits in plain SQL are not known to the session
    return audit_check.verify(session, noted)


def broken(session: Session, noted: AuditHead | None = None) -> AuditError:
    session.expire_all()
    with pytest.raises(AuditError) as caught:
        audit_check.verify(session, noted)
    assert caught.value.exit_code == 19
    assert caught.value.why
    assert caught.value.remedy
    return caught.value


def numbers(session: Session, table: str) -> list[int]:
    return list(session.scalars(text(f"SELECT number FROM {table} ORDER BY number")))


def columns(table: str) -> list[str]:
    return [column.name for column in Base.metadata.tables[table].columns]


def entry_of(session: Session, table: str, number: int) -> int:
    """The entry that speaks of a row."""
    for entry in audit_check.entries(session):
        rows: Any = entry.body.get("rows", [])
        if (table, number) in [(named["table"], named["number"]) for named in rows]:
            return entry.number
    raise AssertionError(f"no entry of row {number} of {table}")
