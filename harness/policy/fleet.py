"""All servers, stored so that the cost of a question does not depend on their number.

Servers with the same capabilities share a shelf, in ranked order, and a question examines shelves. Shelves
are few: one for each reason to doubt a server, and for each architecture one per set of withdrawn cells. A
change of a server moves only that server; so does the expiry of what is known of it.

One thread at a time changes a fleet. The fleet decides nothing: :mod:`harness.policy.validation` does.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, KeysView, Set
from dataclasses import dataclass
from typing import Any, NamedTuple

from sortedcontainers import SortedList  # type: ignore[import-untyped]

from harness.policy.capability import Capability, Table
from harness.policy.server import Effective, Server, doubt, effective
from harness.policy.threats import mask

MOST_ENDS = 8
"""How many ends of one server are kept on average before superseded ends are removed."""


class Offer(NamedTuple):
    """What the servers of one shelf have in common.

    Attributes:
        architecture: As they state it; empty where nothing of it counts.
        yes: Mask of the cells in which they protect now.
        removed: Mask of the cells in which they do for who accepts it.
        doubt: Why nothing of them counts; empty where what they have does.
    """

    architecture: str
    yes: int
    removed: int
    doubt: str

    def counting(self, accepted: Set[str]) -> int:
        """Mask of the cells that count for a request that accepts what these architectures remove."""
        return self.yes | self.removed if self.architecture in accepted else self.yes


@dataclass(frozen=True, slots=True)
class _Held:
    """A server and its shelf."""

    server: Server
    offer: Offer
    ends_ns: int | None


class _Shelf:
    """The servers with the same capabilities, by their number of VMs and then by name."""

    def __init__(self) -> None:
        self.size = 0
        self._names: dict[int, Any] = {}

    def __iter__(self) -> Iterator[tuple[int, str]]:
        for vms in sorted(self._names):
            for name in self._names[vms]:
                yield vms, name

    def add(self, server: Server) -> None:
        names = self._names.get(server.running_vms)
        if names is None:
            names = self._names[server.running_vms] = SortedList()
        names.add(server.name)
        self.size += 1

    def remove(self, server: Server) -> None:
        names = self._names[server.running_vms]
        names.remove(server.name)
        if not names:
            del self._names[server.running_vms]
        self.size -= 1


class Fleet:
    """The servers there are, at one moment.

    Attributes:
        table: The architectures that are known.
        warning_counts: Whether a server with a reservation is good enough.
        now_ns: The moment, controller's CLOCK_MONOTONIC; 0 before the first :meth:`advance`.
        revision: Grows with every change, so that an answer can tell that it is no longer one.
    """

    def __init__(self, table: Table, servers: Iterable[Server] = (), *, warning_counts: bool = False) -> None:
        self.table = table
        self.warning_counts = warning_counts
        self.now_ns = 0
        self.revision = 0
        self._masks = {
            one.name: (mask(one.having(Capability.YES)), mask(one.having(Capability.REMOVED)))
            for one in table.values()
        }
        self._held: dict[str, _Held] = {}
        self._shelves: dict[Offer, _Shelf] = {}
        self._ends: list[tuple[int, str]] = []
        for server in servers:
            self.update(server)

    def update(self, server: Server) -> None:
        """Record what is known of `server` now; the server may be new."""
        before = self._held.get(server.name)
        expires_ns = server.verdict.expires_ns
        ends_ns = expires_ns if expires_ns is not None and expires_ns > self.now_ns else None
        after = _Held(server, self._offer(server), ends_ns)
        if before is None:
            self._put(after)
        elif (before.offer, before.server.running_vms) != (after.offer, server.running_vms):
            self._take(before)
            self._put(after)
        self._held[server.name] = after
        if ends_ns is not None and (before is None or before.ends_ns != ends_ns):
            self._note_end(ends_ns, server.name)
        self.revision += 1

    def remove(self, name: str) -> None:
        """Remove the server `name`, which may be unknown."""
        before = self._held.pop(name, None)
        if before is None:
            return
        self._take(before)
        self.revision += 1

    def advance(self, now_ns: int) -> None:
        """Advance to `now_ns`: expired results no longer count. An earlier moment changes nothing."""
        self.now_ns = max(self.now_ns, now_ns)
        while self._ends and self._ends[0][0] <= self.now_ns:
            ends_ns, name = heapq.heappop(self._ends)
            held = self._held.get(name)
            if held is not None and held.ends_ns == ends_ns:
                self.update(held.server)

    def get(self, name: str) -> Server | None:
        """The server of that name, if it is known."""
        held = self._held.get(name)
        return None if held is None else held.server

    def offer(self, name: str) -> Offer | None:
        """What the server of that name offers now, if it is known."""
        held = self._held.get(name)
        return None if held is None else held.offer

    def effective(self, server: Server) -> Effective:
        """What counts of `server` now."""
        return effective(server, self.table, self.now_ns, warning_counts=self.warning_counts)

    @property
    def names(self) -> KeysView[str]:
        """The names of all servers."""
        return self._held.keys()

    def __len__(self) -> int:
        return len(self._held)

    def shelves(self) -> Iterable[tuple[Offer, int]]:
        """What is offered, and by how many servers."""
        return ((offer, shelf.size) for offer, shelf in self._shelves.items())

    def shelf(self, offer: Offer) -> Iterator[tuple[int, str]]:
        """The number of VMs and the name of every server that offers this, fewest VMs first."""
        return iter(self._shelves.get(offer, ()))

    def _offer(self, server: Server) -> Offer:
        found = doubt(server, self.table, self.now_ns, warning_counts=self.warning_counts)
        if found is not None or server.architecture is None:
            return Offer("", 0, 0, "" if found is None else found.kind)
        yes, removed = self._masks[server.architecture]
        if server.withdrawn:
            left = ~mask(server.withdrawn)
            yes, removed = yes & left, removed & left
        return Offer(server.architecture, yes, removed, "")

    def _put(self, held: _Held) -> None:
        shelf = self._shelves.get(held.offer)
        if shelf is None:
            shelf = self._shelves[held.offer] = _Shelf()
        shelf.add(held.server)

    def _take(self, held: _Held) -> None:
        shelf = self._shelves[held.offer]
        shelf.remove(held.server)
        if not shelf.size:
            del self._shelves[held.offer]

    def _note_end(self, ends_ns: int, name: str) -> None:
        """Store an end. A superseded end stays in the heap until its time and then has no effect."""
        if len(self._ends) > MOST_ENDS * len(self._held):
            self._ends = [(one.ends_ns, key) for key, one in self._held.items() if one.ends_ns is not None]
            heapq.heapify(self._ends)
        else:
            heapq.heappush(self._ends, (ends_ns, name))
