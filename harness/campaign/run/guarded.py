"""A trial whose guest is guarded: deployed where it may be, provoked, and moved by what the loop decides.

The hosts are watched before the guest is there, because it is deployed only onto one that satisfies its
request. At each point something happens to it; what follows is the loop's, and this only waits, records and
puts the world right for the next point. The migrations are those of any other trial.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from harness.campaign.model import Respond, Scenario
from harness.campaign.plan import Plan, Trial
from harness.campaign.run import attestation
from harness.campaign.run.attestation import Attending
from harness.campaign.scenarios.injector import Provoker
from harness.campaign.scenarios.scenarios import COUNTER, Provocation, Stage, of_scenario
from harness.clock import NS_PER_S, Clock
from harness.errors import GuestError
from harness.evidence.events import (
    ResponseLaunched,
    ResponseMissed,
    ResponseProvoked,
    WindowClosed,
    WindowOpened,
)
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.migration.flight import Flights
from harness.policy.capability_file import load_table
from harness.policy.request import Request, request
from harness.policy.validation import relocate, satisfied
from harness.response.act import launching
from harness.response.act.guard import Guard, Terms, Watchtower
from harness.response.act.loop import Loop
from harness.response.act.prover import Prover
from harness.response.policy import MovingTarget, ResponsePolicy
from harness.rig.guest.domain import START, GuestSpec
from harness.rig.rig import Rig

_LOOK_UP_S = 0.2
_HYPERWALL = ("hyperwall", "tpm")
_DATASAFE = ("datasafe", "tpm")
_MOVING_TARGET = MovingTarget(min_s=2.0, max_s=4.0)
"""So that several moves fit into a window; a provider's range is hours (policies/response/default.yml)."""


