"""Responses: what is being done for a VM, so that a controller can continue after a crash.

A VM has one open response, and a response one owner. Every step is stored before the caller continues, so a
program that is killed leaves the last state it knew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from harness.instant import Instant
from harness.json_types import Json
from harness.registry import placements
from harness.registry.audit import log as audit_log
from harness.registry.database import Database
from harness.registry.errors import ConstraintError, RegistryError, ResponseOpenError, ResponseOwnerError
from harness.registry.models import ResponseRow, ResponseStepRow
from harness.registry.response_states import FINAL, FOLLOWING, ResponseState
from harness.registry.values import Placement, checked_json, checked_name, checked_text


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """A response as it stands.

    Attributes:
        number: Its place among all responses, from 1.
        vm: The VM it is for.
        owner: Who may advance it.
        state: Where it stands.
        trigger: What it answers, as it was handed in.
        decision: What was decided, as it was handed in.
        begun: When it was stored.
        changed: When it last got another state or owner.
    """

    number: int
    vm: str
    owner: str
    state: ResponseState
    trigger: Mapping[str, Json]
    decision: Mapping[str, Json]
    begun: Instant
    changed: Instant

    @property
    def open(self) -> bool:
        """Whether something is still to be done."""
        return self.state not in FINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseStep:
    """A response reached a state, or changed hands in it.

    Attributes:
        response: The response's number.
        state: The state after it.
        owner: Who made the step.
        detail: What the owner had to say; of an adoption, from whom and why.
        at: When it was stored.
    """

    response: int
    state: ResponseState
    owner: str
    detail: Mapping[str, Json]
    at: Instant


class Responses:
    """The responses of one registry. Every method is one transaction and may raise :class:`RegistryError`."""

    def __init__(self, database: Database, now: Callable[[], Instant]) -> None:
        """Use a registry's database, and its present."""
        self._database = database
        self._now = now

    def begin(
        self,
        vm: str,
        *,
        owner: str,
        trigger: Mapping[str, Json],
        decision: Mapping[str, Json],
        migrating: Mapping[str, Json] | None = None,
    ) -> StoredResponse:
        """Store a decision before anything is done about it; of two at once exactly one is stored.

        Args:
            vm: Whose.
            owner: Who may advance it.
            trigger: What it answers.
            decision: What was decided.
            migrating: Where the migration is asked for right away, what that step says: both steps are stored
                at once, which takes half the time that two take.

        Raises:
            ResponseOpenError: A response of this VM is open.
        """
        try:
            with self._database.writing() as session:
                _none_open(session, vm)
                now = self._now()
                row = _begun(vm, owner, now)
                session.add(row)
                session.flush()
                _step(
                    session,
                    row,
                    {"vm": audit_log.told(session, vm), "trigger": dict(trigger), "decision": dict(decision)},
                    now,
                )
                if migrating is not None:
                    row.state = _following(row, ResponseState.MIGRATING).value
                    _step(session, row, migrating, now)
                return _response(_found(session, row.number))
        except ConstraintError as error:
            raise ResponseOpenError("a response of this VM is open already", where=vm) from error

    def advance(self, number: int, state: str, detail: Mapping[str, Json], *, owner: str) -> StoredResponse:
        """Store that a response has reached `state`; a final one closes it.

        Raises:
            ResponseOwnerError: Another controller adopted it; this one must not act on it any more.
            RegistryError: There is no such response or state, or the state does not follow on the present.
        """
        with self._database.writing() as session:
            row = _owned(session, number, owner)
            wanted, now = _following(row, state), self._now()
            row.state, row.closed, row.changed = wanted.value, wanted in FINAL, now
            _step(session, row, detail, now)
            return _response(_found(session, number))

    def arrive(self, number: int, host: str, epoch: int, *, owner: str) -> Placement:
        """Store that the VM of a response has arrived on `host`, and that it is placed there, at once.

        Raises:
            RefusedError: ``not-enrolled``; ``epoch-reused``: not greater than all earlier epochs of its vTPM.
            RegistryError, ResponseOwnerError: As :meth:`advance`.
        """
        with self._database.writing() as session:
            row = _owned(session, number, owner)
            wanted, now = _following(row, ResponseState.ARRIVED), self._now()
            place = placements.place(session, row.vm, host, epoch, now)
            row.state, row.changed = wanted.value, now
            _step(session, row, {"host": host, "epoch": epoch}, now)
            return place

    def adopt(self, number: int, *, owner: str, why: str) -> StoredResponse:
        """Adopt an open response; the former owner can no longer advance it.

        Raises:
            RegistryError: There is no such response, or it is closed.
        """
        why = checked_text(why, "a reason")
        with self._database.writing() as session:
            row = _found(session, number)
            if row.closed:
                raise _closed(row)
            now, before = self._now(), row.owner
            row.owner, row.changed = checked_name(owner, "an owner"), now
            _step(session, row, {"adopted_from": before, "why": why}, now)
            return _response(_found(session, number))

    def open(self) -> tuple[StoredResponse, ...]:
        """The responses that are not closed, oldest first."""
        with self._database.reading() as session:
            rows = session.scalars(_ALL.where(~ResponseRow.closed).order_by(ResponseRow.number))
            return tuple(_response(row) for row in rows)

    def get(self, number: int) -> StoredResponse | None:
        """The response of this number; None if it does not exist."""
        with self._database.reading() as session:
            row = session.scalar(_ALL.where(ResponseRow.number == number))
            return None if row is None else _response(row)

    def of(self, vm: str, limit: int = 100) -> tuple[StoredResponse, ...]:
        """The newest `limit` responses of a VM, newest first."""
        with self._database.reading() as session:
            rows = session.scalars(
                _ALL.where(ResponseRow.vm == vm).order_by(ResponseRow.number.desc()).limit(limit)
            )
            return tuple(_response(row) for row in rows)

    def steps(self, number: int) -> tuple[ResponseStep, ...]:
        """What happened to a response, oldest first."""
        with self._database.reading() as session:
            rows = session.scalars(
                select(ResponseStepRow)
                .where(ResponseStepRow.response_number == number)
                .order_by(ResponseStepRow.number)
            )
            return tuple(_told(row) for row in rows)


