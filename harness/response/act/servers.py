"""The servers as the loop sees them: what their monitors hold of them now, and when it was found out.

The trust monitor looks; this keeps, for each change, the stamps of the look that found it, because a response
is timed from there. What a server is able to do follows from what is stored of its architecture and from
where its monitors stand at the moment of the question. Silence is no standing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.attest.monitor.kinds import get
from harness.attest.monitor.kinds.contract import ARCHITECTURE_TYPE, Means
from harness.attest.monitor.monitor import Settings, TrustMonitor
from harness.attest.monitor.schedule import LIFE_IN_INTERVALS
from harness.attest.monitor.shared import LookStamps, SharedAttesters
from harness.attest.monitor.standing import Change, Standing
from harness.attest.monitor.watch import Watch
from harness.attest.reasons import Tier
from harness.attest.verdict import NOTHING_KNOWN, Verdict, gravest
from harness.clock import Clock
from harness.policy.capability import Architecture
from harness.policy.fleet import Fleet
from harness.policy.known import withdrawn_cells
from harness.policy.server import Server, believed
from harness.registry.registry import Registry
from harness.registry.values import Property


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """A change of a server's standing, with the look that found it and when the loop was told."""

    change: Change
    looked: LookStamps
    told_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A server that is watched.

    Attributes:
        name: Its name in the registry.
        monitors: What watches it; the first stands for its architecture.
    """

    name: str
    monitors: tuple[str, ...]


class Servers:
    """The trust monitor of a response loop and what it makes of the servers.

    Args:
        watched: The servers.
        shared: The channels to them.
        means: How monitors look, through `shared`.
        registry: Where properties are kept and read.
        table: The architectures that there are.
        interval_s: From one look to the next.
        clock: The controller's.
        on_change: Called, from a thread of the monitor's, after every change was noted.
        warning_counts: Whether a server with tier ``warning`` may be used.
    """

    def __init__(
        self,
        watched: Sequence[Watched],
        shared: SharedAttesters,
        means: Means,
        registry: Registry,
        table: Mapping[str, Architecture],
        *,
        interval_s: float,
        clock: Clock,
        on_change: Callable[[], None],
        warning_counts: bool = False,
    ) -> None:
        self._watched = tuple(watched)
        self._shared = shared
        self._registry = registry
        self._table = table
        self._clock = clock
        self._on_change = on_change
        self._warning_counts = warning_counts
        self._lock = threading.Lock()
        self._noticed: dict[str, Noticed] = {}
        self.monitor = TrustMonitor(
            [_watch(one, name, means, interval_s) for one in watched for name in one.monitors],
            clock=clock,
            listeners=[self._told],
            store=registry,
            settings=Settings(workers=max(2, len(watched)), hang_s=max(5.0, 3 * interval_s)),
        )

    def _told(self, change: Change) -> None:
        now_ns = self._clock.now_ns()
        if change.what == "tier" and change.subject:
            looked = self._shared.last(change.subject, change.monitor)
            at = LookStamps(asked_ns=change.at_ns, evidence_ns=change.at_ns, result_ns=change.at_ns)
            # A silence was not found by a look.
            found = at if looked is None or change.kind == "silent" else looked
            with self._lock:
                self._noticed[change.subject] = Noticed(change=change, looked=found, told_ns=now_ns)
        self._on_change()

    def all_known(self) -> bool:
        """Whether every server was looked at once, by each of its monitors that has evidence."""
        return all(one.heard or not one.evident for one in self.monitor.standings())

    def known(self, fleet: Fleet) -> bool:
        """Whether `fleet` holds, at its moment, a verdict on every server whose monitors have evidence.

        A server that was not looked at yet, or that has fallen silent, is not known.
        """
        evident = {one.subject for one in self.monitor.standings() if one.evident}
        found = (fleet.get(one.name) for one in self._watched if one.name in evident)
        return all(believed(one, fleet.now_ns).tier is not Tier.NONE for one in found)

    def noticed(self, server: str) -> Noticed | None:
        """The last change of the server's standing."""
        with self._lock:
            return self._noticed.get(server)

    def fleet(self, running: Mapping[str, int]) -> Fleet:
        """The servers now; `running` says how many VMs each has."""
        fleet = Fleet(self._table, warning_counts=self._warning_counts)
        standings = self.monitor.standings()
        for one in self._watched:
            mine = [standing for standing in standings if standing.subject == one.name]
            stored = self._registry.properties(one.name)
            fleet.update(as_server(one.name, mine, stored, running.get(one.name, 0)))
        return fleet


def as_server(
    name: str, standings: Sequence[Standing], stored: Mapping[str, Property], running_vms: int
) -> Server:
    """The server as policy validation takes it.

    Args:
        name: Its name in the registry.
        standings: Where its monitors stand now.
        stored: Its properties in the registry.
        running_vms: How many VMs it has.
    """
    named = stored.get(ARCHITECTURE_TYPE)
    return Server(
        name=name,
        architecture=None if named is None else str(named.value),
        verdict=together(standings),
        running_vms=running_vms,
        withdrawn=withdrawn_cells(stored),
        simulated=any(one.simulated for one in standings),
    )


def together(standings: Sequence[Standing]) -> Verdict:
    """What the standings of one server come to: the worst of them, for as long as the first of them holds.

    A monitor of an architecture without evidence at run time says nothing, neither good nor bad. If no
    monitor says anything, nothing is known.
    """
    said = [one for one in standings if one.evident]
    if not said:
        return replace(NOTHING_KNOWN, detail="there is no evidence of it")
    worst = gravest(one.verdict for one in said)
    return replace(worst, expires_ns=min(one.deadline_ns for one in said))


def _watch(one: Watched, monitor: str, means: Means, interval_s: float) -> Watch:
    return Watch(
        subject=one.name,
        monitor=get(monitor)(one.name, means),
        interval_s=interval_s,
        lifetime_s=LIFE_IN_INTERVALS * interval_s,
        first=monitor == one.monitors[0],
    )
