"""What is stored of each attestation: one line of ``attestations.jsonl`` in its attempt's folder.

The lines are evidence of the harness itself: who was asked what, when, and what came of it. Nothing here
judges or computes; a stamp that was not taken is null, with the reason. docs/journal.md
describes the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import ConfigDict, Field, ValidationError

from harness import sums
from harness.attest.evidence import KeyType
from harness.errors import RecordError
from harness.json_form import require_few_parts
from harness.sentence import sentence
from harness.strict import Strict

FILE = "attestations.jsonl"
"""Its name in an attempt's folder."""
_MOST_PARTS = 10_000
"""Of a line; those of attested trials have some 160."""

Machine: TypeAlias = Literal["a", "b", "guest"]
Kind: TypeAlias = Literal["host", "guest", "linked"]
Purpose: TypeAlias = Literal["interval", "gate", "arrival"]
TierName: TypeAlias = Literal["none", "affirming", "warning", "contraindicated"]
Boot: TypeAlias = Literal["first", "same", "resume", "reboot"]

Ns = Annotated[int, Field(ge=0)]


class _Value(Strict):
    model_config = ConfigDict(populate_by_name=True)


class Stamps(_Value):
    """Moments on the controller, ns of its CLOCK_MONOTONIC, under the labels of RFC 9334 (section 10).

    Attributes:
        NS: The nonce was sent.
        ER: The evidence was relayed: it had arrived here.
        RG: The result was generated.
        RR: The result was relayed to who relies on it.
        RA: The result was appraised there.
        OP: The operation that relies on it was performed.
        RX: The result expires.
    """

    NS: Ns
    ER: Ns | None = None
    RG: Ns | None = None
    RR: Ns | None = None
    RA: Ns | None = None
    OP: Ns | None = None
    RX: Ns | None = None


class Answered(_Value):
    """Moments on the attester, ns of the CLOCK_MONOTONIC of `machine`.

    Attributes:
        machine: Whose clock it is.
        received: The request was read.
        quoting: TPM2_Quote was sent.
        EG: TPM2_Quote returned: the evidence was generated (RFC 9334).
        answered: The answer was handed to the channel.
    """

    machine: Machine
    received: Ns
    quoting: Ns
    EG: Ns
    answered: Ns


class Vouched(Answered):
    """The host's quote that vouches for a guest's; `NS` and `ER` are the controller's, of that request."""

    NS: Ns
    ER: Ns


class Continuity(_Value):
    """Whether the guest that arrived is the one that left.

    Attributes:
        reason: ``accepted``, or the code of the check that refused.
        tier: The verdict's tier.
        window_ns: From the destination's quote to the migration that relied on it (OP - EG); None where not
            known.
        uncertainty_ns: The window is certain within ± this; None where not known.
        same_key: Whether the attestation key before and after is one.
        source: The host it left (``from`` in the file).
        destination: The host it is on (``to`` in the file).
    """

    reason: str
    tier: TierName
    window_ns: int | None = None
    uncertainty_ns: Ns | None = None
    same_key: bool
    source: str = Field(validation_alias="from", serialization_alias="from")
    destination: str = Field(validation_alias="to", serialization_alias="to")


class Attestation(_Value):
    """One attestation, whatever came of it.

    Attributes:
        n: Its number in the attempt, from 1 in the order they were written.
        subject: Whose state was asked for.
        kind: ``host``; ``guest``: the guest alone; ``linked``: the guest and the host it says it runs on, by
            two quotes bound to each other.
        host: Which host vouched for the guest; None unless linked.
        key: The attestation key that was asked to sign.
        purpose: ``interval``: it was due; ``gate``: the destination, and the guest where it still is, right
            before a migration; ``arrival``: the guest, right after one.
        migration: Which migration, for gate and arrival.
        epoch: The guest's stay on one host that it belongs to; None where there is none.
        tier: The result's tier.
        reason: ``accepted``, or the code of the first check that refused, or why no answer came.
        detail: The same in words.
        stamps: Moments on the controller.
        attester: Moments on the attester; None where it did not answer.
        second: The host's quote of a linked attestation; None elsewhere and where it was not had.
        steps: Verification steps in their order, with the ns each took; of both quotes where there are two.
        retries: How often a quote had to be taken again because a PCR changed meanwhile.
        boot: What the TPM's counters say since the last accepted quote; None where they were not reached.
        continuity: The continuity check of a migration; None where none was made.
        guest: Which of several guests was asked; None for a host, and for the only guest.
    """

    n: int = Field(ge=1)
    subject: Machine
    kind: Kind
    host: str | None = None
    key: KeyType
    purpose: Purpose
    migration: int | None = None
    epoch: int | None = None
    tier: TierName
    reason: str
    detail: str = ""
    stamps: Stamps
    attester: Answered | None = None
    second: Vouched | None = None
    steps: tuple[tuple[str, Ns], ...] = ()
    retries: int = Field(default=0, ge=0)
    boot: Boot | None = None
    continuity: Continuity | None = None
    guest: str | None = None

    def to_line(self) -> str:
        """The attestation as one line of the file, with its end.

        Every field is there, null where unknown; `guest` is there only where there are several.
        """
        without = {"guest"} if self.guest is None else set()
        return self.model_dump_json(by_alias=True, exclude=without) + "\n"


def read(path: Path) -> tuple[Attestation, ...]:
    """The attestations stored in `path`, in order; none without the file; a torn last line is left out.

    Raises:
        RecordError: The file cannot be read, or a line before the last is damaged.
    """
    try:
        raw = sums.content(path, limit=sums.MAX_BYTES) if os.path.lexists(path) else b""
    except RecordError as error:
        what = "the attestations cannot be read"
        raise RecordError(what, where=error.where, why=error.why, remedy=error.remedy) from error
    return tuple(_lines(raw, path))


def _lines(raw: bytes, path: Path) -> Iterator[Attestation]:
    *lines, _torn = raw.split(b"\n")  # after the last newline: nothing, or what a killed controller left
    for number, line in enumerate(lines, start=1):
        try:
            require_few_parts(line, _MOST_PARTS)
            yield Attestation.model_validate_json(line)
        except ValueError as error:
            raise RecordError(
                "not a line of attestations",
                where=f"{path}:{number}",
                why=sentence(error) if isinstance(error, ValidationError) else str(error),
                remedy="restore the file from a copy; `sha256sum -c SHA256SUMS` shows what changed",
            ) from error
