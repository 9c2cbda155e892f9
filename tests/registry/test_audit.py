"""The audit log: whatever is stored is in it, and whatever is edited afterwards is found and named."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from harness.attest.reasons import Reason, Tier
from harness.registry.audit import check as audit_check
from harness.registry.audit import log as audit_log
from harness.registry.audit import rows as audit_rows
from harness.registry.audit.chain import GENESIS, NO_DIGEST, AuditError, AuditHead, linked
from harness.registry.database import Database
from harness.registry.errors import RegistryError
from harness.registry.models import Base
from harness.registry.registry import Registry, open_registry, sqlite_url
from tests.registry import postgres
from tests.registry.subjects import SteppedPresent, condemned, enrolment, key, moment, result
from tests.registry.tampering import change, edits, unguarded

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


@pytest.fixture(scope="module", params=postgres.DATABASES)
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """The database of a registry with a log; every test takes its edits back."""
    server = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    name = f"registry_{uuid.uuid4().hex}"
    folder = tmp_path_factory.mktemp("audit")
    url = postgres.new_schema(server, name) if server else sqlite_url(folder / "registry.sqlite")
    with open_registry(url, now=SteppedPresent()) as registry:
        fill(registry)
    database = Database(url, wait_s=5)
    yield database
    database.close()
    if server:
        postgres.drop_schema(server, name)
    shutil.rmtree(folder)


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


# what is in it


def test_a_new_registry_has_its_first_entry(registry: Registry) -> None:
    (first,) = registry.audit.entries()
    assert (first.number, first.kind, first.previous) == (1, GENESIS, NO_DIGEST)
    before: Any = first.body["before"]
    assert {table: told["rows"] for table, told in before.items()} == dict.fromkeys(
        [*CHAINED, "attesters"], 0
    )
    assert registry.audit.verify() == registry.audit.head() == first.head


def test_whatever_is_stored_has_its_entry(registry: Registry) -> None:
    fill(registry)
    told = [(one.kind, one.subject) for one in registry.audit.entries(after=1)]
    assert told == [
        *[("identity", name) for name in ("host-a", "host-b", "guest-1")],
        *[("property", "host-a")] * 2,
        ("placement", "guest-1"),
        ("result", "host-a"),
        ("result", "host-b"),
        ("identity", "host-b"),  # held
        ("result", "stranger"),
        ("request", "guest-1"),
        ("response", "guest-1"),
        ("decision", "guest-1"),
        ("response", "guest-1"),
        ("placement", "guest-1"),
        ("request", "guest-1"),
        ("alarm", "guest-1"),
    ]
    assert registry.audit.verify().number == len(told) + 1


def test_entries_carry_what_matters(registry: Registry, present: SteppedPresent) -> None:
    present.at = moment(7)
    fill(registry)
    bodies = {(one.kind, one.subject): one.body for one in registry.audit.entries()}
    assert {name: told for name, told in bodies["result", "host-b"].items() if name != "rows"} == {
        "tier": "contraindicated",
        "reason": "pcr-value",
        "key": "ecc-p256",
    }
    assert bodies["identity", "host-b"]["event"] == "held"
    assert (bodies["placement", "guest-1"]["host"], bodies["placement", "guest-1"]["epoch"]) == ("host-b", 2)
    assert bodies["request", "guest-1"]["request"] is None
    assert bodies["response", "guest-1"]["state"] == "held"
    assert {one.at for one in registry.audit.entries(after=1)} == {moment(7)}


def test_what_was_refused_leaves_no_entry(registry: Registry) -> None:
    fill(registry)
    head = registry.audit.head()
    assert not registry.accept(
        result(), key_name=KEY, memory={}, version=1, generated=moment(), expires=moment(60)
    )
    for refused in (
        lambda: registry.place("guest-1", "host-a", 1),
        lambda: registry.enrol(enrolment("host-a", tpm="another")),
        lambda: registry.protection.withdraw("guest-1", by="customer", why="again"),
        lambda: registry.audit.append("result", "host-a", {}),
    ):
        with pytest.raises(Exception, match=r"epoch|enrolled|no request|only the registry"):
            refused()
    assert registry.audit.head() == head


def test_entries_are_read_in_part(registry: Registry) -> None:
    fill(registry)
    every = registry.audit.entries()
    assert registry.audit.entries(after=3, limit=4) == every[3:7]
    assert registry.audit.entries(after=len(every)) == ()
    assert registry.audit.newest(3) == every[-3:]
    assert registry.audit.newest(2, kind="result") == tuple(one for one in every if one.kind == "result")[-2:]
    assert registry.audit.entries(subject="host-b") == tuple(one for one in every if one.subject == "host-b")


@pytest.mark.parametrize(
    ("kind", "subject", "body"),
    [
        ("result", "host-a", {}),
        (GENESIS, "registry", {}),
        ("alarm", "host-a", {"rows": []}),
        ("two words", "host-a", {}),
        ("alarm", "", {}),
        ("alarm", "host-a", {"x": float("nan")}),
        ("alarm", "host-a", {"x": b"bytes"}),
    ],
)
def test_what_is_no_entry_is_refused(registry: Registry, kind: str, subject: str, body: Any) -> None:
    with pytest.raises(RegistryError):
        registry.audit.append(kind, subject, body)
    assert registry.audit.verify().number == 1


@pytest.mark.parametrize(
    "value",
    [
        0,
        -0.0,
        1.0,
        1,
        True,
        None,
        2**53 + 1,
        2**70,
        1e300,
        5e-324,
        "",
        "5",
        "ü\u2028\0\ud800",
        [],
        {"b": [1, {}], "a": 0},
    ],
)
def test_any_json_can_be_reported_asked_for_and_appended(registry: Registry, value: Any) -> None:
    if "\0" not in str(value):
        registry.set_property("host-a", "trust_evidence", value, source="wall", simulated=True)
    registry.audit.append("alarm", "host-a", {"value": value})
    assert registry.audit.newest(1)[0].body == {"value": value}
    assert registry.audit.verify() == registry.audit.head()


def test_keys_that_are_no_texts_are_kept_as_json_has_them(registry: Registry) -> None:
    registry.audit.append("alarm", "host-a", {10: 1, 9: (1, 2), "x": 3})  # type: ignore[dict-item]
    assert registry.audit.newest(1)[0].body == {"10": 1, "9": [1, 2], "x": 3}
    registry.audit.verify()


# edits of the log


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


# edits of what it speaks of


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


# edits of the present

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
