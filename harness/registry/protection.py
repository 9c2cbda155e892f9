"""What customers ask for: one request of a VM at a time, changeable while it runs, with its whole history.

The registry keeps a request as the JSON it is handed and judges nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from harness.instant import Instant
from harness.json_types import Json
from harness.registry.audit import log as audit_log
from harness.registry.database import Database
from harness.registry.errors import RegistryError
from harness.registry.models import RequestRow
from harness.registry.values import checked_json, checked_name, checked_text


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRequest:
    """What was asked for a VM, until the next of the same VM.

    Attributes:
        number: Its place among all requests, from 1; a greater one was stored later.
        vm: The VM.
        body: The request as JSON; None where it was withdrawn, so that nothing is asked for.
        by: Who asked.
        why: The reason that was given.
        at: When it was stored.
    """

    number: int
    vm: str
    body: Mapping[str, Json] | None
    by: str
    why: str
    at: Instant


class Protection:
    """The requests of one registry. Every method is one transaction and may raise :class:`RegistryError`."""

    def __init__(self, database: Database, now: Callable[[], Instant]) -> None:
        """Use a registry's database, and its present."""
        self._database = database
        self._now = now

    def set(self, vm: str, body: Mapping[str, Json], *, by: str, why: str) -> StoredRequest:
        """Store what is asked for `vm` from now on.

        Raises:
            RegistryError: `vm` is no name, `body` is no JSON, or `by` or `why` is missing.
        """
        checked_json(dict(body), "a request")
        with self._database.writing() as session:
            return _store(session, vm, dict(body), by, why, self._now())

    def withdraw(self, vm: str, *, by: str, why: str) -> StoredRequest:
        """Store that nothing is asked for `vm` any more.

        Raises:
            RegistryError: Nothing was asked for; or `by` or `why` is missing.
        """
        with self._database.writing() as session:
            current = _newest(session, vm)
            if current is None or current.body is None:
                raise RegistryError("there is no request to withdraw", where=vm)
            return _store(session, vm, None, by, why, self._now())

    def current(self, vm: str) -> StoredRequest | None:
        """What is asked for `vm` now; None where nothing is."""
        with self._database.reading() as session:
            row = _newest(session, vm)
            return None if row is None or row.body is None else _request(row)

    def history(self, vm: str) -> tuple[StoredRequest, ...]:
        """What was ever asked for `vm`, oldest first; withdrawals among it."""
        with self._database.reading() as session:
            rows = session.scalars(select(RequestRow).where(RequestRow.vm == vm).order_by(RequestRow.number))
            return tuple(_request(row) for row in rows)

    def latest(self) -> int:
        """The greatest number of all requests, 0 without any: it grows with every change."""
        with self._database.reading() as session:
            return session.scalar(select(func.max(RequestRow.number))) or 0


def _store(
    session: Session, vm: str, body: dict[str, Json] | None, by: str, why: str, now: Instant
) -> StoredRequest:
    row = RequestRow(
        vm=checked_name(vm, "a VM"),
        body=body,
        by=checked_text(by, "who asks"),
        why=checked_text(why, "a reason"),
        at=now,
    )
    audit_log.note(session, row, vm, {"request": body, "by": row.by, "why": row.why}, now)
    return _request(row)


def _newest(session: Session, vm: str) -> RequestRow | None:
    return session.scalar(
        select(RequestRow).where(RequestRow.vm == vm).order_by(RequestRow.number.desc()).limit(1)
    )


def _request(row: RequestRow) -> StoredRequest:
    return StoredRequest(
        number=row.number,
        vm=row.vm,
        body=cast(Mapping[str, Json] | None, row.body),
        by=row.by,
        why=row.why,
        at=row.at,
    )
