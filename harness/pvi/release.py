"""Whether a guest's secrets may go to a host, and on what terms its TPM gives them back there.

The decision is a function of values: the round in which the host was just attested, who is enrolled under
that name, and the endorsement key that the host shows. Everything that the terms bind was signed in that
round. A host that passes here may still change before it opens the secrets: then its TPM refuses.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from harness.attest.evidence import RefusedError
from harness.attest.examine.outcome import Round
from harness.attest.guest.binding import Proved
from harness.attest.identity.enrolled import EnrolledIdentity
from harness.attest.reasons import Reason
from harness.attest.tpm.sealing import Terms
from harness.attest.tpm.structures import Attest, name_of, parse_attest
from harness.clock import NS_PER_S

_MS_PER_S = 1_000
IMA_PCR = 10
"""It grows with every program that the host runs, so no secret can be sealed to its value.

What it stands for is judged in the round, which is why a round may be only so old at a release.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What the owner demands of a release.

    Attributes:
        lasting_s: How long after its quote the TPM gives the secrets back.
        most_age_s: How old the quote may be at the release.
        warning_counts: Whether a verdict with a warning is good enough.
    """

    lasting_s: float = 120.0
    most_age_s: float = 30.0
    warning_counts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A host that may have a guest's secrets.

    Attributes:
        host: Its name in the registry.
        ek_public: TPMT_PUBLIC of its enrolled endorsement key.
        terms: When its TPM gives the secrets back.
        age_ns: How old the quote was at the release, at most: since its nonce was sent.
    """

    host: str
    ek_public: bytes
    terms: Terms
    age_ns: int


def release(
    attested: Round,
    identity: EnrolledIdentity | None,
    ek_public: bytes,
    conditions: Conditions,
    *,
    now_ns: int,
) -> Release:
    """The host's release, if it was just attested as what it is enrolled as.

    Args:
        attested: The newest round with the host.
        identity: Who has the host's name in the registry now; None where no identity has it.
        ek_public: TPMT_PUBLIC of the endorsement key that the host shows. Nothing vouches for it yet.
        conditions: What the owner demands.
        now_ns: The moment of the release, controller's CLOCK_MONOTONIC.

    Raises:
        RefusedError: ``not-enrolled``, ``revoked`` or ``held-contraindicated``: of the identity; the round's
            own reason where it is not good enough; ``result-expired``: it is too old; ``key-unknown``: by
            a key that is not enrolled; ``ek-key``: another TPM; ``selection-empty``: nothing to seal to.
    """
    enrolled = _host(attested.name, identity)
    proof = _good(attested, conditions, now_ns)
    age_ns = _age_ns(attested, conditions, now_ns)
    if proof.key is None or proof.key.name not in {one.name for one in enrolled.keys}:
        raise _refused(attested, Reason.KEY_UNKNOWN, "its quote is by a key that is not enrolled now")
    if not hmac.compare_digest(name_of(ek_public), enrolled.ek_name):
        raise _refused(attested, Reason.EK_KEY, "the endorsement key it shows is not the enrolled one")
    return Release(
        host=attested.name, ek_public=ek_public, terms=_terms(attested, proof, conditions), age_ns=age_ns
    )


def _host(name: str, identity: EnrolledIdentity | None) -> EnrolledIdentity:
    """The identity, if it is a host's and may attest."""
    if identity is None or identity.id != name or identity.released or identity.kind != "host":
        raise RefusedError(Reason.NOT_ENROLLED, "no host is enrolled under this name", where=name)
    if identity.revoked:
        raise RefusedError(Reason.REVOKED, "it was revoked", where=name)
    if identity.held:
        raise RefusedError(Reason.HELD_CONTRAINDICATED, "it was not enrolled again since", where=name)
    return identity


def _good(attested: Round, conditions: Conditions, now_ns: int) -> Proved:
    """The evidence of a round whose verdict counts now."""
    verdict = attested.result.verdict.at(now_ns)
    if not verdict.tier.trusted(warning_counts=conditions.warning_counts):
        raise _refused(attested, verdict.reason, verdict.detail or f"its tier is {verdict.tier}")
    if attested.proof is None or attested.proof.verification.memory is None:
        raise _refused(attested, Reason.NOTHING_APPRAISED, "no quote of it was accepted in this round")
    return attested.proof


def _age_ns(attested: Round, conditions: Conditions, now_ns: int) -> int:
    """How old the quote is at most: it was made after its nonce was sent."""
    age_ns = now_ns - attested.stamps.ns
    if not 0 <= age_ns <= conditions.most_age_s * NS_PER_S:
        why = f"its quote may be {age_ns / NS_PER_S:.1f} s old, {conditions.most_age_s:g} s are allowed"
        raise _refused(attested, Reason.RESULT_EXPIRED, why)
    return age_ns


def _terms(attested: Round, proof: Proved, conditions: Conditions) -> Terms:
    """The signed state, without what grows, in the boot and from the moment of the quote."""
    quote = parse_attest(proof.evidence.attest)
    signed = _signed(quote) - {IMA_PCR}
    if not signed:
        why = f"it quoted no PCR but {IMA_PCR}: the secrets would open in any state"
        raise _refused(attested, Reason.SELECTION_EMPTY, why)
    return Terms.after(
        quote.clock,
        bank=proof.evidence.bank,
        pcrs={pcr: proof.evidence.pcrs[pcr] for pcr in sorted(signed)},
        lasting_ms=round(conditions.lasting_s * _MS_PER_S),
    )


def _signed(quote: Attest) -> frozenset[int]:
    """The PCRs that the signature covers; the verifier has found their values and their bank to be these."""
    return frozenset(pcr for one in quote.selections or () for pcr in one.pcrs)


def _refused(attested: Round, reason: Reason, why: str) -> RefusedError:
    remedy = f"attest it again: sodbench attest verify {attested.name}"
    return RefusedError(reason, why, where=attested.name, remedy=remedy)
