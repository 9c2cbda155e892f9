"""A host that was attested, as the round, the registry and the host itself tell of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from harness.attest.evidence import Evidence
from harness.attest.examine.outcome import Round, Stamps
from harness.attest.guest.binding import Proved
from harness.attest.identity.enrolled import EnrolledIdentity, TpmFacts
from harness.attest.played.platform import (
    ISSUED_NS,
    NOW_NS,
    Platform,
    challenge,
    judged,
    platform,
)
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.tpm.structures import name_of
from harness.attest.verify.verifier import Verification
from harness.instant import Instant
from harness.pvi.release import Conditions, Release, release

AT = Instant(realtime_ns=1, monotonic_ns=1, boot_id="a boot")
RELEASED_NS = NOW_NS + 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Probed:
    """What a release is decided by."""

    round: Round
    identity: EnrolledIdentity | None
    ek_public: bytes
    conditions: Conditions = field(default_factory=Conditions)
    now_ns: int = RELEASED_NS

    def release(self) -> Release:
        return release(self.round, self.identity, self.ek_public, self.conditions, now_ns=self.now_ns)


def probed(tpm: SoftwareTpm, evidence: Evidence | None = None, **question: object) -> Probed:
    """A host with this TPM, attested by that evidence, or its own, as `question` changes it."""
    machine = platform(tpm)
    evidence = evidence or machine.evidence()
    return Probed(
        round=round_of(evidence, judged(machine, evidence, **question), machine),
        identity=identity_of(machine),
        ek_public=tpm.ek_public,
    )


def round_of(evidence: Evidence, verification: Verification, machine: Platform) -> Round:
    """The round in which that came of the evidence."""
    return Round(
        name="host-a",
        key=evidence.key,
        result=verification.result,
        steps=verification.steps,
        stamps=Stamps(ns=ISSUED_NS, er=NOW_NS - 1_000, rg=NOW_NS, rr=NOW_NS + 1, ra=NOW_NS + 2),
        challenge=challenge(),
        proof=Proved(evidence=evidence, verification=verification, key=machine.key),
    )


def identity_of(machine: Platform) -> EnrolledIdentity:
    """Who the registry says the host is."""
    return EnrolledIdentity(
        id="host-a",
        kind="host",
        ek_name=name_of(machine.tpm.ek_public),
        ek_certificate=None,
        tpm=TpmFacts(software=True, manufacturer="IBM", firmware="0" * 16),
        keys=(machine.key,),
        held=False,
        revoked=False,
        released=False,
        enrolled=AT,
    )


def enrolled_as(host: Probed, **changes: object) -> Probed:
    """The same host, enrolled otherwise."""
    if host.identity is None:
        raise ValueError("an enrolled host is changed")
    return replace(host, identity=replace(host.identity, **changes))  # type: ignore[arg-type]
