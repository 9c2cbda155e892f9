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

from harness.attest.verdict import Verdict

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
        verdict: What follows for the attester by this monitor alone. It says when its evidence was generated
            or the verdict made; its end is the verifier's own word, None if the verifier said nothing.
        trust_evidence: What is recorded as the server's property of that name.
        boot: Names the attester's boot; another one means that its boot properties are read again. None where
            it is not known.
        simulated: Whether no hardware stands behind it.
    """

    verdict: Verdict
    trust_evidence: Mapping[str, Json] = field(default_factory=dict)
    boot: str | None = None
    simulated: bool

    @property
    def generated_ns(self) -> int:
        """When the verdict's evidence was generated, controller's CLOCK_MONOTONIC."""
        if self.verdict.generated_ns is None:
            raise ValueError("an observation says when its evidence was generated")
        return self.verdict.generated_ns


Examine: TypeAlias = Callable[[str], "AttestationResult"]
"""One attestation of the attester of that name: challenge, quote, verification and record."""

ReadProperties: TypeAlias = Callable[[str], "Properties"]
"""What the attester of that name says of its server; not signed by anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a monitor may use.

    Attributes:
        examine: One attestation.
        properties: One question for the server's properties.
        accepted_violations: How many memory violations of an attester the user has reviewed and accepted.
        now_ns: The controller's CLOCK_MONOTONIC.
    """

    examine: Examine
    properties: ReadProperties
    accepted_violations: Callable[[str], int]
    now_ns: Callable[[], int]


class Monitor(Protocol):
    """Watches one attester. It may take long and may raise: the caller handles both.

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
