"""The audit log against the tables that it covers, inside one transaction that reads.

:mod:`harness.registry.audit.chain` checks the chain itself. This module reads every row that an entry names
again, and requires an entry for every row of those tables: none edited, none deleted, none added. The
registry's present state must follow from the rows (:mod:`harness.registry.audit.state`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.engine import RowMapping
from sqlalchemy.orm import Session

from harness.instant import Instant
from harness.registry.audit import log as audit_log
from harness.registry.audit import rows as audit_rows
from harness.registry.audit import state as audit_state
from harness.registry.audit.chain import GENESIS, AuditEntry, AuditError, AuditHead, Chain, canonical, wrong
from harness.registry.models import AuditHeadRow, AuditRow

_PAGE = 500


def verify(session: Session, noted: AuditHead | None, anchored: Sequence[AuditHead] = ()) -> AuditHead:
    """The head of the chain, once all of it and every row it speaks of was found as it was written.

    Raises:
        AuditError: The first that was not.
    """
    chain, rows = Chain(noted, anchored), _Rows(session)
    for page in _pages(session):
        sound, fault = _linked(chain, page)
        rows.check(sound)  # a row of an entry before the fault comes first
        if fault is not None:
            raise fault
    head = chain.end()
    _stored_head(session, head)
    rows.end(head)
    audit_state.check(session, head)
    return head


def entries(session: Session) -> Iterator[AuditEntry]:
    """All entries, oldest first.

    Raises:
        AuditError: One cannot be read.
    """
    for page in _pages(session):
        for row in page:
            yield read(row)


def read(row: RowMapping) -> AuditEntry:
    """A row of the log as an entry.

    Raises:
        AuditError: The row is not an entry.
    """
    number = row["number"]
    types = {name: int if name in _INTEGERS else str for name in row}
    odd = [name for name, kind in types.items() if type(row[name]) is not kind]
    if odd:
        raise wrong(number, "the entry is not as it was written", f"{odd[0]} is of another type")
    try:
        body = json.loads(row["body"])
        whole = isinstance(body, dict) and canonical(body) == row["body"]
    except (ValueError, RecursionError) as error:
        raise wrong(number, "the entry is not as it was written", f"its body: {error}") from error
    if not whole:
        raise wrong(number, "the entry is not as it was written", "its body is spelled in another way")
    return AuditEntry(
        number=number,
        at=Instant(
            realtime_ns=row["at_realtime_ns"],
            monotonic_ns=row["at_monotonic_ns"],
            boot_id=row["at_boot_id"],
        ),
        kind=row["kind"],
        subject=row["subject"],
        body=body,
        previous=row["previous"],
        digest=row["digest"],
    )


_INTEGERS = frozenset({"number", "at_realtime_ns", "at_monotonic_ns"})


def _pages(session: Session) -> Iterator[Sequence[RowMapping]]:
    number = AuditRow.__table__.c.number
    question = audit_rows.plain(session, AuditRow.__tablename__).limit(_PAGE)
    page = session.execute(question).mappings().all()
    while page:
        yield page
        page = session.execute(question.where(number > page[-1]["number"])).mappings().all()


def _linked(chain: Chain, page: Sequence[RowMapping]) -> tuple[list[AuditEntry], AuditError | None]:
    """The entries of a page up to the first that is wrong, and what is wrong with that."""
    sound: list[AuditEntry] = []
    for row in page:
        try:
            entry = read(row)
            chain.add(entry)
        except AuditError as error:
            return sound, error
        sound.append(entry)
    return sound, None


def _stored_head(session: Session, found: AuditHead) -> None:
    stored = session.execute(audit_rows.plain(session, AuditHeadRow.__tablename__)).all()
    if len(stored) != 1:
        raise wrong(found.number, "the log has lost its head", f"{len(stored)} rows in audit_head")
    number, digest = stored[0].number, stored[0].digest
    if number == found.number and digest == found.digest:
        return
    if isinstance(number, int) and number > found.number:
        raise wrong(found.number + 1, "the end of the log is missing", f"it ended with entry {number}")
    if isinstance(number, int) and number < found.number:
        raise wrong(number + 1, "an entry was added", f"the log's head is entry {number}")
    raise wrong(found.number, "the log's head is not as it was written", f"it says {number}:{digest}")


@dataclass(frozen=True, slots=True)
class _Named:
    """A row as an entry names it."""

    entry: int
    number: int
    digest: str


class _Rows:
    """Every table's rows with the entries that name them, both in the order in which they were written."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._last = dict.fromkeys([*audit_rows.TABLES.values(), audit_rows.IDENTITIES], 0)

    def check(self, entries: Sequence[AuditEntry]) -> None:
        """Read the rows of the next entries again."""
        named: dict[str, list[_Named]] = {}
        for entry in entries:
            if entry.kind == GENESIS:
                self._before(entry)
            elif entry.kind in audit_rows.TABLES:
                for table, row in _named(entry):
                    named.setdefault(table, []).append(row)
        faults = [fault for table, rows in named.items() if (fault := self._fault(table, rows))]
        if faults:
            raise min(faults, key=lambda fault: fault.entry)

    def end(self, head: AuditHead) -> None:
        """Look for rows that came after the last that was named."""
        for table, last in self._last.items():
            for number, _ in audit_rows.digests(self._session, table, last, None):
                raise _wrong_row(head.number + 1, table, number, *_ADDED)

    def _before(self, entry: AuditEntry) -> None:
        told = entry.body.get("before")
        for table in self._last:
            then = told.get(table) if isinstance(told, Mapping) else None
            last = then.get("last") if isinstance(then, Mapping) else None
            if not isinstance(then, Mapping) or not isinstance(last, int):
                raise wrong(entry.number, "the first entry does not say what was there", f"of {table}")
            now = audit_rows.before(self._session, table, last)
            if (now.rows, now.digest) != (then.get("rows"), then.get("digest")):
                raise wrong(
                    entry.number,
                    f"the rows of {table} from before the log are not as they were",
                    f"there were {then.get('rows')} up to number {last}; now there are {now.rows}"
                    + (", of another content" if now.rows == then.get("rows") else ""),
                )
            self._last[table] = last

    def _fault(self, table: str, named: Sequence[_Named]) -> AuditError | None:
        """What is wrong with the first row that is not as its entry says; None where all are."""
        found = audit_rows.digests(self._session, table, self._last[table], max(one.number for one in named))
        for one in named:
            number, digest = next(found, (None, ""))
            if number is None or number > one.number:
                return _wrong_row(one.entry, table, one.number, "is missing", "it was deleted or renumbered")
            if number < one.number:
                return _wrong_row(one.entry, table, number, *_ADDED)
            if digest != one.digest:
                return _wrong_row(
                    one.entry, table, number, "is not as it was written", "its digest is another"
                )
            self._last[table] = number
        return None


_ADDED = ("stands in no entry", "it was not stored by this program, or the end of the log is missing")


def _named(entry: AuditEntry) -> Iterator[tuple[str, _Named]]:
    """The rows that an entry names, by their tables."""
    rows, table = entry.body.get(audit_log.ROWS), audit_rows.TABLES[entry.kind]
    known = {table, audit_rows.IDENTITIES}
    told = [one for one in rows if isinstance(one, Mapping)] if isinstance(rows, list) else []
    if table not in [one.get("table") for one in told]:
        raise wrong(entry.number, "the entry names no row", f"a {entry.kind} is stored with one")
    for one in told:
        place, number, digest = one.get("table"), one.get("number"), one.get("digest")
        if place not in known or not isinstance(number, int) or not isinstance(digest, str):
            raise wrong(entry.number, "the entry names no row", f"{one}")
        yield str(place), _Named(entry=entry.number, number=number, digest=digest)


def _wrong_row(entry: int, table: str, number: int, what: str, why: str) -> AuditError:
    error = wrong(entry, f"row {number} of {table} {what}", why)
    error.where = f"audit entry {entry}, row {number} of {table}"
    return error
