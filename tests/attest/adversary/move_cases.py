"""Guests that moved: the same guest or another, to the host that was chosen, still good or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from harness.attest.guest.continuity import (
    Continuity,
    ContinuityPolicy,
    Destination,
    GuestMove,
    Quoted,
    Sighting,
    check,
)
from harness.attest.reasons import Reason, Tier
from harness.attest.tpm.structures import ClockInfo
from harness.clock import NS_PER_S
from tests.attest.adversary.case import Case, grouped, warned
from tests.attest.adversary.stage import WARNING, Stage

HOST, ELSEWHERE = "host-a", "host-b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A move, as it was seen."""

    before: Sighting
    after: Sighting
    move: GuestMove
    destination: Destination
    policy: ContinuityPolicy

    def continuity(self) -> Continuity:
        return check(self.before, self.after, self.move, self.destination, self.policy)

    def judge(self) -> str:
        continuity = self.continuity()
        assert (continuity.reason is Reason.ACCEPTED) == (continuity.tier in {Tier.AFFIRMING, Tier.WARNING})
        return f"{WARNING if continuity.tier is Tier.WARNING else ''}{continuity.reason.value}"


_S = NS_PER_S
_NS = 1
_CLOCK = ClockInfo(clock_ms=100_000, reset_count=3, restart_count=1, safe=True)


def _moved(
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    clock: Mapping[str, int] | None = None,
    move: Mapping[str, object] | None = None,
    chosen: Mapping[str, object] | None = None,
    arrived: Mapping[str, object] | None = None,
    policy: ContinuityPolicy | None = None,
) -> Callable[[Stage], Moved]:
    """An honest move with other fields: quoted at 2 and 9 s, called at 10 s, there at 13 s, quoted again."""

    def forge(stage: Stage) -> Moved:
        first = Sighting(
            vak_name=stage.guest.name, host=HOST, epoch=5, clock=_CLOCK, generated_ns=2 * _S, ima_entries=50
        )
        later = replace(_CLOCK, **{"clock_ms": _CLOCK.clock_ms + 12_000, **(clock or {})})  # type: ignore[arg-type]
        second = replace(first, host=ELSEWHERE, epoch=6, clock=later, generated_ns=15 * _S, ima_entries=60)
        good = Quoted(host=ELSEWHERE, tier=Tier.AFFIRMING, reason=Reason.ACCEPTED, generated_ns=9 * _S)
        return Moved(
            before=replace(first, **(before or {})),  # type: ignore[arg-type]
            after=replace(second, **(after or {})),  # type: ignore[arg-type]
            move=replace(
                GuestMove(source=HOST, destination=ELSEWHERE, began_ns=10 * _S, arrived_ns=13 * _S),
                **(move or {}),  # type: ignore[arg-type]
            ),
            destination=Destination(
                chosen=replace(good, **(chosen or {})),  # type: ignore[arg-type]
                arrived=replace(good, **{"generated_ns": 14 * _S, **(arrived or {})}),  # type: ignore[arg-type]
            ),
            policy=policy or ContinuityPolicy(max_window_s=5.0),
        )

    return forge


_BAD = {"tier": Tier.CONTRAINDICATED, "reason": Reason.PCR_VALUE}
_SILENT: dict[str, object] = {"tier": Tier.NONE, "reason": Reason.ATTESTER_UNREACHABLE, "generated_ns": None}
_WARNED = {"tier": Tier.WARNING, "reason": Reason.IMA_FILE_UNKNOWN}
_LENIENT = ContinuityPolicy(max_window_s=5.0, tiers=frozenset({Tier.AFFIRMING, Tier.WARNING}))

