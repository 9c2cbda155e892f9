"""A trial whose guest is guarded: deployed where it may be, provoked, and moved by what the loop decides.

The hosts are watched before the guest is there, because it is deployed only onto one that satisfies its
request. What happens at each point is the scenario's, what follows is the loop's; when something happens is
decided by :mod:`harness.campaign.scenarios.director`. The migrations are those of any other trial.

Each phase is a frozen value that the one before makes: :class:`Guarding`, :class:`Chosen`, :class:`Guarded`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial

from harness.campaign.model import Respond, Scenario
from harness.campaign.plan import Plan, Trial
from harness.campaign.run import attestation
from harness.campaign.run.attestation import RunAttestation
from harness.campaign.scenarios.director import Script, Sight, next_action, next_point
from harness.campaign.scenarios.scenarios import Stage, Staged, of_scenario, set_up
from harness.clock import NS_PER_S, Clock
from harness.errors import GuestError
from harness.evidence.events import ResponseLaunched, ResponseProvoked
from harness.evidence.journal import Event
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.migration.actions import Action, Now, Provoke, Undo
from harness.migration.flight import Flights
from harness.migration.window import Window
from harness.pair_name import FIRST, GUEST, SECOND
from harness.policy.capability_file import load_table
from harness.policy.request import Request, request
from harness.policy.validation import relocate, satisfied
from harness.response.act import launching
from harness.response.act.guard import Guard, GuardSettings, WatchedRig
from harness.response.act.loop import Loop
from harness.response.act.prover import Prover
from harness.response.policy import MovingTarget, ResponsePolicy
from harness.rig.guest.domain import START, GuestSpec
from harness.rig.rig import Rig

_HYPERWALL = ("hyperwall", "tpm")
_DATASAFE = ("datasafe", "tpm")
_MOVING_TARGET = MovingTarget(min_s=2.0, max_s=4.0)
"""So that several moves fit into a window; a provider's range is hours (policies/response/default.yml)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarding:
    """What a guarded attempt is about; :func:`guarding` makes it.

    Attributes:
        run_attestation: What all attempts of the run share.
        rig: The machines.
        plan: The run's.
        trial: The trial.
        record: Where events go.
        interrupt: Ends every wait.
        respond: What the campaign asks for.
        scenario: What is played.
        policy: The response policy, as the scenario demonstrates it.
        request: The protection that the guest is deployed with.
        accepted: Memory violations that were looked at and accepted, by host; teardowns add to them.
    """

    run_attestation: RunAttestation
    rig: Rig
    plan: Plan
    trial: Trial
    record: Record
    interrupt: Interrupt
    respond: Respond
    scenario: Scenario
    policy: ResponsePolicy
    request: Request
    accepted: dict[str, int]

    @property
    def clock(self) -> Clock:
        """The controller's."""
        return self.record.clock

    @property
    def script(self) -> Script:
        """What the trial's director is asked with."""
        planned = () if self.scenario == "moving-target" else self.trial.migrations
        return Script(
            points_s=tuple(one.at_s for one in planned),
            window_s=self.trial.window_s,
            wait_s=self.respond.wait_s,
            calm_s=max(self.respond.calm_s, self.policy.return_after_s),
            settle_s=self.policy.settle_s,
        )

    @contextmanager
    def watching(self) -> Iterator[Chosen]:
        """Watch the hosts for the length of the block, and choose one for the guest.

        Raises:
            AttesterError: A host's attester does not answer.
            GuestError: The best server is not the one that guests are started on.
            NoServerError: No server satisfies the request in time.
            RegistryError: The registry does not answer.
        """
        guard = Guard(self.rig, self.run_attestation.registry, self._settings(), self.record, self.interrupt)
        with set_up(self.rig.hosts, self.clock) as injectors, guard.watch() as watched_rig:
            stage = Stage(
                hosts=self.rig.hosts,
                attesters=watched_rig.attesters,
                alone=watched_rig.shared.alone,
                injectors=injectors,
                registry=self.run_attestation.registry,
                vm=guard.settings.vm,
                keys=self.run_attestation.attest.keys,
                accepted=self.accepted,
                clock=self.clock,
                interval_s=self.run_attestation.attest.interval_s,
            )
            validate_ns = self._chosen(watched_rig, guard.settings.vm)
            yield Chosen(
                about=self, guard=guard, watched_rig=watched_rig, stage=stage, validate_ns=validate_ns
            )

    def _settings(self) -> GuardSettings:
        run_attestation = self.run_attestation
        return GuardSettings(
            vm=attestation.guest_name(run_attestation, self.record),
            monitors=_monitors(self.scenario),
            key=run_attestation.attest.keys[0],
            policies=run_attestation.appraisal.policies,
            references=run_attestation.appraisal.references,
            response=self.policy,
            table=load_table(),
            interval_s=run_attestation.attest.interval_s,
            accepted=self.accepted,
            seed=self.plan.seed,
            owner=run_attestation.run,
        )

    def _chosen(self, watched_rig: WatchedRig, vm: str) -> int:
        """Find the guest's server; how long the validation took, ns."""
        self.run_attestation.registry.protection.set(
            vm, self.request.to_json(), by="campaign", why="deployment"
        )
        best, took_ns = launching.choose(
            watched_rig.servers, self.request, self.clock, limit_s=self.respond.wait_s, pause=self._pause
        )
        if best != START:
            raise GuestError(
                f"the guest belongs on {best}, and a trial's guest is started on {START}", where=vm
            )
        return took_ns

    def _pause(self, seconds: float) -> None:
        self.interrupt.pause(self.clock, seconds)
        self.interrupt.check()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The hosts are watched, and the guest's host is chosen.

    Attributes:
        about: What the attempt is about.
        guard: Knows the guest for the loop.
        watched_rig: The servers, watched.
        stage: What provocations may use.
        validate_ns: How long the validation of its request took.
    """

    about: Guarding
    guard: Guard
    watched_rig: WatchedRig
    stage: Stage
    validate_ns: int

    def deployed(self, stack: ExitStack, spec: GuestSpec, began_ns: int) -> Guarded:
        """Give the guest that is up its identity and its place, and prove that it is there.

        Args:
            stack: Ends its identity.
            spec: The guest's.
            began_ns: When its start began.

        Raises:
            AttesterError: Its attester does not answer.
            GuestError: It is not what it should be.
            RefusedError: It cannot be enrolled.
        """
        about, clock, vm = self.about, self.about.clock, self.guard.settings.vm
        run_attestation, registry = about.run_attestation, about.run_attestation.registry
        up_ns = clock.now_ns()
        attester = self.watched_rig.attesters[GUEST]
        stack.enter_context(
            attestation.enrolled(run_attestation, about.rig, attester, vm, about.record, started_on=START)
        )
        enrolled_ns = clock.now_ns()
        epoch = launching.placed(registry, vm, START)
        placed_ns = clock.now_ns()
        prover = self.guard.prover(self.watched_rig, spec.uuid)
        launching.proved(prover, vm, START, epoch)
        stages_ns = {
            "validate": self.validate_ns,
            "start": up_ns - began_ns,
            "enrol": enrolled_ns - up_ns,
            "place": placed_ns - enrolled_ns,
            "attest": clock.now_ns() - placed_ns,
        }
        self.guard.tell(ResponseLaunched(vm=vm, host=START, stages_ns=stages_ns))
        return Guarded(
            about=about, guard=self.guard, watched_rig=self.watched_rig, stage=self.stage, prover=prover
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """The guest is there and was proved to be.

    Attributes:
        about: What the attempt is about.
        guard: Knows the guest for the loop.
        watched_rig: The servers, watched.
        stage: What provocations may use.
        prover: Has seen the guest where it is.
    """

    about: Guarding
    guard: Guard
    watched_rig: WatchedRig
    stage: Stage
    prover: Prover

    @property
    def ended(self) -> bool:
        """Whether the guest was shut down: then nothing of it is there any more."""
        return self.guard.gone

    def run(self, flights: Flights) -> None:
        """The measured window: what the scenario's director says, while the loop guards the guest.

        Raises:
            GuestError: The guest is not where exactly one guest should be.
            InterruptedRunError: The user asked to stop; a move under way was aborted first.
            SodbenchError: What ended the loop.
        """
        about, staged = self.about, Staged(self.stage, of_scenario(self.about.scenario, self.about.request))
        limit_s = about.plan.migration_timeout_s
        window = Window(about.record, flights, about.interrupt, limit_s=limit_s)
        with window.opened(about.trial.window_s) as opened, ExitStack() as stack:
            stack.callback(staged.teardown)
            playing = _Playing(guarded=self, staged=staged, opened=opened)
            loop = stack.enter_context(
                self.guard.guarding(self.watched_rig, self.prover, flights, playing.planned_s)
            )
            window.carry_out(
                opened,
                partial(playing.next_action, loop),
                act=partial(playing.act, loop),
                checks=(about.interrupt.check, loop.check),
            )


@dataclass(slots=True, kw_only=True)
class _Playing:
    """The window of one guarded trial: shows its director what is true now, and does what it says.

    Attributes:
        guarded: The guest.
        staged: What the scenario did.
        opened: The event at t = 0.
        planned_at_s: When each response was due, by its number, in s after t = 0.
        well_since_s: See :class:`~harness.campaign.scenarios.director.Sight`.
    """

    guarded: Guarded
    staged: Staged
    opened: Event
    planned_at_s: dict[int, float] = field(default_factory=dict)
    well_since_s: float | None = None

    def planned_s(self, n: int) -> float:
        """When response `n` was due: at its provocation, or now where there was none."""
        return self.planned_at_s.setdefault(n, self._now_s)

    @property
    def _now_s(self) -> float:
        return (self.guarded.about.clock.now_ns() - self.opened.t_ns) / NS_PER_S

    def next_action(self, loop: Loop, now: Now) -> Action:
        """What next."""
        script, standing = self.guarded.about.script, self.staged.standing
        sight = Sight(busy=loop.busy, well_since_s=None, standing=standing)
        if not sight.busy and not standing and next_point(script, now.history) is not None:
            since_s = now.now_s if self.well_since_s is None else self.well_since_s
            sight = Sight(busy=False, well_since_s=since_s if self._well() else None, standing=False)
        self.well_since_s = sight.well_since_s
        return next_action(script, now.now_s, now.history, sight)

    def _well(self) -> bool:
        """Whether the guest is where its request is satisfied, and another server would take it."""
        guard, now_ns = self.guarded.guard, self.guarded.about.clock.now_ns()
        vm = guard.vms().get(guard.settings.vm)
        if vm is None:
            return False
        fleet = self.guarded.watched_rig.servers.fleet({})
        fleet.advance(now_ns)
        if satisfied(vm.request, fleet, vm.host, now_ns) is not None:
            return False
        if self.guarded.about.scenario == "request":
            return True
        return relocate(vm.request, fleet, vm.host, now_ns).count > 0

    def act(self, loop: Loop, action: Provoke | Undo) -> None:
        """Provoke, or undo it."""
        if isinstance(action, Undo):
            self.staged.teardown()
            return
        guard, n = self.guarded.guard, loop.upcoming
        self.planned_at_s[n] = self._now_s
        done = self.staged.invoke(guard.placement(guard.settings.vm).host)
        provoked = ResponseProvoked(
            n=n,
            scenario=self.guarded.about.scenario,
            server=done.server,
            vm=guard.settings.vm,
            what=done.what,
            earliest_ns=done.moment.earliest_ns,
            latest_ns=done.moment.latest_ns,
        )
        guard.tell(provoked, t_ns=done.moment.latest_ns)


def guarding(
    run_attestation: RunAttestation | None,
    rig: Rig,
    plan: Plan,
    trial: Trial,
    record: Record,
    interrupt: Interrupt,
) -> Guarding | None:
    """What an attempt is about whose guest is guarded; None where the trial's guest is not."""
    if (
        run_attestation is None
        or run_attestation.response is None
        or plan.respond is None
        or trial.scenario is None
    ):
        return None
    return Guarding(
        run_attestation=run_attestation,
        rig=rig,
        plan=plan,
        trial=trial,
        record=record,
        interrupt=interrupt,
        respond=plan.respond,
        scenario=trial.scenario,
        policy=_policy(run_attestation.response, trial.scenario),
        request=request(plan.respond.request),
        accepted=dict.fromkeys(rig.hosts, 0),
    )


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
    return {FIRST: _HYPERWALL, SECOND: _DATASAFE if scenario == "request" else _HYPERWALL}