class Guarding:
    """The guest of one attempt and the loop that guards it. :func:`guarding` makes it."""

    def __init__(
        self, attending: Attending, rig: Rig, plan: Plan, trial: Trial, record: Record, interrupt: Interrupt
    ) -> None:
        assert plan.respond is not None and attending.response is not None and trial.scenario is not None
        self._attending = attending
        self._rig = rig
        self._plan = plan
        self._trial = trial
        self._record = record
        self._interrupt = interrupt
        self._respond: Respond = plan.respond
        self._scenario: Scenario = trial.scenario
        self._request: Request = request(self._respond.request)
        self._accepted = dict.fromkeys(rig.hosts, 0)
        self._planned_at_s: dict[int, float] = {}
        self._began_ns = 0
        self._stages_ns: dict[str, int] = {}
        terms = Terms(
            vm=attestation.guest_name(attending, record),
            monitors=_monitors(trial.scenario),
            key=attending.attest.keys[0],
            policies=attending.equipment.policies,
            references=attending.equipment.references,
            response=_policy(attending.response, trial.scenario),
            table=load_table(),
            interval_s=attending.attest.interval_s,
            accepted=self._accepted,
            seed=plan.seed,
            owner=attending.run,
        )
        self._guard = Guard(rig, attending.registry, terms, record, interrupt)

    # -- before the guest

    def open(self, stack: ExitStack) -> None:
        """Watch the hosts and find one for the guest.

        Raises:
            GuestError: The best server is not the one that guests are started on.
            NoServerError: No server satisfies the request in time.
        """
        self._provokers = {role: Provoker(host, self._clock) for role, host in self._rig.hosts.items()}
        for provoker in self._provokers.values():
            stack.callback(provoker.close)
        self._put_right()
        stack.callback(self._put_right)
        self._tower: Watchtower = stack.enter_context(self._guard.watch())
        self._deploy()

    def _put_right(self) -> None:
        """Nothing is counted before a scenario begins, and nothing that it counted stays."""
        for provoker in self._provokers.values():
            provoker.count(COUNTER, 0)

    def _deploy(self) -> None:
        vm = self._guard.terms.vm
        self._attending.registry.protection.set(vm, self._request.to_json(), by="campaign", why="deployment")
        best, self._stages_ns["validate"] = launching.choose(
            self._tower.servers, self._request, self._clock, limit_s=self._respond.wait_s, pause=self._pause
        )
        if best != START:
            raise GuestError(
                f"the guest belongs on {best}, and a trial's guest is started on {START}", where=vm
            )

    # -- the guest is there

    def deployed(self, stack: ExitStack, spec: GuestSpec, began_ns: int) -> None:
        """Give the guest its identity and its place; the hosts were chosen before.

        Raises:
            AttesterError: Its attester does not answer.
            GuestError: It is not what it should be.
            RefusedError: It cannot be enrolled.
        """
        clock, vm = self._clock, self._guard.terms.vm
        up_ns = clock.now_ns()
        attester = self._tower.attesters["guest"]
        stack.enter_context(
            attestation.enrolled(self._attending, self._rig, attester, vm, self._record, started_on=START)
        )
        enrolled_ns = clock.now_ns()
        epoch = launching.placed(self._attending.registry, vm, START)
        placed_ns = clock.now_ns()
        self._prover: Prover = self._guard.prover(self._tower, spec.uuid)
        launching.proved(self._prover, vm, START, epoch)
        self._stages_ns |= {
            "start": up_ns - began_ns,
            "enrol": enrolled_ns - up_ns,
            "place": placed_ns - enrolled_ns,
            "attest": clock.now_ns() - placed_ns,
        }
        self._guard.tell(ResponseLaunched(vm=vm, host=START, stages_ns=dict(self._stages_ns)))

    # -- the window

    @property
    def ended(self) -> bool:
        """Whether the guest was shut down: then nothing of it is there any more."""
        return self._guard.gone

    def run(self, flights: Flights) -> None:
        """Open the window, let happen what the scenario says, and close it.

        Raises:
            GuestError: The guest is not where exactly one guest should be.
            InterruptedRunError: The user asked to stop; a move under way was aborted first.
            SodbenchError: What ended the loop.
        """
        opened = self._record.add(WindowOpened(window_s=self._trial.window_s))
        self._began_ns = opened.t_ns
        provocation = of_scenario(self._scenario, self._stage(), self._request)
        loop = self._guard.begin(self._tower, self._prover, flights, self._planned_s)
        try:
            self._happen(loop, flights, provocation)
        except BaseException:
            flights.abandon()
            raise
        finally:
            loop.stop()
            if provocation is not None:
                provocation.mend()
        loop.check()
        flights.settle()
        late_s = max(0.0, self._now_s - self._trial.window_s)
        self._record.add(WindowClosed(late_s=late_s))

    def _happen(self, loop: Loop, flights: Flights, provocation: Provocation | None) -> None:
        # A moving target needs no reason: its times are drawn, and the points are none.
        for planned in self._trial.migrations if provocation is not None else ():
            self._await_turn(loop, flights, planned.at_s)
            if self._now_s >= self._trial.window_s or self.ended:
                break
            assert provocation is not None
            self._provoke(loop, flights, provocation)
        while self._now_s < self._trial.window_s and not self.ended:
            self._turn(loop, flights)

    def _provoke(self, loop: Loop, flights: Flights, provocation: Provocation) -> None:
        guard, n = self._guard, loop.upcoming
        self._planned_at_s[n] = self._now_s
        done = provocation.provoke(guard.placement(guard.terms.vm).host)
        provoked = ResponseProvoked(
            n=n,
            scenario=self._scenario,
            server=done.server,
            vm=guard.terms.vm,
            what=done.what,
            earliest_ns=done.moment.earliest_ns,
            latest_ns=done.moment.latest_ns,
        )
        guard.tell(provoked, t_ns=done.moment.latest_ns)
        end_ns = self._clock.now_ns() + round(self._respond.wait_s * NS_PER_S)
        while n not in guard.closed and self._clock.now_ns() < end_ns:
            self._turn(loop, flights)
        if n not in guard.closed:
            reason = f"nothing was over within {self._respond.wait_s:g} s"
            guard.tell(ResponseMissed(n=n, reason=reason))
        if not self.ended:
            provocation.mend()

    def _await_turn(self, loop: Loop, flights: Flights, at_s: float) -> None:
        """Until the point has come, the guest is well, another server would take it, and all is calm."""
        policy, well_ns = self._guard.terms.response, None
        calm_s = max(self._respond.calm_s, policy.return_after_s) if self._guard.closed else 0.0
        settle_s = policy.settle_s + _LOOK_UP_S if self._guard.closed else 0.0
        while self._now_s < self._trial.window_s and not self.ended:
            now_ns = self._clock.now_ns()
            well = not loop.busy and self._well(now_ns)
            well_ns = (well_ns or now_ns) if well else None
            calm = now_ns - self._guard.last_end_ns >= (calm_s + _LOOK_UP_S) * NS_PER_S
            settled = well_ns is not None and now_ns - well_ns >= settle_s * NS_PER_S
            if self._now_s >= at_s and calm and settled:
                return
            self._turn(loop, flights)

    def _well(self, now_ns: int) -> bool:
        vm = self._guard.vms()[self._guard.terms.vm]
        fleet = self._tower.servers.fleet({})
        fleet.advance(now_ns)
        if satisfied(vm.request, fleet, vm.host, now_ns) is not None:
            return False
        return self._scenario == "request" or relocate(vm.request, fleet, vm.host, now_ns).count > 0

    def _turn(self, loop: Loop, flights: Flights) -> None:
        self._pause(_LOOK_UP_S)
        loop.check()
        flights.check()
        flights.watch_limit(self._plan.migration_timeout_s)

    def _pause(self, seconds: float) -> None:
        self._interrupt.wake.clear()
        self._interrupt.check()
        self._clock.wait(seconds, self._interrupt.wake)
        self._interrupt.check()

    def _stage(self) -> Stage:
        return Stage(
            hosts=self._rig.hosts,
            attesters=self._tower.attesters,
            alone=self._tower.looks.alone,
            provokers=self._provokers,
            registry=self._attending.registry,
            vm=self._guard.terms.vm,
            keys=self._attending.attest.keys,
            accepted=self._accepted,
            clock=self._clock,
            interval_s=self._attending.attest.interval_s,
        )

    def _planned_s(self, n: int) -> float:
        return self._planned_at_s.setdefault(n, self._now_s)

    @property
    def _now_s(self) -> float:
        return (self._clock.now_ns() - self._began_ns) / NS_PER_S

    @property
    def _clock(self) -> Clock:
        return self._record.clock


