"""What is asked of TPMs around a move: the destination once more before it, guest and server after it.

The window between the destination's evidence and its use is as short as this makes it, and what may have
happened in it is seen after the arrival, where both are asked again as soon as the guest runs there. The
verdict is :func:`harness.attest.guest.continuity.check`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.attest.evidence import KeyType
from harness.attest.examine import arrival
from harness.attest.examine.outcome import LinkedRound, Round
from harness.attest.guest.continuity import ContinuityPolicy, GuestMove, Quoted, Sighting
from harness.attest.measures.timings import Span
from harness.attest.monitor.shared import SharedAttesters
from harness.attest.reasons import Reason, Tier
from harness.attest.verdict import NOTHING_KNOWN, Verdict
from harness.clock import NS_PER_S, Clock
from harness.response.act.arriving import Arriving


@dataclass(frozen=True, slots=True, kw_only=True)
class Requoted:
    """A destination that was asked once more.

    Attributes:
        quoted: What the move's verdict needs of it.
        good: Whether the guest may go there.
        detail: Why not, in words.
        latency_ns: From the question to the result (RG - NS).
        quote_ns: The TPM's own time in it; None where no evidence came.
    """

    quoted: Quoted
    good: bool
    detail: str
    latency_ns: int
    quote_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """What the arrival proved.

    Attributes:
        verdict: On guest and server together.
        window_ns: OP - EG of the destination; None where there was nothing to compare.
        same_key: Whether the guest has the key it left with; None likewise.
        quotes_ns: The TPMs' own time in it, of the quotes that were asked for after the move was over.
        warning_counts: Whether a tier ``warning`` is good enough, as the policies of the two say.
    """

    verdict: Verdict
    window_ns: int | None
    same_key: bool | None
    quotes_ns: int
    warning_counts: bool = False

    @property
    def good(self) -> bool:
        """Whether the arrival is proved."""
        return self.verdict.tier.trusted(warning_counts=self.warning_counts)


class Prover:
    """Proves where one guest is; remembers where it was seen last.

    Args:
        shared: The channels to the servers and to the guest, shared with the servers' monitors.
        guest: The guest's name in the registry.
        key: The type of attestation key that is asked.
        vm_uuid: The guest's UUID.
        bounds: How old a destination's evidence may be, and what it must say.
        clock: The controller's.
        guest_warning_counts: Whether the guest's own evidence may have a warning.
    """

    def __init__(
        self,
        shared: SharedAttesters,
        guest: str,
        *,
        key: KeyType,
        vm_uuid: str,
        bounds: ContinuityPolicy,
        clock: Clock,
        guest_warning_counts: bool = False,
    ) -> None:
        self._guest_warning_counts = guest_warning_counts
        self._shared = shared
        self._guest = guest
        self._key = key
        self._vm_uuid = vm_uuid
        self._bounds = bounds
        self._clock = clock
        self._seen: Sighting | None = None

    def requote(self, server: str) -> Requoted:
        """Ask a destination once more, right before it is used.

        Raises:
            RegistryError: The registry does not answer.
        """
        found = self._shared.examine(server, self._key)
        return Requoted(
            quoted=arrival.quoted(server, found),
            good=found.result.tier in self._bounds.tiers,
            detail=found.result.detail,
            latency_ns=found.stamps.rg - found.stamps.ns,
            quote_ns=_own_ns(found),
        )

    def look(self, server: str, epoch: int) -> LinkedRound:
        """The guest with the server it is on; where both are good it is remembered.

        Raises:
            RegistryError: The registry does not answer.
        """
        found = self._ask(server, epoch)
        self._remember(arrival.sighting(found, server, epoch))
        return found

    def _ask(self, server: str, epoch: int) -> LinkedRound:
        return self._shared.linked(self._guest, server, key=self._key, vm_uuid=self._vm_uuid, epoch=epoch)

    def holds(self, found: LinkedRound) -> bool:
        """Whether a look at the guest and its server is good enough to rely on, warnings included."""
        return found.verdict.tier.believed and self._warnings_count(found)

    def _warnings_count(self, found: LinkedRound) -> bool:
        """Whether a warning of either of the two is good enough, each by its own policy."""
        hosts = found.host is None or found.host.result.tier in self._bounds.tiers
        return hosts and found.guest.result.tier.trusted(warning_counts=self._guest_warning_counts)

    def _remember(self, seen: Sighting | None) -> None:
        if seen is not None:
            self._seen = seen

    def again(self, server: str, epoch: int) -> Arrived:
        """Whether the guest on `server` is the one that the registry remembers, and has been running since.

        For a controller that has seen nothing of the move: what it left off with is the registry's memory of
        the guest's key, whose counters must not have moved.

        Raises:
            RegistryError: The registry does not answer.
        """
        found = self.look(server, epoch)
        return _again(found, _quotes_ns(found, 0), warning_counts=self.holds(found))

    def arriving(self, server: str, epoch: int) -> Arriving:
        """The look at the guest on `server`, to be begun when it is seen to run there.

        Args:
            server: Where it goes.
            epoch: Of the new stay.
        """
        return Arriving(lambda: self._ask(server, epoch), self._clock)

    def arrival(self, arriving: Arriving, chosen: Quoted, source: str, over: Span, epoch: int) -> Arrived:
        """Whether the guest that arrived is the one that left, and its new server still good.

        Args:
            arriving: The look at it.
            chosen: The result on which the destination was chosen.
            source: The server it left.
            over: The call to migrate, and its return.
            epoch: Of the new stay.

        Raises:
            RegistryError: The registry does not answer.
        """
        before, (began_ns, returned_ns) = self._seen, over
        found = arriving.found()
        now = arrival.sighting(found, chosen.host, epoch)
        self._remember(now)
        quotes_ns = _quotes_ns(found, returned_ns)
        ran_ns = returned_ns if arriving.begun_ns is None else min(arriving.begun_ns, returned_ns)
        move = GuestMove(source=source, destination=chosen.host, began_ns=began_ns, arrived_ns=ran_ns)
        done = arrival.judged(before, chosen, move, found, epoch, self._bounds)
        if done is None:
            return _unproved(found, now, quotes_ns)
        if not found.guest.result.tier.trusted(warning_counts=self._guest_warning_counts):
            return _reserved(found, quotes_ns)
        judged = done.continuity
        return Arrived(
            verdict=Verdict(tier=judged.tier, reason=judged.reason, detail=judged.why),
            window_ns=None if judged.window_s is None else round(judged.window_s * NS_PER_S),
            same_key=done.same_key,
            quotes_ns=quotes_ns,
            # A tier that the policies do not let count was refused before.
            warning_counts=True,
        )


def _again(found: LinkedRound, quotes_ns: int, *, warning_counts: bool) -> Arrived:
    boot, verdict = found.guest.result.claims.get("boot"), found.verdict
    if verdict.tier.believed and boot != "same":
        why = f"its counters say: {boot}"
        verdict = Verdict(tier=Tier.CONTRAINDICATED, reason=Reason.GUEST_RESTARTED, detail=why)
    return Arrived(
        verdict=verdict, window_ns=None, same_key=None, quotes_ns=quotes_ns, warning_counts=warning_counts
    )


def _reserved(found: LinkedRound, quotes_ns: int) -> Arrived:
    """The guest's own evidence has a warning, and that does not count."""
    own = found.guest.result.verdict
    why = f"the guest has a warning, and that does not count: {own.detail}"
    return Arrived(verdict=replace(own, detail=why), window_ns=None, same_key=None, quotes_ns=quotes_ns)


def _unproved(found: LinkedRound, now: Sighting | None, quotes_ns: int) -> Arrived:
    """Nothing to compare: what was found of the two is bad, or the guest was never seen before."""
    never = replace(NOTHING_KNOWN, detail="the guest was not seen before the move")
    return Arrived(
        verdict=found.verdict if now is None else never, window_ns=None, same_key=None, quotes_ns=quotes_ns
    )


def _quotes_ns(found: LinkedRound, since_ns: int) -> int:
    """The TPMs' own time in the quotes that were asked for at `since_ns` or later."""
    rounds = [one for one in (found.guest, found.host) if one is not None and one.stamps.ns >= since_ns]
    return sum(_own_ns(one) or 0 for one in rounds)


def _own_ns(found: Round) -> int | None:
    moments = found.moments
    return None if moments is None else moments.quoted_ns - moments.quoting_ns
