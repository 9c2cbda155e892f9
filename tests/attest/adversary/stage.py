"""An honest platform and everything that is known of it, from which each attack changes one thing.

The platform signs with software keys, so that an attacker here can do what no TPM would. Its quote covers
PCRs 0 to 10, its event log and its IMA list lead to them, and the verifier has accepted it once before.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from harness.attest.evidence import Evidence, ImaExcerpt, KeyType
from harness.attest.identity.enrolled import EnrolledKey
from harness.attest.played import logs
from harness.attest.played.logs import Line, Measured
from harness.attest.played.software_tpm import NONCE, SoftwareTpm, changed
from harness.attest.reasons import Tier
from harness.attest.reference.policy import AppraisalPolicy, ImaReference, ReferenceValues, Require
from harness.attest.tpm.structures import ClockInfo
from harness.attest.verify.memory import Memory
from harness.attest.verify.question import Challenge, Question
from harness.attest.verify.verifier import Verification, verify
from harness.clock import NS_PER_S

PCRS = tuple(range(11))
NOW_NS = 1_000 * NS_PER_S
EVENT_PCRS = (8, 9)
"""PCRs that are judged by their single events; those below them by their whole value."""

WARNING = "warning:"

FILES_BEFORE = 5
"""IMA entries when the platform was last accepted."""


class Scene(Protocol):
    """A forgery, ready to be judged."""

    def judge(self) -> str:
        """What is said of it: a reason's code, or the kind of an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Evidence and the question it is judged by."""

    evidence: Evidence
    question: Question

    def verify(self) -> Verification:
        return verify(self.evidence, self.question, tick=time.perf_counter_ns)

    def judge(self) -> str:
        verification = self.verify()
        result = verification.result
        if not verification.accepted:
            assert verification.memory is None
            assert result.tier in {"none", "contraindicated"}, "what was refused is never good"
            assert not result.claims or verification.steps[-1].number == 12
        elif result.tier == Tier.WARNING:
            return f"{WARNING}{result.reason.value}"
        return result.reason.value

    def sent(self, **fields: object) -> Asked:
        """With other evidence."""
        return replace(self, evidence=changed(self.evidence, **fields))

    def asked(self, **fields: object) -> Asked:
        """With another question."""
        return replace(self, question=replace(self.question, **fields))  # type: ignore[arg-type]

    def challenged(self, **fields: object) -> Asked:
        """With another challenge."""
        return self.asked(challenge=replace(self.question.challenge, **fields))  # type: ignore[arg-type]

    def enrolled(self, **fields: object) -> Asked:
        """With another enrolled key."""
        assert self.question.key is not None
        return self.asked(key=replace(self.question.key, **fields))  # type: ignore[arg-type]

    def under(self, **fields: object) -> Asked:
        """Under another policy."""
        return self.asked(policy=policy(**fields))

    def against(self, **fields: object) -> Asked:
        """Against other reference values."""
        known = {name: getattr(self.question.reference, name) for name in ReferenceValues.model_fields}
        reference = ReferenceValues.model_validate({**known, **fields})
        return self.asked(reference=reference)


def policy(**fields: object) -> AppraisalPolicy:
    """A strict policy, with other `fields`."""
    strict = AppraisalPolicy(
        version=1,
        name="strict",
        pcrs=PCRS,
        require=Require(pcr_values="check", event_log="check", ima="check"),
    )
    # A field of it is called keys, which is what dict() would call.
    known = {name: getattr(strict, name) for name in AppraisalPolicy.model_fields}
    return AppraisalPolicy.model_validate({**known, **fields})


def ignoring(**checks: str) -> Require:
    """What a policy requires, all of it unless `checks` says otherwise."""
    return Require.model_validate({"pcr_values": "check", "event_log": "check", "ima": "check", **checks})


