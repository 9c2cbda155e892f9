"""The first nine steps of a verification: is the quote genuine, the answer to this challenge, and recent?

Each step is a function of what the steps before it have established, and ends with a refusal or returns the
same with one thing more that the later steps may rely on. The type of what it takes says what that is. A step
must never catch a refusal, and never look at whether the platform is a good one: that is appraisal, and comes
last.

Sources: TCG TPM 2.0 Library Part 1 (timing components, PCR operations), Part 2 (10.11.1, 10.12), Part 3
(TPM2_Quote, TPM2_Startup); TCG PC Client Platform Firmware Profile 1.05 (PFP).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias, TypeVar

from harness.attest.evidence import Evidence, RefusedError
from harness.attest.identity.enrolled import EnrolledKey
from harness.attest.logs.eventlog import EventLog
from harness.attest.logs.ima import Followed, ImaEntry, ImaState
from harness.attest.reasons import Reason
from harness.attest.reference.policy import BANK_BYTES
from harness.attest.tpm.algorithms import BANK_ALG, Alg
from harness.attest.tpm.keys import SCHEMES, AttestationKey
from harness.attest.tpm.structures import (
    GENERATED,
    QUOTE,
    Attest,
    ClockInfo,
    Signature,
    name_of,
    parse_attest,
    parse_signature,
)
from harness.attest.verify.memory import AppraisalWarning
from harness.attest.verify.question import Question

MIN_NONCE_BYTES: Final = 16
FIRMWARE: Final = "firmware-version"
"""How the version of the TPM's firmware is named among what was checked."""

