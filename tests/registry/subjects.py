"""Attesters, keys, results and a present for tests of the registry."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from harness.attest.evidence import KeyType
from harness.attest.identity.enrolled import EnrolledKey, Enrolment, Kind, TpmFacts
from harness.attest.reasons import Reason, Tier
from harness.clock import NS_PER_S
from harness.instant import Instant
from harness.json_types import Json

NONCE = bytes(range(32))


def name(of: str) -> bytes:
    """A name as a TPM makes them: the algorithm, and a digest."""
    return b"\x00\x0b" + hashlib.sha256(of.encode()).digest()


def key(tpm: str, kind: KeyType = "ecc-p256", turn: int = 1) -> EnrolledKey:
    made = f"{tpm}/{kind}/{turn}"
    return EnrolledKey(
        attester="host-a",
        kind=kind,
        public=made.encode(),
        name=name(made),
        qualified_name=name("qualified " + made),
    )


def enrolment(attester: str = "host-a", tpm: str = "", kind: Kind = "host", turn: int = 1) -> Enrolment:
    """What enrolment finds of a TPM; `turn` counts the keys that were made in it."""
    tpm = tpm or f"tpm of {attester}"
    return Enrolment(
        attester=attester,
        kind=kind,
        ek_name=name(tpm),
        ek_certificate=tpm.encode() if kind == "host" else None,
        tpm=TpmFacts(software=kind == "guest", manufacturer="IBM", firmware="2.0"),
        keys=(key(tpm, "ecc-p256", turn), key(tpm, "rsa-2048", turn)),
    )


def result(
    attester: str = "host-a",
    tier: Tier = Tier.AFFIRMING,
    reason: Reason = Reason.ACCEPTED,
    **more: Json,
) -> dict[str, Json]:
    return {"attester": attester, "key": "ecc-p256", "tier": tier.value, "reason": reason.value, **more}


def condemned(attester: str = "host-a", **more: Json) -> dict[str, Json]:
    """A result that holds its attester."""
    return result(attester, Tier.CONTRAINDICATED, Reason.PCR_VALUE, **more)


def moment(s: float = 0.0, *, wall_s: float | None = None, boot: str = "boot-1") -> Instant:
    """`s` seconds on the monotonic clock; the wall clock agrees unless `wall_s` says otherwise."""
    return Instant(
        realtime_ns=round((1000 + (s if wall_s is None else wall_s)) * NS_PER_S),
        monotonic_ns=round(s * NS_PER_S),
        boot_id=boot,
    )


@dataclass
class SteppedPresent:
    """A present that stands still."""

    at: Instant = field(default_factory=moment)

    def __call__(self) -> Instant:
        return self.at
