"""Whatever is edited in the tables that the audit log speaks of is found and named."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from harness.registry.database import Database
from harness.registry.models import Base
from harness.registry.registry import Registry
from tests.registry.audited import CHAINED, broken, columns, entry_of, fill, numbers
from tests.registry.subjects import SteppedPresent, enrolment, moment
from tests.registry.tampering import change, edits, unguarded

ROW_COLUMNS = [(table, name) for table in CHAINED for name in columns(table)]


@pytest.mark.parametrize(("table", "column"), ROW_COLUMNS)
def test_an_edit_of_any_column_of_any_row_is_found_and_named(
    filled: Database, table: str, column: str
) -> None:
    described = Base.metadata.tables[table].c[column]
    tried = 0
    with unguarded(filled) as session:
        for number in numbers(session, table):
            entry = entry_of(session, table, number)
            for value in edits(described, sqlite=filled.is_sqlite):
                with session.begin_nested() as point:
                    if change(session, table, number, column, value):
                        found = broken(session)
                        assert table in str(found)
                        if not described.primary_key:
                            assert (found.entry, f"row {number} " in found.where) == (entry, True)
                        tried += 1
                    point.rollback()
    assert tried >= 2


@pytest.mark.parametrize("table", CHAINED)
def test_a_deletion_of_any_row_is_found_and_named(filled: Database, table: str) -> None:
    with unguarded(filled) as session:
        for number in numbers(session, table):
            with session.begin_nested() as point:
                entry = entry_of(session, table, number)
                session.execute(text(f"DELETE FROM {table} WHERE number = {number}"))
                found = broken(session)
                assert found.entry == entry
                assert f"row {number} of {table} is missing" in found.what
                point.rollback()


@pytest.mark.parametrize("table", CHAINED)
@pytest.mark.parametrize("number", [-3, 0, 1_000_000])
def test_a_row_that_was_put_in_is_found_and_named(filled: Database, table: str, number: int) -> None:
    names = ['"' + name + '"' for name in columns(table) if name != "number"]
    source = ", ".join("epoch + 77" if name == '"epoch"' else name for name in names)
    with unguarded(filled) as session:
        session.execute(
            text(
                f"INSERT INTO {table} (number, {', '.join(names)}) SELECT {number}, {source} FROM {table}"
                f" WHERE number = {numbers(session, table)[0]}"
            )
        )
        assert table in str(broken(session))


PRESENT = {
    "attesters": "number id kind ek_name ek_certificate tpm held revoked released",
    "keys": "attester_number kind public name retired",
    "properties": "server name value source simulated since_realtime_ns since_monotonic_ns since_boot_id",
    "responses": "number vm owner state closed begun_realtime_ns begun_monotonic_ns begun_boot_id"
    " changed_realtime_ns changed_monotonic_ns changed_boot_id",
}
"""The columns that follow from histories; what else these tables have decides nothing."""


@pytest.mark.parametrize(
    ("table", "column"), [(table, name) for table, names in PRESENT.items() for name in names.split()]
)
def test_a_present_that_does_not_follow_from_its_history_is_found(
    filled: Database, table: str, column: str
) -> None:
    described = Base.metadata.tables[table].c[column]
    row, tried = "rowid" if filled.is_sqlite else "ctid", 0
    with unguarded(filled) as session:
        before = _meant(session, table, column)
        for place in session.scalars(text(f"SELECT {row} FROM {table}")).all():
            for value in edits(described, sqlite=filled.is_sqlite):
                if value == "2":
                    continue  # as true as 1
                with session.begin_nested() as point:
                    session.execute(
                        text(f"UPDATE {table} SET \"{column}\" = {value} WHERE {row} = '{place}'")
                    )
                    if before != _meant(session, table, column):
                        broken(session)
                        tried += 1
                    point.rollback()
    assert tried


def _meant(session: Session, table: str, column: str) -> list[str]:
    """What the program reads in a column; JSON with other blanks is the same JSON."""
    found = session.scalars(text(f'SELECT "{column}" FROM {table}'))
    return sorted(
        repr(json.loads(one)) if isinstance(one, str) and one[:1] in {"{", "["} else repr(one)
        for one in found
    )


@pytest.mark.parametrize("table", ["attesters", "keys", "properties", "responses"])
def test_a_deletion_from_the_present_is_found(filled: Database, table: str) -> None:
    row = "rowid" if filled.is_sqlite else "ctid"
    with unguarded(filled) as session:
        for place in session.scalars(text(f"SELECT {row} FROM {table}")).all():
            with session.begin_nested() as point:
                session.execute(text(f"DELETE FROM {table} WHERE {row} = '{place}'"))
                broken(session)
                point.rollback()


def test_a_hold_that_somebody_lifted_is_named(filled: Database) -> None:
    with unguarded(filled) as session:
        session.execute(text("UPDATE attesters SET held = false WHERE id = 'default/host-b'"))
        found = broken(session)
    assert "host-b" in found.where
    assert "held: False" in found.why


def test_the_present_follows_from_history_after_any_use(registry: Registry, present: SteppedPresent) -> None:
    fill(registry)
    present.at = moment(3)
    registry.re_enrol(enrolment("host-b", turn=2))
    registry.set_property("host-a", "architecture_type", "HyperWall", source="boot", simulated=False)
    registry.set_property("host-a", "architecture_type", True, source="boot", simulated=False)
    registry.release("guest-1", "ended")
    registry.enrol(enrolment("guest-1", turn=3))
    registry.revoke("host-a", "lost")
    begun = registry.responses.begin("guest-1", owner="watch-1", trigger={}, decision={})
    present.at = moment(4)
    registry.responses.adopt(begun.number, owner="watch-2", why="restarted")
    registry.responses.advance(begun.number, "migrating", {}, owner="watch-2")
    assert registry.audit.verify() == registry.audit.head()
