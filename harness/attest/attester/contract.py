"""What can be asked of an attester, and what it says: the values of both sides of a conversation.

Nothing an attester says is believed here; only its form is looked at. The holder of an :class:`Attester`
needs to know neither where it runs nor how it is reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Protocol, TypeVar

from pydantic import Field, ValidationError

from harness.attest import evidence
from harness.attest.attester.bounds import EVIDENCE_BYTES
from harness.attest.evidence import Bank, Base64, EkType, Evidence, KeyType, RefusedError
from harness.attest.reasons import Reason
from harness.errors import SodbenchError
from harness.json_types import Json
from harness.sentence import sentence
from harness.strict import Strict

NONCE_LIMIT_BYTES = 64
"""The most that every TPM takes as a quote's qualifying data (TPM2B_DATA, Part 2, 10.4.3)."""

SAID_REASONS = frozenset(
    {
        Reason.ATTESTER_FAILED,
        Reason.CREDENTIAL,
        Reason.NOT_ENROLLED,
        Reason.SIZE_LIMIT,
        Reason.TIMED_OUT,
        Reason.TPM_BUSY,
        Reason.TPM_GONE,
        Reason.TPM_MEMORY,
    }
)
"""What an attester may give as its reason for no answer. A tier follows from a reason, and a tier is the
verifier's to give: by any other word a machine would judge itself."""

_REMEDIES: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.ATTESTER_UNREACHABLE: "check that the machine is up and its sshd answers",
        Reason.ATTESTER_FAILED: "run provision.yml, which installs the attester and has it answer once",
        Reason.TPM_BUSY: "end the program that holds the machine's TPM",
        Reason.TPM_MEMORY: "flush what other programs left in the TPM (tpm2_flushcontext --transient-object)",
        Reason.TPM_GONE: "see `systemctl status sodbench-swtpm` there, or the firmware's setup",
        Reason.NOT_ENROLLED: "enrol the machine",
        Reason.SIZE_LIMIT: "ask for fewer entries, or raise logs_limit_bytes in the attester's configuration",
    }
)
_MAY_PASS = frozenset(
    {Reason.ATTESTER_UNREACHABLE, Reason.ATTESTER_FAILED, Reason.TPM_BUSY, Reason.TPM_GONE, Reason.TIMED_OUT}
)


class AttesterError(SodbenchError):
    """An attester gave no answer that can be used; `reason` says why, nothing is known of the machine."""

    exit_code = 15
    kind = "attester"

    def __init__(self, reason: Reason, why: str = "", *, where: str = "") -> None:
        super().__init__(
            reason.value,
            where=where,
            why=why,
            remedy=_REMEDIES.get(reason, ""),
            retry=reason in _MAY_PASS,
        )
        self.reason = reason


class Identity(Strict):
    """Who an attester says it is, to be proved at enrolment.

    Attributes:
        tpm_manufacturer: The maker's four letters, e.g. ``IBM`` for libtpms (TPM_PT_MANUFACTURER).
        tpm_vendor: The maker's text.
        tpm_spec: Family and revision of the specification that it follows.
        tpm_firmware: Firmware version, 64 bit as in quotes.
        tpm_properties: Fixed properties by number, such as ``0x105`` (Part 2, 6.13).
        software: Whether it states that it is a software TPM. A false one need not say so.
        banks: PCR banks with PCRs allocated.
        ek_certificates: Certificates (DER) by their place in NV, e.g. ``0x01c00002``.
        ek_chain: What is kept in NV from 0x01C00100 on; together one stream of DER certificates.
        ek_public: TPMT_PUBLIC of the endorsement keys of low range, whether certified or not, and of those of
            high range that are certified.
        preferred_ek: The one with a certificate; RSA where both or neither have one.
        hostname: The machine's own name for itself.
        kernel: Release of its kernel.
        versions: Program, interpreter and the path to the TPM.
    """

    tpm_manufacturer: str
    tpm_vendor: str
    tpm_spec: str
    tpm_firmware: int = Field(ge=0, lt=2**64)
    tpm_properties: dict[str, int]
    software: bool
    banks: Annotated[tuple[str, ...], Field(strict=False)]
    ek_certificates: dict[str, Base64]
    ek_chain: Annotated[tuple[Base64, ...], Field(strict=False)]
    ek_public: dict[EkType, Base64]
    preferred_ek: EkType
    hostname: str
    kernel: str
    versions: dict[str, str]


