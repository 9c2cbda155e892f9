"""Attesters in this process, for what a real one cannot be made to do at an exact moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.attest.attester.contract import Answer, Ask, AttesterError, CreatedKey, Identity, Properties
from harness.attest.evidence import Evidence, KeyType, Moments
from harness.attest.identity.enrolled import EnrolledKey, Enrolment, Kind, TpmFacts
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason
from harness.attest.reference.policy import AppraisalPolicy, ReferenceValues, Require
from harness.clock import Clock
from harness.registry.registry import Registry

if TYPE_CHECKING:
    from harness.attest.evidence import EkType

UUID = "6a2f4b1e-7a52-4b6f-9d0e-2f1d6c7b8a90"
"""Of the guest that they speak of."""

PCR_VALUES = {index: bytes([index]) * 32 for index in range(8)}
POLICY = AppraisalPolicy(
    version=1,
    name="test",
    pcrs=tuple(PCR_VALUES),
    require=Require(pcr_values="check", event_log="ignore", ima="ignore"),
    software_tpm="accept",
)
"""Checks nothing but PCR values, which is all that such a TPM has."""

GOOD = ReferenceValues(
    version=1, pcrs={"sha256": {index: (value.hex(),) for index, value in PCR_VALUES.items()}}
)
"""What a TPM is to say whose machine is as it was recorded."""


@dataclass(slots=True)
class SoftwareAttester:
    """Quotes with a TPM in software keys; `reason` makes it fail instead, `twist` changes what it sends."""

    tpm: SoftwareTpm
    clock: Clock
    reason: Reason | None = None
    twist: Callable[[Evidence], Evidence] = lambda evidence: evidence
    asked: list[Ask] = field(default_factory=list)

    def quote(self, ask: Ask) -> Answer:
        self.asked.append(ask)
        if self.reason is not None:
            raise AttesterError(self.reason, "as the test asks")
        sent_ns = self.clock.now_ns()
        self.tpm.clock = replace(self.tpm.clock, clock_ms=self.tpm.clock.clock_ms + 1)
        pcrs = {index: PCR_VALUES[index] for index in ask.pcrs}
        moments = Moments(
            received_ns=sent_ns + 1_000,
            quoting_ns=sent_ns + 2_000,
            quoted_ns=sent_ns + 5_000,
            answered_ns=sent_ns + 6_000,
        )
        evidence = self.twist(self.tpm.evidence(ask.nonce, pcrs, moments=moments))
        return Answer(evidence=evidence, sent_ns=sent_ns, received_ns=sent_ns + 10_000)

    def identify(self) -> Identity:
        raise NotImplementedError

    def create_key(self, key: KeyType, *, ek: EkType | None = None) -> CreatedKey:
        raise NotImplementedError

    def activate(self, key: KeyType, credential: bytes, secret: bytes, *, ek: EkType | None = None) -> bytes:
        raise NotImplementedError

    def properties(self) -> Properties:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


def enrol(registry: Registry, name: str, tpm: SoftwareTpm, kind: Kind = "host") -> None:
    """Put the TPM into the registry as if it had been enrolled."""
    key = EnrolledKey(
        attester=name, kind=tpm.kind, public=tpm.ak_public, name=tpm.name, qualified_name=tpm.qualified_name
    )
    registry.enrol(
        Enrolment(
            attester=name,
            kind=kind,
            ek_name=b"\x00\x0b" + name.encode().ljust(32, b"\0"),
            ek_certificate=None,
            tpm=TpmFacts(software=True, manufacturer="IBM", firmware="0" * 16),
            keys=(key,),
        )
    )
