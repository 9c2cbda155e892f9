"""The tables, as typed declarative models; ``docs/registry.md`` has them in words.

The models describe what the migrations build, and a test holds the two together. Rules that must hold between
processes are constraints here. An append-only table also has triggers, which the migrations make.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Composite, DeclarativeBase, Mapped, composite, mapped_column, relationship

from harness.instant import Instant
from harness.pair_name import DEFAULT_PAIR, full_id, name_in
from harness.registry.response_states import FINAL, FOLLOWING

PAIR = "sodbench_pair"
"""The attribute of an engine's dialect that says whose names are used without their pair."""


class Id(TypeDecorator[str]):
    """The id of a machine or a guest: ``<pair>/<role>`` in the database, the role alone in its own pair."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The id as it is stored."""
        return full_id(value, pair_of(dialect)) if isinstance(value, str) else value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """The id as the pair calls it."""
        # What is no text was put there by hand; it is handed on, so that the audit's check meets it.
        return name_in(value, pair_of(dialect)) if isinstance(value, str) else value


def pair_of(dialect: Dialect) -> str:
    """The pair whose names are used without it."""
    return str(getattr(dialect, PAIR, DEFAULT_PAIR))


_NUMBER = BigInteger().with_variant(Integer, "sqlite")
_NOT_RELEASED = text("NOT released")
_NOT_RETIRED = text("NOT retired")
_OPEN = text("used_boot_id IS NULL")
_NOT_CLOSED = text("NOT closed")


def _spelled(states: Iterable[str]) -> str:
    """States as a list in SQL, in one order."""
    return ", ".join(f"'{state}'" for state in sorted(states))


def _stored(realtime_ns: int | None, monotonic_ns: int | None, boot_id: str | None) -> Instant | None:
    if realtime_ns is None or monotonic_ns is None or boot_id is None:
        return None
    return Instant(realtime_ns=realtime_ns, monotonic_ns=monotonic_ns, boot_id=boot_id)


def _instant(prefix: str, *, nullable: bool = False) -> Composite[Any]:
    """An instant in three columns that begin with `prefix`."""
    return composite(
        _stored,
        mapped_column(f"{prefix}_realtime_ns", BigInteger, nullable=nullable),
        mapped_column(f"{prefix}_monotonic_ns", BigInteger, nullable=nullable),
        mapped_column(f"{prefix}_boot_id", Text, nullable=nullable),
    )


