"""Nova's hosts as a fleet for policy validation: what the scheduler shows of them, asked once a request.

The scheduler hands over the same hosts again and again, and few of them have changed. A host's statement is
read and checked when it changes, and a host that has not changed costs a comparison.

One thread at a time uses an instance; the filter has the lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from harness.policy.capability import Table
from harness.policy.fleet import Fleet, Offer
from harness.policy.nova.statement import Keys, Read, overtaken, read
from harness.policy.request import Request
from harness.policy.threats import CELLS, mask
from harness.policy.validated import RefusedShelf, Validated
from harness.policy.validation import deploy

Metadata: TypeAlias = tuple[Mapping[str, str], ...]
"""The metadata of each aggregate that a host is in."""


class Seen(NamedTuple):
    """One host as the scheduler shows it.

    Attributes:
        name: As Nova calls it.
        vms: How many servers are on it.
        aggregates: The metadata of its aggregates.
    """

    name: str
    vms: int
    aggregates: Metadata


@dataclass(frozen=True, slots=True)
class _Known:
    """What was last seen of a host, and what it came to."""

    vms: int
    aggregates: Metadata
    read: Read


class Hosts:
    """The hosts of one cloud."""

    def __init__(self, table: Table, keys: Keys, *, warning_counts: bool = False) -> None:
        self.fleet = Fleet(table, warning_counts=warning_counts)
        self._keys = keys
        self._known: dict[str, _Known] = {}

    def judge(self, asked: Request, seen: Iterable[Seen], now_ns: int) -> Validated:
        """Which hosts satisfy a request.

        Args:
            asked: The request.
            seen: The hosts as the scheduler shows them now. A host that is not among them keeps what was last
                known of it; only those that are may be looked up in the answer.
            now_ns: The scheduler's CLOCK_REALTIME.
        """
        for one in seen:
            known = self._known.get(one.name)
            if known is None or known.aggregates != one.aggregates:
                self._changed(one, known, now_ns)
            elif known.vms != one.vms:
                self._put(one, known.aggregates, known.read)
        return deploy(asked, self.fleet, now_ns)

    def _changed(self, one: Seen, known: _Known | None, now_ns: int) -> None:
        found = read(one.name, one.aggregates, self._keys, now_ns)
        newest_ns = 0 if known is None else known.read.generated_ns
        if found.generated_ns < newest_ns:
            lost = found if not found.generated_ns else overtaken(one.name)
            found = replace(lost, generated_ns=newest_ns)
        self._put(one, tuple(dict(metadata) for metadata in one.aggregates), found)

    def _put(self, one: Seen, aggregates: Metadata, found: Read) -> None:
        self._known[one.name] = _Known(one.vms, aggregates, found)
        self.fleet.update(replace(found.server, running_vms=one.vms))


def refusals(answer: Validated, names: Iterable[str]) -> tuple[RefusedShelf, ...]:
    """Why hosts of `names` are refused: those with the same lack together, the largest group first."""
    alike: dict[Offer | None, list[str]] = {}
    for name in names:
        if not answer.permits(name):
            alike.setdefault(answer.fleet.offer(name), []).append(name)
    shelves = [RefusedShelf(count=len(one), example=answer.refused[one[0]]) for one in alike.values()]
    return tuple(sorted(shelves, key=lambda one: (-one.count, one.example.server)))


def ranks(answer: Validated, names: Sequence[str]) -> list[int]:
    """The place of each of `names`, 0 for the best, in the order in which validation ranks them.

    Fewest protections that were not asked for first, then fewest servers, then by name; a host that is not
    eligible comes last.
    """
    asked = mask(answer.request.cells)

    def place(name: str) -> tuple[int, int, str]:
        one, offer = answer.fleet.get(name), answer.fleet.offer(name)
        if one is None or offer is None or not answer.permits(name):
            return len(CELLS) + 1, 0, name
        return (offer.yes & ~asked).bit_count(), one.running_vms, name

    order = {name: number for number, name in enumerate(sorted(set(names), key=place))}
    return [order[name] for name in names]
