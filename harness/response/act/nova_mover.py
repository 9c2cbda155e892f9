"""Moves and stops a server of a cloud for a response loop: Nova is asked, and what became of it is looked at.

The order is given once. Where its answer is lost, Nova may have taken it, and a migration that appears is
taken for it. How things are is read from the migration's record, at intervals that do not slow Nova down;
notifications make that faster and are never needed. The server itself is looked at before and after.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from harness.clock import NS_PER_S, Clock
from harness.evidence.events import ResponseAccepted
from harness.json_types import Json
from harness.migration.driver import Outcome
from harness.migration.nova.notifications import Notice
from harness.migration.nova.outcome import OVER, Ended, Ending, ended, refused_at_once
from harness.response.act.responder import Moved, Tell
from harness.rig.openstack.cloud import Answer, Cloud, CloudError, TokenError

_ARRIVING = "instance.live_migration_post_dest."
_ACTIONS: Mapping[str, str] = {"suspend": "pause", "shut-down": "os-stop"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often is looked, and for how long.

    Attributes:
        look_s: Between two looks at the migration's record.
        server_s: Between two looks at a server whose migration does not end: it may be gone.
        most_s: After which nothing is waited for any more.
        unanswered_s: How long a migration may take to appear for which the order got no answer.
    """

    look_s: float = 0.4
    server_s: float = 15.0
    most_s: float = 600.0
    unanswered_s: float = 60.0


