"""Whatever is edited in the audit log itself is found and named."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from harness.registry.audit import check as audit_check
from harness.registry.audit import log as audit_log
from harness.registry.audit.chain import NO_DIGEST, AuditHead, linked
from harness.registry.database import Database
from harness.registry.models import Base
from tests.registry.audited import broken, columns, numbers, whole
from tests.registry.subjects import moment
from tests.registry.tampering import change, edits, unguarded


def test_without_an_edit_it_is_whole(filled: Database) -> None:
    with unguarded(filled) as session:
        head = whole(session)
        assert head.number == 18
        assert all(whole(session, entry.head) == head for entry in audit_check.entries(session))


@pytest.mark.parametrize("column", columns("audit"))
def test_an_edit_of_any_column_of_any_entry_is_found_and_named(filled: Database, column: str) -> None:
    tried = 0
    with unguarded(filled) as session:
        for number in numbers(session, "audit"):
            for value in edits(Base.metadata.tables["audit"].c[column], sqlite=filled.is_sqlite):
                with session.begin_nested() as point:
                    if change(session, "audit", number, column, value):
                        found = broken(session)
                        # an entry that got another number leaves its place, or comes before the first one
                        assert found.entry == (number if "-" not in value or column != "number" else 1)
                        tried += 1
                    point.rollback()
    assert tried >= 30


@pytest.mark.parametrize("column", ["id", "number", "digest"])
def test_an_edit_of_the_head_is_found(filled: Database, column: str) -> None:
    with unguarded(filled) as session:
        for value in edits(Base.metadata.tables["audit_head"].c[column], sqlite=filled.is_sqlite):
            if column == "id":
                continue  # which row it is says nothing; there is one
            with session.begin_nested() as point:
                session.execute(text(f"UPDATE audit_head SET {column} = {value}"))
                broken(session)
                point.rollback()


def test_a_lost_or_doubled_head_is_found(filled: Database) -> None:
    for statement in (
        "DELETE FROM audit_head",
        "INSERT INTO audit_head (id, number, digest) SELECT 2, number, digest FROM audit_head",
    ):
        with unguarded(filled) as session:
            session.execute(text(statement))
            assert "head" in broken(session).what


def test_a_deletion_of_any_entry_is_found_and_named(filled: Database) -> None:
    with unguarded(filled) as session:
        for number in numbers(session, "audit"):
            with session.begin_nested() as point:
                session.execute(text(f"DELETE FROM audit WHERE number = {number}"))
                assert broken(session).entry == number
                point.rollback()


def test_a_log_that_was_emptied_is_found(filled: Database) -> None:
    with unguarded(filled) as session:
        session.execute(text("DELETE FROM audit"))
        assert broken(session).entry == 1


def test_an_entry_that_was_moved_up_into_the_place_of_a_deleted_one_is_found(filled: Database) -> None:
    with unguarded(filled) as session:
        session.execute(text("DELETE FROM audit WHERE number = 5"))
        for number in numbers(session, "audit")[4:]:
            session.execute(text(f"UPDATE audit SET number = {number - 1} WHERE number = {number}"))
        session.execute(text("UPDATE audit_head SET number = number - 1"))
        assert broken(session).entry == 5


@pytest.mark.parametrize("what", ["number", "body", "digest", "previous, digest"])
def test_a_swap_of_two_entries_is_found_and_named(filled: Database, what: str) -> None:
    with unguarded(filled) as session:
        for one in numbers(session, "audit")[:-1]:
            with session.begin_nested() as point:
                _swap(session, one, one + 1, what)
                assert broken(session).entry == one
                point.rollback()


def _swap(session: Session, one: int, other: int, what: str) -> None:
    if what == "number":
        for number, becomes in ((one, -1), (other, one), (-1, other)):
            session.execute(text(f"UPDATE audit SET number = {becomes} WHERE number = {number}"))
        return
    rows = {
        number: session.execute(text(f"SELECT {what} FROM audit WHERE number = {number}")).mappings().one()
        for number in (one, other)
    }
    for number, values in ((one, rows[other]), (other, rows[one])):
        told = ", ".join(f"{name} = :{name}" for name in values)
        session.execute(text(f"UPDATE audit SET {told} WHERE number = {number}"), dict(values))


@pytest.mark.parametrize("place", ["before", "after", "far"])
def test_an_entry_that_was_put_in_is_found_and_named(filled: Database, place: str) -> None:
    with unguarded(filled) as session:
        last = numbers(session, "audit")[-1]
        number = {"before": 0, "after": last + 1, "far": last + 7}[place]
        session.execute(
            text(
                f"INSERT INTO audit SELECT {number}, {', '.join(columns('audit')[1:])}"
                " FROM audit WHERE number = 3"
            )
        )
        assert broken(session).entry == (1 if place == "before" else last + 1)


def test_an_entry_that_follows_but_was_not_the_registrys_is_found_at_the_head(filled: Database) -> None:
    with unguarded(filled) as session:
        head = whole(session)
        audit_log.append(session, "alarm", "guest-1", {}, moment())
        session.execute(text(f"UPDATE audit_head SET number = {head.number}, digest = '{head.digest}'"))
        assert broken(session).entry == head.number + 1


def test_a_noted_head_finds_an_end_that_was_cut_off_with_its_head_set_back(filled: Database) -> None:
    with unguarded(filled) as session:
        noted = whole(session)
        before = [*audit_check.entries(session)][-2].head
        session.execute(text(f"DELETE FROM audit WHERE number = {noted.number}"))
        session.execute(text(f"UPDATE audit_head SET number = {before.number}, digest = '{before.digest}'"))
        assert whole(session) == before  # the alarm spoke of no row, so nothing else misses it
        assert whole(session, before) == before
        assert broken(session, noted).entry == noted.number


def test_a_row_finds_an_end_that_was_cut_off_with_its_head_set_back(filled: Database) -> None:
    with unguarded(filled) as session:
        head = whole(session)
        before = [*audit_check.entries(session)][-3].head
        session.execute(text(f"DELETE FROM audit WHERE number > {before.number}"))
        session.execute(text(f"UPDATE audit_head SET number = {before.number}, digest = '{before.digest}'"))
        found = broken(session)
        assert found.entry == head.number - 1
        assert "requests" in found.where


def test_a_noted_head_finds_a_log_that_was_written_anew(filled: Database) -> None:
    with unguarded(filled) as session:
        every = [*audit_check.entries(session)]
        session.execute(text("DELETE FROM audit"))
        session.execute(text("DELETE FROM audit_head"))
        before = None
        for entry in every:
            kind = "joke" if entry.kind == "alarm" else entry.kind
            made = linked(before, at=entry.at, kind=kind, subject=entry.subject, body=entry.body)
            audit_log._store(session, made)
            before = made.head
        assert whole(session) == before  # whoever holds the database can do that
        assert whole(session, every[-2].head) == before  # and what was noted before is still so
        assert broken(session, every[-1].head).entry == every[-1].number


@pytest.mark.parametrize("number", [0, -1, 19, 10**6])
def test_a_noted_head_that_is_not_on_the_chain_is_found(filled: Database, number: int) -> None:
    with unguarded(filled) as session:
        assert "noted" in broken(session, AuditHead(number=number, digest=NO_DIGEST)).what
