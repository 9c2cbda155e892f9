"""A platform, its evidence and the question that fits it, for tests and benchmarks of the verifier."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.attest.evidence import Evidence, KeyType
from harness.attest.identity.enrolled import EnrolledKey
from harness.attest.played import logs
from harness.attest.played.logs import Line, Measured
from harness.attest.played.software_tpm import CLOCK, FIRMWARE, SoftwareTpm
from harness.attest.reference.policy import AppraisalPolicy, ImaReference, ReferenceValues, Require
from harness.attest.tpm.structures import ClockInfo
from harness.attest.verify.memory import Memory
from harness.attest.verify.question import Challenge, Question
from harness.attest.verify.verifier import Verification, verify

NONCE = hashlib.sha256(b"a nonce").digest()
PCRS = tuple(range(11))
ISSUED_NS = 1_000_000_000
NOW_NS = 2_000_000_000
EXPIRES_NS = 30_000_000_000


def ticking(step_ns: int = 1_000) -> Callable[[], int]:
    """A clock that is `step_ns` later each time it is read."""
    counter = itertools.count(0, step_ns)
    return lambda: next(counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A machine that booted `events` and then measured `lines`; `tpm` quotes it."""

    tpm: SoftwareTpm
    events: Sequence[Measured]
    lines: Sequence[Line]
    extra: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def pcrs(self) -> dict[int, bytes]:
        """PCRs 0 to 10 as the logs explain them."""
        values = dict.fromkeys(PCRS, bytes(32)) | logs.extended(self.events, "sha256")
        return values | {10: logs.pcr10(self.lines)} | dict(self.extra)

    @property
    def key(self) -> EnrolledKey:
        """The attestation key as it was enrolled."""
        return EnrolledKey(
            attester="host-a",
            kind=self.tpm.kind,
            public=self.tpm.ak_public,
            name=self.tpm.name,
            qualified_name=self.tpm.qualified_name,
        )

    @property
    def reference(self) -> ReferenceValues:
        """Values that this platform meets."""
        events: dict[int, tuple[str, ...]] = {}
        for event in self.events:
            if event.type != logs.EV_NO_ACTION:
                events[event.pcr] = (*events.get(event.pcr, ()), event.digest("sha256").hex())
        return ReferenceValues(
            version=1,
            firmware_versions=(f"{FIRMWARE:016x}",),
            pcrs={"sha256": {index: (self.pcrs[index].hex(),) for index in (0, 4)}},
            events={"sha256": events},
            ima=ImaReference(
                files={
                    line.path.decode(): (f"{line.algorithm}:{line.file_digest.hex()}",)
                    for line in self.lines
                    if not line.violation
                }
            ),
        )

    def evidence(
        self,
        *,
        nonce: bytes = NONCE,
        first: int = 0,
        behind: Sequence[Line] = (),
        clock: ClockInfo = CLOCK,
        firmware_version: int = FIRMWARE,
    ) -> Evidence:
        """What it answers: the IMA list from entry `first` on, with `behind` measured after the quote."""
        return self.tpm.evidence(
            nonce,
            self.pcrs,
            clock=clock,
            firmware_version=firmware_version,
            event_log=logs.event_log(self.events),
            ima=logs.excerpt([*self.lines[first:], *behind], first=first),
        )

    def measured(self, *lines: Line) -> Platform:
        """The same machine after it measured some more."""
        return replace(self, lines=[*self.lines, *lines])


def booted(machine: Platform, events: Sequence[Measured]) -> Platform:
    """The machine as it is after another boot, its boot aggregate included."""
    values = dict.fromkeys(range(10), bytes(32)) | logs.extended(events, "sha256")
    aggregate = Line(path=b"boot_aggregate", content=b"".join(values[index] for index in range(10)))
    return replace(machine, events=events, lines=[aggregate, *machine.lines[1:]])


def platform(tpm: SoftwareTpm, *, events: int = 40, entries: int = 20) -> Platform:
    """A machine with an ordinary boot."""
    return booted(Platform(tpm=tpm, events=(), lines=logs.running_system(entries)), logs.boot(events))


def policy(**changes: object) -> AppraisalPolicy:
    """A policy that checks everything."""
    require = Require(pcr_values="check", event_log="check", ima="check")
    values: dict[str, object] = {"version": 1, "name": "strict", "pcrs": PCRS, "require": require}
    return AppraisalPolicy.model_validate(values | changes)


def require(pcr_values: str = "check", event_log: str = "check", ima: str = "check") -> Require:
    """What a policy checks."""
    return Require.model_validate({"pcr_values": pcr_values, "event_log": event_log, "ima": ima})


def challenge(**changes: object) -> Challenge:
    """What the platform was asked."""
    usual = Challenge(
        key="ecc-p256",
        nonce=NONCE,
        bank="sha256",
        pcrs=PCRS,
        issued_ns=ISSUED_NS,
        expires_ns=EXPIRES_NS,
        used=False,
        ima_from=0,
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def question(machine: Platform, **changes: object) -> Question:
    """What the platform's evidence is judged by."""
    usual = Question(
        key=machine.key,
        challenge=challenge(),
        memory=None,
        reference=machine.reference,
        policy=policy(),
        now_ns=NOW_NS,
        software_tpm=False,
        held=False,
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def judged(machine: Platform, evidence: Evidence | None = None, **changes: object) -> Verification:
    """What comes of the platform's evidence."""
    return verify(evidence or machine.evidence(), question(machine, **changes), tick=ticking())


def later(clock: ClockInfo, *, ms: int = 1_000, resets: int = 0, restarts: int = 0) -> ClockInfo:
    """The TPM's clock some time after."""
    return replace(
        clock,
        clock_ms=clock.clock_ms + ms,
        reset_count=clock.reset_count + resets,
        restart_count=0 if resets else clock.restart_count + restarts,
    )


def remembered(machine: Platform, **changes: object) -> Memory:
    """What is kept after the platform's evidence was accepted."""
    kept = judged(machine, machine.evidence(), **changes).memory
    if kept is None:
        raise ValueError("evidence of an honest platform is accepted")
    return kept


KINDS: tuple[KeyType, ...] = ("ecc-p256", "rsa-2048")