class CreatedKey(Strict):
    """A new attestation key, kept by the TPM at a persistent handle.

    Attributes:
        key: Its kind.
        ek: The endorsement key above it.
        public: TPMT_PUBLIC.
        name: Hash algorithm and hash of `public` (Part 1, 16).
        qualified_name: The name with those of all keys above it.
        handle: Where it is kept.
        spent_ns: What took how long: ``ek``, ``create``, ``load``, ``persist``; never part of a quote's time.
    """

    key: KeyType
    ek: EkType
    public: Base64
    name: Base64
    qualified_name: Base64
    handle: int
    spent_ns: dict[str, int]


class Properties(Strict):
    """What a machine tells a trust monitor about itself, unproved.

    Attributes:
        architecture: Its security architecture: ``tpm``, or the one that it pretends to have.
        simulated: Whether it pretends.
        memory_violations: How many memory violations it has counted since its boot.
        reasons: Why a value is None.
        boot_id: The boot that all this is about.
    """

    architecture: str
    simulated: bool
    memory_violations: Annotated[int, Field(lt=2**63)] | None
    reasons: dict[str, str]
    boot_id: str


class Secret(Strict):
    """What was inside a credential."""

    secret: Base64


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question that evidence answers.

    Attributes:
        key: The key to sign with.
        nonce: 1 to 64 bytes that were unpredictable.
        pcrs: The PCRs to quote, each once.
        bank: Their bank.
        ima_from: First entry wanted of the IMA list; None for no list.
        event_log: Whether the event log is wanted, which changes with a boot only.
        limit_bytes: The longest answer, as a line, that is read.
    """

    key: KeyType
    nonce: bytes
    pcrs: tuple[int, ...]
    bank: Bank = "sha256"
    ima_from: int | None = None
    event_log: bool = False
    limit_bytes: int = EVIDENCE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Evidence with the controller's stamps of its way.

    Attributes:
        evidence: As it arrived.
        sent_ns: Right before the nonce was sent (NS of RFC 9334).
        received_ns: The evidence has arrived (ER).
    """

    evidence: Evidence
    sent_ns: int
    received_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long to wait for an attester.

    Attributes:
        start_s: For its program to start; an emulated guest takes several seconds.
        request_s: For a quote or the properties; longer than the attester's own limit, so that it says why.
        key_s: For what may have to make a key, which takes a hardware TPM up to a minute.
    """

    start_s: float = 60.0
    request_s: float = 15.0
    key_s: float = 150.0


class Attester(Protocol):
    """A machine that gives evidence about itself. Every method raises AttesterError if no answer comes."""

    def identify(self) -> Identity:
        """Who it says it is."""
        ...

    def create_key(self, key: KeyType, *, ek: EkType | None = None) -> CreatedKey:
        """Have an attestation key made, under the certified endorsement key unless `ek` names one."""
        ...

    def activate(self, key: KeyType, credential: bytes, secret: bytes, *, ek: EkType | None = None) -> bytes:
        """What is inside a credential (TPM2B_ID_OBJECT, TPM2B_ENCRYPTED_SECRET, each with its size)."""
        ...

    def quote(self, ask: Ask) -> Answer:
        """Evidence for a question; asked once, never again by itself."""
        ...

    def properties(self) -> Properties:
        """What it tells a trust monitor."""
        ...

    def close(self) -> None:
        """End the conversation; a later question begins another."""
        ...


_SaidT = TypeVar("_SaidT", bound=Strict)


def said(form: type[_SaidT], value: Mapping[str, Json], *, where: str) -> _SaidT:
    """An attester's words as a value of that form.

    Raises:
        AttesterError: ``malformed-evidence``: something is missing, unknown or of another kind.
    """
    try:
        return form.model_validate(dict(value))
    except ValidationError as error:
        raise AttesterError(Reason.MALFORMED_EVIDENCE, sentence(error), where=where) from error


def said_evidence(value: Mapping[str, Json], *, where: str) -> Evidence:
    """An attester's words as evidence; raises as :func:`said` does."""
    try:
        return evidence.from_json(value, where=where)
    except RefusedError as error:
        raise AttesterError(error.reason, error.why, where=where) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back to one request, with the controller's stamps."""

    ok: Mapping[str, Json] = field(repr=False)
    sent_ns: int
    received_ns: int
