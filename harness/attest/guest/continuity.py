"""Is it the same guest, still running, now on the host that was chosen for it?

A live migration keeps the guest's vTPM: the same key answers, its counters have not moved, its clock went on,
from a new host in a new epoch. Anything else is not that guest. The host it goes to was quoted before
it was used; what may have happened to it in between is a window that is measured here, bounded by the policy
and closed by a second quote after the arrival. Everything here is a function of what was seen; nothing reads
a clock, and where clocks cannot tell the order of two moments the answer is no.
:mod:`harness.attest.guest.history` looks at more than one move.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from harness.attest.evidence import RefusedError
from harness.attest.reasons import Reason, Tier, tier_of
from harness.attest.reference.policy import AppraisalPolicy
from harness.attest.tpm.structures import ClockInfo
from harness.clock import NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A guest that proved itself on a host, once.

    Attributes:
        vak_name: Name of the attestation key in its vTPM.
        host: The host's name in the registry.
        epoch: Counts the guest's stays on hosts; one more with every start and every move.
        clock: The vTPM's clock and counters in the verified quote.
        generated_ns: When the evidence was generated (EG of RFC 9334), on the controller's CLOCK_MONOTONIC.
        uncertainty_ns: By how much `generated_ns` may be off, either way; 0 where both run on one kernel.
        ima_entries: Entries of the guest's IMA list that the quote vouches for; None where it was not
            verified.
    """

    vak_name: bytes
    host: str
    epoch: int
    clock: ClockInfo
    generated_ns: int
    uncertainty_ns: int = 0
    ima_entries: int | None = None

    def __post_init__(self) -> None:
        if self.uncertainty_ns < 0:
            raise ValueError("an uncertainty is not negative")

    @property
    def earliest_ns(self) -> int:
        """The first moment at which it may have been."""
        return self.generated_ns - self.uncertainty_ns

    @property
    def latest_ns(self) -> int:
        """The last moment at which it may have been."""
        return self.generated_ns + self.uncertainty_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestMove:
    """A migration, on the controller's CLOCK_MONOTONIC.

    Attributes:
        source: The host it left.
        destination: The host it went to.
        began_ns: The call to migrate: the operation that relies on the destination's result (OP of RFC 9334).
            The destination gets the guest's memory from here on.
        arrived_ns: The guest runs on the destination. Where the switchover was not seen, the return of the
            call stands for it, which is never too early.
        uncertainty_ns: By how much either stamp may be off; 0 where the controller took them.
    """

    source: str
    destination: str
    began_ns: int
    arrived_ns: int
    uncertainty_ns: int = 0

    def __post_init__(self) -> None:
        if self.arrived_ns < self.began_ns:
            raise ValueError("a move does not arrive before it begins")
        if self.uncertainty_ns < 0:
            raise ValueError("an uncertainty is not negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """The result of quoting a host, as far as a move depends on it.

    Attributes:
        host: The host's name in the registry.
        tier: Of its attestation result.
        reason: Of its attestation result.
        generated_ns: EG, on the controller's CLOCK_MONOTONIC; None where no evidence came.
        uncertainty_ns: By how much `generated_ns` may be off, either way.
    """

    host: str
    tier: Tier
    reason: Reason
    generated_ns: int | None
    uncertainty_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """The host a guest goes to, quoted twice.

    Attributes:
        chosen: The result on which it was chosen.
        arrived: The result of the quote after the arrival.
    """

    chosen: Quoted
    arrived: Quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuityPolicy:
    """What a move must keep to.

    Attributes:
        max_window_s: The longest time from the evidence of the destination to its use.
        tiers: Tiers that the destination may have, before and after.
    """

    max_window_s: float
    tiers: frozenset[Tier] = field(default_factory=lambda: frozenset({Tier.AFFIRMING}))

    def __post_init__(self) -> None:
        if not self.max_window_s > 0:
            raise ValueError("max_window_s must be more than 0")
        if not self.tiers or self.tiers & {Tier.NONE, Tier.CONTRAINDICATED}:
            raise ValueError("a destination must be affirming, or a warning where the policy says so")


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuity:
    """What a move did to the guest's trust.

    Attributes:
        tier: Affirming where the guest is the same, runs on, and its destination kept its word.
        reason: The first thing that was wrong, or ``accepted``.
        why: The same in words.
        window_s: OP - EG: from the evidence on which the destination was chosen to the call to migrate; None
            without evidence.
        window_uncertainty_s: By how much `window_s` may be off, either way.
        unwatched_s: From that evidence to the evidence of the quote after the arrival: for how long the
            destination was not looked at; None where either is missing.
        advanced_ms: By how much the guest's vTPM clock went on from one sighting to the other; negative is
            back.
    """

    tier: Tier
    reason: Reason
    why: str
    window_s: float | None
    window_uncertainty_s: float
    unwatched_s: float | None
    advanced_ms: int


def check(
    before: Sighting, after: Sighting, move: GuestMove, destination: Destination, policy: ContinuityPolicy
) -> Continuity:
    """Whether `after` is the guest of `before`, moved as `move` says to the `destination` that was chosen.

    Order of the checks: key; hosts and epoch; when the evidence was generated; counters, log and clock; the
    destination's window; the destination's state after the arrival. The first that fails is the reason.
    """
    try:
        _same_key(before, after)
        _moved(before, after, move)
        _after_the_move(before, after, move)
        ran_on(before, after)
        _window_kept(move, destination.chosen, policy)
        _still_good(move, destination.arrived, policy)
    except RefusedError as refused:
        return _continuity(refused, before, after, move, destination)
    return _continuity(None, before, after, move, destination)


def _continuity(
    refused: RefusedError | None, before: Sighting, after: Sighting, move: GuestMove, destination: Destination
) -> Continuity:
    reason = Reason.ACCEPTED if refused is None else refused.reason
    worst = tier_of(reason)
    if reason is Reason.DESTINATION_DEGRADED and destination.arrived.tier is Tier.NONE:
        worst = Tier.NONE  # it was not seen to be bad, it was not seen
    elif refused is None and Tier.WARNING in (destination.chosen.tier, destination.arrived.tier):
        worst = Tier.WARNING
    chosen_ns, arrived_ns = destination.chosen.generated_ns, destination.arrived.generated_ns
    return Continuity(
        tier=worst,
        reason=reason,
        why="" if refused is None else refused.why,
        window_s=_between_s(chosen_ns, move.began_ns),
        window_uncertainty_s=(move.uncertainty_ns + destination.chosen.uncertainty_ns) / NS_PER_S,
        unwatched_s=_between_s(chosen_ns, arrived_ns),
        advanced_ms=after.clock.clock_ms - before.clock.clock_ms,
    )


def _between_s(first_ns: int | None, second_ns: int | None) -> float | None:
    return None if first_ns is None or second_ns is None else (second_ns - first_ns) / NS_PER_S


def _same_key(before: Sighting, after: Sighting) -> None:
    if before.vak_name != after.vak_name:
        raise RefusedError(Reason.GUEST_KEY_CHANGED, f"{before.vak_name.hex()} became {after.vak_name.hex()}")


def _moved(before: Sighting, after: Sighting, move: GuestMove) -> None:
    if after.host == before.host or move.source == move.destination:
        raise RefusedError(Reason.SAME_HOST, f"the guest is still on {after.host}")
    if (before.host, after.host) != (move.source, move.destination):
        raise RefusedError(
            Reason.BINDING,
            f"the move was from {move.source} to {move.destination}, "
            f"the guest was seen on {before.host} and then on {after.host}",
        )
    if after.epoch <= before.epoch:
        raise RefusedError(Reason.EPOCH_REUSED, f"epoch {after.epoch} after epoch {before.epoch}")


def _after_the_move(before: Sighting, after: Sighting, move: GuestMove) -> None:
    """The second sighting must be of a moment at which the guest had certainly arrived."""
    if after.earliest_ns <= move.began_ns + move.uncertainty_ns:
        raise RefusedError(Reason.QUOTED_BEFORE_MOVE, "the evidence may be from before the move")
    if after.earliest_ns <= move.arrived_ns + move.uncertainty_ns:
        raise RefusedError(Reason.QUOTED_BEFORE_MOVE, "the evidence may be from before the guest's arrival")
    if before.latest_ns >= after.earliest_ns:
        raise RefusedError(Reason.QUOTED_BEFORE_MOVE, "which evidence is the later cannot be told")


def ran_on(before: Sighting, after: Sighting) -> None:
    """The vTPM of the later sighting is the one of the earlier, and has been running since.

    Raises:
        RefusedError: ``guest-rolled-back``: a counter, the clock or the measured log went back;
            ``guest-restarted``: a counter went on.
    """
    was, now = before.clock, after.clock
    counted = (was.reset_count, was.restart_count), (now.reset_count, now.restart_count)
    if counted[1] < counted[0]:
        raise RefusedError(
            Reason.GUEST_ROLLED_BACK, f"resets and restarts went from {counted[0]} back to {counted[1]}"
        )
    if counted[1] > counted[0]:
        raise RefusedError(
            Reason.GUEST_RESTARTED, f"resets and restarts went from {counted[0]} to {counted[1]}"
        )
    if now.clock_ms <= was.clock_ms:
        raise RefusedError(
            Reason.GUEST_ROLLED_BACK, f"its clock went from {was.clock_ms} to {now.clock_ms} ms"
        )
    if (
        before.ima_entries is not None
        and after.ima_entries is not None
        and after.ima_entries < before.ima_entries
    ):
        raise RefusedError(
            Reason.GUEST_ROLLED_BACK,
            f"its IMA list went from {before.ima_entries} to {after.ima_entries} entries",
        )


def _window_kept(move: GuestMove, chosen: Quoted, policy: ContinuityPolicy) -> None:
    """The destination was good when it was chosen, and that was not too long before it was used."""
    if chosen.host != move.destination or chosen.generated_ns is None or chosen.tier is Tier.NONE:
        raise RefusedError(
            Reason.NOTHING_APPRAISED,
            f"{move.destination} was not appraised before it was used ({chosen.reason})",
        )
    uncertainty_ns = move.uncertainty_ns + chosen.uncertainty_ns
    if chosen.generated_ns + uncertainty_ns > move.began_ns:
        raise RefusedError(
            Reason.NOTHING_APPRAISED, f"{move.destination} may have been quoted only after the move began"
        )
    if chosen.tier not in policy.tiers:
        raise RefusedError(
            Reason.DESTINATION_DEGRADED,
            f"{chosen.host} was {chosen.tier} when it was chosen ({chosen.reason})",
        )
    window_ns = move.began_ns - chosen.generated_ns
    if window_ns + uncertainty_ns > policy.max_window_s * NS_PER_S:
        raise RefusedError(
            Reason.WINDOW_EXCEEDED,
            f"{window_ns / NS_PER_S:.6f} s, up to {uncertainty_ns / NS_PER_S:.6f} s more, "
            f"where at most {policy.max_window_s:g} s are allowed",
        )


def _still_good(move: GuestMove, arrived: Quoted, policy: ContinuityPolicy) -> None:
    """The destination was quoted again after the arrival, and is still good."""
    if arrived.host != move.destination:
        raise RefusedError(Reason.DESTINATION_DEGRADED, f"{arrived.host} was quoted in its stead")
    if arrived.tier not in policy.tiers:
        raise RefusedError(
            Reason.DESTINATION_DEGRADED,
            f"{arrived.host} is {arrived.tier} after the arrival ({arrived.reason})",
        )
    uncertainty_ns = move.uncertainty_ns + arrived.uncertainty_ns
    if arrived.generated_ns is None or arrived.generated_ns - uncertainty_ns <= move.arrived_ns:
        raise RefusedError(
            Reason.QUOTED_BEFORE_MOVE, f"the second quote of {arrived.host} may be from before the arrival"
        )


def bounds(policy: AppraisalPolicy, max_window_s: float = math.inf) -> ContinuityPolicy:
    """What a destination that is judged by `policy` must be, and how old its evidence may be when used.

    Args:
        policy: The appraisal policy of hosts.
        max_window_s: What a response policy allows at most; the shorter of the two windows holds.
    """
    tiers = frozenset(tier for tier in Tier if tier.trusted(warning_counts=policy.warning_counts))
    return ContinuityPolicy(max_window_s=min(policy.max_window_s, max_window_s), tiers=tiers)
