"""What a platform is held against: reference values and the policy of an appraisal, as files say them.

Both are values that a user writes, reviews and keeps with the campaign, so their models are strict: an
unknown option is an error and nothing has a hidden meaning. This module must never judge evidence
(:mod:`harness.attest.verify.appraisal_step` does) and never read a file
(:mod:`harness.attest.reference.files` does).

Words are those of RFC 9334, sections 4.2, 8.3 and 8.5.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function

from harness.attest.evidence import Bank, KeyType, PcrIndex
from harness.strict import Strict

BANK_BYTES: Final[Mapping[Bank, int]] = MappingProxyType({"sha256": 32, "sha384": 48})
"""Bytes of a digest, and so of a PCR, by bank."""

IMA_PCR: Final = 10
FIRMWARE_PCRS: Final = range(10)
"""PCRs that the event log explains: 0 to 7 are the firmware's (PFP, PCR usage), 8 and 9 the boot loader's."""

Check: TypeAlias = Literal["check", "ignore"]
Severity: TypeAlias = Literal["refuse", "warn", "ignore"]


@dataclass(frozen=True, slots=True)
class _Form:
    """The form of a text: a pattern for machines, and the same in words."""

    pattern: str
    allowed: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        form = re.compile(self.pattern)

        def formed(value: str) -> str:
            if form.fullmatch(value) is None:
                raise PydanticCustomError("form", "{allowed}", {"allowed": self.allowed})
            return value

        return no_info_after_validator_function(formed, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, object]:
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$", "description": self.allowed}


FileDigest = Annotated[
    str, _Form(r"[a-z0-9-]{2,20}:[0-9a-f]{32,128}", "hash, colon and digest, such as 'sha256:9f86d081...'")
]
FirmwareVersion = Annotated[str, _Form(r"[0-9a-f]{16}", "16 hexadecimal digits in lower case, in quotes")]
Digest = Annotated[str, _Form(r"[0-9a-f]+", "hexadecimal digits in lower case, in quotes")]


def _unique(values: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(values)) != len(values):
        raise PydanticCustomError("pcr_twice", "each PCR once")
    return values


Pcrs = Annotated[
    tuple[PcrIndex, ...], Field(strict=False, min_length=1, max_length=24), AfterValidator(_unique)
]
Digests = Annotated[tuple[Digest, ...], Field(strict=False, min_length=1)]


def _sized(values: dict[Bank, dict[PcrIndex, Digests]]) -> dict[Bank, dict[PcrIndex, Digests]]:
    for bank, pcrs in values.items():
        for index, digests in pcrs.items():
            wrong = next((digest for digest in digests if len(digest) != 2 * BANK_BYTES[bank]), None)
            if wrong is not None:
                raise PydanticCustomError(
                    "digest_size",
                    "{bank} digests of {digits} hexadecimal digits; PCR {index} has one of {given}",
                    {"bank": bank, "digits": 2 * BANK_BYTES[bank], "index": index, "given": len(wrong)},
                )
    return values


PcrDigests = Annotated[dict[Bank, dict[PcrIndex, Digests]], AfterValidator(_sized)]
"""Bank, PCR index, digests that are accepted."""


Sequences = Annotated[
    tuple[Annotated[tuple[Digest, ...], Field(strict=False)], ...], Field(strict=False, min_length=1)
]


def _sequences_sized(values: dict[Bank, dict[PcrIndex, Sequences]]) -> dict[Bank, dict[PcrIndex, Sequences]]:
    _sized({b: {i: tuple(d for q in qs for d in q) for i, qs in pcrs.items()} for b, pcrs in values.items()})
    return values


EventSequences = Annotated[dict[Bank, dict[PcrIndex, Sequences]], AfterValidator(_sequences_sized)]
"""Bank, PCR index, and each order of all of a PCR's events that is accepted."""

Combination = dict[PcrIndex, Digest]


def _combinations_sized(values: dict[Bank, tuple[Combination, ...]]) -> dict[Bank, tuple[Combination, ...]]:
    for bank, combinations in values.items():
        for one in combinations:
            _sized({bank: {index: (digest,) for index, digest in one.items()}})
    return values


PcrCombinations = Annotated[
    dict[Bank, Annotated[tuple[Combination, ...], Field(strict=False, min_length=1)]],
    AfterValidator(_combinations_sized),
]
"""Bank, and PCR values that belong together, each a PCR index to its digest."""


