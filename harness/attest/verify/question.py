"""What a verifier is asked: is this evidence an answer to that challenge, from that key, on that platform?

A question holds everything that evidence is judged by, so that verifying is a function of two values. Whoever
asks it gets every part from the registry or from files, and never from the attester.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from harness.attest.attester.bounds import evidence_bytes
from harness.attest.attester.contract import Ask
from harness.attest.evidence import KeyType
from harness.attest.identity.enrolled import EnrolledKey
from harness.attest.reference.policy import AppraisalPolicy, ReferenceValues, ima_basis
from harness.attest.verify.memory import Memory
from harness.clock import NS_PER_S

NONCE_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge(Ask):
    """What an attester was asked, and until when its answer counts.

    The nonce has at least 16 random bytes, or is the hash that binds a guest's quote to its host.

    Attributes:
        issued_ns: When it was made, on the clock of :attr:`Question.now_ns`.
        expires_ns: The last moment at which an answer counts.
        used: Whether an answer to it was judged before.
    """

    issued_ns: int
    expires_ns: int
    used: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """All that evidence is judged by.

    Attributes:
        key: The enrolled key that should have signed; None where none is enrolled.
        challenge: What was asked.
        memory: What was accepted last of this key; None for the first time.
        reference: Known-good values.
        policy: What is checked.
        now_ns: The moment at which it is judged.
        software_tpm: Whether the key lives in a TPM in software, as enrolment found.
        held: Whether the attester was found contraindicated and not enrolled again since.
    """

    key: EnrolledKey | None
    challenge: Challenge
    memory: Memory | None
    reference: ReferenceValues
    policy: AppraisalPolicy
    now_ns: int
    software_tpm: bool
    held: bool


def challenge(
    key: KeyType,
    policy: AppraisalPolicy,
    reference: ReferenceValues,
    *,
    memory: Memory | None,
    now_ns: int,
    nonce: bytes | None = None,
) -> Challenge:
    """The question that evidence has to answer for `policy` to judge it.

    Args:
        key: The key that is to sign.
        policy: What is going to be checked, and how long the nonce lives.
        reference: What it is going to be checked by.
        memory: What was accepted last of the key; None to ask for everything.
        now_ns: The moment, on the clock of :attr:`Question.now_ns`.
        nonce: What is to be signed; None for fresh random bytes.
    """
    return Challenge(
        key=key,
        nonce=secrets.token_bytes(NONCE_BYTES) if nonce is None else nonce,
        pcrs=tuple(policy.pcrs),
        bank=policy.bank,
        ima_from=ima_from(memory, policy, reference),
        event_log=policy.require.event_log == "check",
        limit_bytes=evidence_bytes(
            event_log_bytes=policy.limits.event_log_bytes, ima_bytes=policy.limits.ima_bytes
        ),
        issued_ns=now_ns,
        expires_ns=now_ns + round(policy.nonce_lifetime_s * NS_PER_S),
    )


def ima_from(memory: Memory | None, policy: AppraisalPolicy, reference: ReferenceValues) -> int | None:
    """The first IMA entry to ask an attester for: None where the list is not checked, 0 for all of it.

    Entries that are known are left out only where they were judged by the same policy and reference values.
    An attester that has booted since cannot answer such a question (``ima-gap``): ask it again for all.
    """
    if policy.require.ima == "ignore":
        return None
    if memory is None or memory.ima is None or memory.basis != ima_basis(policy, reference):
        return 0
    return memory.ima.entries
