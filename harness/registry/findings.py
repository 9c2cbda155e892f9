"""Challenges, the verifier's memory and results inside one transaction.

Every function works in the session it is given and commits nothing. An accepted result and its new memory are
stored together, and only on top of exactly the memory with which it was judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from sqlalchemy import CursorResult, Update, delete, select, update
from sqlalchemy.orm import Session

from harness.attest.evidence import RefusedError
from harness.attest.identity.enrolled import Issued
from harness.attest.reasons import Reason, Tier
from harness.clock import NS_PER_S
from harness.instant import Instant
from harness.json_types import Json
from harness.registry import identities
from harness.registry.audit import log as audit_log
from harness.registry.errors import RegistryError
from harness.registry.models import AttesterRow, ChallengeRow, KeyRow, MemoryRow, ResultRow
from harness.registry.values import StoredResult, checked_json, checked_name

KEPT_AFTER_EXPIRY_NS = 3600 * NS_PER_S
"""How long an unanswered challenge is kept after its expiry, so that a late answer is still known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An attestation result on its way into the registry."""

    attester: str
    key: str | None
    tier: Tier
    reason: str
    generated: Instant
    expires: Instant | None
    body: Mapping[str, Json]


def finding(result: Mapping[str, Json], generated: Instant, expires: Instant | None) -> Finding:
    """`result` with the parts that the registry itself looks at.

    Raises:
        RegistryError: It names no attester, no tier of AR4SI or no reason; or an affirming one never expires.
    """
    attester, key, tier, reason = (result.get(name) for name in ("attester", "key", "tier", "reason"))
    checked_json(dict(result), "a result")
    known = tier in list(Tier)
    texts = isinstance(attester, str) and isinstance(reason, str) and isinstance(key, str | None)
    if not known or not texts or (tier == Tier.AFFIRMING and expires is None):
        raise RegistryError(
            "this is not an attestation result",
            why=f"attester {attester!r}, key {key!r}, tier {tier!r}, reason {reason!r}, expires {expires}",
        )
    return Finding(
        attester=checked_name(str(attester), "an attester"),
        key=None if key is None else str(key),
        tier=Tier(str(tier)),
        reason=str(reason),
        generated=generated,
        expires=expires,
        body=result,
    )


def issue(
    session: Session, nonce: bytes, attester: str, issued: Instant, expires: Instant, now: Instant
) -> None:
    """Store a nonce before it is sent, and delete old unanswered ones; a known one fails the flush.

    Raises:
        RefusedError: ``not-enrolled``; ``nonce-short``: a nonce without bytes.
    """
    if not nonce:
        raise RefusedError(Reason.NONCE_SHORT, "a nonce without bytes", where=attester)
    row = identities.enrolled(session, attester)
    _forget_unanswered(session, now)
    session.add(ChallengeRow(nonce=nonce, attester_number=row.number, issued=issued, expires=expires))
    session.flush()


def _forget_unanswered(session: Session, now: Instant) -> None:
    column = ChallengeRow.__table__.c
    same_boot = column.expires_boot_id == now.boot_id
    monotonic_past = column.expires_monotonic_ns < now.monotonic_ns - KEPT_AFTER_EXPIRY_NS
    realtime_past = column.expires_realtime_ns < now.realtime_ns - KEPT_AFTER_EXPIRY_NS
    past = (same_boot & monotonic_past) | (~same_boot & realtime_past)
    session.execute(delete(ChallengeRow).where(column.used_boot_id.is_(None), past))


def consume(session: Session, nonce: bytes, now: Instant) -> bool:
    """Mark a nonce as used; whether it was there and unused until now."""
    unused = ChallengeRow.__table__.c.used_boot_id.is_(None)
    return _changed_one(
        session,
        update(ChallengeRow)
        .where(ChallengeRow.nonce == nonce, unused)
        .values(
            used_realtime_ns=now.realtime_ns, used_monotonic_ns=now.monotonic_ns, used_boot_id=now.boot_id
        ),
    )


def issued(session: Session, nonce: bytes) -> Issued | None:
    """What is known of a nonce; None for one that was never issued, or is forgotten."""
    row = session.get(ChallengeRow, nonce)
    if row is None:
        return None
    return Issued(attester=row.attester.id, issued=row.issued, expires=row.expires, used=row.used is not None)


def memory(session: Session, attester: str, key_name: bytes) -> tuple[Json, int]:
    """What was accepted last of a key, and its version; version 0 for an unknown key."""
    row = session.scalar(
        select(MemoryRow)
        .join(AttesterRow, AttesterRow.number == MemoryRow.attester_number)
        .where(AttesterRow.id == attester, ~AttesterRow.released, MemoryRow.key_name == key_name.hex())
    )
    return (None, 0) if row is None else (cast(Json, row.state), row.version)


def accept(
    session: Session, found: Finding, key_name: bytes, state: Json, version: int, now: Instant
) -> bool:
    """Store a result and the memory it leaves, if nothing that it was judged with has changed meanwhile."""
    checked_json(state, "a verifier's memory")
    row = identities.live(session, found.attester)
    if row is None or row.revoked or (row.held and found.tier.believed):
        return False
    current = _current(session, row, key_name)
    if current is None or not _changed_one(
        session,
        update(MemoryRow)
        .where(
            MemoryRow.attester_number == row.number,
            MemoryRow.key_name == current.name,
            MemoryRow.version == version,
        )
        .values(version=version + 1, state=state),
    ):
        return False
    _append(session, row, found, now)
    return True


def record(session: Session, found: Finding, now: Instant, *, judged_by: bytes | None = None) -> None:
    """Store a result that leaves no memory.

    A result of a key that was replaced since it was asked says nothing of the identity with its new key: the
    machine answered with the key that was just being made, and is not held for it.

    Raises:
        RegistryError: It is affirming: that must be stored on top of a memory.
    """
    if found.tier == Tier.AFFIRMING:
        raise RegistryError(
            "an affirming result is not stored without what it leaves in memory", where=found.attester
        )
    row = identities.live(session, found.attester)
    _append(
        session, row, found, now, holds=judged_by is None or _current(session, row, judged_by) is not None
    )


def _current(session: Session, row: AttesterRow | None, key_name: bytes) -> KeyRow | None:
    """The identity's key of that name, as long as it was not replaced."""
    number = None if row is None else row.number
    return session.scalar(
        select(KeyRow).where(KeyRow.attester_number == number, KeyRow.name == key_name.hex(), ~KeyRow.retired)
    )


