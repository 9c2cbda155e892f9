"""What came of one attestation: verdict, evidence, and a stamp at each event of RFC 9334.

Values only; :mod:`harness.attest.examine.round` makes them. An attester that does not answer also yields
an outcome: tier ``none`` and a reason. Never None.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.attest.attester.contract import Answer
from harness.attest.evidence import Evidence, KeyType, Moments
from harness.attest.guest.binding import Linked, Proved
from harness.attest.result import AttestationResult
from harness.attest.verdict import Verdict
from harness.attest.verify.question import Challenge
from harness.attest.verify.verifier import StepTime


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamps:
    """Moments of a round, ns of the controller's CLOCK_MONOTONIC, after RFC 9334, section 10.

    Attributes:
        ns: NS, the nonce was sent.
        er: ER, the evidence had arrived here; None where none came.
        rg: RG, the result was generated.
        rr: RR, the result was relayed: the registry has it.
        ra: RA, the result was appraised: the caller holds the verdict.
    """

    ns: int
    er: int | None
    rg: int
    rr: int
    ra: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What came of one attestation.

    Attributes:
        name: Who was asked, as the registry knows it.
        key: The attestation key that was to sign.
        result: The verdict.
        steps: What each step of the verification took; empty where there was nothing to verify.
        stamps: When what happened.
        challenge: What was asked; None where the attester could not be asked.
        proof: Evidence, verification and key, for a binding; None where no evidence came.
    """

    name: str
    key: KeyType
    result: AttestationResult
    steps: tuple[StepTime, ...]
    stamps: Stamps
    challenge: Challenge | None
    proof: Proved | None

    @property
    def evidence(self) -> Evidence | None:
        """What the attester sent; None where it did not answer."""
        return None if self.proof is None else self.proof.evidence

    @property
    def moments(self) -> Moments | None:
        """When the attester did what, in ns of its own clock; None where it did not answer."""
        return None if self.proof is None else self.proof.evidence.moments

    @property
    def generated(self) -> tuple[int, int] | None:
        """EG on the controller's clock and by how much it may be off, both in ns; None without evidence.

        Bounded by the exchange itself: the attester's durations are those of any clock that runs evenly, and
        what is left of the round trip went there and back in unknown parts.
        """
        moments, arrived = self.moments, self.stamps.er
        if moments is None or arrived is None:
            return None
        earliest = self.stamps.ns + (moments.quoted_ns - moments.received_ns)
        latest = arrived - (moments.answered_ns - moments.quoted_ns)
        # A clock that ran unevenly, as a stopped guest's does, may turn them round.
        first, last = min(earliest, latest), max(earliest, latest)
        return (first + last) // 2, (last - first + 1) // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedRound:
    """A guest's quote and its host's over it.

    Attributes:
        guest: The guest's own round.
        host: The host's over the guest's quote; None where the guest sent nothing to quote over.
        linked: What both prove together; None where one of the two sent nothing.
        checked_ns: When the binding had been checked, ns of the controller's CLOCK_MONOTONIC.
    """

    guest: Round
    host: Round | None
    linked: Linked | None
    checked_ns: int

    @property
    def verdict(self) -> Verdict:
        """The verdict on the whole: the link's, or that of the one that sent nothing."""
        if self.linked is not None:
            return replace(self.linked.verdict, generated_ns=self.checked_ns)
        silent = self.guest if self.guest.proof is None or self.host is None else self.host
        return silent.result.verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A challenge and its answer, not judged."""

    name: str
    challenge: Challenge
    answer: Answer
