"""What a monitor is: it watches one attester of one security architecture and says what it sees.

A monitor neither decides when it looks nor what follows; :mod:`harness.attest.monitor.monitor` does. It
touches machines only through the means it is handed, so that one attestation looks the same to a command, to
a campaign and to a monitor. What a simulated one says must never be taken for the evidence of hardware: it is
marked in every value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

from harness.attest.reasons import Reason, Tier

if TYPE_CHECKING:
    from harness.attest.attester.contract import Properties
    from harness.attest.result import AttestationResult
    from harness.json_types import Json

ARCHITECTURE_TYPE = "architecture_type"
"""The server property that is recorded once a boot (Security on Demand, section IV)."""

TRUST_EVIDENCE = "trust_evidence"
"""The server property that is recorded at every interval (likewise)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one look at an attester said.

    Attributes:
        tier: What follows for the attester by this monitor alone.
        reason: Why, ``accepted`` where nothing was wrong.
        detail: The same in words.
        generated_ns: When the evidence was generated or the verdict made, controller's CLOCK_MONOTONIC.
        expires_ns: When it must not be relied on any more by the verifier's own word; None where it said
            nothing.
        trust_evidence: What is recorded as the server's property of that name.
        boot: Names the attester's boot; another one means that its boot properties are read again. None where
            it is not known.
        simulated: Whether no hardware stands behind it.
    """

    tier: Tier
    reason: Reason
    detail: str = ""
    generated_ns: int
    expires_ns: int | None = None
    trust_evidence: Mapping[str, Json] = field(default_factory=dict)
    boot: str | None = None
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """The verdict of one attestation, whatever rounds it took.

    Attributes:
        tier: The result's tier.
        reason: The result's reason.
        detail: The same in words.
        generated_ns: When the result was generated, controller's CLOCK_MONOTONIC.
        expires_ns: When it expires, on the same clock.
        boot: Names the boot that the evidence is of; None where the evidence was not accepted.
    """

    tier: Tier
    reason: Reason
    detail: str
    generated_ns: int
    expires_ns: int
    boot: str | None = None

    @classmethod
    def of(cls, result: AttestationResult) -> Examined:
        """The verdict in the verifier's `result`."""
        clock = result.claims.get("clock")
        resets = clock.get("reset_count") if isinstance(clock, Mapping) else None
        return cls(
            tier=result.tier,
            reason=result.reason,
            detail=result.detail,
            generated_ns=result.generated_ns,
            expires_ns=result.expires_ns,
            boot=None if resets is None else f"reset {resets}",
        )


Examine: TypeAlias = Callable[[str], Examined]
"""One attestation of the attester of that name: challenge, quote, verification and record."""

ReadProperties: TypeAlias = Callable[[str], "Properties"]
"""What the attester of that name says of its server; not signed by anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a monitor may use.

    Attributes:
        examine: One attestation.
        properties: One question for the server's properties.
        accepted_violations: How many memory violations of an attester somebody has looked at and accepted.
        now_ns: The controller's CLOCK_MONOTONIC.
    """

    examine: Examine
    properties: ReadProperties
    accepted_violations: Callable[[str], int]
    now_ns: Callable[[], int]


class Monitor(Protocol):
    """Watches one attester. It may take its time and may raise: whoever calls it is prepared for both.

    Attributes:
        name: Its word in configuration and changes.
        architecture: The architecture type it stands for, as Security on Demand names them.
        simulated: Whether it only plays hardware that is not there.
    """

    name: ClassVar[str]
    architecture: ClassVar[str]
    simulated: ClassVar[bool]

    def __init__(self, subject: str, means: Means) -> None: ...

    def boot_properties(self) -> Mapping[str, Json]:
        """The server's properties that hold for a whole boot, name to value."""
        ...

    def observe(self) -> Observation | None:
        """One look; None where the architecture has no evidence at run time, which is never a good sign."""
        ...
