"""The look at an arriving guest: begun when it is seen to run at its destination, or later, and only once.

After the guest's first moment there, libvirt needs a fifth of a second in the lab to finish the call that
moved the guest, which runs meanwhile. The guest's answer from that time is as good as a later one, because it
was requested after the guest ran there; but it counts only once libvirt reports the arrival.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures
from types import TracebackType
from typing import Self

from harness.attest.examine.outcome import LinkedRound
from harness.clock import Clock


class Arriving:
    """One look, in a thread of its own; a context that ends no sooner than the look does.

    Args:
        look: Asks the guest and its new server. Its exceptions are :meth:`found`'s.
        clock: The controller's.

    Attributes:
        begun_ns: When the guest was seen to run there, before it was asked; None as long as it was not.
    """

    def __init__(self, look: Callable[[], LinkedRound], clock: Clock) -> None:
        self._look = look
        self._clock = clock
        self._lock = threading.Lock()
        self._over = False
        self._future: futures.Future[LinkedRound] | None = None
        self.begun_ns: int | None = None

    def begin(self) -> None:
        """Begin to look, unless that was done or it is too late for it; returns at once, from any thread."""
        with self._lock:
            if self._future is not None or self._over:
                return
            self.begun_ns = self._clock.now_ns()
            self._future = futures.Future()
        threading.Thread(target=self._run, args=(self._future,), name="arriving", daemon=True).start()

    def _run(self, future: futures.Future[LinkedRound]) -> None:
        try:
            future.set_result(self._look())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)

    def found(self) -> LinkedRound:
        """What was found; waits for it, and begins now if nothing did before."""
        self.begin()
        if self._future is None:
            raise RuntimeError("it was over before anybody looked")
        return self._future.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing of it goes on after the caller left, because its result is not needed then."""
        with self._lock:
            self._over = True
        if self._future is not None:
            futures.wait([self._future])
