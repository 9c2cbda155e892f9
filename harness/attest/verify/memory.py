"""What a verifier keeps of an attester: the last accepted quote's clock, and how far its IMA list is known.

Without it a TPM that was rolled back, or a log that lost its beginning, looks like any other. Only what was
accepted is ever kept here: evidence that was refused must leave no trace in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from harness.attest.logs.ima import ImaState
from harness.attest.reasons import Reason
from harness.attest.tpm.structures import ClockInfo
from harness.errors import RecordError
from harness.json_types import Json
from harness.sentence import sentence
from harness.strict import STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class AppraisalWarning:
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

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    clock: ClockInfo
    firmware_version: Annotated[int, Field(ge=0)]
    ima: ImaState | None
    basis: str = ""
    findings: tuple[AppraisalWarning, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """The memory as JSON values; :meth:`from_json` reads it back equal."""
        return {**_STORED.dump_python(self, mode="json")}

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Memory:
        """The memory that :meth:`to_json` wrote.

        Raises:
            RecordError: A field is missing, of another kind or unknown.
        """
        try:
            return _STORED.validate_json(json.dumps(dict(value)))
        except ValidationError as error:
            raise RecordError("what was kept of an attester is damaged", why=sentence(error)) from error


_STORED = TypeAdapter(Memory)
