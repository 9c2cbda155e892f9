"""Evidence becomes a statement about a machine here, or a refusal with its code; nowhere else.

Twelve steps run in a fixed order and the first error ends it (fail closed). Everything that decides is in the
question, so that the same evidence and the same question give the same result; no clock is read but `tick`,
which times the steps. No caller gets to know a platform's state before all evidence was found genuine.

An exception that is no refusal is a mistake of this program: it is raised as it is, and the caller has no
result then, which is not a good one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from harness.attest.evidence import Evidence, RefusedError
from harness.attest.reasons import Reason, Tier, tier_of
from harness.attest.reference.policy import ima_basis
from harness.attest.result import AttestationResult, refused_vector
from harness.attest.verify import appraisal_step, log_steps
from harness.attest.verify import quote_steps as steps
from harness.attest.verify.appraisal_step import claims, trust
from harness.attest.verify.memory import Memory
from harness.attest.verify.question import Question
from harness.attest.verify.quote_steps import Asked, GenuineQuote
from harness.clock import NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the verification.

    Attributes:
        number: Its place among the steps, from 1.
        name: What it checks.
        parts: What it does, in this order: each takes what the one before it returned, the first what the
            step before returned.
    """

    number: int
    name: str
    parts: tuple[Callable[[Any], Any], ...]

    def run(self, work: Asked) -> tuple[Any, RefusedError | None]:
        """What is established afterwards, and the refusal that ended the step; None where it passed.

        Args:
            work: What the steps before have established, one of the values of
                :mod:`harness.attest.verify.quote_steps`.
        """
        for part in self.parts:
            try:
                work = part(work)
            except RefusedError as error:
                return work, error
        return work, None


STEPS: Final[tuple[Step, ...]] = tuple(
    Step(number=number, name=name, parts=parts)
    for number, (name, parts) in enumerate(
        (
            ("structure", (steps.structure,)),
            ("scheme", (steps.scheme,)),
            ("key", (steps.key,)),
            ("signature", (steps.signature,)),
            ("origin", (steps.origin,)),
            ("freshness", (steps.freshness,)),
            ("selection", (steps.selection,)),
            ("values", (steps.values,)),
            ("clock", (steps.clock,)),
            ("event-log", (log_steps.event_log,)),
            ("ima", (log_steps.ima_list,)),
            ("appraisal", appraisal_step.PARTS),
        ),
        start=1,
    )
)
"""The order is part of the method: what comes first protects what comes later."""

GENUINE: Final = 11
"""After this step the evidence is known to be the platform's own, whatever it says."""


@dataclass(frozen=True, slots=True)
class StepTime:
    """How long one step took, in ns of `tick`."""

    number: int
    name: str
    ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What came of verifying one answer.

    Attributes:
        result: What may be passed on.
        steps: Every step that ran, the one that refused last.
        memory: What to keep of the attester; None where the evidence was not accepted.
    """

    result: AttestationResult
    steps: tuple[StepTime, ...]
    memory: Memory | None

    @property
    def accepted(self) -> bool:
        """Whether every step passed, be it with warnings."""
        return self.memory is not None


def verify(evidence: Evidence, question: Question, *, tick: Callable[[], int]) -> Verification:
    """Judge an answer by a question.

    Args:
        evidence: What came; nothing of it is believed.
        question: All that it is judged by.
        tick: Any clock, in ns, that never steps; only differences of it are used.

    Returns:
        A result for every evidence, however broken. It was generated when the steps had run, so
        ``question.now_ns`` later by what they took.
    """
    work: Any = Asked(evidence=evidence, question=question)
    times: list[StepTime] = []
    refused: RefusedError | None = None
    begin_ns = last_ns = tick()
    for step in STEPS:
        work, refused = step.run(work)
        now_ns = tick()
        times.append(StepTime(step.number, step.name, now_ns - last_ns))
        last_ns = now_ns
        if refused is not None:
            break
    genuine = refused is None or times[-1].number > GENUINE
    said = _passed(work) if refused is None else _refused(refused)
    generated_ns = question.now_ns + last_ns - begin_ns
    result = AttestationResult(
        attester=question.key.attester if question.key is not None else "",
        key=evidence.key,
        tier=said.tier,
        reason=said.reason,
        detail=said.detail,
        claims=claims(work) if genuine else {},
        vector=said.vector,
        policy=question.policy.name,
        generated_ns=generated_ns,
        expires_ns=generated_ns + round(question.policy.result_lifetime_s * NS_PER_S),
    )
    return Verification(result=result, steps=tuple(times), memory=_kept(work) if refused is None else None)


class _Said(NamedTuple):
    """What a result says of the evidence; the fields are those of :class:`AttestationResult`."""

    tier: Tier
    reason: Reason
    detail: str
    vector: Mapping[str, int]


def _passed(work: GenuineQuote) -> _Said:
    if work.warnings:
        first = work.warnings[0]
        return _Said(Tier.WARNING, first.reason, first.why, trust(work))
    return _Said(Tier.AFFIRMING, Reason.ACCEPTED, "", trust(work))


def _refused(refused: RefusedError) -> _Said:
    return _Said(tier_of(refused.reason), refused.reason, refused.why, refused_vector(refused.reason))


def _kept(work: GenuineQuote) -> Memory:
    """What is known of the attester from now on."""
    return Memory(
        clock=work.attest.clock,
        firmware_version=work.attest.firmware_version,
        ima=work.ima,
        basis=ima_basis(work.question.policy, work.question.reference),
        findings=work.carried,
    )
