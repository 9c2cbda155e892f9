"""The migrations of several guests of one attempt: each number belongs to one guest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from harness.migration.flight import Flights
from harness.migration.schedule import PlannedMigration


class SeveralFlights:
    """What a window needs of flights, for several guests at once.

    Args:
        flights: Each guest's, by its name.
        planned: The trial's migrations, each of which names its guest; empty where a response loop starts
            them, through each guest's own flights.
    """

    def __init__(self, flights: Mapping[str, Flights], planned: Sequence[PlannedMigration] = ()) -> None:
        self._flights = dict(flights)
        self._guest = {one.n: str(one.guest) for one in planned}

    def guest_of(self, n: int) -> str | None:
        """The name of the guest that migration `n` moves; None where none was planned."""
        return self._guest.get(n)

    def start(self, n: int, planned_s: float) -> None:
        """Start migration `n`, as :meth:`Flights.start` does."""
        self._flights[self._guest[n]].start(n, planned_s)

    def abort(self, reason: str, n: int) -> None:
        """Ask migration `n` to stop, and record that."""
        self._flights[self._guest[n]].abort(reason, n)

    def abandon(self) -> None:
        """Leave no migration of any guest behind: all are aborted before the end of any is awaited."""
        with ExitStack() as last_first:
            for one in self._flights.values():
                last_first.callback(one.await_end)
            for one in self._flights.values():
                last_first.callback(one.cut_short)

    def watch_limit(self, limit_s: float) -> None:
        """Give up whichever migration is not over within `limit_s`."""
        for one in self._flights.values():
            one.watch_limit(limit_s)

    def check(self) -> None:
        """Raise what ended a migration's thread, if anything did."""
        for one in self._flights.values():
            one.check()

    def settle(self) -> None:
        """Wait until the final counts of every migration are in."""
        for one in self._flights.values():
            one.settle()
