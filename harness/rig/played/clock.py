"""Time that is played: it stands still while anything runs, and leaps to the next moment when all wait.

So a minute of a campaign takes as long as its decisions do, and every stamp is the same in every run.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.clock import NS_PER_S

_POLL_S = 0.0002
_PATIENCE_POLLS = 1_500_000
"""Some five minutes: after that a thread waits for something else than this clock, and for ever. A disk that
other programs keep busy can hold one write of an idle-priority process for more than a minute."""

_COURTESY_POLLS = 2_500
"""Some half a second: so long a thread whose moment has come lets another finish first."""

Happening = Callable[[], None]

_SERVANTS = frozenset({"interrupt"})
"""Threads of the program that wait for the user, not for time."""


@dataclass(order=True, slots=True)
class _Waiting:
    deadline_ns: int
    number: int
    wake: threading.Event = field(compare=False)


@dataclass(order=True, slots=True)
class _Due:
    t_ns: int
    number: int
    happening: Happening = field(compare=False)


class PlayedClock:
    """A clock for one run: :class:`harness.clock.Clock`, and the schedule of what is played.

    Time passes for the thread that makes it and for the threads started after it. When each of them waits
    for this clock, it goes on to the earliest moment that one of them waits for or that something is
    scheduled at. Of several threads that wait for one moment the one that has waited longest runs first, and
    the next when it waits again, so that they act in the same order in every run. A thread that waits for
    anything else holds time still, so that nothing of what it waits for may need time.
    """

    def __init__(self, begin_ns: int) -> None:
        self._now_ns = begin_ns
        self._lock = threading.RLock()
        self._maker = threading.current_thread()
        self._before = frozenset(threading.enumerate())
        self._waiting: dict[threading.Thread, _Waiting] = {}
        self._due: list[_Due] = []
        self._number = 0

    def now_ns(self) -> int:
        """The moment, in ns."""
        return self._now_ns

    def wait(self, seconds: float, wake: threading.Event) -> bool:
        """Wait until `seconds` have been played or `wake` is set; True when woken."""
        me = threading.current_thread()
        deadline_ns = self._now_ns + max(0, round(seconds * NS_PER_S))
        with self._lock:
            self._number += 1
            self._waiting[me] = _Waiting(deadline_ns, self._number, wake)
        try:
            for poll in range(_PATIENCE_POLLS):
                if wake.is_set():
                    return True
                with self._lock:
                    self._go_on()
                    if self._is_next(me, patient=poll < _COURTESY_POLLS):
                        return False
                wake.wait(_POLL_S)
        finally:
            with self._lock:
                del self._waiting[me]
        others = ", ".join(name for name in self._busy() if name != me.name)
        raise RuntimeError(f"played time stands still: {others}")

    def at(self, t_ns: int, happening: Happening) -> None:
        """Have `happening` called at `t_ns`, by whichever thread lets time pass; it must not wait."""
        with self._lock:
            self._number += 1
            heapq.heappush(self._due, _Due(max(t_ns, self._now_ns), self._number, happening))

    def every(self, period_s: float, happening: Happening) -> Happening:
        """Have `happening` called once a period from now on; what is returned ends that."""
        over = threading.Event()
        period_ns = max(1, round(period_s * NS_PER_S))

        def turn() -> None:
            if not over.is_set():
                happening()
                self.at(self._now_ns + period_ns, turn)

        self.at(self._now_ns + period_ns, turn)
        return over.set

    def _go_on(self) -> None:
        """Go to the next moment at which anything is due, if all wait for it."""
        while not self._busy():
            if self._due and self._due[0].t_ns <= self._now_ns:
                heapq.heappop(self._due).happening()
                continue
            deadlines = [one.deadline_ns for one in self._waiting.values()]
            next_ns = min([*deadlines, *(one.t_ns for one in self._due[:1])])
            if next_ns <= self._now_ns:  # a thread has its turn
                return
            self._now_ns = next_ns

    def _busy(self) -> list[str]:
        """The threads for which time passes and that do not wait for it to pass."""
        return [one.name for one in threading.enumerate() if self._counts(one) and not self._waits(one)]

    def _counts(self, thread: threading.Thread) -> bool:
        if thread is self._maker:
            return True
        # Others than plain threads belong to libraries: a progress bar's, a test runner's.
        return (
            type(thread) is threading.Thread and thread not in self._before and thread.name not in _SERVANTS
        )

    def _waits(self, thread: threading.Thread) -> bool:
        waiting = self._waiting.get(thread)
        return waiting is not None and not waiting.wake.is_set()

    def _is_next(self, thread: threading.Thread, *, patient: bool) -> bool:
        """Whether the moment that this thread waits for has come, and its turn among those of that moment.

        One that is not `patient` has seen another run for so long that this may wait for it by other means.
        """
        mine = self._waiting[thread]
        if self._now_ns < mine.deadline_ns:
            return False
        earlier = (one for one in self._waiting.values() if one < mine and not one.wake.is_set())
        return not patient or not (self._busy() or any(earlier))
