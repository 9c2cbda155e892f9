"""Guests that run twice or were set back, as a series of sightings shows them; and honest series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from harness.attest.guest.continuity import Sighting
from harness.attest.guest.history import review
from harness.attest.reasons import Reason
from harness.attest.tpm.structures import ClockInfo
from harness.clock import NS_PER_S
from tests.attest.adversary.case import Case, grouped
from tests.attest.adversary.stage import Stage

HOST, ELSEWHERE = "host-a", "host-b"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All that was seen of a guest."""

    seen: tuple[Sighting, ...]

    def judge(self) -> str:
        found = {one.reason.value for one in review(self.seen)}
        return "+".join(sorted(found)) or Reason.ACCEPTED.value


Seen: TypeAlias = tuple[str, int, int, int, int, int]
"""Host, epoch, moment in s, resets, clock in ms, IMA entries."""


def _history(*rows: Seen) -> Callable[[Stage], History]:
    def forge(stage: Stage) -> History:
        return History(seen=tuple(_sighting(stage, row) for row in rows))

    return forge


def _sighting(stage: Stage, row: Seen) -> Sighting:
    host, epoch, at_s, resets, clock_ms, entries = row
    return Sighting(
        vak_name=stage.guest.name,
        host=host,
        epoch=epoch,
        clock=ClockInfo(clock_ms=clock_ms, reset_count=resets, restart_count=0, safe=True),
        generated_ns=at_s * NS_PER_S,
        ima_entries=entries,
    )


def _honest_rows(count: int) -> Sequence[Seen]:
    return [(HOST if n % 2 else ELSEWHERE, n, 10 * n, 1, 10_000 * n, 50 + n) for n in range(1, count)]


CASES: tuple[Case, ...] = grouped(
    "guest",
    ("history-honest", Reason.ACCEPTED, "A guest that moved to and fro", _history(*_honest_rows(8))),
    (
        "history-reboot",
        Reason.ACCEPTED,
        "A guest that was rebooted: a shorter list, a later boot",
        _history((HOST, 1, 10, 1, 10_000, 50), (HOST, 1, 20, 2, 20_000, 5)),
    ),
    (
        "clone-in-one-epoch",
        Reason.GUEST_CLONED,
        "One key on two hosts in one epoch",
        _history((HOST, 1, 10, 1, 10_000, 50), (ELSEWHERE, 1, 20, 1, 20_000, 50)),
    ),
    (
        "clone-left-behind",
        Reason.GUEST_CLONED,
        "A guest that goes on in an older epoch after it moved",
        _history(
            (HOST, 1, 10, 1, 10_000, 50), (ELSEWHERE, 2, 20, 1, 20_000, 50), (HOST, 1, 30, 1, 30_000, 50)
        ),
    ),
    (
        "rolled-back-clock",
        Reason.GUEST_ROLLED_BACK,
        "A guest whose clock went back",
        _history((HOST, 1, 10, 1, 10_000, 50), (HOST, 1, 20, 1, 5_000, 50)),
    ),
    (
        "rolled-back-reset",
        Reason.GUEST_ROLLED_BACK,
        "A guest that was restored from before a reboot",
        _history((HOST, 1, 10, 2, 10_000, 50), (HOST, 1, 20, 1, 20_000, 50)),
    ),
    (
        "rolled-back-list",
        Reason.GUEST_ROLLED_BACK,
        "A restored snapshot whose vTPM carried its clock on: only the list is shorter",
        _history((HOST, 1, 10, 1, 10_000, 50), (HOST, 1, 20, 1, 20_000, 40)),
    ),
)