Boot: TypeAlias = Literal["first", "same", "resume", "reboot"]
"""What lies between the last accepted quote and this one: nothing is known, no boot, a resume, a boot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a verification begins with.

    Attributes:
        evidence: What came.
        question: What it is judged by.
    """

    evidence: Evidence
    question: Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed(Asked):
    """After step 1: the evidence can be read.

    Attributes:
        attest: The quote.
        signature: Its signature.
    """

    attest: Attest
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed(Parsed):
    """After step 3: it is known which key should have signed.

    Attributes:
        enrolled: The key.
        key: The same, loaded.
    """

    enrolled: EnrolledKey
    key: AttestationKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected(Keyed):
    """After step 7: the quote answers this challenge.

    Attributes:
        selection: The signed PCRs, rising.
    """

    selection: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Valued(Selected):
    """After step 8: the PCR values are those that were signed.

    Attributes:
        pcrs: The values of the signed PCRs; no other PCR is ever used.
    """

    pcrs: Mapping[int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenuineQuote(Valued):
    """After step 9: the quote is genuine and recent; steps 10 to 12 add what they find to it.

    Attributes:
        boot: Where the quote stands after the last one (step 9).
        log: The event log, where it is checked (step 10).
        led: The signed PCRs that it leads to; events of others are the sender's word (step 10).
        ima: How far the IMA list goes, where it is checked (step 11).
        entries: The IMA entries that the quote vouches for and that are new (step 11).
        followed: The PCRs other than 10 that the IMA list has entries of (step 11).
        ahead: Entries behind them, which the quote does not cover (step 11).
        carried: Warnings about entries that were judged before (step 11), then about all of them (step 12).
        pinned: The PCRs whose whole value is a reference value (step 12).
        warnings: What the policy lets pass with a warning (steps 9 and 12).
        checked: What was held against reference values (steps 9 and 12).
        unchecked: What the reference values have nothing for (steps 9 and 12).
    """

    boot: Boot
    log: EventLog | None = None
    led: frozenset[int] = frozenset()
    ima: ImaState | None = None
    entries: tuple[ImaEntry, ...] = ()
    followed: Followed | None = None
    ahead: int = 0
    carried: tuple[AppraisalWarning, ...] = ()
    pinned: frozenset[int] = frozenset()
    warnings: tuple[AppraisalWarning, ...] = ()
    checked: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


_Next = TypeVar("_Next", bound=Asked)


def _with(work: Asked, kind: type[_Next], **established: object) -> _Next:
    """The value of a later phase: all that `work` has, and what a step has established."""
    known: dict[str, Any] = {one.name: getattr(work, one.name) for one in fields(work)}
    return kind(**(known | established))


@lru_cache(maxsize=16_384)
def _loaded(public: bytes) -> AttestationKey:
    """The key of a TPMT_PUBLIC; remembered, as loading one costs about as much as using it."""
    return AttestationKey.from_public(public)


def structure(work: Asked) -> Parsed:
    """Step 1: nothing is larger than the policy allows; quote and signature are read to their last byte."""
    limits, evidence = work.question.policy.limits, work.evidence
    excerpt = evidence.ima
    sizes = (
        ("quote", len(evidence.attest), limits.attest_bytes),
        ("signature", len(evidence.signature), limits.signature_bytes),
        ("event log", len(evidence.event_log or b""), limits.event_log_bytes),
        ("IMA list", len(excerpt.data) if excerpt else 0, limits.ima_bytes),
    )
    for what, size_bytes, limit_bytes in sizes:
        if size_bytes > limit_bytes:
            raise RefusedError(
                Reason.SIZE_LIMIT, f"the {what} has {size_bytes} bytes, the policy allows {limit_bytes}"
            )
    attest, signed = parse_attest(evidence.attest), parse_signature(evidence.signature)
    return _with(work, Parsed, attest=attest, signature=signed)


def scheme(work: Parsed) -> Parsed:
    """Step 2: scheme and hash are allowed, and are the enrolled key's own.

    Where no key is enrolled there is nothing to compare with, and step 3 ends it.
    """
    signature, policy, enrolled = work.signature, work.question.policy, work.question.key
    if not any(signature.scheme in SCHEMES[kind] for kind in policy.keys):
        raise RefusedError(
            Reason.SCHEME_NOT_ALLOWED,
            f"scheme {signature.scheme:#06x}; allowed are keys of {', '.join(policy.keys)}",
        )
    if signature.hash_alg != Alg.SHA256:
        raise RefusedError(Reason.HASH_NOT_ALLOWED, f"hash {signature.hash_alg:#06x}; only SHA-256 is")
    if enrolled is not None and signature.scheme != _loaded(enrolled.public).scheme:
        raise RefusedError(Reason.SCHEME_MISMATCH, f"scheme {signature.scheme:#06x} is not the key's own")
    return work


def key(work: Parsed) -> Keyed:
    """Step 3: the key is the enrolled one, is not revoked, and can sign only what its TPM made."""
    enrolled = work.question.key
    if enrolled is None:
        raise RefusedError(Reason.KEY_UNKNOWN, "no key of this attester is enrolled")
    if enrolled.kind != work.evidence.key:
        raise RefusedError(
            Reason.KEY_UNKNOWN,
            f"the attester signed with its {work.evidence.key} key, enrolled is {enrolled.kind}",
        )
    if name_of(enrolled.public) != enrolled.name:
        raise RefusedError(Reason.KEY_UNKNOWN, "the enrolled name is not that of the enrolled key")
    if enrolled.revoked:
        raise RefusedError(Reason.KEY_REVOKED, f"the {enrolled.kind} key of {enrolled.attester} was revoked")
    loaded = _loaded(enrolled.public)
    if not loaded.attributes_ok:
        raise RefusedError(
            Reason.KEY_ATTRIBUTES,
            f"attributes {loaded.attributes:#010x}: not a restricted signing key that only its TPM can have",
        )
    return _with(work, Keyed, enrolled=enrolled, key=loaded)


def signature(work: Keyed) -> Keyed:
    """Step 4: the signature is the key's over the bytes as they came."""
    if not work.key.verify(work.signature, work.evidence.attest):
        raise RefusedError(
            Reason.SIGNATURE_INVALID, "the signature is not the enrolled key's over this quote"
        )
    return work


def origin(work: Keyed) -> Keyed:
    """Step 5: a TPM made it, it is a quote, and the key is where it was enrolled in its hierarchy."""
    attest = work.attest
    if attest.magic != GENERATED:
        raise RefusedError(Reason.NOT_TPM_GENERATED, f"it starts with {attest.magic:#010x}")
    if attest.type != QUOTE or attest.selections is None:
        raise RefusedError(Reason.NOT_A_QUOTE, f"it is of type {attest.type:#06x}")
    if attest.qualified_signer != work.enrolled.qualified_name:
        raise RefusedError(Reason.QUALIFIED_SIGNER, "it names another key, or the key in another hierarchy")
    return work


def freshness(work: Keyed) -> Keyed:
    """Step 6: it answers this challenge, which was not answered before and has not expired.

    The nonce is compared before anything about the challenge, so that an old quote reads as one.
    """
    challenge, now_ns = work.question.challenge, work.question.now_ns
    if len(challenge.nonce) < MIN_NONCE_BYTES:
        raise RefusedError(
            Reason.NONCE_SHORT, f"{len(challenge.nonce)} bytes; at least {MIN_NONCE_BYTES} are wanted"
        )
    if not hmac.compare_digest(work.attest.extra_data, challenge.nonce):
        raise RefusedError(Reason.NONCE_MISMATCH, "it answers another challenge")
    if challenge.used:
        raise RefusedError(Reason.NONCE_REUSED, "the challenge was answered before")
    if now_ns > challenge.expires_ns:
        raise RefusedError(
            Reason.NONCE_EXPIRED, f"the challenge expired {(now_ns - challenge.expires_ns) / 1e9:.3f} s ago"
        )
    if now_ns < challenge.issued_ns:
        raise RefusedError(
            Reason.NONCE_EXPIRED, "the challenge is of another clock: it was issued in the future"
        )
    return work


def selection(work: Keyed) -> Selected:
    """Step 7: what was signed is the selection that was asked for, of that bank, and is not empty.

    A bank that is not allocated yields a valid signature over an empty selection (Part 3, TPM2_Quote).
    """
    challenge, policy = work.question.challenge, work.question.policy
    signed = work.attest.selections or ()
    if not any(one.pcrs for one in signed):
        raise RefusedError(
            Reason.SELECTION_EMPTY, f"no PCR is signed; is the {challenge.bank} bank allocated?"
        )
    if len(signed) != 1:
        raise RefusedError(
            Reason.SELECTION_MISMATCH, f"{len(signed)} selections are signed, one was asked for"
        )
    if signed[0].hash_alg != BANK_ALG[challenge.bank]:
        raise RefusedError(
            Reason.BANK_MISMATCH, f"bank {signed[0].hash_alg:#06x}; {challenge.bank} was asked for"
        )
    if work.evidence.bank != challenge.bank:
        raise RefusedError(
            Reason.BANK_MISMATCH, f"values of {work.evidence.bank} next to a quote of {challenge.bank}"
        )
    if policy.bank != challenge.bank:
        raise RefusedError(
            Reason.BANK_MISMATCH, f"{challenge.bank} was asked for; the policy wants {policy.bank}"
        )
    if signed[0].pcrs != tuple(sorted(challenge.pcrs)):
        raise RefusedError(
            Reason.SELECTION_MISMATCH,
            f"PCRs {signed[0].pcrs} are signed, {tuple(challenge.pcrs)} were asked for",
        )
    if not set(policy.pcrs) <= set(signed[0].pcrs):
        raise RefusedError(
            Reason.SELECTION_MISMATCH, f"PCRs {signed[0].pcrs} are signed, the policy wants {policy.pcrs}"
        )
    return _with(work, Selected, selection=signed[0].pcrs)


def values(work: Selected) -> Valued:
    """Step 8: the values are those that were signed, one for each PCR of the selection and for no other.

    Each has its bank's size: two values could else be cut differently and still give the same digest.
    """
    sent, size_bytes = work.evidence.pcrs, BANK_BYTES[work.question.challenge.bank]
    outside = sorted(set(sent) - set(work.selection))
    if outside:
        raise RefusedError(Reason.PCR_OUTSIDE_SELECTION, f"values of PCRs {outside}, which were not signed")
    missing = sorted(set(work.selection) - set(sent))
    if missing:
        raise RefusedError(Reason.PCR_MISSING, f"no values of PCRs {missing}")
    odd = [index for index in work.selection if len(sent[index]) != size_bytes]
    if odd:
        raise RefusedError(Reason.PCR_DIGEST, f"PCRs {odd} have no values of {size_bytes} bytes")
    # The digest is by the hash that the key signs with, whatever the bank (Part 3, TPM2_Quote).
    digest = hashlib.sha256(b"".join(sent[index] for index in work.selection)).digest()
    if digest != work.attest.pcr_digest:
        raise RefusedError(Reason.PCR_DIGEST, "the values are not those that were signed")
    return _with(work, Valued, pcrs={index: sent[index] for index in work.selection})


def clock(work: Valued) -> GenuineQuote:
    """Step 9: the TPM has gone forward since the last accepted quote, its clock is safe, its firmware known.

    A TPM that lost power without a shutdown may take up its clock at an earlier value, and says so by `safe`
    until it has caught up (Part 2, 10.11.1); where it says yes no later clock was ever reported.
    """
    question, now, memory = work.question, work.attest.clock, work.question.memory
    boot: Boot = "first" if memory is None else _boot(now, memory.clock)
    warnings: tuple[AppraisalWarning, ...] = ()
    if not now.safe:
        why = "the TPM lost power without a shutdown: a later time may have been reported before"
        if question.policy.clock_unsafe == "refuse":
            raise RefusedError(Reason.CLOCK_NOT_SAFE, why)
        warnings = (AppraisalWarning(reason=Reason.CLOCK_NOT_SAFE, why=why),)
    version, known = work.attest.firmware_version, question.reference.firmware_versions
    if known and f"{version:016x}" not in known:
        raise RefusedError(Reason.FIRMWARE_VERSION, f"the TPM's firmware is {version:016x}")
    if memory is not None and boot == "same" and version != memory.firmware_version:
        raise RefusedError(
            Reason.FIRMWARE_VERSION, f"the TPM's firmware became {version:016x} without a reset"
        )
    checked, unchecked = ((FIRMWARE,), ()) if known else ((), (FIRMWARE,))
    return _with(work, GenuineQuote, boot=boot, warnings=warnings, checked=checked, unchecked=unchecked)


def _boot(now: ClockInfo, last: ClockInfo) -> Boot:
    """What happened since `last`.

    After TPM2_Shutdown(STATE) a start counts as a restart, not as a reset, whether it resumes or boots (Part
    3, TPM2_Startup): a boot after a suspend may look like a resume here, and its logs start again.

    Raises:
        RefusedError: The counters or the clock went backwards.
    """
    if now.reset_count < last.reset_count:
        raise RefusedError(
            Reason.RESET_BACKWARDS, f"resets went from {last.reset_count} to {now.reset_count}"
        )
    if now.reset_count > last.reset_count:
        if now.safe and now.clock_ms < last.clock_ms:
            raise RefusedError(
                Reason.CLOCK_BACKWARDS,
                f"{last.clock_ms} ms before the boot, {now.clock_ms} ms after it, said to be safe",
            )
        return "reboot"
    if now.restart_count < last.restart_count:
        raise RefusedError(
            Reason.RESTART_INCONSISTENT,
            f"restarts went from {last.restart_count} to {now.restart_count} without a reset",
        )
    if now.clock_ms <= last.clock_ms:
        raise RefusedError(
            Reason.CLOCK_BACKWARDS, f"the clock went from {last.clock_ms} to {now.clock_ms} ms"
        )
    return "same" if now.restart_count == last.restart_count else "resume"
