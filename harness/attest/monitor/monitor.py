"""The trust monitor: looks at every host and guest at its interval; says what changed and what fell silent.

Three kinds of threads that do not wait for each other: one keeps the schedule, a bounded number look, one
watches the clock and them. A look that never returns, a monitor that raises, a registry that is gone or a
listener that hangs stops no other, and each is a change of its own. Silence is never trust: what was not
confirmed in time is tier ``none`` from then on, for every caller, even if all of these threads were
dead.

No lock is held while anything of others is called. Time is the controller's CLOCK_MONOTONIC alone, so that no
step of a wall clock makes a result younger or older.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, TypeAlias

from harness.attest.monitor import schedule
from harness.attest.monitor.fault import Fault, attempt
from harness.attest.monitor.outbox import Outbox
from harness.attest.monitor.standing import (
    Change,
    Listener,
    Standing,
    Step,
    concluded,
    failed,
    gave_up,
    overdue,
    silenced,
)
from harness.attest.monitor.watch import Look, Looked, PropertyStore, Watch, tier_keeper
from harness.attest.reasons import Reason
from harness.clock import NS_PER_S, Clock

Spawn: TypeAlias = Callable[[str, Callable[[], None]], None]
"""Runs a function in a thread of that name, without waiting for it."""

SELF = ""
"""The subject of a change that is about the trust monitor itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How much at once, and how long to wait.

    Attributes:
        workers: Looks at one moment.
        hang_s: A look, the schedule or a listener that takes longer hangs.
        spare: Hung looks that are made up for by further workers; beyond them the number of workers shrinks.
        check_s: How often the watchdog looks at least.
        close_s: How long the end waits for looks that are under way and for listeners.
    """

    workers: int = 8
    hang_s: float = 30.0
    spare: int = 8
    check_s: float = 1.0
    close_s: float = 5.0

    def __post_init__(self) -> None:
        if self.workers < 1 or self.spare < 0 or not self.hang_s > 0 or not self.check_s > 0:
            raise ValueError("at least one worker, no negative spare, and times of more than 0 s")


@dataclass(slots=True, kw_only=True)
class _Line:
    """A watch with all that is known of it; guarded by the monitor's lock."""

    watch: Watch
    look: Look
    slot: schedule.Slot
    standing: Standing
    since_ns: int | None = None
    hung: bool = False


def in_thread(name: str, call: Callable[[], None]) -> None:
    """Run `call` in a thread that ends with the process."""
    threading.Thread(target=call, name=name, daemon=True).start()


