"""One attestation from its nonce to its place in the registry, with a stamp at each event of RFC 9334.

This is the one way in which the command line, the trust monitor and a campaign attest: challenge, ask,
verify, record. It decides nothing: the verifier does, and the registry keeps what it decided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from harness.attest.attester.contract import Attester, AttesterError
from harness.attest.evidence import Evidence, KeyType, RefusedError
from harness.attest.examine.outcome import Asked, LinkedRound, Round, Stamps
from harness.attest.guest.binding import Linkage, Proved, host_nonce, verify_linked
from harness.attest.identity.enrolled import EnrolledKey
from harness.attest.identity.ports import Findings
from harness.attest.reasons import Reason, tier_of
from harness.attest.reference.policy import AppraisalPolicy, ReferenceValues
from harness.attest.result import AttestationResult
from harness.attest.tpm.structures import parse_attest
from harness.attest.verify.memory import Memory
from harness.attest.verify.question import Challenge, Question, challenge
from harness.attest.verify.verifier import Verification, verify
from harness.clock import Clock
from harness.instant import Instant
from harness.json_types import Json

_OUTRUN = "another verifier, or a change of the enrolment, was first"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the registry knows of who is to be asked; no key where it has none of that type."""

    key: EnrolledKey | None
    memory: Memory | None
    version: int
    held: bool
    software_tpm: bool


