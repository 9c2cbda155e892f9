"""What a verifier is asked: is this evidence an answer to that challenge, from that key, on that platform?

A question holds everything that evidence is judged by, so that verifying is a function of two values. Whoever
asks it gets every part from the registry or from files, and never from the attester.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.attest.evidence import Bank, KeyType
from harness.attest.reference.policy import AppraisalPolicy, ReferenceValues, ima_basis
from harness.attest.verify.memory import Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What an attester was asked to sign.

    Attributes:
        nonce: At least 16 random bytes, or the hash that binds a guest's quote to its host.
        bank: The PCR bank.
        pcrs: The PCRs, in any order.
        issued_ns: When it was made, on the clock of :attr:`Question.now_ns`.
        expires_ns: The last moment at which an answer counts.
        used: Whether an answer to it was judged before.
        ima_from: The IMA entry from which the list was asked for; None where it was not.
    """

    nonce: bytes
    bank: Bank
    pcrs: tuple[int, ...]
    issued_ns: int
    expires_ns: int
    used: bool
    ima_from: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledKey:
    """An attestation key as it was enrolled.

    Attributes:
        attester: Whose key it is.
        kind: Its type.
        public: TPMT_PUBLIC, without a size before it.
        name: Its Name.
        qualified_name: Its qualified name, which says the hierarchy too.
        revoked: Whether it was taken back.
    """

    attester: str
    kind: KeyType
    public: bytes
    name: bytes
    qualified_name: bytes
    revoked: bool = False


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
        held: Whether the attester was found contraindicated and not enrolled anew since.
    """

    key: EnrolledKey | None
    challenge: Challenge
    memory: Memory | None
    reference: ReferenceValues
    policy: AppraisalPolicy
    now_ns: int
    software_tpm: bool
    held: bool


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