class TrustMonitor(AbstractContextManager["TrustMonitor"]):
    """Keeps looking at all `watches` from :meth:`start` to :meth:`close`.

    Args:
        watches: Who is looked at; no two of one monitor on one attester.
        clock: The controller's clock.
        listeners: Who is told of changes.
        store: Where server properties go; None keeps them nowhere.
        settings: How much at once, and how long to wait.
        spawn: How threads are started.
    """

    def __init__(
        self,
        watches: Sequence[Watch],
        *,
        clock: Clock,
        listeners: Sequence[Listener],
        store: PropertyStore | None = None,
        settings: Settings | None = None,
        spawn: Spawn = in_thread,
    ) -> None:
        self._clock = clock
        self._settings = settings or Settings()
        self._spawn = spawn
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._idle = threading.Event()
        self._told: set[str] = set()
        now_ns = clock.now_ns()
        self._beat_ns = {"schedule": now_ns, "watchdog": now_ns}
        self._lines = {one.key: _line(one, Look(one, store, clock.now_ns), now_ns) for one in watches}
        if len(self._lines) != len(watches):
            raise ValueError("two watches of one monitor on one attester")
        told = listeners if store is None else [*listeners, tier_keeper(watches, store)]
        self._outboxes = [Outbox(one, clock, self._listener_failed) for one in told]

    def start(self) -> None:
        """Begin. Returns at once."""
        now_ns = self._clock.now_ns()
        self._beat_ns = dict.fromkeys(self._beat_ns, now_ns)
        for number, outbox in enumerate(self._outboxes):
            self._spawn(f"trust-listener-{number}", outbox.run)
        self._spawn("trust-watchdog", lambda: self._loop(self.check, self._stopping))
        self._spawn("trust-schedule", lambda: self._loop(self.dispatch, self._wake))

    def close(self) -> None:
        """Begin no more looks, and end: what was found is delivered, a look under way is awaited a little."""
        self._stopping.set()
        self._wake.set()
        with self._lock:
            self._note_idle()
        end_ns = self._clock.now_ns() + round(self._settings.close_s * NS_PER_S)
        for outbox in self._outboxes:
            outbox.close()
        for ended in (self._idle, *(outbox.ended for outbox in self._outboxes)):
            self._clock.wait(max(0.0, (end_ns - self._clock.now_ns()) / NS_PER_S), ended)

    def _note_idle(self) -> None:
        if self._stopping.is_set() and all(line.since_ns is None for line in self._lines.values()):
            self._idle.set()

    def __exit__(self, *details: object) -> None:
        self.close()

    def standings(self) -> tuple[Standing, ...]:
        """Where every watch stands now, by its deadline and not by what a thread has noticed; by key."""
        now_ns = self._clock.now_ns()
        with self._lock:
            return tuple(self._lines[key].standing.at(now_ns) for key in sorted(self._lines))

    def missed(self, now_ns: int) -> int:
        """How many moments of all watches have passed by `now_ns` without a look, late ones included."""
        with self._lock:
            lines = self._lines.values()
            return sum(one.standing.missed + schedule.passed(one.slot, now_ns) for one in lines)

    def _loop(self, step: Callable[[], float], wake: threading.Event) -> None:
        while not self._stopping.is_set():
            wait_s = step()
            if self._clock.wait(wait_s, wake) and not self._stopping.is_set():
                wake.clear()

    # The schedule

    def dispatch(self) -> float:
        """Begin what is due, as far as there are workers; how long in s until there may be more to do."""
        now_ns = self._clock.now_ns()
        with self._lock:
            self._beat_ns["schedule"] = now_ns
            self._say(self._supervise("watchdog", now_ns))
            if self._stopping.is_set():
                return 0.0
            busy = {line.watch.subject for line in self._lines.values() if line.since_ns is not None}
            slots = [line.slot for line in self._lines.values()]
            turns = schedule.choose(slots, now_ns, busy=busy, free=self._free())
            for turn in turns:
                self._begin(self._lines[turn.slot.key], turn, now_ns)
            busy |= {turn.slot.subject for turn in turns}
            wait_ns = schedule.wait_ns(slots, now_ns, busy=busy) if self._free() else None
        for turn in turns:
            self._look_in_thread(self._lines[turn.slot.key])
        limit_s = self._settings.check_s
        return limit_s if wait_ns is None else min(limit_s, wait_ns / NS_PER_S)

    def _free(self) -> int:
        looking = [line for line in self._lines.values() if line.since_ns is not None]
        hung = sum(line.hung for line in looking)
        return max(0, self._settings.workers + min(hung, self._settings.spare) - len(looking))

    def _begin(self, line: _Line, turn: schedule.Turn, now_ns: int) -> None:
        line.slot = turn.slot
        line.since_ns = now_ns
        line.standing = self._tell(gave_up(line.standing, turn.missed, now_ns))

    def _look_in_thread(self, line: _Line) -> None:
        try:
            self._spawn(f"trust-look-{line.watch.key}", lambda: self._look(line))
        except RuntimeError as error:  # the system has no more threads
            self._ended(line, Fault(reason=Reason.MONITOR_FAILED, why=str(error)))

    # A look

    def _look(self, line: _Line) -> None:
        self._ended(line, attempt(line.look.take))

    def _ended(self, line: _Line, outcome: Looked | Fault) -> None:
        now_ns = self._clock.now_ns()
        with self._lock:
            given_up, line.hung, line.since_ns = line.hung, False, None
            self._note_idle()
            if not given_up and not self._stopping.is_set():
                # What a look that was given up brings at last may be older than what others have seen since.
                if isinstance(outcome, Fault):
                    line.standing = self._tell(failed(line.standing, outcome.reason, outcome.why, now_ns))
                else:
                    self._say(*outcome.changes)
                    line.standing = self._tell(concluded(line.standing, outcome.seen, now_ns))
        self._wake.set()

    # The watchdog

    def check(self) -> float:
        """Report whatever has fallen silent; how long in s until something else may."""
        now_ns = self._clock.now_ns()
        hang_ns = round(self._settings.hang_s * NS_PER_S)
        with self._lock:
            self._beat_ns["watchdog"] = now_ns
            self._say(self._supervise("schedule", now_ns))
            for line in self._lines.values():
                self._check_line(line, now_ns, hang_ns)
            self._say(*self._stuck_listeners(now_ns, hang_ns))
            ahead = [one for line in self._lines.values() for one in _ahead_ns(line, hang_ns)]
        limit_s = self._settings.check_s
        return max(0.0, min([limit_s, *((one - now_ns) / NS_PER_S for one in ahead)]))

    def _check_line(self, line: _Line, now_ns: int, hang_ns: int) -> None:
        if line.since_ns is not None and not line.hung and now_ns - line.since_ns >= hang_ns:
            line.hung = True
            self._wake.set()
            why = f"the look has not returned for {(now_ns - line.since_ns) / NS_PER_S:.3f} s"
            line.standing = self._tell(silenced(line.standing, Reason.TIMED_OUT, why, now_ns))
        elif now_ns >= line.standing.deadline_ns and not line.standing.silent:
            line.standing = self._tell(silenced(line.standing, *overdue(line.standing, now_ns), now_ns))

    def _supervise(self, who: str, now_ns: int) -> Change | None:
        """The change where `who`, schedule or watchdog, has stopped, or goes on again; said once."""
        late_ns = now_ns - self._beat_ns[who]
        limit_s = self._settings.hang_s + self._settings.check_s
        stopped = late_ns >= limit_s * NS_PER_S
        if stopped == (who in self._told):
            return None
        self._told ^= {who}
        why = f"nothing of it for {late_ns / NS_PER_S:.3f} s" if stopped else "it goes on"
        return _about_self(who, "silent" if stopped else "recovered", Reason.MONITOR_SILENT, why, now_ns)

    def _stuck_listeners(self, now_ns: int, hang_ns: int) -> list[Change]:
        changes = []
        for number, outbox in enumerate(self._outboxes):
            name, busy_ns = f"listener {number}", outbox.busy_ns(now_ns)
            if (busy_ns >= hang_ns) == (name in self._told):
                continue
            self._told ^= {name}
            stuck = busy_ns >= hang_ns
            why = f"it has not returned for {busy_ns / NS_PER_S:.3f} s" if stuck else "it goes on"
            kind: Literal["silent", "recovered"] = "silent" if stuck else "recovered"
            changes.append(_about_self(name, kind, Reason.MONITOR_SILENT, why, now_ns))
        return changes

    # Changes

    def deliver(self) -> None:
        """Tell the listeners what waits for them, in the caller's thread; else each has a thread for it."""
        for outbox in self._outboxes:
            outbox.drain()

    def _tell(self, step: Step) -> Standing:
        standing, changes = step
        self._say(*changes)
        return standing

    def _say(self, *changes: Change | None) -> None:
        for change in filter(None, changes):
            for outbox in self._outboxes:
                outbox.put(change)

    def _listener_failed(self, failing: Outbox, fault: Fault) -> None:
        name = f"listener {self._outboxes.index(failing)}"
        change = _about_self(name, "failed", fault.reason, fault.why, self._clock.now_ns())
        for outbox in self._outboxes:
            if outbox is not failing:
                outbox.put(change)


