"""A standing line to a host through which the bad thing of a scenario is done at a known moment.

The program at the other end stamps before and after. Where that host runs on the controller's own kernel the
stamps are its clock's; elsewhere the controller's own stamps around the request bound the moment.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.clock import Clock
from harness.errors import PrerequisiteError
from harness.evidence.observers.clocks import own_kernel
from harness.rig.contract import Machine
from harness.rig.lines import Answers

_PROBE = Path(__file__).with_name("injector_probe.py")
_ANSWER_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When something was done, ns of the controller's CLOCK_MONOTONIC: not before, not after."""

    earliest_ns: int
    latest_ns: int


class Injector:
    """The line to one host; open until closed."""

    def __init__(self, host: Machine, clock: Clock) -> None:
        self._host = host
        self._clock = clock
        self._answers = Answers()
        self._lock = threading.Lock()
        self._channel = host.stream(host.python(_PROBE), self._answers.put)
        self._answer()

    def close(self) -> None:
        """End the program at the other end."""
        self._channel.close()

    def count(self, path: str, number: int) -> Moment:
        """Set the simulated number of memory violations.

        Raises:
            PrerequisiteError: It cannot be done there.
        """
        return self._do(f"count {path} {number}")

    def extend(self, pcr: int, bank: str, digest: bytes, tcti: str) -> Moment:
        """Extend a PCR.

        Raises:
            PrerequisiteError: It cannot be done there.
        """
        return self._do(f"extend {pcr} {bank} {digest.hex()} {tcti}")

    def _do(self, line: str) -> Moment:
        with self._lock:
            sent_ns = self._clock.now_ns()
            self._channel.send(line)
            received_ns, answer = self._answer()
        first, _, rest = answer.partition(" ")
        if first == "error":
            raise PrerequisiteError(
                "the scenario cannot be played", where=f"host {self._host.role}", why=f"{rest} ({line})"
            )
        second, _, kernel = rest.partition(" ")
        return bounded(int(first), int(second), kernel, sent_ns, received_ns, own_kernel)

    def _answer(self) -> tuple[int, str]:
        try:
            return self._answers.get(timeout=_ANSWER_S)
        except queue.Empty as error:
            raise PrerequisiteError(
                "the program that plays a scenario does not answer", where=f"host {self._host.role}"
            ) from error


def bounded(
    before_ns: int, after_ns: int, kernel: str, sent_ns: int, received_ns: int, own: Callable[[], str]
) -> Moment:
    """The host's stamps where they are of the controller's clock, else the controller's own around them."""
    same = kernel == own() and sent_ns <= before_ns <= after_ns <= received_ns
    return Moment(earliest_ns=before_ns if same else sent_ns, latest_ns=after_ns if same else received_ns)
