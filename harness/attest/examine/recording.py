"""Evidence good enough to learn reference values from: genuine and fresh, though nothing is known of it yet.

Whoever records vouches for the platform; what is made sure here is only that the values are this platform's
own, now. Nothing is stored in the registry: a platform that differs from older reference values is no offence
while new ones are taken.
"""

from __future__ import annotations

import secrets

from harness.attest.attester.contract import Ask, Attester
from harness.attest.evidence import Evidence, KeyType, RefusedError
from harness.attest.examine.round import NONCE_BYTES, as_enrolled
from harness.attest.identity.ports import Identities
from harness.attest.reasons import Reason
from harness.attest.reference.policy import AppraisalPolicy, ReferenceValues
from harness.attest.verify.question import Challenge, Question
from harness.attest.verify.verifier import GENUINE, verify
from harness.clock import NS_PER_S, Clock


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
    now_ns = clock.now_ns()
    challenge = Challenge(
        nonce=secrets.token_bytes(NONCE_BYTES),
        bank=policy.bank,
        pcrs=tuple(policy.pcrs),
        issued_ns=now_ns,
        expires_ns=now_ns + round(policy.nonce_lifetime_s * NS_PER_S),
        used=False,
        ima_from=None if policy.require.ima == "ignore" else 0,
    )
    ask = Ask(
        key=key,
        nonce=challenge.nonce,
        pcrs=challenge.pcrs,
        bank=challenge.bank,
        ima_from=challenge.ima_from,
        event_log=policy.require.event_log == "check",
    )
    evidence = attester.quote(ask).evidence
    question = Question(
        key=as_enrolled(known),
        challenge=challenge,
        memory=None,
        reference=ReferenceValues(version=1),
        policy=policy,
        now_ns=clock.now_ns(),
        software_tpm=record.tpm.software,
        held=record.held,
    )
    verification = verify(evidence, question, tick=clock.now_ns)
    if verification.steps[-1].number <= GENUINE:
        raise RefusedError(verification.result.reason, verification.result.detail, where=name)
    return evidence