def _line(watch: Watch, look: Look, now_ns: int) -> _Line:
    slot = schedule.slot(
        watch.key,
        watch.subject,
        start_ns=now_ns,
        interval_ns=round(watch.interval_s * NS_PER_S),
        phase=watch.phase,
    )
    lifetime_ns = round(watch.lifetime_s * NS_PER_S)
    standing = Standing(
        subject=watch.subject,
        monitor=watch.monitor.name,
        simulated=watch.monitor.simulated,
        lifetime_ns=lifetime_ns,
        deadline_ns=slot.first_ns + lifetime_ns,
    )
    return _Line(watch=watch, look=look, slot=slot, standing=standing)


def _ahead_ns(line: _Line, hang_ns: int) -> Iterator[int]:
    """The moments at which the watchdog has something to say of the line, unless it is heard of before."""
    if not line.standing.silent:
        yield line.standing.deadline_ns
    if line.since_ns is not None and not line.hung:
        yield line.since_ns + hang_ns


def _about_self(
    who: str, kind: Literal["silent", "recovered", "failed"], reason: Reason, why: str, now_ns: int
) -> Change:
    return Change(
        subject=SELF,
        monitor=who,
        kind=kind,
        what="monitor",
        before=None,
        after=None,
        reason=reason,
        detail=why,
        at_ns=now_ns,
        simulated=False,
    )
