"""What a verifier keeps of an attester: the last accepted quote's clock, and how far its IMA list is known.

Without it a TPM that was rolled back, or a log that lost its beginning, looks like any other. Only what was
accepted is ever kept here: evidence that was refused must leave no trace in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.attest.evidence import Base64
from harness.attest.logs.ima import ImaState
from harness.attest.reasons import Reason
from harness.attest.tpm.structures import ClockInfo
from harness.errors import RecordError
from harness.json_types import Json
from harness.sentence import sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a policy lets pass with a warning.

    Attributes:
        reason: The check that found it.
        why: What it found, in one sentence; the first of its kind where there are many.
    """

    reason: Reason
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What was accepted last of one key of one attester.

    Attributes:
        clock: The TPM's clock in that quote.
        firmware_version: The TPM's.
        ima: How far the IMA list was replayed; None where it was not checked.
        basis: What its entries were judged by (:func:`harness.attest.reference.policy.ima_basis`).
        findings: Warnings about entries that will not be sent again in this boot, and so have to be kept.
    """

    clock: ClockInfo
    firmware_version: int
    ima: ImaState | None
    basis: str = ""
    findings: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """The memory as JSON values; :meth:`from_json` reads it back equal."""
        stored = _Memory(
            clock=_Clock(
                clock_ms=self.clock.clock_ms,
                reset_count=self.clock.reset_count,
                restart_count=self.clock.restart_count,
                safe=self.clock.safe,
            ),
            firmware_version=self.firmware_version,
            ima=_Ima(entries=self.ima.entries, values=dict(self.ima.values)) if self.ima else None,
            basis=self.basis,
            findings=tuple(_Finding(reason=one.reason, why=one.why) for one in self.findings),
        )
        return {**stored.model_dump(mode="json")}

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Memory:
        """The memory that :meth:`to_json` wrote.

        Raises:
            RecordError: A field is missing, of another kind or unknown.
        """
        try:
            stored = _Memory.model_validate(dict(value))
        except ValidationError as error:
            raise RecordError("what was kept of an attester is damaged", why=sentence(error)) from error
        ima = stored.ima
        return cls(
            clock=ClockInfo(
                clock_ms=stored.clock.clock_ms,
                reset_count=stored.clock.reset_count,
                restart_count=stored.clock.restart_count,
                safe=stored.clock.safe,
            ),
            firmware_version=stored.firmware_version,
            ima=None if ima is None else ImaState(entries=ima.entries, values=MappingProxyType(ima.values)),
            basis=stored.basis,
            findings=tuple(Finding(reason=one.reason, why=one.why) for one in stored.findings),
        )


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Clock(_Stored):
    clock_ms: int = Field(ge=0)
    reset_count: int = Field(ge=0)
    restart_count: int = Field(ge=0)
    safe: bool


class _Ima(_Stored):
    entries: int = Field(ge=0)
    values: dict[str, Base64]


class _Finding(_Stored):
    reason: Reason = Field(strict=False)
    why: str


class _Memory(_Stored):
    clock: _Clock
    firmware_version: int = Field(ge=0)
    ima: _Ima | None
    basis: str
    findings: tuple[_Finding, ...] = Field(strict=False)
