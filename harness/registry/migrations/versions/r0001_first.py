"""The first schema: identities, challenges, memories, results, properties and placements."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NOT_RELEASED = sa.text("NOT released")
_NOT_RETIRED = sa.text("NOT retired")
_OPEN = sa.text("used_boot_id IS NULL")
_APPEND_ONLY = ("identity_events", "results", "property_changes", "placements")


def upgrade() -> None:
    """Create all tables, their constraints, and the triggers of those that are append-only."""
    _identities()
    _challenges_and_memories()
    _results()
    _properties()
    _placements()
    if op.get_bind().dialect.name == "sqlite":
        _forbid_changes_sqlite()
    else:
        _forbid_changes_postgresql()


def _instant(prefix: str, *, nullable: bool = False) -> list[sa.Column[object]]:
    return [
        sa.Column(f"{prefix}_realtime_ns", sa.BigInteger(), nullable=nullable),
        sa.Column(f"{prefix}_monotonic_ns", sa.BigInteger(), nullable=nullable),
        sa.Column(f"{prefix}_boot_id", sa.Text(), nullable=nullable),
    ]


def _identity(column: str, table: str, *, nullable: bool = False) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column(column, _NUMBER, nullable=nullable),
        sa.ForeignKeyConstraint([column], ["attesters.number"], name=f"fk_{table}_{column}"),
    ]


def _unique_while(name: str, table: str, columns: list[str], condition: sa.TextClause) -> None:
    op.create_index(name, table, columns, unique=True, sqlite_where=condition, postgresql_where=condition)


def _identities() -> None:
    op.create_table(
        "attesters",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ek_name", sa.Text(), nullable=False),
        sa.Column("ek_certificate", sa.LargeBinary(), nullable=True),
        sa.Column("tpm", sa.JSON(), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.Column("released", sa.Boolean(), nullable=False),
        *_instant("enrolled"),
        sa.PrimaryKeyConstraint("number", name="pk_attesters"),
        sa.CheckConstraint("kind IN ('host', 'guest')", name=op.f("ck_attesters_kind")),
        sqlite_autoincrement=True,
    )
    _unique_while("uq_attesters_id", "attesters", ["id"], _NOT_RELEASED)
    _unique_while("uq_attesters_ek_name", "attesters", ["ek_name"], _NOT_RELEASED)
    op.create_table(
        "keys",
        sa.Column("number", _NUMBER, nullable=False),
        *_identity("attester_number", "keys"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("qualified_name", sa.Text(), nullable=False),
        sa.Column("retired", sa.Boolean(), nullable=False),
        *_instant("enrolled"),
        sa.PrimaryKeyConstraint("number", name="pk_keys"),
        sa.CheckConstraint("kind IN ('ecc-p256', 'rsa-2048')", name=op.f("ck_keys_kind")),
    )
    _unique_while("uq_keys_attester_number_kind", "keys", ["attester_number", "kind"], _NOT_RETIRED)
    _unique_while("uq_keys_name", "keys", ["name"], _NOT_RETIRED)
    op.create_table(
        "identity_events",
        sa.Column("number", _NUMBER, nullable=False),
        *_identity("attester_number", "identity_events"),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        *_instant("at"),
        sa.PrimaryKeyConstraint("number", name="pk_identity_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_identity_events_attester_number", "identity_events", ["attester_number"])


def _challenges_and_memories() -> None:
    op.create_table(
        "challenges",
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        *_identity("attester_number", "challenges"),
        *_instant("issued"),
        *_instant("expires"),
        *_instant("used", nullable=True),
        sa.PrimaryKeyConstraint("nonce", name="pk_challenges"),
    )
    op.create_index(
        "ix_challenges_open",
        "challenges",
        ["expires_realtime_ns"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_table(
        "memories",
        *_identity("attester_number", "memories"),
        sa.Column("key_name", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("attester_number", "key_name", name="pk_memories"),
    )


def _results() -> None:
    op.create_table(
        "results",
        sa.Column("number", _NUMBER, nullable=False),
        *_identity("attester_number", "results", nullable=True),
        sa.Column("attester", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        *_instant("generated"),
        *_instant("expires", nullable=True),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_results"),
        sa.CheckConstraint(
            "tier IN ('none', 'affirming', 'warning', 'contraindicated')", name=op.f("ck_results_tier")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_results_attester_number", "results", ["attester", "number"])


def _properties() -> None:
    op.create_table(
        "properties",
        sa.Column("server", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        *_instant("since"),
        *_instant("seen"),
        sa.PrimaryKeyConstraint("server", "name", name="pk_properties"),
    )
    op.create_table(
        "property_changes",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("server", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        *_instant("at"),
        sa.PrimaryKeyConstraint("number", name="pk_property_changes"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_property_changes_server_name_number", "property_changes", ["server", "name", "number"]
    )


def _placements() -> None:
    op.create_table(
        "placements",
        sa.Column("number", _NUMBER, nullable=False),
        *_identity("guest_number", "placements"),
        *_identity("host_number", "placements"),
        sa.Column("ek_name", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        *_instant("at"),
        sa.PrimaryKeyConstraint("number", name="pk_placements"),
        sa.UniqueConstraint("ek_name", "epoch", name="uq_placements_ek_name_epoch"),
        sa.CheckConstraint("epoch >= 0", name=op.f("ck_placements_epoch")),
        sqlite_autoincrement=True,
    )


def _forbid_changes_sqlite() -> None:
    for table in _APPEND_ONLY:
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
    # a nonce that was used once is used for ever
    op.execute(
        "CREATE TRIGGER challenges_stay_used BEFORE UPDATE ON challenges WHEN OLD.used_boot_id IS NOT NULL "
        "BEGIN SELECT RAISE(ABORT, 'a used nonce stays used'); END"
    )
    op.execute(
        "CREATE TRIGGER challenges_used_are_kept BEFORE DELETE ON challenges "
        "WHEN OLD.used_boot_id IS NOT NULL BEGIN SELECT RAISE(ABORT, 'a used nonce is kept'); END"
    )


def _forbid_changes_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION registry_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME "
        "USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION registry_append_only()"
        )
    op.execute(
        "CREATE TRIGGER challenges_stay_used BEFORE UPDATE OR DELETE ON challenges FOR EACH ROW "
        "WHEN (OLD.used_boot_id IS NOT NULL) EXECUTE FUNCTION registry_append_only()"
    )