@contextmanager
def guarding(
    attending: Attending, rig: Rig, plan: Plan, trial: Trial, record: Record, interrupt: Interrupt
) -> Iterator[Guarding]:
    """A guest's guard, whose hosts are watched for the length of the block.

    Raises:
        AttesterError: A host's attester does not answer.
        GuestError: The best server is not the one that guests are started on.
        NoServerError: No server satisfies the request.
        RegistryError: The registry does not answer.
    """
    with ExitStack() as stack:
        found = Guarding(attending, rig, plan, trial, record, interrupt)
        found.open(stack)
        yield found


def _policy(given: ResponsePolicy, scenario: Scenario) -> ResponsePolicy:
    """The response policy as the scenario demonstrates it."""
    match scenario:
        case "moving-target":
            return given.model_copy(update={"moving_target": given.moving_target or _MOVING_TARGET})
        case "suspend" | "shut-down":
            return given.model_copy(update={"nowhere": scenario, "moving_target": None})
        case _:
            return given.model_copy(update={"moving_target": None})


def _monitors(scenario: Scenario) -> dict[str, tuple[str, ...]]:
    """What watches each host: HyperWall's violations and the TPM; b is a DataSafe where requests change."""
    return {"a": _HYPERWALL, "b": _DATASAFE if scenario == "request" else _HYPERWALL}
