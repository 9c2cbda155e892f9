"""A server with a TPM: each look is one attestation, and what the verifier says is what is seen.

It judges nothing itself. Whether the TPM is one of hardware or of software is the verifier's and the policy's
concern; the evidence is real either way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from harness.attest.monitor.kinds.contract import ARCHITECTURE_TYPE, Means, Observation
from harness.json_types import Json


class TpmMonitor:
    """Attests `subject` at each look."""

    name: ClassVar[str] = "tpm"
    architecture: ClassVar[str] = "TPM"
    simulated: ClassVar[bool] = False

    def __init__(self, subject: str, means: Means) -> None:
        self._subject = subject
        self._means = means

    def boot_properties(self) -> Mapping[str, Json]:
        """The architecture's type."""
        return {ARCHITECTURE_TYPE: self.architecture}

    def observe(self) -> Observation:
        """The verdict of one attestation.

        Raises:
            SodbenchError: The attestation could not be made; nothing is known then.
        """
        found = self._means.examine(self._subject)
        clock = found.claims.get("clock")
        resets = clock.get("reset_count") if isinstance(clock, Mapping) else None
        return Observation(
            verdict=found.verdict,
            trust_evidence={"tier": found.tier.value, "reason": found.reason.value},
            # Only evidence that was found genuine has claims, and so names a boot.
            boot=None if resets is None else f"reset {resets}",
            simulated=self.simulated,
        )
