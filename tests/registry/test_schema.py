"""Creating, upgrading and refusing; the migrations build what the models say; append-only means it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from harness.attest.reasons import Reason, Tier
from harness.registry.database import Database
from harness.registry.errors import ConstraintError, RegistryError
from harness.registry.models import Base
from harness.registry.registry import open_registry, sqlite_url
from harness.registry.schema import VERSION_TABLE
from tests.registry.subjects import NONCE, enrolment, moment, result


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """The database under a registry in which every table has a row."""
    with open_registry(url) as registry:
        registry.enrol(enrolment("host-a"))
        registry.enrol(enrolment("guest-1", kind="guest"))
        registry.issue(NONCE, attester="host-a", issued=moment(), expires=moment(60))
        registry.consume(NONCE)
        registry.record(result(tier=Tier.NONE, reason=Reason.TIMED_OUT), generated=moment())
        registry.set_property("host-a", "architecture_type", "TPM", source="boot", simulated=False)
        registry.place("guest-1", "host-a", 1)
        registry.protection.set("guest-1", {"options": ["1"]}, by="customer", why="new")
        registry.responses.begin("guest-1", owner="watch-1", trigger={}, decision={})
    opened = Database(url, wait_s=5)
    yield opened
    opened.close()


def test_the_migrations_build_what_the_models_describe(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []
        names = inspect(connection)
        for table in Base.metadata.tables.values():
            built = {check["name"] for check in names.get_check_constraints(table.name)}
            assert built == {
                str(check.name) for check in table.constraints if str(check.name).startswith("ck_")
            }


def test_indexes_that_hold_for_some_rows_only_are_built_so(database: Database) -> None:
    conditions = {"sqlite": "sql", "postgresql": "indexdef"}[database.engine.dialect.name]
    source = {"sqlite": "sqlite_master", "postgresql": "pg_indexes"}[database.engine.dialect.name]
    with database.engine.connect() as connection:
        built = list(
            connection.scalars(text(f"SELECT {conditions} FROM {source} WHERE {conditions} LIKE '% WHERE %'"))
        )
    assert len(built) == 6


APPEND_ONLY = (
    "identity_events",
    "results",
    "property_changes",
    "placements",
    "requests",
    "response_steps",
    "audit",
)
"""Tables whose rows are never changed and never deleted."""


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("change", ["UPDATE {} SET number = number + 1", "DELETE FROM {}"])
def test_append_only_tables_refuse_whoever_changes_them(database: Database, table: str, change: str) -> None:
    with pytest.raises(ConstraintError, match="append-only"), database.writing() as session:
        session.execute(text(change.format(table)))
    with database.reading() as session:
        rows = session.scalar(text(f"SELECT count(*) FROM {table}"))
    # the log's entries are its first one, two identities, and one of each further row
    assert rows == {"audit": 8, "identity_events": 2}.get(table, 1)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM responses",
        "DELETE FROM audit_head",
        "UPDATE audit_head SET number = number - 1",
        "UPDATE audit_head SET digest = 'x'",
        "INSERT INTO audit_head (id, number, digest) VALUES (2, 1, 'x')",
        "UPDATE responses SET closed = NOT closed",
        "UPDATE responses SET state = 'completed'",
        "UPDATE responses SET state = 'forgotten'",
    ],
)
def test_the_database_itself_keeps_responses_and_the_logs_head(database: Database, change: str) -> None:
    with pytest.raises(ConstraintError), database.writing() as session:
        session.execute(text(change))


def test_a_closed_response_stays_as_it_is_whoever_changes_it(database: Database) -> None:
    with database.writing() as session:
        session.execute(text("UPDATE responses SET state = 'failed', closed = true"))
    with pytest.raises(ConstraintError), database.writing() as session:
        session.execute(text("UPDATE responses SET state = 'begun', closed = false"))


@pytest.mark.parametrize("change", ["UPDATE challenges SET used_boot_id = NULL", "DELETE FROM challenges"])
def test_a_used_nonce_cannot_be_made_unused(database: Database, change: str) -> None:
    with pytest.raises(ConstraintError), database.writing() as session:
        session.execute(text(change))


def test_a_second_opening_changes_nothing(database: Database, url: str) -> None:
    with database.reading() as session:
        before = session.scalars(text(f"SELECT version_num FROM {VERSION_TABLE}")).all()
    with open_registry(url) as registry:
        assert len(registry.attesters()) == 2
    with database.reading() as session:
        assert session.scalars(text(f"SELECT version_num FROM {VERSION_TABLE}")).all() == before


def test_a_registry_of_a_newer_program_is_refused_and_left_alone(database: Database, url: str) -> None:
    with database.writing() as session:
        session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = 'r9999'"))
    with pytest.raises(RegistryError, match="newer version of sodbench") as caught:
        open_registry(url)
    assert "r9999" in caught.value.why
    assert not caught.value.retry
    with database.reading() as session:
        assert session.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == "r9999"


def test_another_programs_database_is_refused_and_left_alone(url: str) -> None:
    database = Database(url, wait_s=5)
    with database.writing() as session:
        session.execute(text("CREATE TABLE orders (number INTEGER)"))
    with pytest.raises(RegistryError, match="belongs to another program") as caught:
        open_registry(url)
    assert "orders" in caught.value.why
    with database.reading() as session:
        assert inspect(session.connection()).get_table_names() == ["orders"]
    database.close()


def test_an_upgrade_that_was_never_stamped_begins_anew(url: str) -> None:
    with open_registry(url) as registry:
        registry.enrol(enrolment("host-a"))
    database = Database(url, wait_s=5)
    with database.writing() as session:
        session.execute(text(f"DELETE FROM {VERSION_TABLE}"))
    with pytest.raises(RegistryError):
        open_registry(url)  # the tables are there, so building them fails, and nothing is built in part
    with database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM attesters")) == 1
        assert session.scalars(text(f"SELECT version_num FROM {VERSION_TABLE}")).all() == []
    database.close()


def test_a_file_is_written_ahead_and_every_connection_is_careful(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "registry.sqlite")
    open_registry(url).close()
    database = Database(url, wait_s=2.5)
    with database.engine.connect() as connection:
        told = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    database.close()
    assert told == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 2500}


@pytest.mark.parametrize("name", ["plain", "a b?c=d%20#e", "ü", "mode=memory"])
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    open_registry(sqlite_url(tmp_path / name)).close()
    connection = sqlite3.connect(tmp_path / name)
    assert connection.execute("SELECT count(*) FROM attesters").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("nonsense", "not the URL of a registry"),
        ("mysql://x/y", "no registry can be kept in mysql"),
        ("postgresql+psycopg2://x/y", "no registry can be kept in postgresql+psycopg2"),
        ("sqlite://", "a registry needs a file"),
        ("sqlite:///:memory:", "a registry needs a file"),
        ("sqlite:///file:x?mode=memory&uri=true", "a registry needs a file"),
    ],
)
def test_a_url_that_names_no_registry_is_refused(url: str, what: str) -> None:
    with pytest.raises(RegistryError) as caught:
        open_registry(url)
    assert caught.value.what == what
    assert caught.value.remedy


def test_a_password_is_not_told() -> None:
    with pytest.raises(RegistryError) as caught:
        open_registry("postgresql://user:secret@127.0.0.1:1/registry", wait_s=0.1)
    assert caught.value.what == "the registry's server does not answer"
    assert caught.value.retry
    assert "secret" not in str(caught.value)
