"""Identities inside one transaction: enrolled, enrolled again, held, revoked, released.

Every function works in the session it is handed and commits nothing. Whether an id or a TPM is taken is
decided by the database's unique indexes; what is looked up here says only who has it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import cast

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session, selectinload

from harness.attest.evidence import KeyType, RefusedError
from harness.attest.identity.enrolled import EnrolledIdentity, EnrolledKey, Enrolment, Kind, TpmFacts
from harness.attest.reasons import Reason
from harness.instant import Instant
from harness.json_types import Json
from harness.registry.audit import log as audit_log
from harness.registry.models import AttesterRow, IdentityEventRow, KeyRow, MemoryRow
from harness.registry.values import IdentityEvent, Step


def live(session: Session, attester: str) -> AttesterRow | None:
    """The identity that has this id now."""
    return session.scalar(select(AttesterRow).where(AttesterRow.id == attester, ~AttesterRow.released))


def enrolled(session: Session, attester: str) -> AttesterRow:
    """The identity that has this id now.

    Raises:
        RefusedError: ``not-enrolled``.
    """
    row = live(session, attester)
    if row is None:
        raise RefusedError(Reason.NOT_ENROLLED, f"no attester is called {attester}", where=attester)
    return row


def add(session: Session, enrolment: Enrolment, now: Instant) -> AttesterRow:
    """A new identity; the flush fails where its id, its TPM or one of its keys is another's."""
    row = AttesterRow(
        id=enrolment.attester,
        kind=enrolment.kind,
        ek_name=enrolment.ek_name.hex(),
        ek_certificate=enrolment.ek_certificate,
        tpm=_tpm(enrolment),
        held=False,
        revoked=False,
        released=False,
        enrolled=now,
    )
    session.add(row)
    session.flush()
    _add_keys(session, row, enrolment, now)
    note(session, row, "enrolled", "", now, _found(enrolment))
    return row


def renew(session: Session, enrolment: Enrolment, now: Instant) -> AttesterRow:
    """The same TPM with new keys: the hold ends and the verifier's memory starts again, empty.

    Raises:
        RefusedError: ``not-enrolled``; ``identity-taken``: the id is another TPM's, or of another kind;
            ``revoked``.
    """
    row = enrolled(session, enrolment.attester)
    if row.ek_name != enrolment.ek_name.hex() or row.kind != enrolment.kind:
        raise RefusedError(
            Reason.IDENTITY_TAKEN,
            f"{row.id} is enrolled as a {row.kind} with another TPM"
            if row.kind == enrolment.kind
            else f"{row.id} is enrolled as a {row.kind}",
            where=row.id,
        )
    _not_revoked(row)
    row.held = False
    row.ek_certificate = enrolment.ek_certificate
    row.tpm = _tpm(enrolment)
    _retire_keys(session, row)
    # a verifier that judged evidence from before this moment must not store it after
    session.execute(
        update(MemoryRow)
        .where(MemoryRow.attester_number == row.number)
        .values(version=MemoryRow.version + 1, state=None)
    )
    _add_keys(session, row, enrolment, now)
    note(session, row, "re-enrolled", "", now, _found(enrolment))
    return row


def hold(session: Session, row: AttesterRow, why: str, now: Instant) -> None:
    """Hold an identity; holding it twice changes nothing."""
    if not row.held:
        row.held = True
        note(session, row, "held", why, now, {})


def revoke(session: Session, attester: str, why: str, now: Instant) -> None:
    """Revoke an identity permanently; revoking it twice changes nothing.

    Raises:
        RefusedError: ``not-enrolled``.
    """
    row = enrolled(session, attester)
    if not row.revoked:
        row.revoked = True
        note(session, row, "revoked", why, now, {})


def release(session: Session, attester: str, why: str, now: Instant) -> None:
    """Release an identity: only its history stays.

    Raises:
        RefusedError: ``not-enrolled``; ``revoked``: its TPM would come back under another name.
    """
    row = enrolled(session, attester)
    _not_revoked(row)
    row.released = True
    _retire_keys(session, row)
    note(session, row, "released", why, now, {})


