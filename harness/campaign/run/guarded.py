"""A trial whose guest is guarded: deployed where it may be, provoked, and moved by what the loop decides.

The hosts are watched before the guest is there, because it is deployed only onto one that satisfies its
request. What happens at each point is the scenario's, what follows is the loop's; when something happens is
decided by :mod:`harness.campaign.scenarios.director`. The migrations are those of any other trial.

Each phase is a frozen value that the one before makes: :class:`Guarding`, :class:`Chosen`, :class:`Guarded`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from harness.campaign.model import Respond, Scenario
from harness.campaign.plan import Plan, Trial
from harness.campaign.run import attestation
from harness.campaign.run.attestation import RunAttestation
from harness.campaign.run.playing import Playing
from harness.campaign.scenarios.director import Script
from harness.campaign.scenarios.scenarios import Stage, Staged, of_scenario, set_up
from harness.clock import Clock
from harness.errors import GuestError
from harness.evidence.events import ResponseLaunched
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.migration.flight import Flights
from harness.migration.several import SeveralFlights
from harness.migration.window import Window
from harness.pair_name import FIRST, SECOND
from harness.policy.capability_file import load_table
from harness.policy.request import Request, request
from harness.response.act import launching
from harness.response.act.guard import Guard, GuardSettings, WatchedRig
from harness.response.act.guards import Guards, Ready
from harness.response.act.prover import Prover
from harness.response.policy import MovingTarget, ResponsePolicy
from harness.rig.guest.domain import START, GuestSpec
from harness.rig.rig import Rig

_HYPERWALL = ("hyperwall", "tpm")
_DATASAFE = ("datasafe", "tpm")
_MOVING_TARGET = MovingTarget(min_s=2.0, max_s=4.0)
"""So that several moves fit into a window; a provider's range is hours (policies/response/default.yml)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A guest and the protection that it is deployed with.

    Attributes:
        rig: The machines, seen from it.
        request: What is asked for it.
    """

    rig: Rig
    request: Request


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
        guests: The trial's guests, as they are started.
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
    guests: tuple[Asked, ...]
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
            guests=frozenset(one.rig.subject.name for one in self.guests) if self.several else frozenset(),
        )

    @property
    def several(self) -> bool:
        """Whether the trial has more guests than one."""
        return len(self.guests) > 1

    @contextmanager
    def watching(self) -> Iterator[Chosen]:
        """Watch the hosts for the length of the block, and choose one for each guest.

        Raises:
            AttesterError: A host's attester does not answer.
            GuestError: The best server is not the one that guests are started on.
            NoServerError: No server satisfies the request in time.
            RegistryError: The registry does not answer.
        """
        guards = Guards([self._guard(one) for one in self.guests])
        with set_up(self.rig.hosts, self.clock) as injectors, guards.watch() as watched_rig:
            stage = Stage(
                hosts=self.rig.hosts,
                attesters=watched_rig.attesters,
                alone=watched_rig.shared.alone,
                injectors=injectors,
                registry=self.run_attestation.registry,
                vm=guards.names[0],
                keys=self.run_attestation.attest.keys,
                accepted=self.accepted,
                clock=self.clock,
                interval_s=self.run_attestation.attest.interval_s,
            )
            validate_ns = [
                self._chosen(watched_rig, guard.settings.vm, one.request)
                for guard, one in zip(guards.each, self.guests, strict=True)
            ]
            yield Chosen(
                about=self, guards=guards, watched_rig=watched_rig, stage=stage, validate_ns=validate_ns
            )

    def _guard(self, one: Asked) -> Guard:
        run_attestation = self.run_attestation
        name = one.rig.subject.name if self.several else None
        settings = GuardSettings(
            vm=attestation.guest_name(run_attestation, self.record, name),
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
        return Guard(one.rig, run_attestation.registry, settings, self.record, self.interrupt)

    def _chosen(self, watched_rig: WatchedRig, vm: str, request: Request) -> int:
        """Find the guest's server; how long the validation took, ns."""
        self.run_attestation.registry.protection.set(vm, request.to_json(), by="campaign", why="deployment")
        best, took_ns = launching.choose(
            watched_rig.servers, request, self.clock, limit_s=self.respond.wait_s, pause=self._pause
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
    """The hosts are watched, and each guest's host is chosen.

    Attributes:
        about: What the attempt is about.
        guards: Know the guests for the loop.
        watched_rig: The servers, watched.
        stage: What provocations may use.
        validate_ns: How long the validation of each guest's request took.
    """

    about: Guarding
    guards: Guards
    watched_rig: WatchedRig
    stage: Stage
    validate_ns: Sequence[int]

    def deployed(self, stack: ExitStack, specs: Sequence[GuestSpec], start_ns: Sequence[int]) -> Guarded:
        """Give the guests that are up their identities and places, and prove that they are there.

        Args:
            stack: Ends their identities.
            specs: The guests', in their order.
            start_ns: How long the start of each took.

        Raises:
            AttesterError: A guest's attester does not answer.
            GuestError: It is not what it should be.
            RefusedError: It cannot be enrolled.
        """
        provers = []
        each = zip(self.guards.each, self.about.guests, specs, self.validate_ns, start_ns, strict=True)
        for guard, asked, spec, validate_ns, took_ns in each:
            prover, stages_ns = self._deployed(stack, guard, spec)
            stages_ns = {"validate": validate_ns, "start": took_ns, **stages_ns}
            guard.tell(
                ResponseLaunched(
                    vm=guard.settings.vm, host=START, stages_ns=stages_ns, request=asked.request.to_json()
                )
            )
            provers.append(prover)
        return Guarded(
            about=self.about,
            guards=self.guards,
            watched_rig=self.watched_rig,
            stage=self.stage,
            provers=provers,
        )

    def _deployed(self, stack: ExitStack, guard: Guard, spec: GuestSpec) -> tuple[Prover, dict[str, int]]:
        """One guest's prover, and what the stages took, ns."""
        about, clock, vm = self.about, self.about.clock, guard.settings.vm
        run_attestation, registry = about.run_attestation, about.run_attestation.registry
        up_ns = clock.now_ns()
        attester = self.watched_rig.attesters[vm]
        stack.enter_context(
            attestation.enrolled(run_attestation, guard.rig, attester, vm, about.record, started_on=START)
        )
        enrolled_ns = clock.now_ns()
        epoch = launching.placed(registry, vm, START)
        placed_ns = clock.now_ns()
        prover = guard.prover(self.watched_rig, spec.uuid)
        launching.proved(prover, vm, START, epoch)
        stages_ns = {
            "enrol": enrolled_ns - up_ns,
            "place": placed_ns - enrolled_ns,
            "attest": clock.now_ns() - placed_ns,
        }
        return prover, stages_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """The guests are there and were proved to be.

    Attributes:
        about: What the attempt is about.
        guards: Know the guests for the loop.
        watched_rig: The servers, watched.
        stage: What provocations may use.
        provers: Each has seen its guest where it is.
    """

    about: Guarding
    guards: Guards
    watched_rig: WatchedRig
    stage: Stage
    provers: Sequence[Prover]

    @property
    def ended(self) -> bool:
        """Whether a guest was shut down: then nothing of it is there any more."""
        return self.guards.gone

    def run(self, flights: Sequence[Flights]) -> None:
        """The measured window: what the scenario's director says, while the loop guards the guests.

        Args:
            flights: Each guest's migrations.

        Raises:
            GuestError: A guest is not where exactly one guest should be.
            InterruptedRunError: The user asked to stop; the moves under way were aborted first.
            SodbenchError: What ended the loop.
        """
        about = self.about
        staged = Staged(self.stage, of_scenario(about.scenario, about.guests[0].request))
        limit_s = about.plan.migration_timeout_s
        moved = flights[0] if len(flights) == 1 else SeveralFlights({one.guest: one for one in flights})
        window = Window(about.record, moved, about.interrupt, limit_s=limit_s)
        ready = [
            Ready(guard=guard, prover=prover, flights=own)
            for guard, prover, own in zip(self.guards.each, self.provers, flights, strict=True)
        ]
        with window.opened(about.trial.window_s) as opened, ExitStack() as stack:
            stack.callback(staged.teardown)
            playing = Playing(
                script=about.script,
                scenario=about.scenario,
                guards=self.guards,
                servers=self.watched_rig.servers,
                clock=about.clock,
                staged=staged,
                opened=opened,
            )
            loop = stack.enter_context(self.guards.guarding(self.watched_rig, ready, playing.planned_s))
            window.carry_out(
                opened,
                partial(playing.next_action, loop),
                act=partial(playing.act, loop),
                checks=(about.interrupt.check, loop.check),
            )


def guarding(
    run_attestation: RunAttestation | None,
    rig: Rig,
    plan: Plan,
    trial: Trial,
    record: Record,
    interrupt: Interrupt,
    rigs: Sequence[Rig],
) -> Guarding | None:
    """What an attempt is about whose guests are guarded; None where the trial's are not.

    Args:
        run_attestation: What all attempts of the run share.
        rig: The machines.
        plan: The run's.
        trial: The trial.
        record: Where events go.
        interrupt: Ends every wait.
        rigs: The machines, seen from each guest.
    """
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
        policy=_policy(run_attestation.response, trial.scenario, plan),
        guests=tuple(
            Asked(rig=view, request=request(asked)) for view, asked in zip(rigs, _asked(plan), strict=True)
        ),
        accepted=dict.fromkeys(rig.hosts, 0),
    )


def _asked(plan: Plan) -> Sequence[Sequence[str]]:
    """What is asked for each guest, in options."""
    one = () if plan.respond is None else (plan.respond.request,)
    return [guest.request for guest in plan.guests] or one


def _policy(given: ResponsePolicy, scenario: Scenario, plan: Plan) -> ResponsePolicy:
    """The response policy as the scenario demonstrates it, and as the campaign has several guests leave."""
    if plan.guests:
        order = given.order if plan.order is None else plan.order
        given = given.model_copy(update={"order": order, "concurrent_migrations": plan.concurrency})
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
