"""A registry from before the audit log: its rows stay, and the log begins with what stands for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.orm import Session

from harness.registry.audit import check as audit_check
from harness.registry.audit.chain import AuditError
from harness.registry.database import Database
from harness.registry.models import (
    AttesterRow,
    Base,
    Id,
    IdentityEventRow,
    KeyRow,
    PlacementRow,
    PropertyChangeRow,
    PropertyRow,
    ResultRow,
)
from harness.registry.registry import Registry, open_registry
from harness.registry.schema import _config
from tests.registry.subjects import condemned, enrolment, key, moment, result
from tests.registry.tampering import change, edits, unguarded

OLD = {"attesters": 2, "identity_events": 2, "placements": 1, "property_changes": 2, "results": 2}
LATER = ("requests", "response_steps")


def _identity(number: int, name: str, kind: Any) -> list[Base]:
    asked = enrolment(name, kind=kind)
    ek_name, tpm = (
        asked.ek_name.hex(),
        {"software": kind == "guest", "manufacturer": "IBM", "firmware": "2.0"},
    )
    made = key(f"tpm of {name}")
    return [
        AttesterRow(
            id=name,
            kind=kind,
            ek_name=ek_name,
            ek_certificate=None,
            tpm=tpm,
            held=False,
            revoked=False,
            released=False,
            enrolled=moment(),
        ),
        KeyRow(
            attester_number=number,
            kind=made.kind,
            public=made.public,
            name=made.name.hex(),
            qualified_name=made.qualified_name.hex(),
            retired=False,
            enrolled=moment(),
        ),
        IdentityEventRow(
            attester_number=number,
            event="enrolled",
            why="",
            at=moment(),
            detail={
                "ek_name": ek_name,
                "ek_certificate_sha256": None,
                "tpm": tpm,
                "keys": {made.kind: made.name.hex()},
            },
        ),
    ]


def _rest() -> list[Base]:
    told = {"server": "host-a", "name": "trust_evidence", "source": "wall", "simulated": True}
    return [
        PropertyChangeRow(value={"violations": 0}, at=moment(1), **told),
        PropertyChangeRow(value={"violations": 1}, at=moment(2), **told),
        PropertyRow(value={"violations": 1}, since=moment(2), seen=moment(3), **told),
        PlacementRow(
            guest_number=2,
            host_number=1,
            ek_name=enrolment("guest-1").ek_name.hex(),
            epoch=1,
            at=moment(),
        ),
        *(
            ResultRow(
                attester_number=1,
                attester="host-a",
                key="ecc-p256",
                tier="affirming",
                reason="accepted",
                generated=moment(turn),
                expires=moment(60),
                body=result(),
            )
            for turn in range(2)
        ),
    ]


@pytest.fixture
def old(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A registry as the first schema has it, with rows whose ids name no pair."""
    database = Database(url, wait_s=5)
    with database.sole_connection() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "r0001")
    with monkeypatch.context() as before_pairs, database.writing() as session:
        before_pairs.setattr(Id, "process_bind_param", lambda _self, value, _dialect: value)
        for rows in (_identity(1, "host-a", "host"), _identity(2, "guest-1", "guest"), _rest()):
            session.add_all(rows)
            session.flush()
    yield database
    database.close()


def use(registry: Registry) -> None:
    registry.record(condemned("host-a"), generated=moment(9))
    registry.set_property("host-a", "trust_evidence", None, source="wall", simulated=True)
    registry.place("guest-1", "host-a", 2)
    registry.protection.set("guest-1", {}, by="customer", why="new")
    registry.responses.begin("guest-1", owner="watch-1", trigger={}, decision={})
    registry.enrol(enrolment("host-b"))


def broken(session: Session) -> AuditError:
    session.expire_all()
    with pytest.raises(AuditError) as caught:
        audit_check.verify(session, None)
    return caught.value


def test_the_rows_of_before_stay_and_the_first_entry_counts_them(old: Database, url: str) -> None:
    with open_registry(url) as registry:
        (first,) = registry.audit.entries()
        before: Any = first.body["before"]
        assert {table: told["rows"] for table, told in before.items()} == OLD | dict.fromkeys(LATER, 0)
        assert {told["last"] for told in before.values()} == {0, 1, 2}
        assert registry.audit.verify() == first.head
        assert [one.number for one in registry.results("host-a")] == [2, 1]
        assert [one.id for one in registry.attesters()] == ["guest-1", "host-a"]
    with open_registry(url) as registry:  # and it begins once
        assert registry.audit.head() == first.head


def test_the_log_goes_on_after_an_upgrade(old: Database, url: str) -> None:
    with open_registry(url) as registry:
        use(registry)
        assert registry.audit.verify().number == 8  # the first, six that were asked for, and the hold
        assert [one.number for one in registry.results("host-a")] == [3, 2, 1]


@pytest.mark.parametrize("table", OLD)
def test_an_edit_of_what_was_there_before_is_found_and_named(old: Database, url: str, table: str) -> None:
    with open_registry(url) as registry:
        use(registry)
    described = Base.metadata.tables[table]
    columns = [
        one for one in described.columns if table != "attesters" or one.name in {"id", "kind", "ek_name"}
    ]
    tried = 0
    with unguarded(old) as session:
        for column in columns:
            for value in edits(column, sqlite=old.is_sqlite):
                with session.begin_nested() as point:
                    if change(session, table, 1, column.name, value):
                        found = broken(session)
                        assert (found.entry, f"rows of {table} from before" in found.what) == (1, True)
                        tried += 1
                    point.rollback()
    assert tried > len(columns)


@pytest.mark.parametrize("table", OLD)
def test_a_deletion_or_an_addition_among_what_was_there_before_is_found(
    old: Database, url: str, table: str
) -> None:
    open_registry(url).close()
    names = ['"' + one.name + '"' for one in Base.metadata.tables[table].columns if one.name != "number"]
    changed = {'"epoch"': "epoch + 7", '"id"': "id || 'x'", '"ek_name"': "ek_name || 'x'"}
    source = ", ".join(changed.get(name, name) for name in names)
    with unguarded(old) as session:
        for statement in (
            f"DELETE FROM {table} WHERE number = (SELECT max(number) FROM {table})",
            f"INSERT INTO {table} (number, {', '.join(names)})"
            f" SELECT -1, {source} FROM {table} WHERE number = 1",
        ):
            with session.begin_nested() as point:
                session.execute(text(statement))
                assert table in broken(session).what
                point.rollback()