class Examiner:
    """Attests the machines enrolled in `registry`.

    Args:
        registry: Who is enrolled, what was accepted last, and where results go.
        policy_for: A name to its appraisal policy.
        reference_for: A name to its reference values.
        clock: The controller's clock.
    """

    def __init__(
        self,
        registry: Findings,
        policy_for: Callable[[str], AppraisalPolicy],
        reference_for: Callable[[str], ReferenceValues],
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._policy_for = policy_for
        self._reference_for = reference_for
        self._clock = clock

    def examine(self, name: str, attester: Attester, *, key: KeyType) -> Round:
        """One whole round with a fresh nonce. A refusal or a silence is a round, not an exception.

        The nonce never leaves this call, so its single use needs no registry.

        Raises:
            RegistryError: The registry does not answer; then nothing is known.
        """
        return self._round(name, attester, key)

    def examine_linked(
        self,
        guest: tuple[str, Attester],
        host: tuple[str, Attester],
        *,
        key: KeyType,
        vm_uuid: str,
        epoch: int,
    ) -> LinkedRound:
        """A guest and the host it should be on, by two quotes of which the second is over the first.

        Raises:
            RegistryError: The registry does not answer.
        """
        first = self._round(guest[0], guest[1], key)
        if first.proof is None or first.proof.key is None or first.challenge is None:
            return LinkedRound(guest=first, host=None, linked=None, checked_ns=self._clock.now_ns())
        nonce, vak = first.challenge.nonce, first.proof.key.name
        over = host_nonce(nonce, first.proof.evidence.attest, vak, vm_uuid, host[0], epoch)
        second = self._round(host[0], host[1], key, over)
        linked = None
        if second.proof is not None:
            linkage = Linkage(
                nonce=nonce, vak_name=vak, guest=guest[0], vm_uuid=vm_uuid, host_id=host[0], epoch=epoch
            )
            linked = verify_linked(first.proof, second.proof, linkage)
        return LinkedRound(guest=first, host=second, linked=linked, checked_ns=self._clock.now_ns())

    def ask(self, name: str, attester: Attester, *, key: KeyType) -> Asked:
        """A challenge that the registry keeps, and the answer to it; :meth:`judge` takes it from there.

        Raises:
            AttesterError: The attester does not answer.
            RefusedError: ``not-enrolled``: the registry does not know `name`.
            RegistryError: The registry does not answer.
        """
        memory = self._known(name, key).memory
        asked = self._challenge(name, key, memory)
        now = self._registry.now()
        lifetime_ns = asked.expires_ns - asked.issued_ns
        self._registry.issue(asked.nonce, attester=name, issued=now, expires=now.later(lifetime_ns))
        return Asked(name=name, challenge=asked, answer=attester.quote(asked))

    def judge(self, name: str, asked: Challenge, evidence: Evidence) -> Round:
        """The verdict on evidence that was asked for earlier, maybe by another process.

        Only what is accepted is stored. A carrier of the evidence can have altered it, or answered
        first, so that a refusal says nothing of the machine: it is held by what it answers itself.

        Raises:
            RefusedError: With the code of the check that refused it; nothing is stored but that the nonce was
                used.
            RegistryError: The registry does not answer.
        """
        now_ns = self._clock.now_ns()
        if not self._registry.consume(asked.nonce):
            raise _no_verdict(name, Reason.NONCE_REUSED, "an answer to it was judged before")
        if self._overtaken(name, asked):
            raise _no_verdict(name, Reason.STATE_CONFLICT, "newer evidence was judged since the question")
        known = self._known(name, evidence.key)
        done, generated_ns = self._verified(name, asked, evidence, known)
        if not done.accepted or known.key is None:
            raise _no_verdict(name, done.result.reason, done.result.detail)
        if not self._accepted(name, done, known, known.key, self._registry.now()):
            raise _no_verdict(name, Reason.STATE_CONFLICT, _OUTRUN)
        return self._round_of(
            name, asked, evidence, known, done, (asked.issued_ns, now_ns, generated_ns, self._clock.now_ns())
        )

    def _overtaken(self, name: str, asked: Challenge) -> bool:
        latest, now = self._registry.latest(name), self._registry.now()
        if latest is None or latest.generated.boot_id != now.boot_id:
            return False
        return latest.generated.monotonic_ns > asked.issued_ns

    def _round(self, name: str, attester: Attester, key: KeyType, nonce: bytes | None = None) -> Round:
        """A round over `nonce`, or over one of its own."""
        known = self._known(name, key)
        begin_ns, memory = self._clock.now_ns(), known.memory
        if known.key is None:
            why = f"{name} is not enrolled with a key of type {key}"
            return self._silent(name, key, begin_ns, Reason.NOT_ENROLLED, why)
        asked = self._challenge(name, key, memory, nonce)
        try:
            answer = attester.quote(asked)
            if memory is not None and _began_anew(memory, asked, answer.evidence):
                # A tail was asked for and the machine has a new list: the whole of it is another question.
                asked = self._challenge(name, key, None, nonce)
                answer = attester.quote(asked)
        except AttesterError as error:
            return self._silent(name, key, asked.issued_ns, error.reason, error.summary, asked)
        return self._judged(
            name, asked, answer.evidence, known, sent_ns=answer.sent_ns, received_ns=answer.received_ns
        )

    def _judged(
        self,
        name: str,
        asked: Challenge,
        evidence: Evidence,
        known: _Known,
        *,
        sent_ns: int,
        received_ns: int,
    ) -> Round:
        """The verdict, stored, by what was `known` when the question was asked.

        What another verifier has accepted since is newer than this evidence, which is no fault of the
        machine: the registry then takes nothing, and nothing of a machine that was held or revoked since.
        """
        verification, generated_ns = self._verified(name, asked, evidence, known)
        verification = self._kept(name, verification, known)
        stamps = (sent_ns, received_ns, generated_ns, self._clock.now_ns())
        return self._round_of(name, asked, evidence, known, verification, stamps)

    def _verified(
        self, name: str, asked: Challenge, evidence: Evidence, known: _Known
    ) -> tuple[Verification, int]:
        """What the verifier says, stored nowhere yet, and when it had said it."""
        question = Question(
            key=known.key,
            challenge=asked,
            memory=known.memory,
            reference=self._reference_for(name),
            policy=self._policy_for(name),
            now_ns=self._clock.now_ns(),
            software_tpm=known.software_tpm,
            held=known.held,
        )
        return verify(evidence, question, tick=self._clock.now_ns), self._clock.now_ns()

    def _round_of(
        self,
        name: str,
        asked: Challenge,
        evidence: Evidence,
        known: _Known,
        verification: Verification,
        stamps_ns: tuple[int, int, int, int],
    ) -> Round:
        sent_ns, received_ns, generated_ns, relayed_ns = stamps_ns
        return Round(
            name=name,
            key=evidence.key,
            result=verification.result,
            steps=verification.steps,
            stamps=Stamps(
                ns=sent_ns, er=received_ns, rg=generated_ns, rr=relayed_ns, ra=self._clock.now_ns()
            ),
            challenge=asked,
            proof=Proved(evidence=evidence, verification=verification, key=known.key),
        )

    def _kept(self, name: str, verification: Verification, known: _Known) -> Verification:
        """The verification as the registry took it; where another verifier was first, nothing is accepted."""
        result = verification.result
        if verification.memory is None or known.key is None:
            judged_by = None if known.key is None else known.key.name
            self._registry.record(_row(result, name), generated=self._registry.now(), judged_by=judged_by)
            return verification
        generated = self._registry.now()
        if self._accepted(name, verification, known, known.key, generated):
            return verification
        conflict = self._unknown(name, result.key, Reason.STATE_CONFLICT, f"{_OUTRUN}: ask again")
        self._registry.record(_row(conflict, name), generated=generated)
        return replace(verification, result=conflict, memory=None)

    def _accepted(
        self, name: str, verification: Verification, known: _Known, key: EnrolledKey, generated: Instant
    ) -> bool:
        """Store a result with the memory it leaves; False where something changed since it was asked."""
        result, memory = verification.result, verification.memory
        return memory is not None and self._registry.accept(
            _row(result, name),
            key_name=key.name,
            memory=memory.to_json(),
            version=known.version,
            generated=generated,
            expires=generated.later(max(0, result.expires_ns - result.generated_ns)),
        )

    def _silent(
        self,
        name: str,
        key: KeyType,
        sent_ns: int,
        reason: Reason,
        why: str,
        asked: Challenge | None = None,
    ) -> Round:
        result = self._unknown(name, key, reason, why)
        generated_ns = self._clock.now_ns()
        self._registry.record(_row(result, name), generated=self._registry.now())
        relayed_ns = self._clock.now_ns()
        return Round(
            name=name,
            key=key,
            result=result,
            steps=(),
            stamps=Stamps(ns=sent_ns, er=None, rg=generated_ns, rr=relayed_ns, ra=self._clock.now_ns()),
            challenge=asked,
            proof=None,
        )

    def _unknown(self, name: str, key: KeyType, reason: Reason, why: str) -> AttestationResult:
        now_ns = self._clock.now_ns()
        return AttestationResult(
            attester=name,
            key=key,
            tier=tier_of(reason),
            reason=reason,
            detail=why,
            claims={},
            vector={},
            policy=self._policy_for(name).name,
            generated_ns=now_ns,
            expires_ns=now_ns,
        )

    def _known(self, name: str, key: KeyType) -> _Known:
        """Looked up once a round, before the nonce is sent: no look-up is timed with the verdict."""
        record = self._registry.attester(name)
        found = next((one for one in record.keys if one.kind == key), None) if record is not None else None
        if record is None or found is None:
            return _Known(key=None, memory=None, version=0, held=False, software_tpm=False)
        stored, version = self._registry.memory(name, found.name)
        return _Known(
            key=found,
            memory=Memory.from_json(stored) if isinstance(stored, Mapping) else None,
            version=version,
            held=record.held,
            software_tpm=record.tpm.software,
        )

    def _challenge(
        self, name: str, key: KeyType, memory: Memory | None, nonce: bytes | None = None
    ) -> Challenge:
        return challenge(
            key,
            self._policy_for(name),
            self._reference_for(name),
            memory=memory,
            now_ns=self._clock.now_ns(),
            nonce=nonce,
        )


def _no_verdict(name: str, reason: Reason, why: str) -> RefusedError:
    """Evidence from elsewhere was refused, which is held against no machine."""
    remedy = f"nothing is held against {name}; to have it judged itself: sodbench attest verify {name}"
    return RefusedError(reason, why, where=name, remedy=remedy)


def _began_anew(memory: Memory, asked: Challenge, evidence: Evidence) -> bool:
    """Whether the quote says that the TPM was reset since: a hint of what to ask, which nothing believes."""
    if not asked.ima_from:
        return False
    try:
        return parse_attest(evidence.attest).clock.reset_count != memory.clock.reset_count
    except RefusedError:
        return False  # the verifier will say so


def _row(result: AttestationResult, name: str) -> dict[str, Json]:
    """The result as the registry stores it, under the name that was asked."""
    return {**result.to_json(), "attester": name}
