"""The standing channels to machines, shared by all who attest them: one question to a machine at a time.

Two questions to one TPM at once would undo each other. A trial's observer, the monitors of a response loop
and the prover of an arrival therefore ask through one value. It keeps the stamps of each machine's last
look, because a response is timed from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from harness.attest.attester.contract import Attester, Properties
from harness.attest.attester.turns import Turns
from harness.attest.evidence import KeyType
from harness.attest.examine.outcome import LinkedRound, Round
from harness.attest.examine.round import Examiner
from harness.attest.monitor.kinds.contract import Means
from harness.attest.result import AttestationResult
from harness.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class LookStamps:
    """When a look happened, ns of the controller's CLOCK_MONOTONIC.

    Attributes:
        asked_ns: The question was sent (NS of RFC 9334).
        evidence_ns: What the machine said had arrived (ER).
        result_ns: The verdict was made (RG).
    """

    asked_ns: int
    evidence_ns: int
    result_ns: int


class SharedAttesters:
    """Asks machines by their names in the registry, each by one caller at a time.

    Args:
        examiner: Does a round.
        attesters: The channels, by name.
        clock: The controller's.
    """

    def __init__(self, examiner: Examiner, attesters: Mapping[str, Attester], clock: Clock) -> None:
        self._examiner = examiner
        self._attesters = dict(attesters)
        self._clock = clock
        self._last: dict[tuple[str, str], LookStamps] = {}
        self._turns = {name: Turns(clock) for name in self._attesters}

    def alone(self, name: str) -> AbstractContextManager[object]:
        """Keeps all others from asking the machine for the length of a block."""
        return self._turns[name]

    def examine(self, name: str, key: KeyType) -> Round:
        """One attestation of a machine.

        Raises:
            RegistryError: The registry does not answer.
        """
        with self._turns[name]:
            return self._examiner.examine(name, self._attesters[name], key=key)

    def linked(self, guest: str, host: str, *, key: KeyType, vm_uuid: str, epoch: int) -> LinkedRound:
        """One attestation of a guest with the host that it should be on.

        Raises:
            RegistryError: The registry does not answer.
        """
        with self._turns[guest], self._turns[host]:
            return self._examiner.examine_linked(
                (guest, self._attesters[guest]),
                (host, self._attesters[host]),
                key=key,
                vm_uuid=vm_uuid,
                epoch=epoch,
            )

    def means(self, key: KeyType, accepted: Callable[[str], int]) -> Means:
        """What monitors may use.

        Args:
            key: The type of attestation key that is asked.
            accepted: How many memory violations of a machine were looked at and accepted.
        """
        return Means(
            examine=lambda name: self._looked(name, key),
            properties=self._properties,
            accepted_violations=accepted,
            now_ns=self._clock.now_ns,
        )

    def last(self, name: str, monitor: str) -> LookStamps | None:
        """The last look of a monitor; None if there was none, or it was not through :meth:`means`."""
        return self._last.get((name, "tpm" if monitor == "tpm" else "properties"))

    def _looked(self, name: str, key: KeyType) -> AttestationResult:
        found = self.examine(name, key)
        stamps = found.stamps
        self._last[name, "tpm"] = LookStamps(
            asked_ns=stamps.ns,
            evidence_ns=stamps.rg if stamps.er is None else stamps.er,
            result_ns=stamps.rg,
        )
        return found.result

    def _properties(self, name: str) -> Properties:
        asked_ns = self._clock.now_ns()
        said = self._attesters[name].properties()
        now_ns = self._clock.now_ns()
        self._last[name, "properties"] = LookStamps(asked_ns=asked_ns, evidence_ns=now_ns, result_ns=now_ns)
        return said
