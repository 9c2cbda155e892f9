"""What attestation asks of a registry, as protocols; :class:`harness.registry.registry.Registry` is one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from harness.attest.evidence import KeyType
from harness.attest.identity.enrolled import EnrolledIdentity, EnrolledKey, Enrolment
from harness.instant import Instant
from harness.json_types import Json


class Generated(Protocol):
    """A stored result, as far as freshness is concerned."""

    @property
    def generated(self) -> Instant:
        """When the result was generated (RG of RFC 9334)."""


class Identities(Protocol):
    """Who may attest, and a place for new identities. Every method may raise ``RegistryError``."""

    def now(self) -> Instant:
        """The current time, both clocks, with the boot id."""

    def attester(self, attester: str) -> EnrolledIdentity | None:
        """The identity that has this id now."""

    def attesters(self) -> tuple[EnrolledIdentity, ...]:
        """All identities that were not released, by id."""

    def key(self, attester: str, kind: KeyType) -> EnrolledKey | None:
        """The attester's key of this kind; one that was revoked says so."""

    def enrolling(self) -> AbstractContextManager[None]:
        """The right to have keys made: one holder at a time."""
        ...

    def enrol(self, enrolment: Enrolment) -> EnrolledIdentity:
        """Store a new identity."""

    def re_enrol(self, enrolment: Enrolment) -> EnrolledIdentity:
        """Give an identity new keys of the same TPM."""


class Findings(Identities, Protocol):
    """Who may attest, what was asked of them, and what was found."""

    def issue(self, nonce: bytes, *, attester: str, issued: Instant, expires: Instant) -> None:
        """Store a nonce before it is sent."""

    def consume(self, nonce: bytes) -> bool:
        """Use a nonce up: True once and never again."""

    def memory(self, attester: str, key_name: bytes) -> tuple[Json, int]:
        """What was accepted last of a key, and its version."""

    def latest(self, attester: str) -> Generated | None:
        """The newest result of the identity that has this id now."""

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
        """Store a result and the memory it leaves behind; False where another verifier was first."""

    def record(
        self,
        result: Mapping[str, Json],
        *,
        generated: Instant,
        expires: Instant | None = None,
        judged_by: bytes | None = None,
    ) -> None:
        """Store a result that leaves no memory."""
