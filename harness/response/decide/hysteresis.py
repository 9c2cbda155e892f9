"""What is remembered so that flapping evidence moves nothing back and forth: pure steps over small values.

Three things keep a VM from being moved although its place is bad, each for a time that the policy states: a
server that was bad settles before it receives anything, a VM does not go back to a server that it fled, and
a VM is moved only so often. None of them ever makes a bad place count as good. They end by themselves, so
that the caller also learns when.

What is remembered is small and can be told again from the registry after a crash: it is about servers that
were bad and VMs that were moved, and about no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace

from harness.attest.reasons import Tier
from harness.policy.server import Server, believed
from harness.policy.threats import Cell
from harness.response.decide.cause import FLED, Cause
from harness.response.policy import ResponsePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHistory:
    """What is remembered of a server.

    Attributes:
        good: Whether it was trusted when it was last noted; None while nothing was ever known of it.
        good_until_ns: When that trust ends.
        good_again_ns: Since when it is trusted again after it was not; None where it always was.
        architecture: As it stated it last.
        withdrawn: Cells that were withdrawn when it was last noted.
        returned_ns: When each cell that had been withdrawn came back.
    """

    good: bool | None = None
    good_until_ns: int | None = None
    good_again_ns: int | None = None
    architecture: str | None = None
    withdrawn: frozenset[Cell] = frozenset()
    returned_ns: Mapping[Cell, int] = field(default_factory=dict)


def noted(
    history: ServerHistory | None, server: Server, now_ns: int, *, warning_counts: bool = False
) -> ServerHistory:
    """The history after the server was found to be as it is; to be called at every change of it.

    A server of which nothing was known yet was not bad: its first good evidence counts at once. Evidence that
    expired before the next came was a time without trust, whether or not anybody looked. An architecture that
    changed makes another server of it, which has to settle as well.
    """
    before = history or ServerHistory()
    tier = believed(server, now_ns).tier
    good = tier.trusted(warning_counts=warning_counts)
    lapsed = before.good_until_ns is not None and before.good_until_ns <= now_ns
    changed = before.architecture is not None and before.architecture != server.architecture
    was_bad = before.good is False or lapsed or changed
    returned = dict.fromkeys(before.withdrawn - server.withdrawn, now_ns)
    known = tier is not Tier.NONE or before.good is not None
    return ServerHistory(
        good=good if known else None,
        good_until_ns=server.verdict.expires_ns if good else None,
        good_again_ns=now_ns if good and was_bad else before.good_again_ns,
        architecture=server.architecture or before.architecture,
        withdrawn=server.withdrawn,
        returned_ns={**before.returned_ns, **returned},
    )


def settled_ns(history: ServerHistory | None, cells: Set[Cell], policy: ResponsePolicy) -> int | None:
    """From when the server may receive a VM that needs `cells`, as far as its past goes; None: from ever."""
    if history is None:
        return None
    since = [history.returned_ns[cell] for cell in cells if cell in history.returned_ns]
    if history.good_again_ns is not None:
        since.append(history.good_again_ns)
    return max(since) + policy.settle_ns if since else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A move of a VM that was tried and has ended.

    Attributes:
        source: Where it was.
        destination: Where it was to go.
        cause: Why.
        ended_ns: When the move had succeeded or failed, controller's CLOCK_MONOTONIC.
        ok: Whether the VM is at the destination.
    """

    source: str
    destination: str
    cause: Cause
    ended_ns: int
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What was done with a VM that could go nowhere.

    Attributes:
        what: ``hold`` or ``suspend``; a VM that was shut down is not held.
        cause: Why.
        request_number: The request that could not be satisfied.
    """

    what: str
    cause: Cause
    request_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VmHistory:
    """What is remembered of a VM.

    Attributes:
        attempts: Its moves, in the order in which they ended, as far back as any limit reaches.
        troubled_since_ns: When its present trouble began; short spells without are part of it.
        fine_since_ns: Since when it has been well; None while it is not.
        complied: The newest request that it was seen to be satisfied with.
        held: What was done as it could go nowhere; None where nothing was or it is over.
    """

    attempts: tuple[Tried, ...] = ()
    troubled_since_ns: int | None = None
    fine_since_ns: int | None = None
    complied: int = 0
    held: Held | None = None

    @property
    def suspended(self) -> bool:
        """Whether a response stopped it, and it was not let run again since."""
        return self.held is not None and self.held.what == "suspend"


def attempted(history: VmHistory, attempt: Tried, policy: ResponsePolicy) -> VmHistory:
    """The history after a move ended; one that succeeded lets the VM run again, whatever was done before."""
    reach_ns = max(policy.per_ns, policy.return_after_ns, policy.retry_after_ns)
    recent = (one for one in history.attempts if one.ended_ns + reach_ns > attempt.ended_ns)
    return replace(history, attempts=(*recent, attempt), held=None if attempt.ok else history.held)


def held(history: VmHistory, what: Held) -> VmHistory:
    """The history after something was done with a VM that can go nowhere."""
    return replace(history, held=what)


def released(history: VmHistory) -> VmHistory:
    """The history after a person let a suspended VM run again."""
    return replace(history, held=None)


def troubled(history: VmHistory, now_ns: int) -> VmHistory:
    """The history after the VM was found in trouble."""
    since_ns = now_ns if history.troubled_since_ns is None else history.troubled_since_ns
    return replace(history, troubled_since_ns=since_ns, fine_since_ns=None)


def well(history: VmHistory, request_number: int, now_ns: int, policy: ResponsePolicy) -> VmHistory:
    """The history after the VM was found well with the request of that number.

    Its trouble, and a hold, are over only when it has been well for as long as a server needs to settle:
    so an alarm is not raised again by each swing of flapping evidence.
    """
    since_ns = now_ns if history.fine_since_ns is None else history.fine_since_ns
    over = now_ns - since_ns >= policy.settle_ns
    return replace(
        history,
        fine_since_ns=since_ns,
        complied=max(history.complied, request_number),
        troubled_since_ns=None if over else history.troubled_since_ns,
        held=None if over else history.held,
    )


def may_move_ns(history: VmHistory, cause: Cause, policy: ResponsePolicy) -> tuple[int, str] | None:
    """From when the VM may be moved for `cause`, and what stands against it until then; None: nothing does.

    Moves without a reason never stand in the way of one that has a reason; the other way round they do.
    """
    counted = [
        one
        for one in history.attempts
        if cause is Cause.MOVING_TARGET or one.cause is not Cause.MOVING_TARGET
    ]
    limits: list[tuple[int, str]] = []
    if counted and not counted[-1].ok:
        last = counted[-1]
        limits.append((last.ended_ns + policy.retry_after_ns, f"a move to {last.destination} failed"))
    if len(counted) >= policy.max_moves:
        earliest = counted[-policy.max_moves]
        why = f"it was moved {policy.max_moves} times within {policy.per_s:g} s"
        limits.append((earliest.ended_ns + policy.per_ns, why))
    return max(limits, default=None)


def barred_until_ns(history: VmHistory, server: str, policy: ResponsePolicy) -> int | None:
    """Until when the VM does not go to a server that it fled; None where it did not flee it."""
    fled = [one.ended_ns for one in history.attempts if one.ok and one.source == server and one.cause in FLED]
    return fled[-1] + policy.return_after_ns if fled else None


def failed_before(history: VmHistory) -> tuple[str, ...]:
    """The servers that the VM failed to reach since its last move that succeeded, the latest failure last."""
    failed: dict[str, None] = {}
    for one in history.attempts:
        if one.ok:
            failed.clear()
        else:
            failed.pop(one.destination, None)
            failed[one.destination] = None
    return tuple(failed)