_ALL = select(ResponseRow).options(selectinload(ResponseRow.steps)).execution_options(populate_existing=True)


def _none_open(session: Session, vm: str) -> None:
    row = session.scalar(select(ResponseRow).where(ResponseRow.vm == vm, ~ResponseRow.closed))
    if row is not None:
        raise ResponseOpenError(
            "a response of this VM is open already",
            where=vm,
            why=f"response {row.number} is {row.state}, and {row.owner} carries it out",
            remedy="wait until it is closed; one whose owner is gone is adopted",
        )


def _begun(vm: str, owner: str, now: Instant) -> ResponseRow:
    return ResponseRow(
        vm=checked_name(vm, "a VM"),
        owner=checked_name(owner, "an owner"),
        state=ResponseState.BEGUN.value,
        closed=False,
        begun=now,
        changed=now,
    )


def _step(session: Session, row: ResponseRow, detail: Mapping[str, Json], now: Instant) -> None:
    """Store the step that made `row` what it is."""
    checked_json(dict(detail), "what a step says")
    step = ResponseStepRow(
        response_number=row.number, state=row.state, owner=row.owner, detail=dict(detail), at=now
    )
    told: dict[str, Json] = {
        "response": row.number,
        "state": row.state,
        "owner": row.owner,
        "detail": dict(detail),
    }
    audit_log.note(session, step, row.vm, told, now)


def _found(session: Session, number: int) -> ResponseRow:
    row = session.scalar(_ALL.where(ResponseRow.number == number))
    if row is None:
        raise RegistryError(f"there is no response {number}")
    return row


def _owned(session: Session, number: int, owner: str) -> ResponseRow:
    row = _found(session, number)
    if row.owner != owner:
        raise ResponseOwnerError(
            "the response is another's now",
            where=f"response {number} of {row.vm}",
            why=f"it is {row.owner}'s, and this is {owner}",
            remedy="let it go; its owner carries it on",
        )
    return row


def _following(row: ResponseRow, state: str) -> ResponseState:
    if state not in set(ResponseState):
        raise RegistryError(f"a response cannot be {state!r}", where=f"response {row.number} of {row.vm}")
    if row.closed:
        raise _closed(row)
    wanted = ResponseState(state)
    if wanted not in FOLLOWING[ResponseState(row.state)]:
        raise RegistryError(
            f"a response that is {row.state} cannot become {state}",
            where=f"response {row.number} of {row.vm}",
        )
    return wanted


def _closed(row: ResponseRow) -> RegistryError:
    return RegistryError(
        "the response is closed", where=f"response {row.number} of {row.vm}", why=f"it is {row.state}"
    )


def _response(row: ResponseRow) -> StoredResponse:
    if not row.steps:
        raise RegistryError(
            f"response {row.number} has lost its first step",
            remedy="`sodbench audit verify` (docs/registry.md)",
        )
    first = row.steps[0].detail
    return StoredResponse(
        number=row.number,
        vm=row.vm,
        owner=row.owner,
        state=ResponseState(row.state),
        trigger=first["trigger"],
        decision=first["decision"],
        begun=row.begun,
        changed=row.changed,
    )


def _told(row: ResponseStepRow) -> ResponseStep:
    return ResponseStep(
        response=row.response_number,
        state=ResponseState(row.state),
        owner=row.owner,
        detail=row.detail,
        at=row.at,
    )
