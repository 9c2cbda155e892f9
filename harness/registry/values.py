"""What goes into the registry and comes out of it, as values that know no database.

A value handed out is a copy of what was true when it was read. Names of keys are bytes as the TPM makes them
(TCG TPM 2.0 Part 1, 16), so that one name has one spelling.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from harness.attest.evidence import KeyType
from harness.attest.reasons import Tier
from harness.evidence.journal import Json
from harness.instant import Instant, expired
from harness.registry.errors import RegistryError

Kind: TypeAlias = Literal["host", "guest"]
Step: TypeAlias = Literal["enrolled", "re-enrolled", "held", "revoked", "released"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}")
_LONGEST_TEXT = 2000


def checked_name(value: str, what: str) -> str:
    """`value` where it may name an attester, a server or a property: one spelling, safe in paths and tables.

    Raises:
        RegistryError: It is empty, longer than 128 characters, or holds others than letters, digits and
            ``._:@+-``.
    """
    if not _NAME.fullmatch(value):
        raise RegistryError(
            f"{value!r} cannot name {what}",
            why="a name has 1 to 128 letters, digits and ._:@+- and begins with a letter or digit",
        )
    return value


def checked_text(value: str, what: str) -> str:
    """`value` in one line, for a reason or a source that a person wrote.

    Raises:
        RegistryError: Nothing is left of it, or it holds what cannot be printed.
    """
    text = " ".join(value.split())
    if not text or not text.isprintable() or len(text) > _LONGEST_TEXT:
        raise RegistryError(f"{what} must be 1 to {_LONGEST_TEXT} printable characters", why=repr(text[:80]))
    return text


def checked_json(value: Json, what: str) -> Json:
    """`value` where it is JSON.

    Raises:
        RegistryError: It holds NaN, an infinity or an object that JSON has not, or is nested without end.
    """
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RegistryError(f"{what} is not JSON", why=str(error)) from error
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmFacts:
    """What enrolment learnt of a TPM.

    Attributes:
        software: Whether it is a program; its quotes then prove no hardware.
        manufacturer: As the TPM or its certificate says, e.g. ``IBM``.
        firmware: Its firmware version as text.
    """

    software: bool
    manufacturer: str
    firmware: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """An attestation key whose place under the EK was proved by a credential.

    Attributes:
        kind: The key's algorithm and size.
        public: TPMT_PUBLIC as the TPM marshalled it.
        name: nameAlg and digest of `public`.
        qualified_name: nameAlg and digest over the names of all its parents.
    """

    kind: KeyType
    public: bytes
    name: bytes
    qualified_name: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """One identity as enrolment found it: an attester, its TPM and its keys.

    Attributes:
        attester: The id it is called by.
        kind: A host with a TPM, or a guest with a virtual one.
        ek_name: The endorsement key's name; it stands for the TPM.
        ek_certificate: DER, or None where the TPM has none and policy let that pass.
        tpm: See :class:`TpmFacts`.
        keys: At least one, at most one of each kind.
    """

    attester: str
    kind: Kind
    ek_name: bytes
    ek_certificate: bytes | None
    tpm: TpmFacts
    keys: tuple[NewKey, ...]

    def __post_init__(self) -> None:
        checked_name(self.attester, "an attester")
        kinds = [key.kind for key in self.keys]
        if not self.ek_name or not kinds or len(set(kinds)) != len(kinds):
            raise RegistryError(
                "an enrolment needs an EK name and one key, or one of each kind", where=self.attester
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """A key that may sign for an attester now, or that was revoked with it."""

    attester: str
    kind: KeyType
    public: bytes
    name: bytes
    qualified_name: bytes
    revoked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Attester:
    """One enrolled identity.

    Attributes:
        id: The id it is called by.
        kind: See :class:`Enrolment`.
        ek_name: See :class:`Enrolment`.
        ek_certificate: See :class:`Enrolment`.
        tpm: See :class:`TpmFacts`.
        keys: Its keys now, in the order of their kinds; none once it was released.
        held: A contraindicated result came in, and nobody has enrolled it again since.
        revoked: It may never attest again.
        released: It is history; its id and its TPM may be another identity's.
        enrolled: When it was enrolled for the first time.
    """

    id: str
    kind: Kind
    ek_name: bytes
    ek_certificate: bytes | None
    tpm: TpmFacts
    keys: tuple[KnownKey, ...]
    held: bool
    revoked: bool
    released: bool
    enrolled: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityEvent:
    """Something that happened to an identity, with the reason that was given for it."""

    attester: str
    event: Step
    why: str
    at: Instant
    detail: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A nonce that was sent.

    Attributes:
        attester: Whom it was meant for.
        issued: When it was stored, before it was sent.
        expires: When an answer to it comes too late.
        used: It has been used up.
    """

    attester: str
    issued: Instant
    expires: Instant
    used: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """An attestation result as it was stored.

    Attributes:
        number: Its place among all results, from 1; a greater one was stored later.
        attester: Whom it speaks of.
        key: The key it speaks of, as the result names it; None where it names none.
        tier: The result's tier.
        reason: The code of the check that decided.
        generated: When it was generated (RG of RFC 9334).
        expires: When it ends (RX); None where it never could be relied on.
        body: The whole result.
    """

    number: int
    attester: str
    key: str | None
    tier: Tier
    reason: str
    generated: Instant
    expires: Instant | None
    body: Mapping[str, Json]

    def fresh(self, now: Instant) -> bool:
        """Whether it has an expiry and has not reached it; False where that cannot be told."""
        return self.expires is not None and not expired(self.generated, self.expires, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """What a monitor says of a server now (Security on Demand, section IV).

    Attributes:
        server: The server's id.
        name: e.g. ``architecture_type`` (at boot) or ``trust_evidence`` (at intervals).
        value: Any JSON value.
        source: The monitor that says so.
        simulated: The monitor only plays the hardware it speaks of.
        since: When value, source or `simulated` last changed.
        seen: When it was last reported, changed or not.
    """

    server: str
    name: str
    value: Json
    source: str
    simulated: bool
    since: Instant
    seen: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyChange:
    """A property became `value` at `at`."""

    server: str
    name: str
    value: Json
    source: str
    simulated: bool
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A guest, by the id it had then, is on a host from an epoch on, until its virtual TPM's next epoch."""

    guest: str
    host: str
    epoch: int
    at: Instant