class Base(DeclarativeBase):
    """All tables of the registry; constraints have names, so that a migration can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        bytes: LargeBinary,
        bool: Boolean,
        int: BigInteger,
    }


class AttesterRow(Base):
    """An identity: one id and one TPM, for as long as it is not released."""

    __tablename__ = "attesters"
    __table_args__ = (
        CheckConstraint("kind IN ('host', 'guest')", name="kind"),
        Index(
            "uq_attesters_id", "id", unique=True, sqlite_where=_NOT_RELEASED, postgresql_where=_NOT_RELEASED
        ),
        Index(
            "uq_attesters_ek_name",
            "ek_name",
            unique=True,
            sqlite_where=_NOT_RELEASED,
            postgresql_where=_NOT_RELEASED,
        ),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True)
    id: Mapped[str] = mapped_column(Id)
    kind: Mapped[str]
    ek_name: Mapped[str]
    ek_certificate: Mapped[bytes | None]
    tpm: Mapped[Any] = mapped_column(JSON)
    held: Mapped[bool]
    revoked: Mapped[bool]
    released: Mapped[bool]
    enrolled: Mapped[Instant] = _instant("enrolled")
    keys: Mapped[list[KeyRow]] = relationship(back_populates="attester", order_by="KeyRow.kind")


class KeyRow(Base):
    """An attestation key of an identity; a key that was replaced stays, retired."""

    __tablename__ = "keys"
    __table_args__ = (
        CheckConstraint("kind IN ('ecc-p256', 'rsa-2048')", name="kind"),
        Index(
            "uq_keys_attester_number_kind",
            "attester_number",
            "kind",
            unique=True,
            sqlite_where=_NOT_RETIRED,
            postgresql_where=_NOT_RETIRED,
        ),
        Index("uq_keys_name", "name", unique=True, sqlite_where=_NOT_RETIRED, postgresql_where=_NOT_RETIRED),
    )

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True)
    attester_number: Mapped[int] = mapped_column(ForeignKey("attesters.number"))
    kind: Mapped[str]
    public: Mapped[bytes]
    name: Mapped[str]
    qualified_name: Mapped[str]
    retired: Mapped[bool]
    enrolled: Mapped[Instant] = _instant("enrolled")
    attester: Mapped[AttesterRow] = relationship(back_populates="keys")


class IdentityEventRow(Base):
    """What happened to an identity, and why. Append-only."""

    __tablename__ = "identity_events"
    __table_args__ = ({"sqlite_autoincrement": True},)

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True)
    attester_number: Mapped[int] = mapped_column(ForeignKey("attesters.number"), index=True)
    event: Mapped[str]
    why: Mapped[str]
    detail: Mapped[Any] = mapped_column(JSON)
    at: Mapped[Instant] = _instant("at")


class MemoryRow(Base):
    """What a verifier accepted last of a key. Its version only ever grows, through re-enrolments too."""

    __tablename__ = "memories"

    attester_number: Mapped[int] = mapped_column(ForeignKey("attesters.number"), primary_key=True)
    key_name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    state: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)


class ChallengeRow(Base):
    """A nonce that was sent. A used one stays forever, so that it is refused."""

    __tablename__ = "challenges"
    __table_args__ = (
        Index(
            "ix_challenges_open",
            "expires_realtime_ns",
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
    )

    nonce: Mapped[bytes] = mapped_column(primary_key=True)
    attester_number: Mapped[int] = mapped_column(ForeignKey("attesters.number"))
    issued: Mapped[Instant] = _instant("issued")
    expires: Mapped[Instant] = _instant("expires")
    used: Mapped[Instant | None] = _instant("used", nullable=True)
    attester: Mapped[AttesterRow] = relationship()


class ResultRow(Base):
    """An attestation result. Append-only; a result of a machine that is not enrolled names no identity."""

    __tablename__ = "results"
    __table_args__ = (
        CheckConstraint("tier IN ('none', 'affirming', 'warning', 'contraindicated')", name="tier"),
        Index("ix_results_attester_number", "attester", "number"),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True)
    attester_number: Mapped[int | None] = mapped_column(ForeignKey("attesters.number"))
    attester: Mapped[str] = mapped_column(Id)
    key: Mapped[str | None]
    tier: Mapped[str]
    reason: Mapped[str]
    generated: Mapped[Instant] = _instant("generated")
    expires: Mapped[Instant | None] = _instant("expires", nullable=True)
    body: Mapped[Any] = mapped_column(JSON)


class PropertyRow(Base):
    """What a monitor says of a server now."""

    __tablename__ = "properties"

    server: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)
    source: Mapped[str]
    simulated: Mapped[bool]
    since: Mapped[Instant] = _instant("since")
    seen: Mapped[Instant] = _instant("seen")


class PropertyChangeRow(Base):
    """What a property became, and when. Append-only."""

    __tablename__ = "property_changes"
    __table_args__ = (
        Index("ix_property_changes_server_name_number", "server", "name", "number"),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True)
    server: Mapped[str] = mapped_column(Id)
    name: Mapped[str]
    value: Mapped[Any] = mapped_column(JSON)
    source: Mapped[str]
    simulated: Mapped[bool]
    at: Mapped[Instant] = _instant("at")


class PlacementRow(Base):
    """A guest came to a host. Append-only; a virtual TPM has one place in an epoch."""

    __tablename__ = "placements"
    __table_args__ = (
        UniqueConstraint("ek_name", "epoch"),
        CheckConstraint("epoch >= 0", name="epoch"),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True)
    guest_number: Mapped[int] = mapped_column(ForeignKey("attesters.number"))
    host_number: Mapped[int] = mapped_column(ForeignKey("attesters.number"))
    ek_name: Mapped[str]
    epoch: Mapped[int]
    at: Mapped[Instant] = _instant("at")
    guest: Mapped[AttesterRow] = relationship(foreign_keys=guest_number)
    host: Mapped[AttesterRow] = relationship(foreign_keys=host_number)


class RequestRow(Base):
    """What a VM's customer asks for, from now on; without a body it is withdrawn. Append-only."""

    __tablename__ = "requests"
    __table_args__ = (Index("ix_requests_vm_number", "vm", "number"), {"sqlite_autoincrement": True})

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True)
    vm: Mapped[str] = mapped_column(Id)
    body: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    by: Mapped[str]
    why: Mapped[str]
    at: Mapped[Instant] = _instant("at")


class ResponseRow(Base):
    """Where a response stands now; one of a VM is open at a time, and a closed one never changes."""

    __tablename__ = "responses"
    __table_args__ = (
        CheckConstraint(f"state IN ({_spelled(FOLLOWING)})", name="state"),
        CheckConstraint(f"closed = (state IN ({_spelled(FINAL)}))", name="closed"),
        Index("uq_responses_vm", "vm", unique=True, sqlite_where=_NOT_CLOSED, postgresql_where=_NOT_CLOSED),
        Index("ix_responses_vm_number", "vm", "number"),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True)
    vm: Mapped[str] = mapped_column(Id)
    owner: Mapped[str]
    state: Mapped[str]
    closed: Mapped[bool]
    begun: Mapped[Instant] = _instant("begun")
    changed: Mapped[Instant] = _instant("changed")
    steps: Mapped[list[ResponseStepRow]] = relationship(order_by="ResponseStepRow.number", viewonly=True)


class ResponseStepRow(Base):
    """A response reached a state, or got another owner; the first step has why it was begun. Append-only."""

    __tablename__ = "response_steps"
    __table_args__ = ({"sqlite_autoincrement": True},)

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True)
    response_number: Mapped[int] = mapped_column(ForeignKey("responses.number"), index=True)
    state: Mapped[str]
    owner: Mapped[str]
    detail: Mapped[Any] = mapped_column(JSON)
    at: Mapped[Instant] = _instant("at")


class AuditRow(Base):
    """An entry of the audit log, its body in canonical JSON. Append-only; numbers have no gaps."""

    __tablename__ = "audit"

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    at: Mapped[Instant] = _instant("at")
    kind: Mapped[str]
    subject: Mapped[str]
    body: Mapped[str]
    previous: Mapped[str]
    digest: Mapped[str]


class AuditHeadRow(Base):
    """The last entry's number and digest, in the only row; it only goes forward."""

    __tablename__ = "audit_head"
    __table_args__ = (CheckConstraint("id = 1", name="id"),)

    id: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    number: Mapped[int]
    digest: Mapped[str]
