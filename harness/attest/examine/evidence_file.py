"""Evidence on disk, with the question it answers, to be verified elsewhere or a little later.

The file is as untrusted as the evidence in it. The registry knows for whom a nonce was issued, when, and
whether it was used, and is asked for that; the file provides the nonce, which the quote must hold, and the
question, which the quote must match.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from harness.attest.attester import bounds
from harness.attest.evidence import MAX_LINE_BYTES, Bank, Base64, Evidence, RefusedError
from harness.attest.examine.outcome import Asked
from harness.attest.identity.enrolled import Issued
from harness.attest.reasons import Reason
from harness.attest.reference.policy import Pcrs
from harness.attest.verify.question import Challenge
from harness.errors import RecordError
from harness.evidence import folder as store
from harness.files import write_json
from harness.instant import Instant, expired
from harness.sentence import sentence
from harness.strict import Strict


class EvidenceFile(Strict):
    """One answer and its question.

    Attributes:
        version: Of this form.
        attester: The id that was asked.
        nonce: What was to be signed.
        bank: The PCR bank that was asked for.
        pcrs: The PCRs that were asked for.
        ima_from: The IMA entry from which the list was asked for; None where it was not.
        evidence: The answer.
    """

    version: Literal[1]
    attester: str
    nonce: Base64
    bank: Bank
    pcrs: Pcrs
    ima_from: Annotated[int, Field(ge=0)] | None
    evidence: Evidence


def write(path: Path, asked: Asked) -> None:
    """Write what was asked and answered to `path`, whole.

    Raises:
        StorageError: It cannot be written.
    """
    challenge = asked.challenge
    content = EvidenceFile(
        version=1,
        attester=asked.name,
        nonce=challenge.nonce,
        bank=challenge.bank,
        pcrs=challenge.pcrs,
        ima_from=challenge.ima_from,
        evidence=asked.answer.evidence,
    )
    write_json(path, content.model_dump(mode="json"))


def answerable(kept: EvidenceFile, issue: Issued | None, now: Instant) -> Challenge:
    """The question that a file answers, if the registry says that its answer may still be judged.

    An answer that comes too late says nothing of the machine and must not be held against it, as it would be
    by a verifier that was asked.

    Raises:
        RefusedError: ``nonce-mismatch``: the nonce was never issued for this attester; ``nonce-reused``;
            ``nonce-expired``: also where the controller has booted since, so that this is unknown.
    """
    if issue is None or issue.attester != kept.attester:
        why = f"no such nonce was issued for {kept.attester}"
        raise RefusedError(Reason.NONCE_MISMATCH, why, where=kept.attester)
    if issue.used:
        raise RefusedError(Reason.NONCE_REUSED, "an answer to it was judged before", where=kept.attester)
    if issue.issued.boot_id != now.boot_id or expired(issue.issued, issue.expires, now):
        raise RefusedError(
            Reason.NONCE_EXPIRED, where=kept.attester, remedy=f"sodbench attest quote {kept.attester}"
        )
    return Challenge(
        key=kept.evidence.key,
        nonce=kept.nonce,
        pcrs=kept.pcrs,
        bank=kept.bank,
        ima_from=kept.ima_from,
        event_log=kept.evidence.event_log is not None,
        issued_ns=issue.issued.monotonic_ns,
        expires_ns=issue.expires.monotonic_ns,
    )


def read(path: Path) -> EvidenceFile:
    """The question and answer that :func:`write` stored.

    Raises:
        RecordError: The file is missing, far too large, or something else.
    """
    try:
        if path.exists() and not path.is_file():
            raise RecordError("not a regular file of evidence", where=str(path))
        if path.stat().st_size > MAX_LINE_BYTES:
            raise RecordError("far too large for evidence", where=str(path))
        raw = path.read_bytes()
        _require_form(raw, path)
        store.require_version(raw, "version", 1, "a file of evidence", path)
        return EvidenceFile.model_validate_json(raw, strict=None)
    except ValidationError as error:
        raise RecordError("not a file of evidence", where=str(path), why=sentence(error)) from error
    except OSError as error:
        raise RecordError(
            "the file of evidence cannot be read",
            where=str(path),
            why=error.strerror or str(error),
            remedy="check the path, and whether you may read it",
        ) from error


def _require_form(raw: bytes, path: Path) -> None:
    """Bound the parts of a file before it is read as JSON, as those of an attester's answer are."""
    try:
        bounds.check(raw.decode("ascii"))
    except ValueError as error:
        raise RecordError("not a file of evidence", where=str(path), why=str(error)) from error