def _append(
    session: Session, row: AttesterRow | None, found: Finding, now: Instant, *, holds: bool = True
) -> None:
    result = ResultRow(
        attester_number=None if row is None else row.number,
        attester=found.attester,
        key=found.key,
        tier=found.tier.value,
        reason=found.reason,
        generated=found.generated,
        expires=found.expires,
        body=dict(found.body),
    )
    told = {"tier": result.tier, "reason": result.reason, "key": result.key}
    audit_log.note(session, result, found.attester, told, now)
    if holds and row is not None and found.tier == Tier.CONTRAINDICATED:
        identities.hold(session, row, found.reason, now)


def results(session: Session, attester: str | None, limit: int) -> tuple[StoredResult, ...]:
    """The newest `limit` results, newest first."""
    question = select(ResultRow).order_by(ResultRow.number.desc()).limit(limit)
    if attester is not None:
        question = question.where(ResultRow.attester == attester)
    return tuple(_result(row) for row in session.scalars(question))


def latest(session: Session, attester: str) -> StoredResult | None:
    """The newest result of the identity that has this id now."""
    row = session.scalar(
        select(ResultRow)
        .join(AttesterRow, AttesterRow.number == ResultRow.attester_number)
        .where(ResultRow.attester == attester, ~AttesterRow.released)
        .order_by(ResultRow.number.desc())
        .limit(1)
    )
    return None if row is None else _result(row)


def _result(row: ResultRow) -> StoredResult:
    return StoredResult(
        number=row.number,
        attester=row.attester,
        key=row.key,
        tier=Tier(row.tier),
        reason=row.reason,
        generated=row.generated,
        expires=row.expires,
        body=row.body,
    )


def _changed_one(session: Session, change: Update) -> bool:
    return cast(CursorResult[object], session.execute(change)).rowcount == 1