def taken(session: Session, enrolment: Enrolment) -> str:
    """Who has the id, the TPM or a key of `enrolment`, in words."""
    by_key = select(KeyRow.attester_number).where(
        KeyRow.name.in_([key.name.hex() for key in enrolment.keys]), ~KeyRow.retired
    )
    holders = session.scalars(
        select(AttesterRow).where(
            ~AttesterRow.released,
            or_(
                AttesterRow.id == enrolment.attester,
                AttesterRow.ek_name == enrolment.ek_name.hex(),
                AttesterRow.number.in_(by_key),
            ),
        )
    ).all()
    tpm = next((row for row in holders if row.ek_name == enrolment.ek_name.hex()), None)
    for row in holders:
        if row.id == enrolment.attester and row is not tpm:
            return f"{row.id} is enrolled already, with another TPM"
    for row in holders:
        if row is not tpm:
            return f"one of these keys is {row.id}'s"
    if tpm is None:
        return "another enrolment was first"
    same = tpm.id == enrolment.attester
    return f"{tpm.id} is enrolled already" if same else f"this TPM is enrolled as {tpm.id}"


def note(
    session: Session, row: AttesterRow, event: Step, why: str, now: Instant, detail: Mapping[str, Json]
) -> None:
    """Append to the identity's history."""
    happened = IdentityEventRow(attester_number=row.number, event=event, why=why, at=now, detail=dict(detail))
    new = row if event == "enrolled" else None
    audit_log.note(session, happened, row.id, {"event": event, "why": why}, now, identity=new)


def find(session: Session, attester: str | None = None) -> tuple[EnrolledIdentity, ...]:
    """The identities that are not released, all or the one with this id, by id."""
    question = (
        select(AttesterRow)
        .where(~AttesterRow.released)
        .options(selectinload(AttesterRow.keys.and_(~KeyRow.retired)))
        .order_by(AttesterRow.id)
    )
    if attester is not None:
        question = question.where(AttesterRow.id == attester)
    return tuple(_attester(row) for row in session.scalars(question))


def history(session: Session, attester: str) -> tuple[IdentityEvent, ...]:
    """What happened to all identities that ever had this id, oldest first."""
    rows = session.scalars(
        select(IdentityEventRow)
        .join(AttesterRow, AttesterRow.number == IdentityEventRow.attester_number)
        .where(AttesterRow.id == attester)
        .order_by(IdentityEventRow.number)
    )
    return tuple(
        IdentityEvent(
            attester=attester, event=cast(Step, row.event), why=row.why, at=row.at, detail=row.detail
        )
        for row in rows
    )


def _not_revoked(row: AttesterRow) -> None:
    if row.revoked:
        raise RefusedError(Reason.REVOKED, f"{row.id} was revoked, and that is for good", where=row.id)


def _add_keys(session: Session, row: AttesterRow, enrolment: Enrolment, now: Instant) -> None:
    for key in enrolment.keys:
        session.add(
            KeyRow(
                attester_number=row.number,
                kind=key.kind,
                public=key.public,
                name=key.name.hex(),
                qualified_name=key.qualified_name.hex(),
                retired=False,
                enrolled=now,
            )
        )
        if session.get(MemoryRow, (row.number, key.name.hex())) is None:
            session.add(MemoryRow(attester_number=row.number, key_name=key.name.hex(), version=1, state=None))
    session.flush()


def _retire_keys(session: Session, row: AttesterRow) -> None:
    session.execute(update(KeyRow).where(KeyRow.attester_number == row.number).values(retired=True))


def _tpm(enrolment: Enrolment) -> dict[str, Json]:
    tpm = enrolment.tpm
    return {"software": tpm.software, "manufacturer": tpm.manufacturer, "firmware": tpm.firmware}


def _found(enrolment: Enrolment) -> dict[str, Json]:
    certificate = enrolment.ek_certificate
    return {
        "ek_name": enrolment.ek_name.hex(),
        "ek_certificate_sha256": None if certificate is None else hashlib.sha256(certificate).hexdigest(),
        "tpm": _tpm(enrolment),
        "keys": {key.kind: key.name.hex() for key in enrolment.keys},
    }


def _attester(row: AttesterRow) -> EnrolledIdentity:
    return EnrolledIdentity(
        id=row.id,
        kind=cast(Kind, row.kind),
        ek_name=bytes.fromhex(row.ek_name),
        ek_certificate=row.ek_certificate,
        tpm=TpmFacts(**row.tpm),
        keys=tuple(
            EnrolledKey(
                attester=row.id,
                kind=cast(KeyType, key.kind),
                public=key.public,
                name=bytes.fromhex(key.name),
                qualified_name=bytes.fromhex(key.qualified_name),
                revoked=row.revoked,
            )
            for key in row.keys
        ),
        held=row.held,
        revoked=row.revoked,
        released=row.released,
        enrolled=row.enrolled,
    )
