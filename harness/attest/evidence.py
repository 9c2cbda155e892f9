"""Evidence as it arrives from an attester: bytes and numbers that are not yet trusted.

These values say only what was sent. Nothing here is checked beyond its form; only
:mod:`harness.attest.verify.verifier` turns evidence into a statement about a machine. Bytes travel as base64
in one JSON object per line.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationError
from pydantic_core import PydanticCustomError

from harness.attest.reasons import Reason
from harness.errors import SodbenchError
from harness.json_types import Json
from harness.sentence import sentence
from harness.strict import Strict

KeyType: TypeAlias = Literal["ecc-p256", "rsa-2048"]
"""Attestation keys: ECDSA on NIST P-256 with SHA-256, or RSASSA-PKCS1-v1_5 of 2048 bits with SHA-256."""

EkType: TypeAlias = Literal["rsa-2048", "ecc-p256", "ecc-p384", "rsa-3072"]
"""Endorsement keys: two of low range, two of high range (TCG EK Credential Profile 2.x, B.3 and B.4)."""

Bank: TypeAlias = Literal["sha256", "sha384"]
"""PCR banks that may carry a quote; SHA-1 may not."""

_INDEX = re.compile(r"0|[1-9][0-9]?")

MAX_LINE_BYTES = 112 * 2**20
"""The longest file of evidence that is read."""


class RefusedError(SodbenchError):
    """Evidence, or an enrolment, was not accepted; `reason` is the code of the check that said so."""

    exit_code = 14
    kind = "refused"

    def __init__(self, reason: Reason, why: str = "", *, where: str = "", remedy: str = "") -> None:
        super().__init__(reason.value, where=where, why=why, remedy=remedy)
        self.reason = reason


def _decoded(value: object) -> object:
    if isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError("not base64") from error
    return value


Base64 = Annotated[
    bytes,
    BeforeValidator(_decoded),
    PlainSerializer(lambda data: base64.b64encode(data).decode("ascii"), return_type=str, when_used="json"),
]
"""Bytes that travel as base64 (RFC 4648, with padding) in JSON."""


def _one_spelling(value: object) -> object:
    """A PCR's index as it came; a text such as 04 would be another key of the same PCR and hide the first."""
    if type(value) is int or (isinstance(value, str) and _INDEX.fullmatch(value)):
        return value
    raise PydanticCustomError("pcr_index", "a PCR's number from 0 to 23, without sign or leading zero")


PcrIndex = Annotated[int, Field(strict=False, ge=0, le=23), BeforeValidator(_one_spelling)]
"""A PCR of a PC client platform; JSON knows only texts as keys."""


Count = Annotated[int, Field(ge=0, lt=2**63)]
"""A number that an attester says; a larger one is a number that no machine counts and no table holds."""


class ImaExcerpt(Strict):
    """A stretch of an IMA measurement list.

    Attributes:
        first: Index of its first entry in the whole list, from 0.
        total: Entries the list had when it was read.
        form: ``binary`` or ``ascii``, as the kernel offers both.
        data: The entries from `first` on.
    """

    first: Count
    total: Count
    form: Literal["binary", "ascii"]
    data: Base64


class Moments(Strict):
    """When the attester did what, in ns of its own CLOCK_MONOTONIC.

    Attributes:
        received_ns: The request was read.
        quoting_ns: TPM2_Quote was sent.
        quoted_ns: TPM2_Quote returned: the evidence is generated (EG of RFC 9334).
        answered_ns: The answer was handed to the channel.
    """

    received_ns: Count
    quoting_ns: Count
    quoted_ns: Count
    answered_ns: Count


class Evidence(Strict):
    """One answer to one challenge.

    Attributes:
        key: Which of the attester's keys signed.
        attest: TPMS_ATTEST as the TPM marshalled it, without a size before it.
        signature: TPMT_SIGNATURE likewise.
        bank: The bank that `pcrs` was read from.
        pcrs: PCR index to value as read with the quote; not signed, the quote's pcrDigest is.
        event_log: The TCG event log, whole; None where the attester keeps none or was not asked for it.
        ima: The IMA list from the asked entry on; None likewise.
        versions: What the attester states about itself: program, TPM, firmware, kernel. Not signed.
        moments: When it did what.
        retries: How often quote and values had to be read again because a PCR changed between them.
    """

    key: KeyType
    attest: Base64
    signature: Base64
    bank: Bank
    pcrs: dict[PcrIndex, Base64]
    event_log: Base64 | None = None
    ima: ImaExcerpt | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    moments: Moments
    retries: Count = 0

    def to_json(self) -> dict[str, Json]:
        """The evidence as JSON values; :func:`from_json` reads it back equal."""
        return {**self.model_dump(mode="json")}


def from_json(value: Mapping[str, Json], *, where: str = "") -> Evidence:
    """The evidence in an attester's answer.

    Raises:
        RefusedError: ``malformed-evidence``: a field is missing, of another kind or unknown.
    """
    try:
        return Evidence.model_validate(dict(value))
    except ValidationError as error:
        raise RefusedError(Reason.MALFORMED_EVIDENCE, sentence(error), where=where) from error
