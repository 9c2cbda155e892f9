"""Where the time goes between the order to migrate and QEMU's start: spans from marks of several observers.

Marks are moments with a name and the clock that told them: the API's answers on the controller, notifications
on Nova's machines, QMP events on the hosts. They are mapped to one clock before they come here, each with the
uncertainty of that. A span is measured between two marks. It is missing with a reason where a mark is
missing, or where the two are in the wrong order by more than their uncertainty; it is never 0 for that.

Source: Security on Demand, section VI (2.33 s more inside OpenStack); the order of Nova 31.0.0's
notifications in a live migration (``tests/nova/recorded/completed.json``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from harness.migration.nova.notifications import Notice, in_order

ASKED: Final = "asked"
ACCEPTED: Final = "accepted"
SCHEDULING: Final = "scheduling"
SCHEDULED: Final = "scheduled"
PREPARING: Final = "preparing"
PREPARED: Final = "prepared"
QEMU: Final = "qemu"
FINISHED: Final = "finished"

STEPS: Final[tuple[tuple[str, str, str], ...]] = (
    ("api", ASKED, ACCEPTED),
    ("conductor", ACCEPTED, SCHEDULING),
    ("scheduler", SCHEDULING, SCHEDULED),
    ("checks and port binding", SCHEDULED, PREPARING),
    ("pre_live_migration", PREPARING, PREPARED),
    ("libvirt", PREPARED, QEMU),
)
"""The parts of the trigger, in order: name, first mark, second mark. Together they are `TRIGGER`."""
TRIGGER: Final = ("trigger", ASKED, QEMU)
"""From just before the order until QEMU says ``MIGRATION {"status": "setup"}`` on the source."""

MARKS_OF_NOTICES: Final[Mapping[str, str]] = {
    "scheduler.select_destinations.start": SCHEDULING,
    "scheduler.select_destinations.end": SCHEDULED,
    "instance.live_migration_pre.start": PREPARING,
    "instance.live_migration_pre.end": PREPARED,
    "instance.live_migration_post.end": FINISHED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One moment.

    Attributes:
        name: Which.
        at_ns: When, on the controller's CLOCK_MONOTONIC.
        uncertainty_ns: By how much that may be off, for its clock's mapping and its resolution.
        observer: Who saw it, e.g. ``api``, ``notification``, ``qmp``.
    """

    name: str
    at_ns: int
    uncertainty_ns: int
    observer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One part of the time.

    Attributes:
        name: Which.
        duration_ns: How long; below 0 by no more than its uncertainty; None where it is not known.
        uncertainty_ns: By how much that may be off, at most.
        why: Why it is not known; empty where it is.
    """

    name: str
    duration_ns: int | None
    uncertainty_ns: int = 0
    why: str = ""


def of_notices(
    notices: Iterable[Notice], server: str, request: str | None, offset_ns: Mapping[str, tuple[int, int]]
) -> tuple[Mark, ...]:
    """The marks that notifications make in one migration of a server.

    The first of each kind counts: a notification that comes twice is one, and a later migration has another
    request.

    Args:
        notices: All that were heard, in any order.
        server: Whose.
        request: The id of the API request; None counts every request's.
        offset_ns: For each host of publishers what is added to its wall clock to get the controller's
            monotonic one, and by how much that may be off. A publisher that is missing makes no mark.
    """
    found: dict[str, Mark] = {}
    for one in in_order(notices):
        name = MARKS_OF_NOTICES.get(one.event)
        mapped = offset_ns.get(one.publisher.partition(":")[2])
        wanted = one.server == server and (request is None or one.request in {None, request})
        if name is None or mapped is None or not wanted or name in found:
            continue
        found[name] = Mark(
            name=name,
            at_ns=one.at_us * 1_000 + mapped[0],
            uncertainty_ns=mapped[1] + 1_000,
            observer="notification",
        )
    return tuple(found.values())


def spans(marks: Iterable[Mark]) -> tuple[Span, ...]:
    """Each part of the trigger, in order, and last the whole of it."""
    known = {one.name: one for one in marks}
    return tuple(_span(name, first, second, known) for name, first, second in (*STEPS, TRIGGER))


def _span(name: str, first: str, second: str, known: Mapping[str, Mark]) -> Span:
    missing = [one for one in (first, second) if one not in known]
    if missing:
        return Span(name=name, duration_ns=None, why=f"no mark of {' and '.join(missing)}")
    begin, end = known[first], known[second]
    duration_ns, uncertainty_ns = end.at_ns - begin.at_ns, begin.uncertainty_ns + end.uncertainty_ns
    if duration_ns < -uncertainty_ns:
        return Span(name=name, duration_ns=None, why=f"{second} is before {first}")
    return Span(name=name, duration_ns=duration_ns, uncertainty_ns=uncertainty_ns)
