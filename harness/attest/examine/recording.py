"""Evidence good enough to learn reference values from: genuine and fresh, though nothing is known of it yet.

The operator who records vouches for the platform. Here only one thing is checked: the values are this
platform's own, now. Nothing is stored in the registry: while new reference values are taken, a platform that
differs from older ones is not at fault.
"""

from __future__ import annotations

from harness.attest.attester.contract import Attester
from harness.attest.evidence import Evidence, KeyType, RefusedError
from harness.attest.identity.ports import Identities
from harness.attest.reasons import Reason
from harness.attest.reference.policy import AppraisalPolicy, ReferenceValues
from harness.attest.verify.question import Question, challenge
from harness.attest.verify.verifier import GENUINE, verify
from harness.clock import Clock


def genuine(
    attester: Attester,
    registry: Identities,
    name: str,
    *,
    key: KeyType,
    policy: AppraisalPolicy,
    clock: Clock,
) -> Evidence:
    """Fresh evidence of `name`, with whole logs, that passed every step of the verification but appraisal.

    Raises:
        RefusedError: With the step's code; ``not-enrolled`` where there is no such key.
        AttesterError: The attester does not answer.
        RegistryError: The registry does not answer.
    """
    known, record = registry.key(name, key), registry.attester(name)
    if known is None or record is None:
        raise RefusedError(
            Reason.NOT_ENROLLED, f"{name} has no key of type {key}", remedy=f"sodbench attest enrol {name}"
        )
    nothing = ReferenceValues(version=1)
    asked = challenge(key, policy, nothing, memory=None, now_ns=clock.now_ns())
    evidence = attester.quote(asked).evidence
    question = Question(
        key=known,
        challenge=asked,
        memory=None,
        reference=nothing,
        policy=policy,
        now_ns=clock.now_ns(),
        software_tpm=record.tpm.software,
        held=record.held,
    )
    verification = verify(evidence, question, tick=clock.now_ns)
    if verification.steps[-1].number <= GENUINE:
        raise RefusedError(verification.result.reason, verification.result.detail, where=name)
    return evidence
