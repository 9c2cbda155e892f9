"""An answer of policy validation, computed as it is read.

The number of eligible servers is known at once; everything else costs what the caller reads of it. An answer
belongs to one state of the fleet and cannot be read once that has changed: a stale answer must not send a VM
anywhere.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar

from harness.attest.reasons import Reason
from harness.errors import SodbenchError
from harness.policy.fleet import Fleet, Offer
from harness.policy.refusal import Refusal, refusal
from harness.policy.request import Request
from harness.policy.threats import mask

MOST_REASONS = 5
"""How many reasons an error lists; :meth:`Validated.summary` has them all."""


class NoServerError(SodbenchError):
    """No server satisfies the request now; the message states what they lack."""

    exit_code: ClassVar[int] = 20
    kind: ClassVar[str] = "no-server"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedShelf:
    """Servers that are refused for the same reasons: how many, and one of them."""

    count: int
    example: Refusal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Validated:
    """The answer to one request at one moment; :mod:`harness.policy.validation` gives it.

    Everything but its attributes raises RuntimeError once the fleet has changed.

    Attributes:
        request: What was asked for.
        here: The server that the VM is to leave; None for a new VM.
        fleet: The servers it is about.
        revision: The fleet's, when it was given.
        fitting: What is offered that satisfies the request, by how many protections there are beyond it.
        count: How many servers are eligible.
    """

    request: Request
    here: str | None
    fleet: Fleet = field(repr=False)
    revision: int
    fitting: Mapping[int, tuple[Offer, ...]] = field(repr=False)
    count: int

    @property
    def reason(self) -> Reason | None:
        """Why no server is eligible; None where one is."""
        return None if self.count else Reason.NO_ELIGIBLE_HOST

    @property
    def eligible(self) -> Eligible:
        """The servers that may be chosen, best first."""
        return Eligible(self)

    @property
    def refused(self) -> Mapping[str, Refusal]:
        """Every other server of the fleet with what it lacks."""
        return Refused(self)

    def first(self, most: int) -> tuple[str, ...]:
        """The best `most` eligible servers, or as many as there are."""
        return self.eligible.first(most)

    def best(self) -> str:
        """The best server.

        Raises:
            NoServerError: No server is eligible; the message states what they lack.
        """
        for name in self.eligible:
            return name
        alike = self.summary()
        lacking = [
            one.example.why + (f" (and {one.count - 1} more like it)" if one.count > 1 else "")
            for one in alike[:MOST_REASONS]
        ]
        if len(alike) > MOST_REASONS:
            lacking.append(f"and {len(alike) - MOST_REASONS} reasons more")
        raise NoServerError(
            "no server satisfies the request",
            where=Reason.NO_ELIGIBLE_HOST.value,
            why="; ".join(lacking) or "no server is known",
            remedy="attest the servers again, or ask for less",
            retry=True,
        )

    def permits(self, name: str) -> bool:
        """Whether the server `name` is eligible."""
        self.check()
        return name != self.here and self.fits(self.fleet.offer(name))

    def fits(self, offer: Offer | None) -> bool:
        """Whether a server that offers this satisfies the request."""
        wanted = mask(self.request.cells)
        return offer is not None and not wanted & ~offer.counting(self.request.accept_removed)

    def summary(self) -> tuple[RefusedShelf, ...]:
        """What the refused servers lack, grouped by architecture and lack, the largest group first."""
        self.check()
        asked, accepted = mask(self.request.cells), self.request.accept_removed
        found: dict[tuple[str, int, str], tuple[int, str]] = {}
        for offer, size in self.fleet.shelves():
            missing = asked & ~offer.counting(accepted)
            if missing:
                alike = (offer.architecture, missing, offer.doubt)
                before, first = found.get(alike, (0, ""))
                name = next(self.fleet.shelf(offer))[1]
                found[alike] = (before + size, min(first, name) if first else name)
        alone = self.here if self.here is not None and self.fits(self.fleet.offer(self.here)) else None
        firsts = [*found.values(), *([] if alone is None else [(1, alone)])]
        shelves = [RefusedShelf(count=size, example=self.refused[name]) for size, name in firsts]
        return tuple(sorted(shelves, key=lambda one: (-one.count, one.example.server)))

    def check(self) -> None:
        """Refuse to be read where the fleet has changed.

        Raises:
            RuntimeError: It has.
        """
        if self.fleet.revision != self.revision:
            raise RuntimeError("the fleet has changed since this answer was given")


class Eligible:
    """The servers that may be chosen, best first; ranked no further than they are read.

    First those with the fewest protections that were not asked for, so that strong servers are kept for who
    needs them; then those with the fewest VMs; then by name.
    """

    def __init__(self, verdict: Validated) -> None:
        self._verdict = verdict

    def __len__(self) -> int:
        return self._verdict.count

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._verdict.permits(name)

    def __iter__(self) -> Iterator[str]:
        asked = self._verdict
        asked.check()
        for surplus in sorted(asked.fitting):
            for _, name in heapq.merge(*(asked.fleet.shelf(one) for one in asked.fitting[surplus])):
                asked.check()
                if name != asked.here:
                    yield name
        asked.check()  # a shelf that has changed may end early

    def first(self, most: int) -> tuple[str, ...]:
        """The best `most` of them, or as many as there are."""
        return tuple(islice(self, most))


class Refused(Mapping[str, Refusal]):
    """The servers that may not be chosen, in no particular order; a refusal is made when it is asked for."""

    def __init__(self, verdict: Validated) -> None:
        self._verdict = verdict

    def __len__(self) -> int:
        self._verdict.check()
        return len(self._verdict.fleet) - self._verdict.count

    def __iter__(self) -> Iterator[str]:
        asked = self._verdict
        asked.check()
        for offer, _ in asked.fleet.shelves():
            for _, name in () if asked.fits(offer) else asked.fleet.shelf(offer):
                asked.check()
                yield name
        asked.check()
        if asked.here is not None and asked.fits(asked.fleet.offer(asked.here)):
            yield asked.here

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._verdict.fleet.names and not self._verdict.permits(name)

    def __getitem__(self, name: str) -> Refusal:
        asked = self._verdict
        asked.check()
        found = refusal(asked.request, asked.fleet, name, leaving=name == asked.here)
        if found is None or name not in asked.fleet.names:
            raise KeyError(name)
        return found