class ImaReference(Strict):
    """The files that may be measured, and their digests."""

    files: dict[str, Annotated[tuple[FileDigest, ...], Field(strict=False, min_length=1)]] = Field(
        default_factory=dict, description="path as the measurement list has it, then the accepted digests"
    )

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all of it, in hexadecimal: equal values, equal digest."""
        return _digest(self.model_dump(mode="json"))


class ReferenceValues(Strict):
    """Known-good values of a platform (RFC 9334, section 4.2).

    A value that is missing here is not checked, and the result says so; it is never taken as good.
    """

    version: Literal[1] = Field(description="1: the version of this form")
    firmware_versions: Annotated[tuple[FirmwareVersion, ...], Field(strict=False)] = Field(
        default=(), description="firmwareVersion of the TPMs that are accepted; empty: not checked"
    )
    pcrs: PcrDigests = Field(default_factory=dict, description="whole PCR values, by bank and index")
    events: PcrDigests = Field(
        default_factory=dict, description="digests of single events of the event log, by bank and PCR index"
    )
    event_sequences: EventSequences = Field(
        default_factory=dict,
        description="all events of a PCR in order, each order that is accepted, by bank and PCR index",
    )
    pcr_combinations: PcrCombinations = Field(
        default_factory=dict,
        description="PCR values that were recorded together, by bank; none: any known values together",
    )
    ima: ImaReference = Field(default_factory=ImaReference, description="what IMA may have measured")


class Require(Strict):
    """What is checked at all; each key has to be there, so that nothing is left out unseen."""

    pcr_values: Check = Field(description="whole PCR values against the reference values: check or ignore")
    event_log: Check = Field(description="the event log's replay and its digests: check or ignore")
    ima: Check = Field(description="the IMA list's replay and its files: check or ignore")


class Limits(Strict):
    """How much is read of what an attester sends; more is refused unread."""

    attest_bytes: int = Field(default=2048, ge=1, le=2048, description="bytes of the quote")
    signature_bytes: int = Field(default=1024, ge=1, le=1024, description="bytes of its signature")
    event_log_bytes: int = Field(
        default=16 * 2**20, ge=1, le=16 * 2**20, description="bytes of the event log"
    )
    events: int = Field(default=100_000, ge=1, le=100_000, description="events in the event log")
    ima_bytes: int = Field(default=64 * 2**20, ge=1, le=128 * 2**20, description="bytes of the IMA list")
    ima_entries: int = Field(default=1_000_000, ge=1, le=1_000_000, description="entries of the IMA list")


_Life = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
"""A span in s, at most a year."""


class AppraisalPolicy(Strict):
    """The appraisal policy for evidence (RFC 9334, section 8.5): what is checked, and what follows."""

    version: Literal[1] = Field(description="1: the version of this form")
    name: Annotated[str, _Form(r"[a-z0-9][a-z0-9._-]{0,62}", "lower-case letters, digits, '.', '_' and '-'")]
    bank: Bank = Field(default="sha256", description="the PCR bank that is quoted: sha256 or sha384")
    pcrs: Pcrs = Field(description="the PCRs that are quoted, at least one, each once, from 0 to 23")
    require: Require = Field(description="what is checked: pcr_values, event_log and ima")
    ima_unknown_file: Severity = Field(
        default="refuse", description="a measured file without a reference value: refuse, warn or ignore"
    )
    ima_violation: Severity = Field(
        default="refuse", description="a file that was written while it was measured: refuse, warn or ignore"
    )
    software_tpm: Literal["refuse", "warn", "accept"] = Field(
        default="refuse", description="a TPM in software: refuse, warn or accept"
    )
    clock_unsafe: Literal["refuse", "warn"] = Field(
        default="refuse",
        description="the TPM's clock may have lost time, as after a power failure: refuse or warn",
    )
    warning_counts: bool = Field(
        default=True,
        description="a result with a warning is good enough to keep or receive a guest: true or false",
    )
    keys: Annotated[tuple[KeyType, ...], Field(strict=False, min_length=1)] = Field(
        default=("ecc-p256", "rsa-2048"), description="types of attestation keys: ecc-p256, rsa-2048"
    )
    result_lifetime_s: _Life = Field(default=60.0, description="s until a result expires")
    nonce_lifetime_s: _Life = Field(default=30.0, description="s until a nonce expires")
    max_window_s: _Life = Field(default=10.0, description="s from quoting a platform to using it, at most")
    limits: Limits = Field(default_factory=Limits, description="how much is read of what an attester sends")

    @model_validator(mode="after")
    def _consistent(self) -> AppraisalPolicy:
        for path, text in inconsistencies(self):
            raise PydanticCustomError(
                "contradiction", "{text} (key {key})", {"text": text, "key": ".".join(path), "path": path}
            )
        return self

    @property
    def ignores_all(self) -> bool:
        """Whether nothing is checked but that a TPM signed; a result of it is never affirming."""
        return {self.require.pcr_values, self.require.event_log, self.require.ima} == {"ignore"}


def inconsistencies(policy: AppraisalPolicy) -> Iterator[tuple[tuple[str, ...], str]]:
    """What in the policy contradicts itself: the offending key's path, and the contradiction."""
    if policy.require.ima == "check" and IMA_PCR not in policy.pcrs:
        yield ("require", "ima"), f"the IMA list is checked against PCR {IMA_PCR}, which is not in pcrs"
    if policy.require.event_log == "check" and not set(policy.pcrs) & set(FIRMWARE_PCRS):
        yield ("require", "event_log"), "the event log is checked, and pcrs has none of the PCRs 0 to 9"


def contradictions(policy: AppraisalPolicy, reference: ReferenceValues) -> tuple[str, ...]:
    """What the policy wants checked and these reference values have nothing for; empty where all fits.

    Evidence under such a pair can only be refused, or end as ``nothing-appraised``.
    """
    found = []
    pinned = set(reference.pcrs.get(policy.bank, ())) if policy.require.pcr_values == "check" else set()
    if policy.require.pcr_values == "check" and not pinned & set(policy.pcrs):
        found.append(f"require.pcr_values is check, and no {policy.bank} reference value is of a PCR in pcrs")
    judged = pinned | set(reference.events.get(policy.bank, ()))
    if policy.require.event_log == "check" and not judged & set(policy.pcrs) & set(FIRMWARE_PCRS):
        found.append(
            "require.event_log is check, and no reference value is of a PCR from 0 to 9 that is in pcrs"
        )
    if policy.require.ima == "check" and not reference.ima.files:
        found.append("require.ima is check, and the reference values name no file")
    return tuple(found)


def ima_basis(policy: AppraisalPolicy, reference: ReferenceValues) -> str:
    """What IMA entries were judged by, as a digest; empty where the policy ignores them.

    Entries that were accepted by one basis say nothing under another: the list is then judged from its start.
    """
    if policy.require.ima == "ignore":
        return ""
    parts = (
        reference.ima.digest,
        policy.ima_unknown_file,
        policy.ima_violation,
        policy.bank,
        sorted(policy.pcrs),
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
