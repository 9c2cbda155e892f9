"""The verdict on a move: rounds before and after it, as :mod:`harness.attest.guest.continuity` takes them.

Pure: values in, values out. A trial's observer and a response loop judge a move by the same function.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.attest.examine.outcome import LinkedRound, Round
from harness.attest.guest.continuity import (
    Continuity,
    ContinuityPolicy,
    Destination,
    GuestMove,
    Quoted,
    Sighting,
    check,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedMove:
    """A move of which there was something to compare.

    Attributes:
        continuity: The verdict.
        same_key: Whether the guest has the key that it left with.
    """

    continuity: Continuity
    same_key: bool


def judged(
    before: Sighting | None,
    chosen: Quoted | None,
    move: GuestMove,
    arrived: LinkedRound,
    epoch: int,
    bounds: ContinuityPolicy,
) -> JudgedMove | None:
    """The verdict on a move; None if the guest or the destination was never seen to compare with.

    Args:
        before: The last sighting of the guest before the move.
        chosen: The last quote of the destination before the move.
        move: The migration.
        arrived: The guest with its destination, asked after the guest ran there.
        epoch: Of the guest's stay there.
        bounds: What the move must keep to.
    """
    after = sighting(arrived, move.destination, epoch)
    if before is None or chosen is None or after is None or arrived.host is None:
        return None
    destination = Destination(chosen=chosen, arrived=quoted(move.destination, arrived.host))
    return JudgedMove(
        continuity=check(before, after, move, destination, bounds),
        same_key=before.vak_name == after.vak_name,
    )


def quoted(host: str, done: Round) -> Quoted:
    """A host's round as a move depends on it."""
    generated = done.generated
    return Quoted(
        host=host,
        tier=done.result.tier,
        reason=done.result.reason,
        generated_ns=None if generated is None else generated[0],
        uncertainty_ns=0 if generated is None else generated[1],
    )


def sighting(done: LinkedRound, host: str, epoch: int) -> Sighting | None:
    """The guest on its host, if both quotes were accepted and belong together; else None."""
    proof, generated = done.guest.proof, done.guest.generated
    if not done.verdict.tier.believed or proof is None or proof.key is None or generated is None:
        return None
    memory = proof.verification.memory
    if memory is None:
        return None
    return Sighting(
        vak_name=proof.key.name,
        host=host,
        epoch=epoch,
        clock=memory.clock,
        generated_ns=generated[0],
        uncertainty_ns=generated[1],
        ima_entries=None if memory.ima is None else memory.ima.entries,
    )
