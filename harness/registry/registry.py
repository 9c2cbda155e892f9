"""The registry as the rest of the program sees it: who may attest, what was found, and what is done about it.

Each method is one transaction: when it returns, what it stored is on the disk, and when it raises, nothing
was stored. Any number of threads may use one registry, and any number of processes one database. A process
that forks opens its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType

from harness import clock
from harness.attest.evidence import KeyType, RefusedError
from harness.attest.identity.enrolled import EnrolledIdentity, EnrolledKey, Enrolment, Issued
from harness.attest.reasons import Reason
from harness.instant import Instant
from harness.json_types import Json
from harness.pair_name import DEFAULT_PAIR
from harness.registry import findings, identities, placements, properties, schema
from harness.registry.audit.anchors import Anchoring, Anchors
from harness.registry.audit.audit import Audit
from harness.registry.database import Database
from harness.registry.errors import ConstraintError
from harness.registry.protection import Protection
from harness.registry.responses import Responses
from harness.registry.url import sqlite_url
from harness.registry.values import (
    IdentityEvent,
    Placement,
    Property,
    PropertyChange,
    StoredResult,
    checked_enrolment,
    checked_text,
)

__all__ = ["Registry", "look", "open_registry", "present", "sqlite_url"]


def present() -> Instant:
    """This moment on this machine."""
    return Instant(
        realtime_ns=clock.realtime_ns(),
        monotonic_ns=clock.MonotonicClock().now_ns(),
        boot_id=clock.boot_id(),
    )


def open_registry(
    url: str,
    *,
    wait_s: float = 5.0,
    now: Callable[[], Instant] = present,
    create: bool = True,
    pair: str = DEFAULT_PAIR,
    anchors: Anchors | None = None,
) -> Registry:
    """Open the registry at `url`; one that is not there is created, an older one is upgraded.

    Args:
        url: ``sqlite:///FILE`` (see :func:`sqlite_url`), or ``postgresql+psycopg://USER@HOST/DATABASE``.
        wait_s: How long a call waits for another process that writes, in s.
        now: Tells the present; tests hand in their own.
        create: Whether a registry that is not there is made; else that is an error.
        pair: The pair whose machines and guests are named without it; all others by ``<pair>/<role>``.
        anchors: Where heads of the audit log are signed and kept, now and then and when the registry is
            closed; None keeps none.

    Raises:
        RegistryError: The URL is invalid; the file is not a registry, or a newer program's; it cannot be
            written; another process is writing and does not end; the server does not answer.
    """
    database = Database(url, wait_s=wait_s, pair=pair)
    try:
        schema.bring_up(database, now, create=create)
    except BaseException:
        database.close()
        raise
    return Registry(database, now, anchors)


def look(
    url: str, *, wait_s: float = 5.0, now: Callable[[], Instant] = present, pair: str = DEFAULT_PAIR
) -> Registry:
    """Open the registry at `url` to look at it: nothing is made, and the right to read is enough.

    One of an older version is upgraded first, which needs the right to write. Methods that store raise.

    Raises:
        NoRegistryError: There is no registry.
        RegistryError: As :func:`open_registry`.
    """
    database = Database(url, wait_s=wait_s, look=True, pair=pair)
    try:
        current = schema.is_current(database)
        if not current:
            open_registry(url, wait_s=wait_s, now=now, create=False).close()
    except BaseException:
        database.close()
        raise
    return Registry(database, now)


class Registry(AbstractContextManager["Registry"]):
    """An open registry. Every method may raise :class:`RegistryError`; then nothing was stored."""

    def __init__(
        self, database: Database, now: Callable[[], Instant], anchors: Anchors | None = None
    ) -> None:
        """Use a database whose schema is this program's; :func:`open_registry` sees to that."""
        self._database = database
        self._protection = Protection(database, now)
        self._responses = Responses(database, now)
        self._audit = Audit(database, now)
        self._anchoring = None if anchors is None else Anchoring(anchors, database.location, self._audit.head)
        if self._anchoring is not None:
            database.on_commit = self._anchoring.written
        self.now = now

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        try:
            if self._anchoring is not None:
                self._anchoring.end(failing=kind is not None)
        finally:
            self.close()

    def close(self) -> None:
        """Close all connections; may be called twice. Anchors are written at the end of a `with` block."""
        self._database.close()

    @property
    def location(self) -> str:
        """Where it is, as anchors name it: a file's whole path, or a URL without its password."""
        return self._database.location

    @property
    def protection(self) -> Protection:
        """What customers ask for their VMs."""
        return self._protection

    @property
    def responses(self) -> Responses:
        """What is being done for VMs."""
        return self._responses

    @property
    def audit(self) -> Audit:
        """The log that shows any change that bypassed the registry."""
        return self._audit

    # who may attest

    def enrolling(self) -> AbstractContextManager[None]:
        """The right to have keys made in a TPM; of two enrolments at once the second waits, or is refused."""
        return self._database.enrolling()

    def enrol(self, enrolment: Enrolment) -> EnrolledIdentity:
        """Store a new identity: all of it or nothing, and of two at once exactly one.

        Raises:
            RefusedError: ``identity-taken``: the id has a TPM already, or the TPM (or one of the keys) an id.
        """
        try:
            with self._database.writing() as session:
                identities.add(session, checked_enrolment(enrolment), self.now())
                return _only(identities.find(session, enrolment.attester))
        except ConstraintError as error:
            raise self._identity_taken(enrolment) from error

    def re_enrol(self, enrolment: Enrolment) -> EnrolledIdentity:
        """Give an identity new keys of the same TPM. Its hold ends, its memory is emptied, its history stays.

        Raises:
            RefusedError: ``not-enrolled``; ``revoked``; ``identity-taken``: the id is another TPM's, or one
                of the keys is another identity's.
        """
        try:
            with self._database.writing() as session:
                identities.renew(session, checked_enrolment(enrolment), self.now())
                return _only(identities.find(session, enrolment.attester))
        except ConstraintError as error:
            raise self._identity_taken(enrolment) from error

    def _identity_taken(self, enrolment: Enrolment) -> RefusedError:
        with self._database.reading() as session:
            why = identities.taken(session, enrolment)
        return RefusedError(
            Reason.IDENTITY_TAKEN,
            why,
            where=enrolment.attester,
            remedy="the same TPM again is re-enrolled; an identity that is gone is released first",
        )

    def revoke(self, attester: str, why: str) -> None:
        """Refuse an identity for good; it keeps its id and its TPM, so that neither comes back as another's.

        Raises:
            RefusedError: ``not-enrolled``.
        """
        why = checked_text(why, "a reason")
        with self._database.writing() as session:
            identities.revoke(session, attester, why, self.now())

    def release(self, attester: str, why: str) -> None:
        """Make an identity history: its id and its TPM may be enrolled again, as a new identity.

        Raises:
            RefusedError: ``not-enrolled``; ``revoked``.
        """
        why = checked_text(why, "a reason")
        with self._database.writing() as session:
            identities.release(session, attester, why, self.now())

    def attester(self, attester: str) -> EnrolledIdentity | None:
        """The identity that has this id now."""
        with self._database.reading() as session:
            return next(iter(identities.find(session, attester)), None)

    def attesters(self) -> tuple[EnrolledIdentity, ...]:
        """All identities that were not released, by id."""
        with self._database.reading() as session:
            return identities.find(session)

    def key(self, attester: str, kind: KeyType) -> EnrolledKey | None:
        """The attester's key of this kind; one that was revoked says so."""
        found = self.attester(attester)
        return next((key for key in found.keys if key.kind == kind), None) if found else None

    def history(self, attester: str) -> tuple[IdentityEvent, ...]:
        """What happened to every identity that ever had this id, oldest first."""
        with self._database.reading() as session:
            return identities.history(session, attester)

    # what was asked

    def issue(self, nonce: bytes, *, attester: str, issued: Instant, expires: Instant) -> None:
        """Store a nonce before it is sent; unanswered ones are forgotten an hour after their expiry.

        Raises:
            RefusedError: ``not-enrolled``; ``nonce-reused``: it was issued before; ``nonce-short``: it is
                empty.
        """
        try:
            with self._database.writing() as session:
                findings.issue(session, nonce, attester, issued, expires, self.now())
        except ConstraintError as error:
            raise RefusedError(Reason.NONCE_REUSED, "this nonce was issued before", where=attester) from error

    def consume(self, nonce: bytes) -> bool:
        """Use a nonce up: True once and never again; False also for one that was never issued.

        Whether it has expired is the verifier's to judge.
        """
        with self._database.writing() as session:
            return findings.consume(session, nonce, self.now())

    def issued(self, nonce: bytes) -> Issued | None:
        """What is known of a nonce, without using it; None for one that was never issued, or is forgotten."""
        with self._database.reading() as session:
            return findings.issued(session, nonce)

    # what was found

    def memory(self, attester: str, key_name: bytes) -> tuple[Json, int]:
        """What was accepted last of a key, None if nothing yet, and the version to hand to :meth:`accept`."""
        with self._database.reading() as session:
            return findings.memory(session, attester, key_name)

    def accept(
        self,
        result: Mapping[str, Json],
        *,
        key_name: bytes,
        memory: Json,
        version: int,
        generated: Instant,
        expires: Instant | None,
    ) -> bool:
        """Store a result together with the memory it leaves behind.

        Args:
            result: The result as JSON; of its fields only attester, key, tier and reason are looked at.
            key_name: The name of the key that signed.
            memory: What the next question needs; opaque.
            version: What :meth:`memory` said when the evidence was judged.
            generated: When the result was generated.
            expires: When it ends; an affirming result must.

        Returns:
            False, and nothing is stored, where what it was judged with is no longer so: another verifier was
            first, or the attester was held, revoked, released or enrolled again meanwhile.

        Raises:
            RegistryError: `result` is not a result.
        """
        found = findings.finding(result, generated, expires)
        with self._database.writing() as session:
            return findings.accept(session, found, key_name, memory, version, self.now())

    def record(
        self,
        result: Mapping[str, Json],
        *,
        generated: Instant,
        expires: Instant | None = None,
        judged_by: bytes | None = None,
    ) -> None:
        """Store a result that leaves no memory; a contraindicated one holds its attester.

        Args:
            result: The result as JSON.
            generated: When it was generated.
            expires: When it ends.
            judged_by: The name of the enrolled key that it was judged by: where that was replaced meanwhile,
                no attester is held for it.

        Raises:
            RegistryError: `result` is not a result, or is affirming, which only :meth:`accept` takes.
        """
        found = findings.finding(result, generated, expires)
        with self._database.writing() as session:
            findings.record(session, found, self.now(), judged_by=judged_by)

    def results(self, attester: str | None = None, *, limit: int = 100) -> tuple[StoredResult, ...]:
        """The newest results, newest first: all, or those of every identity that ever had this id."""
        with self._database.reading() as session:
            return findings.results(session, attester, limit)

    def latest(self, attester: str) -> StoredResult | None:
        """The newest result of the identity that has this id now; never one of its predecessor's."""
        with self._database.reading() as session:
            return findings.latest(session, attester)

    # what monitors say

    def set_property(self, server: str, name: str, value: Json, *, source: str, simulated: bool) -> bool:
        """Store what monitor `source` reports of a server; whether that was a change.

        Raises:
            RegistryError: A name has no place in the registry, or `value` is no JSON.
        """
        with self._database.writing() as session:
            return properties.report(
                session, server, name, value, source, simulated=simulated, now=self.now()
            )

    def properties(self, server: str) -> Mapping[str, Property]:
        """The server's properties by name."""
        with self._database.reading() as session:
            return properties.of_server(session, server)

    def changes(self, server: str, name: str | None = None) -> tuple[PropertyChange, ...]:
        """How the server's properties, or one of them, became what they are; oldest first."""
        with self._database.reading() as session:
            return properties.changes(session, server, name)

    # where guests are

    def place(self, guest: str, host: str, epoch: int) -> Placement:
        """Store that an enrolled guest is on an enrolled host from `epoch` on.

        Raises:
            RefusedError: ``not-enrolled``; ``epoch-reused``: not greater than all earlier epochs of its vTPM.
        """
        try:
            with self._database.writing() as session:
                return placements.place(session, guest, host, epoch, self.now())
        except ConstraintError as error:
            raise RefusedError(
                Reason.EPOCH_REUSED, f"epoch {epoch} has its host already", where=guest
            ) from error

    def placement(self, guest: str) -> Placement | None:
        """Where the guest's virtual TPM was placed last, also where the guest had another id then."""
        with self._database.reading() as session:
            return placements.latest(session, guest)

    def placements(self, guest: str) -> tuple[Placement, ...]:
        """All places of the guest's virtual TPM, oldest first, those under a former id among them."""
        with self._database.reading() as session:
            return placements.of_guest(session, guest)


def _only(found: tuple[EnrolledIdentity, ...]) -> EnrolledIdentity:
    (one,) = found
    return one
