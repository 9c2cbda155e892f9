"""Requests of VMs, responses and the audit log; what was stored before stays as it is.

The log's first entry is not written here: :mod:`harness.registry.audit.log` writes it, in the transaction of
the upgrade.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision: str | None = "r0001"
branch_labels: str | None = None
depends_on: str | None = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NOT_CLOSED = sa.text("NOT closed")
_APPEND_ONLY = ("requests", "response_steps", "audit")
_FINAL = "'abandoned', 'called-off', 'completed', 'failed', 'held', 'shut-down', 'suspended'"
_STATES = (
    "'abandoned', 'arrived', 'begun', 'called-off', 'completed', 'failed', 'held', 'migrating', 'shut-down', "
    "'suspended'"
)


def upgrade() -> None:
    """Create the tables, their constraints and the triggers that hold them."""
    _requests()
    _responses()
    _audit()
    if op.get_bind().dialect.name == "sqlite":
        _forbid_changes_sqlite()
    else:
        _forbid_changes_postgresql()


def _instant(prefix: str) -> list[sa.Column[object]]:
    return [
        sa.Column(f"{prefix}_realtime_ns", sa.BigInteger(), nullable=False),
        sa.Column(f"{prefix}_monotonic_ns", sa.BigInteger(), nullable=False),
        sa.Column(f"{prefix}_boot_id", sa.Text(), nullable=False),
    ]


def _requests() -> None:
    op.create_table(
        "requests",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("vm", sa.Text(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        *_instant("at"),
        sa.PrimaryKeyConstraint("number", name="pk_requests"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_requests_vm_number", "requests", ["vm", "number"])


def _responses() -> None:
    op.create_table(
        "responses",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("vm", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        *_instant("begun"),
        *_instant("changed"),
        sa.PrimaryKeyConstraint("number", name="pk_responses"),
        sa.CheckConstraint(f"state IN ({_STATES})", name=op.f("ck_responses_state")),
        sa.CheckConstraint(f"closed = (state IN ({_FINAL}))", name=op.f("ck_responses_closed")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_responses_vm",
        "responses",
        ["vm"],
        unique=True,
        sqlite_where=_NOT_CLOSED,
        postgresql_where=_NOT_CLOSED,
    )
    op.create_index("ix_responses_vm_number", "responses", ["vm", "number"])
    op.create_table(
        "response_steps",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("response_number", _NUMBER, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        *_instant("at"),
        sa.ForeignKeyConstraint(
            ["response_number"], ["responses.number"], name="fk_response_steps_response_number"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_response_steps"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_response_steps_response_number", "response_steps", ["response_number"])


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("number", _NUMBER, nullable=False, autoincrement=False),
        *_instant("at"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit"),
    )
    op.create_table(
        "audit_head",
        sa.Column("id", _NUMBER, nullable=False, autoincrement=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_head_id")),
    )


def _forbid_changes_sqlite() -> None:
    for table in _APPEND_ONLY:
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
    op.execute(
        "CREATE TRIGGER responses_stay_closed BEFORE UPDATE ON responses WHEN OLD.closed "
        "BEGIN SELECT RAISE(ABORT, 'a closed response stays as it is'); END"
    )
    op.execute(
        "CREATE TRIGGER responses_no_delete BEFORE DELETE ON responses "
        "BEGIN SELECT RAISE(ABORT, 'a response is kept'); END"
    )
    op.execute(
        "CREATE TRIGGER audit_head_goes_forward BEFORE UPDATE ON audit_head "
        "WHEN NEW.number <> OLD.number + 1 "
        "BEGIN SELECT RAISE(ABORT, 'the head of the audit log only goes forward'); END"
    )
    op.execute(
        "CREATE TRIGGER audit_head_no_delete BEFORE DELETE ON audit_head "
        "BEGIN SELECT RAISE(ABORT, 'the audit log keeps its head'); END"
    )


def _forbid_changes_postgresql() -> None:
    # the function is there since r0001
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION registry_append_only()"
        )
    op.execute(
        "CREATE TRIGGER responses_stay_closed BEFORE UPDATE ON responses FOR EACH ROW "
        "WHEN (OLD.closed) EXECUTE FUNCTION registry_append_only()"
    )
    op.execute(
        "CREATE TRIGGER audit_head_goes_forward BEFORE UPDATE ON audit_head FOR EACH ROW "
        "WHEN (NEW.number <> OLD.number + 1) EXECUTE FUNCTION registry_append_only()"
    )
    for table in ("responses", "audit_head"):
        op.execute(
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION registry_append_only()"
        )