class NovaMover:
    """Moves one server.

    Args:
        cloud: Nova.
        server: The server's id.
        hosts: The servers of the registry, as Nova calls them.
        heard: All notices of the server that were heard since the response began; may always be empty.
        tell: Journals an event of the response.
        clock: The controller's.
        patience: How often is looked, and for how long.
    """

    def __init__(
        self,
        cloud: Cloud,
        server: str,
        hosts: Mapping[str, str],
        heard: Callable[[], Iterable[Notice]],
        tell: Tell,
        clock: Clock,
        patience: Patience | None = None,
    ) -> None:
        self._cloud = cloud
        self._server = server
        self._hosts = hosts
        self._heard = heard
        self._tell = tell
        self._clock = clock
        self._patience = patience or Patience()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._destination: str | None = None
        self._called_off: str | None = None

    @property
    def destination(self) -> str | None:
        """Where the move under way goes, as the registry calls it; None where none is."""
        return self._destination

    def move(self, n: int, destination: str, runs: Callable[[], None]) -> Moved:
        """Move the server; blocks until it is known what became of it, or nothing is waited for any more."""
        host = self._hosts[destination]
        with self._lock:
            self._destination, self._called_off = destination, None
            self._wake.clear()
        began_ns = self._clock.now_ns()
        try:
            try:
                before = self._cloud.newest_migration(self._server)
            except CloudError as error:
                ending = Ending.TOKEN if isinstance(error, TokenError) else Ending.UNREACHABLE
                found = Ended(ending=ending, host=None, why=error.summary)
            else:
                began_ns = self._clock.now_ns()
                found = self._ordered(n, host, _number(before), began_ns, runs)
        finally:
            with self._lock:
                self._destination = None
        ok = found.ending is Ending.COMPLETED
        error_text = None if ok else f"{found.ending}: {found.why}"
        outcome = Outcome(ok=ok, returned_ns=self._clock.now_ns(), error=error_text)
        return Moved(began_ns=began_ns, outcome=outcome, called_off=None if ok else self._called_off)

    def call_off(self, reason: str) -> bool:
        """Ask the move that is under way to stop; whether there was one. Too late is no error: it arrives."""
        with self._lock:
            if self._destination is None or self._called_off is not None:
                return False
            self._called_off = reason
            self._wake.set()
        return True

    def stop(self, what: str) -> str | None:
        """Pause the server, or have it shut down, where it is; what went wrong, or None.

        Nova asks a guest to shut down and waits for it (``shutdown_timeout``) before it ends it.
        """
        try:
            answer = self._cloud.act(self._server, _ACTIONS[what])
        except CloudError as error:
            return error.summary
        refused = refused_at_once(answer.status, answer.body)
        return None if refused is None else f"{refused.ending}: {refused.why}"

    def _ordered(self, n: int, host: str, before: int, began_ns: int, runs: Callable[[], None]) -> Ended:
        answer: Answer | None
        try:
            answer = self._cloud.live_migrate(self._server, host)
        except CloudError:
            answer = None
        # Without an answer, or with a proxy's, it may have been taken: a migration that appears is this one.
        answered = answer is not None and answer.status < 500
        refused = refused_at_once(answer.status, answer.body) if answer is not None and answered else None
        if refused is not None:
            return refused
        request = None if answer is None else answer.request
        watch = _Watch(n=n, host=host, before=before, began_ns=began_ns, request=request, runs=runs)
        watch.next_server_s = self._patience.server_s
        while True:
            found = self._looked(watch, answered=answered)
            if found is not None:
                return found
            self._clock.wait(self._patience.look_s, self._wake)
            self._wake.clear()

    def _looked(self, watch: _Watch, *, answered: bool) -> Ended | None:
        """What became of it, after one more look; None while that is open."""
        waited_s = (self._clock.now_ns() - watch.began_ns) / NS_PER_S
        heard = [
            one for one in self._heard() if one.request in {None, watch.request} or watch.request is None
        ]
        if any(one.event.startswith(_ARRIVING) for one in heard):
            watch.run()
        try:
            found = self._state(watch, heard, waited_s)
        except CloudError as error:
            watch.trouble = error.summary
            found = None
        if found is not None and found.ending is Ending.COMPLETED:
            watch.run()
        if found is None and not answered and watch.status is None and waited_s > self._patience.unanswered_s:
            why = "the order got no answer, and no migration has appeared since"
            return Ended(ending=Ending.UNREACHABLE, host=None, why=watch.trouble or why)
        if found is None and waited_s > self._patience.most_s:
            why = watch.trouble or f"its status is {watch.status or 'unknown'}"
            return Ended(ending=Ending.UNKNOWN, host=None, why=f"not over after {waited_s:.0f} s: {why}")
        return found

    def _state(self, watch: _Watch, heard: list[Notice], waited_s: float) -> Ended | None:
        record = self._cloud.newest_migration(self._server, watch.before)
        watch.seen(record)
        if watch.status == "running" and not watch.accepted:
            watch.accepted = True
            self._tell(ResponseAccepted(n=watch.n), t_ns=self._clock.now_ns())
        self._abort(watch)
        gone = any(one.event.startswith("instance.delete") for one in heard)
        failed = record is None and any(one.fault for one in heard)
        over = watch.status in OVER
        if not (over or gone or failed or waited_s >= watch.next_server_s):
            return None
        watch.next_server_s = waited_s + self._patience.server_s
        server = self._cloud.server(self._server)
        done = self._cloud.action(self._server, watch.request) if watch.request and over and server else None
        return ended(record, server, heard, watch.host, done)

    def _abort(self, watch: _Watch) -> None:
        """Have a migration ended that was called off, once Nova can do that."""
        with self._lock:
            wanted = self._called_off is not None
        if wanted and watch.status == "running" and watch.number is not None and not watch.aborted:
            self._cloud.abort(self._server, watch.number)
            watch.aborted = True  # an answer other than 202 means that it is too late, and it arrives


class _Watch:
    """What is known of one order."""

    def __init__(
        self, *, n: int, host: str, before: int, began_ns: int, request: str | None, runs: Callable[[], None]
    ) -> None:
        self.n = n
        self.host = host
        self.before = before
        self.began_ns = began_ns
        self.request = request
        self.number: int | None = None
        self.status: str | None = None
        self.accepted = self.aborted = False
        self.next_server_s = 0.0
        self.trouble = ""
        self._runs: Callable[[], None] | None = runs

    def seen(self, record: Mapping[str, Json] | None) -> None:
        """Take in the migration's record."""
        status = None if record is None else record.get("status")
        self.status = status if isinstance(status, str) else None
        self.number = _number(record) or None

    def run(self) -> None:
        """Say once that the guest is seen to run where it was to go."""
        runs, self._runs = self._runs, None
        if runs is not None:
            runs()


def _number(record: Mapping[str, Json] | None) -> int:
    number = None if record is None else record.get("id")
    return number if isinstance(number, int) else 0