MOVE_CASES = grouped(
    "guest",
    ("move", Reason.ACCEPTED, "A live migration to the quoted host", _moved()),
    (
        "move-window-full",
        Reason.ACCEPTED,
        "A window just as long as allowed",
        _moved(chosen={"generated_ns": 5 * _S}),
    ),
    (
        "move-chosen-at-call",
        Reason.ACCEPTED,
        "A quote at the very call",
        _moved(chosen={"generated_ns": 10 * _S}),
    ),
    (
        "move-no-ima",
        Reason.ACCEPTED,
        "A guest without an IMA list",
        _moved(before={"ima_entries": None}, after={"ima_entries": None}),
    ),
    (
        "move-ima-before-unknown",
        Reason.ACCEPTED,
        "A list that was not verified before",
        _moved(before={"ima_entries": None}),
    ),
    (
        "move-ima-after-unknown",
        Reason.ACCEPTED,
        "A list that was not verified after",
        _moved(after={"ima_entries": None}),
    ),
    (
        "move-ima-still",
        Reason.ACCEPTED,
        "A guest that measured nothing new",
        _moved(after={"ima_entries": 50}),
    ),
    (
        "move-warned",
        warned(Reason.ACCEPTED),
        "A destination with a warning, which the policy allows",
        _moved(chosen=_WARNED, policy=_LENIENT),
    ),
    (
        "guest-key-changed",
        Reason.GUEST_KEY_CHANGED,
        "Another key after the move",
        _moved(after={"vak_name": bytes(34)}),
    ),
    (
        "guest-rebooted",
        Reason.GUEST_RESTARTED,
        "A guest that was started anew on the way",
        _moved(clock={"reset_count": 4, "restart_count": 0}),
    ),
    (
        "guest-resumed",
        Reason.GUEST_RESTARTED,
        "A guest that was suspended on the way",
        _moved(clock={"restart_count": 2}),
    ),
    (
        "guest-reset-back",
        Reason.GUEST_ROLLED_BACK,
        "A reset less after the move",
        _moved(clock={"reset_count": 2}),
    ),
    (
        "guest-restart-back",
        Reason.GUEST_ROLLED_BACK,
        "A restart less after the move",
        _moved(clock={"restart_count": 0}),
    ),
    (
        "guest-clock-back",
        Reason.GUEST_ROLLED_BACK,
        "A clock that went back on the way",
        _moved(clock={"clock_ms": 99_999}),
    ),
    (
        "guest-clock-still",
        Reason.GUEST_ROLLED_BACK,
        "A clock that stood still",
        _moved(clock={"clock_ms": 100_000}),
    ),
    (
        "guest-ima-back",
        Reason.GUEST_ROLLED_BACK,
        "A shorter IMA list after the move",
        _moved(after={"ima_entries": 49}),
    ),
    (
        "move-to-same-host",
        Reason.SAME_HOST,
        "A guest that is where it was",
        _moved(after={"host": HOST}, move={"destination": HOST}),
    ),
    (
        "move-to-its-source",
        Reason.SAME_HOST,
        "A move to where it began, seen elsewhere",
        _moved(move={"destination": HOST}),
    ),
    ("guest-stayed", Reason.SAME_HOST, "A guest that never left", _moved(after={"host": HOST})),
    (
        "move-said-elsewhere",
        Reason.BINDING,
        "A guest on another host than it was sent to",
        _moved(after={"host": "host-c"}),
    ),
    (
        "move-from-elsewhere",
        Reason.BINDING,
        "A guest that came from another host",
        _moved(before={"host": "host-c"}),
    ),
    ("epoch-same", Reason.EPOCH_REUSED, "The epoch of before", _moved(after={"epoch": 5})),
    ("epoch-back", Reason.EPOCH_REUSED, "An older epoch", _moved(after={"epoch": 4})),
    (
        "quote-before-move",
        Reason.QUOTED_BEFORE_MOVE,
        "A quote of before the move, used after it",
        _moved(after={"generated_ns": 9 * _S}),
    ),
    (
        "quote-during-move",
        Reason.QUOTED_BEFORE_MOVE,
        "A quote while the guest was on its way",
        _moved(after={"generated_ns": 12 * _S}),
    ),
    (
        "quote-at-arrival",
        Reason.QUOTED_BEFORE_MOVE,
        "A quote that may be from before the arrival",
        _moved(after={"generated_ns": 14 * _S, "uncertainty_ns": _S}),
    ),
    (
        "quotes-in-no-order",
        Reason.QUOTED_BEFORE_MOVE,
        "Two quotes whose order cannot be told",
        _moved(before={"generated_ns": 14 * _S, "uncertainty_ns": _S}),
    ),
    (
        "window-exceeded",
        Reason.WINDOW_EXCEEDED,
        "A destination quoted too long before its use",
        _moved(chosen={"generated_ns": 5 * _S - _NS}),
    ),
    (
        "window-uncertain",
        Reason.WINDOW_EXCEEDED,
        "The same by what clocks may be off",
        _moved(chosen={"generated_ns": 5 * _S, "uncertainty_ns": _NS}),
    ),
    (
        "destination-unseen",
        Reason.NOTHING_APPRAISED,
        "A destination that did not answer",
        _moved(chosen=_SILENT),
    ),
    (
        "destination-silent",
        Reason.NOTHING_APPRAISED,
        "A destination of which nothing was checked",
        _moved(chosen={"tier": Tier.NONE, "reason": Reason.NOTHING_APPRAISED}),
    ),
    (
        "destination-other",
        Reason.NOTHING_APPRAISED,
        "Another host was quoted before",
        _moved(chosen={"host": "host-c"}),
    ),
    (
        "destination-undated",
        Reason.NOTHING_APPRAISED,
        "A result without the moment of its evidence",
        _moved(chosen={"generated_ns": None}),
    ),
    (
        "destination-quoted-late",
        Reason.NOTHING_APPRAISED,
        "A destination quoted after the call to move",
        _moved(chosen={"generated_ns": 10 * _S + _NS}),
    ),
    (
        "destination-quoted-maybe-late",
        Reason.NOTHING_APPRAISED,
        "The same by what clocks may be off",
        _moved(chosen={"generated_ns": 10 * _S, "uncertainty_ns": _NS}),
    ),
    (
        "destination-bad",
        Reason.DESTINATION_DEGRADED,
        "A destination that was contraindicated when chosen",
        _moved(chosen=_BAD),
    ),
    (
        "destination-warned",
        Reason.DESTINATION_DEGRADED,
        "A warning where the policy wants none",
        _moved(chosen=_WARNED),
    ),
    (
        "destination-degraded",
        Reason.DESTINATION_DEGRADED,
        "A destination that changed between quote and switchover",
        _moved(arrived=_BAD),
    ),
    (
        "destination-fell-silent",
        Reason.DESTINATION_DEGRADED,
        "A destination that does not answer any more",
        _moved(arrived=_SILENT),
    ),
    (
        "second-quote-of-another",
        Reason.DESTINATION_DEGRADED,
        "Another host quoted after the arrival",
        _moved(arrived={"host": HOST}),
    ),
)


SECOND_QUOTE_CASES = grouped(
    "guest",
    (
        "second-quote-before",
        Reason.QUOTED_BEFORE_MOVE,
        "The destination's old quote for the second one",
        _moved(arrived={"generated_ns": 9 * _S}),
    ),
    (
        "second-quote-at-arrival",
        Reason.QUOTED_BEFORE_MOVE,
        "A second quote at the very arrival",
        _moved(arrived={"generated_ns": 13 * _S}),
    ),
    (
        "second-quote-maybe-before",
        Reason.QUOTED_BEFORE_MOVE,
        "A second quote that may be from before it",
        _moved(arrived={"uncertainty_ns": _S}),
    ),
    (
        "second-quote-undated",
        Reason.QUOTED_BEFORE_MOVE,
        "A second quote of no known moment",
        _moved(arrived={"generated_ns": None}),
    ),
)


CASES: tuple[Case, ...] = (*MOVE_CASES, *SECOND_QUOTE_CASES)
