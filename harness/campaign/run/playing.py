"""The window of one guarded trial: its director is shown what is true now, and what it says is done."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.campaign.model import Scenario
from harness.campaign.scenarios.director import Script, Sight, next_action, next_point
from harness.campaign.scenarios.scenarios import Staged
from harness.clock import NS_PER_S, Clock
from harness.evidence.events import ResponseProvoked
from harness.evidence.journal import Event
from harness.migration.actions import Action, Now, Provoke, Undo
from harness.policy.validation import relocate, satisfied
from harness.response.act.guards import Guards
from harness.response.act.loop import Loop
from harness.response.act.servers import Servers


@dataclass(slots=True, kw_only=True)
class Playing:
    """A scenario that is played to guests under guard.

    Attributes:
        script: What the director is asked with.
        scenario: What is played.
        guards: Know the guests.
        servers: Where they may be.
        clock: The controller's.
        staged: What the scenario did.
        opened: The event at t = 0.
        planned_at_s: When each response was due, by its number, in s after t = 0.
        well_since_s: See :class:`~harness.campaign.scenarios.director.Sight`.
        leaving_s: When several guests were made to leave, in s after t = 0; None while nothing stands.
    """

    script: Script
    scenario: Scenario
    guards: Guards
    servers: Servers
    clock: Clock
    staged: Staged
    opened: Event
    planned_at_s: dict[int, float] = field(default_factory=dict)
    well_since_s: float | None = None
    leaving_s: float | None = None

    def planned_s(self, n: int) -> float:
        """When response `n` was due: at its provocation, or now where there was none."""
        return self.planned_at_s.setdefault(n, self._now_s if self.leaving_s is None else self.leaving_s)

    @property
    def _now_s(self) -> float:
        return (self.clock.now_ns() - self.opened.t_ns) / NS_PER_S

    def next_action(self, loop: Loop, now: Now) -> Action:
        """What next."""
        script, standing = self.script, self.staged.standing
        sight = Sight(busy=loop.busy, well_since_s=None, standing=standing)
        if not sight.busy and not standing and next_point(script, now.history) is not None:
            since_s = now.now_s if self.well_since_s is None else self.well_since_s
            sight = Sight(busy=False, well_since_s=since_s if self.well() else None, standing=False)
        self.well_since_s = sight.well_since_s
        return next_action(script, now.now_s, now.history, sight)

    def well(self) -> bool:
        """Whether all guests are on one server that satisfies their requests, and another would take them."""
        guards, now_ns = self.guards, self.clock.now_ns()
        vms = guards.vms()
        if set(vms) != set(guards.names) or len({vm.host for vm in vms.values()}) != 1:
            return False
        fleet = self.servers.fleet({})
        fleet.advance(now_ns)
        if any(satisfied(vm.request, fleet, vm.host, now_ns) is not None for vm in vms.values()):
            return False
        if self.scenario == "request":
            return True
        return all(relocate(vm.request, fleet, vm.host, now_ns).count > 0 for vm in vms.values())

    def act(self, loop: Loop, action: Provoke | Undo) -> None:
        """Provoke, or undo it."""
        if isinstance(action, Undo):
            self.staged.teardown()
            self.leaving_s = None
            return
        guards, n = self.guards, loop.upcoming
        self.planned_at_s[n] = self._now_s
        if len(guards.names) > 1:
            # All of them were due then: the loop numbers a response when its turn comes.
            self.leaving_s = self.planned_at_s[n]
        done = self.staged.invoke(guards.placement(guards.names[0]).host)
        provoked = ResponseProvoked(
            n=n,
            scenario=self.scenario,
            server=done.server,
            vm=", ".join(guards.names),
            what=done.what,
            earliest_ns=done.moment.earliest_ns,
            latest_ns=done.moment.latest_ns,
        )
        guards.tell(provoked, t_ns=done.moment.latest_ns)
