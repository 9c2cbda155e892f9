"""Where guests are, inside one transaction: one host an epoch, and epochs that only grow.

Every function works in the session it is handed and commits nothing. The place belongs to the guest's
virtual TPM, so to every key in it, under any id.
"""

from __future__ import annotations

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, joinedload

from harness.attest.evidence import RefusedError
from harness.attest.reasons import Reason
from harness.instant import Instant
from harness.registry import identities
from harness.registry.audit import log as audit_log
from harness.registry.models import AttesterRow, PlacementRow
from harness.registry.values import Placement

_GREATEST_EPOCH = 2**63 - 1


def place(session: Session, guest: str, host: str, epoch: int, now: Instant) -> Placement:
    """Store that `guest` is on `host` from `epoch` on.

    Raises:
        RefusedError: ``not-enrolled``: there is no such guest or no such host; ``epoch-reused``: the epoch
            is not greater than all earlier ones of this guest's virtual TPM.
    """
    guest_row = _enrolled(session, guest, "guest")
    host_row = _enrolled(session, host, "host")
    greatest = session.scalar(
        select(func.max(PlacementRow.epoch)).where(PlacementRow.ek_name == guest_row.ek_name)
    )
    least = 0 if greatest is None else greatest + 1
    if not least <= epoch <= _GREATEST_EPOCH:
        raise RefusedError(
            Reason.EPOCH_REUSED, f"epoch {epoch} where {least} or a later one was due", where=guest
        )
    row = PlacementRow(
        guest_number=guest_row.number,
        host_number=host_row.number,
        ek_name=guest_row.ek_name,
        epoch=epoch,
        at=now,
    )
    audit_log.note(session, row, guest, {"host": host, "epoch": epoch}, now)
    return Placement(guest=guest, host=host, epoch=epoch, at=now)


def _enrolled(session: Session, attester: str, kind: str) -> AttesterRow:
    row = identities.enrolled(session, attester)
    if row.kind != kind:
        raise RefusedError(
            Reason.NOT_ENROLLED, f"{attester} is enrolled as a {row.kind}, not as a {kind}", where=attester
        )
    return row


def of_guest(session: Session, guest: str) -> tuple[Placement, ...]:
    """The places of the virtual TPM that the guest has now, oldest first."""
    return tuple(_placement(row) for row in session.scalars(_places(guest).order_by(PlacementRow.epoch)))


def latest(session: Session, guest: str) -> Placement | None:
    """The last place of the virtual TPM that the guest has now."""
    row = session.scalar(_places(guest).order_by(PlacementRow.epoch.desc()).limit(1))
    return None if row is None else _placement(row)


def _places(guest: str) -> Select[PlacementRow]:
    its_tpm = select(AttesterRow.ek_name).where(AttesterRow.id == guest, ~AttesterRow.released)
    return (
        select(PlacementRow)
        .where(PlacementRow.ek_name == its_tpm.scalar_subquery())
        .options(joinedload(PlacementRow.guest), joinedload(PlacementRow.host))
    )


def _placement(row: PlacementRow) -> Placement:
    return Placement(guest=row.guest.id, host=row.host.id, epoch=row.epoch, at=row.at)
