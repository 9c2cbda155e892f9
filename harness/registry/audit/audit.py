"""The registry's audit log as the rest of the program sees it: append, read, verify.

Entries of rows (results, identities, placements, properties, requests, responses) are written by the registry
itself, in the transaction of the row. What else deserves an entry (a decision, an action, an alarm) is
appended here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Select
from sqlalchemy.orm import Session

from harness.instant import Instant
from harness.json_types import Json
from harness.registry import guards
from harness.registry.audit import check as audit_check
from harness.registry.audit import export as audit_export
from harness.registry.audit import log as audit_log
from harness.registry.audit import rows as audit_rows
from harness.registry.audit.chain import AuditEntry, AuditHead, wrong
from harness.registry.database import Database
from harness.registry.models import AuditRow

_ENTRIES = AuditRow.__table__.c


class Audit:
    """The log of one registry. Every method is one transaction and may raise :class:`RegistryError`."""

    def __init__(self, database: Database, now: Callable[[], Instant]) -> None:
        """Use a registry's database, and its present."""
        self._database = database
        self._now = now

    def append(self, kind: str, subject: str, body: Mapping[str, Json]) -> AuditEntry:
        """Append an entry of a kind of the caller's own, such as ``decision``, ``action`` or ``alarm``.

        Raises:
            RegistryError: The kind is one that the registry writes itself, or no name; or `body` is no JSON.
        """
        with self._database.writing() as session:
            return audit_log.append(session, kind, subject, body, self._now())

    def entries(
        self,
        after: int = 0,
        limit: int | None = None,
        *,
        kind: str | None = None,
        subject: str | None = None,
    ) -> tuple[AuditEntry, ...]:
        """The first `limit` entries after number `after`, oldest first; all, or those of a kind or subject.

        Raises:
            AuditError: One cannot be read.
        """
        with self._database.reading() as session:
            question = audit_rows.plain(session, AuditRow.__tablename__).where(_ENTRIES.number > after)
            rows = session.execute(_chosen(session, question, kind, subject).limit(limit)).mappings()
            return tuple(audit_check.read(row) for row in rows)

    def newest(
        self, limit: int, *, kind: str | None = None, subject: str | None = None
    ) -> tuple[AuditEntry, ...]:
        """The last `limit` entries, oldest first; of all, or of those of a kind or subject.

        Raises:
            AuditError: One cannot be read.
        """
        with self._database.reading() as session:
            question = audit_rows.plain(session, AuditRow.__tablename__).order_by(None)
            question = _chosen(session, question, kind, subject).order_by(_ENTRIES.number.desc()).limit(limit)
            rows = session.execute(question).mappings().all()
            return tuple(audit_check.read(row) for row in reversed(rows))

    def export(self) -> Iterator[str]:
        """The whole log as lines that :func:`harness.registry.audit.export.verify` checks, a page at a time.

        Raises:
            AuditError: The log has lost its head, or an entry cannot be read.
        """
        with self._database.reading() as session:
            yield from audit_export.lines(_head(session), audit_check.entries(session))

    def head(self) -> AuditHead:
        """The end of the chain, to be noted elsewhere and handed to :meth:`verify` later.

        Raises:
            AuditError: The log has lost its head.
        """
        with self._database.reading() as session:
            return _head(session)

    def verify(self, noted: AuditHead | None = None, anchored: Sequence[AuditHead] = ()) -> AuditHead:
        """The head, once the chain and every row it speaks of was found as it was written.

        Args:
            noted: A head from earlier, which must lie on the chain.
            anchored: Heads that were signed and kept elsewhere, likewise.

        Raises:
            AuditError: It names the first entry that is wrong.
        """
        with self._database.reading() as session:
            head = audit_check.verify(session, noted, anchored)
        guards.check(self._database, head.number)
        return head


def _head(session: Session) -> AuditHead:
    found = audit_log.head(session)
    if found is None:
        raise wrong(1, "the log has lost its head", "there is no row in audit_head")
    return found


def _chosen(session: Session, question: Select[Any], kind: str | None, subject: str | None) -> Select[Any]:
    if kind is not None:
        question = question.where(_ENTRIES.kind == kind)
    if subject is not None:
        question = question.where(_ENTRIES.subject == audit_log.told(session, subject))
    return question
