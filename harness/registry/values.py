"""The values that go into the registry and come out of it; they know no database.

A value that is returned is a copy of what was true when it was read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from harness.attest.identity.enrolled import Enrolment
from harness.attest.reasons import Tier
from harness.instant import Instant, expired
from harness.json_types import Json
from harness.registry.errors import RegistryError

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


def checked_enrolment(enrolment: Enrolment) -> Enrolment:
    """`enrolment` where the registry can take it.

    Raises:
        RegistryError: The id cannot name an attester, the EK has no name, or keys are missing or double.
    """
    checked_name(enrolment.attester, "an attester")
    kinds = [key.kind for key in enrolment.keys]
    if not enrolment.ek_name or not kinds or len(set(kinds)) != len(kinds):
        raise RegistryError(
            "an enrolment needs an EK name and one key, or one of each kind", where=enrolment.attester
        )
    return enrolment


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
class IdentityEvent:
    """Something that happened to an identity, with the reason that was given for it."""

    attester: str
    event: Step
    why: str
    at: Instant
    detail: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """An attestation result as it was stored.

    Attributes:
        number: Its place among all results, from 1; a greater one was stored later.
        attester: The attester it is about.
        key: The key it is about, as the result names it; None without one.
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
        """Whether it has an expiry and has not reached it; False where that is unknown."""
        return self.expires is not None and not expired(self.generated, self.expires, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """What a monitor says of a server now (Security on Demand, section IV).

    Attributes:
        server: The server's id.
        name: e.g. ``architecture_type`` (at boot) or ``trust_evidence`` (at intervals).
        value: Any JSON value.
        source: The monitor that says so.
        simulated: The monitor simulates its hardware.
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