class Stage:
    """One honest platform with a key of type `kind`, another host, and what a verifier knows of both."""

    def __init__(self, kind: KeyType) -> None:
        self.kind: KeyType = kind
        self.tpm = SoftwareTpm(kind)
        self.other = SoftwareTpm(kind)
        self.second_key = self.tpm.another_key()
        self.guest = SoftwareTpm(kind)
        self.events: list[Measured] = logs.boot(40)
        firmware = {index: bytes(32) for index in range(10)} | logs.extended(self.events, "sha256")
        aggregate = b"".join(firmware[index] for index in range(10))
        self.lines: list[Line] = [
            Line(path=b"boot_aggregate", content=aggregate, template="ima-sig"),
            *logs.running_system(9)[1:],
        ]
        self.pcrs: Mapping[int, bytes] = {**firmware, 10: logs.pcr10(self.lines)}
        self.reference = ReferenceValues(
            version=1,
            firmware_versions=(f"{self.tpm.firmware_version:016x}",),
            pcrs={"sha256": {index: (self.pcrs[index].hex(),) for index in range(8)}},
            events={"sha256": {index: self._event_digests(index) for index in EVENT_PCRS}},
            ima=ImaReference(
                files={line.path.decode(): (f"sha256:{line.file_digest.hex()}",) for line in self.lines[1:]}
            ),
        )
        self.earlier = self.remembered()

    def _event_digests(self, index: int) -> tuple[str, ...]:
        return tuple(event.digest("sha256").hex() for event in self.events if event.pcr == index)

    def clock(
        self, *, later_ms: int = 1000, resets: int = 0, restarts: int = 0, safe: bool = True
    ) -> ClockInfo:
        """The clock of a quote that much after the last accepted one."""
        was = self.tpm.clock
        return ClockInfo(
            clock_ms=was.clock_ms + later_ms,
            reset_count=was.reset_count + resets,
            restart_count=restarts if resets else was.restart_count + restarts,
            safe=safe,
        )

    def enrolled(self, tpm: SoftwareTpm | None = None, name: str = "host-a") -> EnrolledKey:
        """The enrolled key of a TPM."""
        tpm = tpm or self.tpm
        return EnrolledKey(
            attester=name,
            kind=tpm.kind,
            public=tpm.ak_public,
            name=tpm.name,
            qualified_name=tpm.qualified_name,
        )

    def challenge(self, nonce: bytes = NONCE) -> Challenge:
        return Challenge(
            key="ecc-p256",
            nonce=nonce,
            bank="sha256",
            pcrs=PCRS,
            issued_ns=NOW_NS - NS_PER_S,
            expires_ns=NOW_NS + NS_PER_S,
            used=False,
            ima_from=0,
        )

    def question(self, *, key: EnrolledKey | None = None, memory: Memory | None = None) -> Question:
        return Question(
            key=key or self.enrolled(),
            challenge=self.challenge(),
            memory=memory,
            reference=self.reference,
            policy=policy(),
            now_ns=NOW_NS,
            software_tpm=False,
            held=False,
        )

    def log(self, events: Sequence[Measured] | None = None) -> bytes:
        return logs.event_log(self.events if events is None else events)

    def ima(
        self, lines: Sequence[Line] | None = None, *, first: int = 0, total: int | None = None
    ) -> ImaExcerpt:
        return logs.excerpt(self.lines if lines is None else lines, first=first, total=total)

    def first(self) -> Asked:
        """The first evidence of the platform ever, honest."""
        evidence = self.tpm.evidence(NONCE, self.pcrs, event_log=self.log(), ima=self.ima())
        return Asked(evidence=evidence, question=self.question())

    def remembered(self) -> Memory:
        """What the verifier kept of the evidence that it accepted when the IMA list was shorter."""
        lines = self.lines[:FILES_BEFORE]
        pcrs = {**self.pcrs, 10: logs.pcr10(lines)}
        evidence = self.tpm.evidence(NONCE, pcrs, event_log=self.log(), ima=self.ima(lines))
        memory = Asked(evidence=evidence, question=self.question()).verify().memory
        assert memory is not None, "the honest platform is accepted"
        return memory

    def honest(
        self,
        *,
        tpm: SoftwareTpm | None = None,
        name: str = "host-a",
        nonce: bytes = NONCE,
        clock: ClockInfo | None = None,
        firmware_version: int | None = None,
        lines: Sequence[Line] | None = None,
        events: Sequence[Measured] | None = None,
        locality: int = 0,
    ) -> Asked:
        """Evidence after the accepted one, with the whole IMA list; all that it says is true."""
        pcrs = dict(self.pcrs)
        if events is not None:
            # Without a boot no firmware measures anything else.
            clock = clock or self.clock(resets=1)
            start = {0: bytes(31) + bytes([locality])}
            pcrs |= {index: bytes(32) for index in range(10)} | logs.extended(events, "sha256", start=start)
            # The kernel measures what the firmware left it.
            aggregate = b"".join(pcrs[index] for index in range(10))
            lines = [replace(self.lines[0], content=aggregate), *(lines or self.lines)[1:]]
        if lines is not None:
            pcrs[10] = logs.pcr10(lines)
        evidence = (tpm or self.tpm).evidence(
            nonce,
            pcrs,
            clock=clock or self.clock(),
            firmware_version=firmware_version,
            event_log=self.log(events),
            ima=self.ima(lines),
        )
        question = self.question(key=self.enrolled(tpm, name), memory=self.earlier)
        return Asked(evidence=evidence, question=question).challenged(nonce=nonce)

    def tail(self, *, clock: ClockInfo | None = None) -> Asked:
        """Honest evidence with only the IMA entries that are not known yet."""
        whole = self.honest(clock=clock)
        excerpt = self.ima(self.lines[FILES_BEFORE:], first=FILES_BEFORE)
        return whole.sent(ima=excerpt).challenged(ima_from=FILES_BEFORE)

    def quoting(
        self, nonce: bytes = NONCE, pcrs: Mapping[int, bytes] | None = None, **overrides: object
    ) -> Asked:
        """The honest question, and a quote with `overrides` of :meth:`SoftwareTpm.quote`."""
        overrides.setdefault("clock", self.clock())
        attest, signature = self.tpm.quote(nonce, pcrs or self.pcrs, **overrides)  # type: ignore[arg-type]
        return self.honest().sent(attest=attest, signature=signature)

    def signing(self, attest: bytes, **overrides: int) -> Asked:
        """The honest question, and any bytes signed by the platform's key."""
        return self.honest().sent(attest=attest, signature=self.tpm.sign(attest, **overrides))


def digest(text: str) -> bytes:
    """Some PCR value that no TPM has."""
    return hashlib.sha256(text.encode()).digest()
