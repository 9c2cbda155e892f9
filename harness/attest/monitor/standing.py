"""The standing of a watch and its changes: pure steps from one standing to the next.

A standing is only as good as its last result, and only until that expires: a later reader gets tier ``none``,
whether or not the expiry was noticed. Only a new result improves a standing. A contraindicated machine stays
so when it no longer answers; silence lifts no accusation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Literal, TypeAlias

from harness.attest.monitor.kinds.contract import Observation
from harness.attest.reasons import Reason, Tier, tier_of
from harness.attest.verdict import NOTHING_KNOWN, Verdict
from harness.clock import NS_PER_S
from harness.json_types import Json

ChangeKind: TypeAlias = Literal["tier", "recovered", "silent", "failed", "property", "missed"]
"""What changed: the verdict; the verdict, back after there was none; nothing was heard in time; the look or
what
belongs to it could not be taken; a server's property; moments of the schedule were given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that a caller who relies on the monitor must know.

    Attributes:
        subject: The attester; empty where it is the trust monitor itself.
        monitor: Which monitor says so.
        kind: See :data:`ChangeKind`.
        what: The property's name; ``tier`` elsewhere.
        before: The value before, a tier where it is one; None where none was known.
        after: The value after.
        reason: Why.
        detail: The same in words.
        at_ns: When it was found, controller's CLOCK_MONOTONIC.
        simulated: Whether no hardware stands behind it.
    """

    subject: str
    monitor: str
    kind: ChangeKind
    what: str = "tier"
    before: Json
    after: Json
    reason: Reason
    detail: str = ""
    at_ns: int
    simulated: bool

    def to_json(self) -> dict[str, Json]:
        """The change as JSON values, all fields."""
        return {**asdict(self), "reason": self.reason.value}


Listener: TypeAlias = Callable[[Change], None]
"""Told of every change, in the order in which they were found; never of two at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What one monitor holds of one attester.

    Attributes:
        subject: The attester.
        monitor: The monitor's name.
        simulated: Whether no hardware stands behind it.
        lifetime_ns: How old a result may become.
        verdict: By the last result; ``nothing-appraised`` before the first. Its end is `deadline_ns`.
        deadline_ns: When the next result must be there, controller's CLOCK_MONOTONIC.
        silent: Whether that was said to have passed.
        heard: Whether there ever was a result that something was learnt from.
        missed: Moments of its schedule given up so far.
        evident: Whether the architecture has evidence at run time at all, as far as the last look said.
    """

    subject: str
    monitor: str
    simulated: bool
    lifetime_ns: int
    verdict: Verdict = NOTHING_KNOWN
    deadline_ns: int
    silent: bool = False
    heard: bool = False
    missed: int = 0
    evident: bool = True

    def at(self, now_ns: int) -> Standing:
        """The standing as it must be read at `now_ns`."""
        if now_ns < self.deadline_ns or self.silent:
            return self
        return silenced(self, *overdue(self, now_ns), now_ns)[0]


Step: TypeAlias = tuple[Standing, tuple[Change, ...]]
"""The standing after something happened, and what is to be told of it."""


def overdue(standing: Standing, now_ns: int) -> tuple[Reason, str]:
    """Why a standing whose deadline has passed is silent."""
    late_s = (now_ns - standing.deadline_ns) / NS_PER_S
    if standing.heard:
        return Reason.RESULT_EXPIRED, f"the last result expired {late_s:.3f} s ago"
    return Reason.MONITOR_SILENT, f"no result yet, {late_s:.3f} s after the first was to be there"


def concluded(standing: Standing, seen: Observation | None, now_ns: int) -> Step:
    """After a look was taken; None is one of an architecture without evidence.

    A good result that has expired when it arrives is no result.
    """
    if seen is None:
        why = "this architecture has no evidence at run time"
        quiet = replace(
            standing,
            verdict=replace(standing.verdict, detail=why),
            silent=False,
            deadline_ns=now_ns + standing.lifetime_ns,
            evident=False,
        )
        return quiet, ()
    found = seen.verdict
    deadline_ns = seen.generated_ns + standing.lifetime_ns
    if found.tier.believed and found.expires_ns is not None:
        deadline_ns = min(deadline_ns, found.expires_ns)
    learnt = found.tier is not Tier.NONE
    if found.tier.believed and deadline_ns <= now_ns:
        why = "the result had expired when it came"
        return silenced(replace(standing, deadline_ns=deadline_ns), Reason.RESULT_EXPIRED, why, now_ns)
    after = replace(
        standing,
        verdict=found if learnt else standing.verdict.lost(found.reason, found.detail),
        deadline_ns=deadline_ns,
        silent=False,
        heard=standing.heard or learnt,
    )
    before, now = standing.verdict, after.verdict
    if (now.tier, now.reason) == (before.tier, before.reason):
        return after, ()
    back = standing.heard and before.tier is Tier.NONE and now.tier.believed
    return after, (_tier_change("recovered" if back else "tier", standing, after, now_ns, found.reason),)


def failed(standing: Standing, reason: Reason, why: str, now_ns: int) -> Step:
    """After a look could not be taken, or what belongs to it could not be done. Nothing is known then.

    Unless the reason itself says that what came was wrong.
    """
    wrong = tier_of(reason) is Tier.CONTRAINDICATED
    found = Verdict(tier=Tier.CONTRAINDICATED, reason=reason, detail=why)
    before = standing.verdict
    now = found if wrong else before.lost(reason, why)
    after = replace(standing, verdict=now, deadline_ns=now_ns + standing.lifetime_ns, silent=False)
    same = (now.tier, now.reason, now.detail) == (before.tier, before.reason, before.detail)
    return after, () if same else (_tier_change("failed", standing, after, now_ns, reason),)


def silenced(standing: Standing, reason: Reason, why: str, now_ns: int) -> Step:
    """After nothing was heard in time; said once for each silence."""
    if standing.silent:
        return standing, ()
    after = replace(standing, verdict=standing.verdict.lost(reason, why), silent=True)
    return after, (_tier_change("silent", standing, after, now_ns, reason),)


def gave_up(standing: Standing, missed: int, now_ns: int) -> Step:
    """After moments of the schedule passed without a look."""
    if not missed:
        return standing, ()
    after = replace(standing, missed=standing.missed + missed)
    told = Change(
        subject=standing.subject,
        monitor=standing.monitor,
        kind="missed",
        what="moments",
        before=standing.missed,
        after=after.missed,
        reason=standing.verdict.reason,
        detail=f"{missed} moments of the schedule passed without a look",
        at_ns=now_ns,
        simulated=standing.simulated,
    )
    return after, (told,)


def _tier_change(kind: ChangeKind, before: Standing, after: Standing, now_ns: int, reason: Reason) -> Change:
    return Change(
        subject=after.subject,
        monitor=after.monitor,
        kind=kind,
        before=before.verdict.tier.value,
        after=after.verdict.tier.value,
        reason=reason,
        detail=after.verdict.detail,
        at_ns=now_ns,
        simulated=after.simulated,
    )
