"""A HyperWall server, simulated: how often a program tried to access a guest's protected memory.

HyperWall is hardware that was never built. As in Security on Demand (section IV) a number stands for its
trust evidence: the memory violations that the attester on the server reports. The number is set by hand there
and is not signed; this monitor shows what a response to such evidence does, never that memory was protected.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from harness.attest.evidence import RefusedError
from harness.attest.monitor.kinds.contract import ARCHITECTURE_TYPE, Means, Observation
from harness.attest.reasons import Reason, Tier
from harness.attest.verdict import Verdict
from harness.json_types import Json


class HyperwallMonitor:
    """Reads the number at each look; more than is accepted is a violation, and stays one."""

    name: ClassVar[str] = "hyperwall"
    architecture: ClassVar[str] = "HyperWall"
    simulated: ClassVar[bool] = True

    def __init__(self, subject: str, means: Means) -> None:
        self._subject = subject
        self._means = means
        self._most = 0

    def boot_properties(self) -> Mapping[str, Json]:
        """The architecture's type."""
        return {ARCHITECTURE_TYPE: self.architecture}

    def observe(self) -> Observation:
        """Affirming while no more violations were ever counted than the user has accepted.

        The highest number that was seen counts: a server that restarts, or is told to, cannot take back
        what it has admitted. Only accepting the number ends it.

        Raises:
            RefusedError: ``malformed-evidence``: the attester gives no number, or none that can be.
            SodbenchError: The attester does not answer.
        """
        found = self._means.properties(self._subject)
        counted = found.memory_violations
        if counted is None:
            why = found.reasons.get("memory_violations", "it gives no reason")
            raise RefusedError(
                Reason.MALFORMED_EVIDENCE, f"no number of memory violations: {why}", where=self._subject
            )
        if counted < 0:
            raise RefusedError(Reason.MALFORMED_EVIDENCE, f"{counted} memory violations", where=self._subject)
        self._most = max(self._most, counted)
        accepted = self._means.accepted_violations(self._subject)
        violated = self._most > accepted
        return Observation(
            verdict=Verdict(
                tier=Tier.CONTRAINDICATED if violated else Tier.AFFIRMING,
                reason=Reason.MEMORY_VIOLATION if violated else Reason.ACCEPTED,
                detail=f"{self._most} memory violations, {accepted} accepted (simulated)" if violated else "",
                generated_ns=self._means.now_ns(),
            ),
            trust_evidence={"memory_violations": counted, "most": self._most, "accepted": accepted},
            boot=found.boot_id,
            simulated=self.simulated,
        )
