"""A server's guards: whoever may change the schema cannot do it without `audit verify` naming the guard."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from harness.registry import guards
from harness.registry.audit.chain import AuditError
from harness.registry.database import Database
from harness.registry.registry import open_registry
from tests.registry import postgres
from tests.registry.subjects import SteppedPresent

pytestmark = pytest.mark.programs

HARMLESS = "CREATE OR REPLACE FUNCTION {} RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$"


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    name = f"registry_{uuid.uuid4().hex}"
    url = postgres.new_schema(postgres_url, name)
    open_registry(url, now=SteppedPresent()).close()
    made = Database(url, wait_s=5)
    yield made
    made.close()
    postgres.drop_schema(postgres_url, name)


SERVERS_EDITS = (
    (("ALTER TABLE audit DISABLE TRIGGER audit_append_only",), "trigger audit_append_only is disabled"),
    (
        ("ALTER TABLE audit ENABLE REPLICA TRIGGER audit_append_only",),
        "trigger audit_append_only is disabled",
    ),
    ((HARMLESS.format("registry_append_only()"),), "trigger .* is not as it was made"),
    (
        (
            "DROP TRIGGER responses_stay_closed ON responses",
            "CREATE TRIGGER responses_stay_closed BEFORE UPDATE ON responses FOR EACH ROW "
            "WHEN (OLD.closed AND false) EXECUTE FUNCTION registry_append_only()",
        ),
        "trigger responses_stay_closed is not as it was made",
    ),
    (
        (
            "DROP TRIGGER audit_append_only ON audit",
            "CREATE TRIGGER audit_append_only BEFORE TRUNCATE ON audit "
            "EXECUTE FUNCTION registry_append_only()",
        ),
        "trigger audit_append_only is not as it was made",
    ),
    (
        (
            HARMLESS.format("more()").replace("NEW", "NULL"),
            "CREATE TRIGGER more BEFORE INSERT ON results FOR EACH ROW EXECUTE FUNCTION more()",
        ),
        "trigger more was added",
    ),
    (("CREATE RULE more AS ON INSERT TO results DO INSTEAD NOTHING",), "rule more was added"),
    (("DROP INDEX uq_attesters_ek_name",), "index uq_attesters_ek_name is missing"),
    (
        (
            "DROP INDEX uq_attesters_ek_name",
            "CREATE INDEX uq_attesters_ek_name ON attesters (ek_name) WHERE NOT released",
        ),
        "index uq_attesters_ek_name is not as it was made",
    ),
    (("CREATE UNIQUE INDEX more ON results (attester)",), "index more was added"),
    (
        ("ALTER TABLE placements DROP CONSTRAINT uq_placements_ek_name_epoch",),
        "index uq_placements_ek_name_epoch is missing",
    ),
    (
        (
            "DROP TRIGGER audit_append_only ON audit",
            "CREATE TABLE more (x int)",
            "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON more "
            "EXECUTE FUNCTION registry_append_only()",
        ),
        "trigger audit_append_only is not as it was made",
    ),
    (
        (
            "DROP INDEX uq_attesters_ek_name",
            "CREATE TABLE more (ek_name bytea, released boolean)",
            "CREATE UNIQUE INDEX uq_attesters_ek_name ON more (ek_name) WHERE NOT released",
        ),
        "index uq_attesters_ek_name is not as it was made",
    ),
    (
        ("ALTER TABLE attesters RENAME TO more", "CREATE VIEW attesters AS SELECT * FROM more"),
        "constraint ck_attesters_kind is not as it was made",
    ),
    (
        (
            "ALTER TABLE attesters ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY more ON attesters USING (NOT held)",
        ),
        "table attesters is not as it was made",
    ),
    (("CREATE TABLE more () INHERITS (results)",), "table results is not as it was made"),
    (("ALTER TABLE results DROP CONSTRAINT ck_results_tier",), "constraint ck_results_tier is missing"),
)
"""Statements that edit the guards of a PostgreSQL server, and what is said of them."""


def test_each_edit_of_a_servers_guards_is_named(database: Database) -> None:
    guards.check(database, 1)
    for statements, what in SERVERS_EDITS:
        with database.engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
            connection.commit()
        with pytest.raises(AuditError, match=what):
            guards.check(database, 1)
        _mend(database)
        guards.check(database, 1)


def _mend(database: Database) -> None:
    """Make the schema as it was, by making the registry again."""
    with database.engine.connect() as connection:
        schema = connection.scalar(text("SELECT current_schema()"))
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
        connection.execute(text(f"CREATE SCHEMA {schema}"))
        connection.commit()
    database.engine.dispose()
    open_registry(database.engine.url.render_as_string(hide_password=False), now=SteppedPresent()).close()


def test_another_table_may_have_a_constraint_of_that_name(database: Database) -> None:
    for name in ("aaa", "zzz"):
        with database.engine.connect() as connection:
            connection.execute(
                text(f"CREATE TABLE {name} (tier text CONSTRAINT ck_results_tier CHECK (tier <> ''))")
            )
            connection.commit()
        guards.check(database, 1)
    with database.engine.connect() as connection:
        connection.execute(text("ALTER TABLE results DROP CONSTRAINT ck_results_tier"))
        connection.commit()
    with pytest.raises(AuditError, match="constraint ck_results_tier is not as it was made"):
        guards.check(database, 1)
