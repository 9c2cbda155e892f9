"""Shared attesters: one question to a machine at a time, whoever asks."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from harness.attest.monitor.shared import SharedAttesters
from harness.clock import MonotonicClock

CLOCK = MonotonicClock()
LONG_S = 30.0


@dataclass
class Examiner:
    """Counts who is asked at one moment, and lets a round end when the test says so."""

    going_on: threading.Event = field(default_factory=threading.Event)
    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    busy: list[str] = field(default_factory=list)
    most: int = 0

    def examine(self, name: str, _attester: Any, *, key: str) -> Any:
        self._during((name,), key)

    def examine_linked(self, guest: Any, host: Any, *, key: str, vm_uuid: str, epoch: int) -> Any:
        del vm_uuid, epoch
        self._during((guest[0], host[0]), key)

    def _during(self, names: tuple[str, ...], _key: str) -> None:
        self.busy += names
        self.most = max(self.most, *(self.busy.count(name) for name in names))
        self.begun.release()
        assert self.going_on.wait(LONG_S)
        for name in names:
            self.busy.remove(name)


def test_a_machine_is_asked_by_one_caller_at_a_time_and_others_at_once() -> None:
    examiner: Any = Examiner()
    nobody: Any = None
    shared = SharedAttesters(examiner, dict.fromkeys(("a", "b", "guest"), nobody), CLOCK)
    with ThreadPoolExecutor(4) as pool:
        asked: list[Future[Any]] = [
            pool.submit(shared.linked, "guest", "a", key="ecc-p256", vm_uuid="", epoch=1)
        ]
        assert examiner.begun.acquire(timeout=LONG_S)
        asked += [pool.submit(shared.examine, name, "ecc-p256") for name in ("a", "guest", "b")]
        assert examiner.begun.acquire(timeout=LONG_S)  # b, which was not asked
        assert sorted(examiner.busy) == ["a", "b", "guest"]
        examiner.going_on.set()
        for one in asked:
            one.result(LONG_S)
    assert examiner.most == 1
