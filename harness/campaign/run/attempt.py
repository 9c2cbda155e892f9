"""One attempt at a trial: guest up, observers on, load steady, baseline, window, everything off again.

What happens is recorded as it happens; the verdict says whether the evidence can be used and never how good
the figures are. Whatever ends an attempt, the guest and the load are taken away afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from harness.campaign.plan import Plan, Trial
from harness.campaign.run import attestation
from harness.campaign.run.aboard import Aboard, aboard
from harness.campaign.run.attestation import RunAttestation
from harness.campaign.run.guarded import guarding
from harness.clock import ClockOffset
from harness.errors import InterruptedRunError, SodbenchError, StorageError
from harness.evidence import host_drift, verdict
from harness.evidence.events import AttemptFinished, AttemptStarted, CleanupFailed, LinkHeld
from harness.evidence.observers import clocks, host_state
from harness.evidence.observers.contract import Observer, Scene
from harness.evidence.observers.heartbeat import Heartbeat
from harness.evidence.observers.job import JobStatistics
from harness.evidence.observers.output import Output
from harness.evidence.observers.qmp import Qmp
from harness.evidence.observers.sampler import Sampler
from harness.evidence.observers.wire import Wire
from harness.evidence.record import Record
from harness.evidence.verdict import Judgement
from harness.interrupt import Interrupt
from harness.migration import schedule
from harness.migration.flight import Flights
from harness.migration.several import SeveralFlights
from harness.migration.window import Window
from harness.pair_name import GUEST
from harness.rig import link_rate
from harness.rig.rig import Rig


class AttemptRun:
    """One try at `trial` on `rig`. `perform` does it; nothing is done twice with one value."""

    def __init__(
        self,
        rig: Rig,
        plan: Plan,
        trial: Trial,
        record: Record,
        interrupt: Interrupt,
        run_attestation: RunAttestation | None = None,
    ) -> None:
        self._run_attestation = run_attestation
        self._rig = rig
        self._plan = plan
        self._trial = trial
        self._record = record
        self._interrupt = interrupt
        self._guests = aboard(rig, plan, trial, record, interrupt)

    def perform(self) -> Judgement:
        """Do it and judge it; the judgement is recorded as the attempt's last event.

        Raises:
            InterruptedRunError: The user asked to stop; the attempt is recorded as skipped.
            StorageError: The evidence cannot be written any more.
        """
        trial = self._trial
        started = AttemptStarted(
            workload=trial.workload,
            repetition=trial.repetition,
            kind=trial.kind,
            scenario=trial.scenario,
            variant=trial.variant,
        )
        self._record.add(started)
        try:
            judgement = self._measured()
        except InterruptedRunError:
            self._finish(Judgement("skipped", ("interrupted by the user",)))
            raise
        except KeyboardInterrupt:
            self._finish(Judgement("skipped", ("aborted by the user",)))
            raise
        except SodbenchError as error:
            if isinstance(error, StorageError):
                self._take_away()  # nothing more can be recorded: without its last event it does not count
                raise
            judgement = verdict.of_error(error)
        except BaseException:
            self._take_away()
            raise
        self._finish(judgement)
        return judgement

    def _finish(self, judgement: Judgement) -> None:
        self._take_away()
        finished = AttemptFinished(verdict=judgement.verdict, reasons=list(judgement.reasons))
        self._record.add(finished, durable=True)

    def _take_away(self) -> None:
        for one in self._guests:
            try:
                one.clear()
            except SodbenchError as error:
                # The next attempt clears again before it starts, and cannot start otherwise.
                self._record.add(CleanupFailed(reason=error.summary))

    def _measured(self) -> Judgement:
        self._rig.vacate()
        for one in self._guests:
            one.clear()
        with ExitStack() as stack:
            about = guarding(
                self._run_attestation,
                self._rig,
                self._plan,
                self._trial,
                self._record,
                self._interrupt,
                [one.rig for one in self._guests],
            )
            chosen = None if about is None else stack.enter_context(about.watching())
            began_ns = self._record.clock.now_ns()
            boots_ns = self._bring_up()
            self._interrupt.check()
            began = self._clocks()
            host_state.sample(self._rig.hosts, self._record, "before")
            if len(self._guests) == 1:
                boots_ns = [self._record.clock.now_ns() - began_ns]
            specs = [one.spec for one in self._guests]
            guarded = None if chosen is None else chosen.deployed(stack, specs, boots_ns)
            attesting = self._attesting(stack)
            for one in self._guests:
                one.age(self._interrupt)
            for one in self._guests:
                one.load.prepare()
                one.fill()
            self._hold_link(stack)
            outputs = [stack.enter_context(one.load.running()) for one in self._guests]
            flights = self._observed(stack, attesting)
            for one, output in zip(self._guests, outputs, strict=True):
                one.load.await_steady(output)
                one.tell_memory()
                one.sample_dirty_rate(self._interrupt)
            self._guests[0].load.baseline()
            if guarded is not None:
                guarded.run(flights)
            else:
                self._migrate(flights)
            if guarded is not None and guarded.ended:
                # The guest was shut down, which was to be seen: only the machines are left to ask.
                return verdict.of_output(self._changed(began), None)
            for one in self._guests:
                one.require_answer()
            ended_early = next((output.ended for output in outputs if output.ended), None)
            for output in outputs:
                output.finish()
        return verdict.of_output([*self._changed(began), *self._problems(outputs)], ended_early)

    def _problems(self, outputs: Sequence[Output]) -> list[str]:
        """What the guests' loads say went wrong; of several guests, which one."""
        found = []
        for one, output in zip(self._guests, outputs, strict=True):
            name = f"{one.rig.subject.name}: " if len(self._guests) > 1 else ""
            found += [f"{name}{problem}" for problem in one.load.workload.parse(output.lines).problems]
        return found

    def _clocks(self) -> dict[str, ClockOffset]:
        """The clocks of the machines that stay, and of the guest where there is one."""
        guests = {GUEST: self._rig.guest} if len(self._guests) == 1 else {}
        own = self._rig.kind.clocks
        commands = {} if own is None else {GUEST: own}
        return clocks.sample({**self._rig.machines, **guests}, self._record, commands)

    def _observed(self, stack: ExitStack, attesting: Sequence[Observer]) -> list[Flights]:
        """Start every observer, each guest's own and those of the machines; the guests' migrations."""
        jobs = [JobStatistics() for _ in self._guests]
        flights = [
            Flights(one.rig, self._plan.migration, self._record, job, self._interrupt)
            for one, job in zip(self._guests, jobs, strict=True)
        ]
        others = {
            one.rig.subject: its.on_qemu_event for one, its in zip(self._guests[1:], flights[1:], strict=True)
        }
        qmp = Qmp(flights[0].on_qemu_event, others)
        first, *further = self._guests
        self._start_observers(stack, [jobs[0]], first)
        self._start_observers(stack, [qmp, Wire(), Sampler(), *attesting])
        self._start_observers(stack, [Heartbeat()], first)
        for one, job in zip(further, jobs[1:], strict=True):
            self._start_observers(stack, [job, Heartbeat()], one)
        return flights

    def _migrate(self, flights: Sequence[Flights]) -> None:
        """The measured window of a trial that follows a schedule."""
        trial = self._trial
        points_s = list(trial.reference_points_s) if trial.kind == "control" else None
        moved: Flights | SeveralFlights = flights[0]
        if len(flights) > 1:
            moved = SeveralFlights({one.guest: one for one in flights}, trial.migrations)
        window = Window(self._record, moved, self._interrupt, limit_s=self._plan.migration_timeout_s)
        director = schedule.directed(
            trial.migrations, self._plan.overlap, trial.window_s, self._plan.concurrency
        )
        with window.opened(trial.window_s, points_s) as opened:
            window.carry_out(opened, director, checks=(self._interrupt.check,))

    def _bring_up(self) -> list[int]:
        """Start the guests, which then boot side by side; how long each took, ns."""
        began_ns = []
        for one in self._guests:
            self._interrupt.check()
            began_ns.append(one.start())
        took_ns = []
        for one, begin_ns in zip(self._guests, began_ns, strict=True):
            self._interrupt.check()
            took_ns.append(one.await_up(begin_ns))
        return took_ns

    def _hold_link(self, stack: ExitStack) -> None:
        """Hold the link at the rate of the trial's variant until the attempt ends."""
        rate_bit_s, pair = self._plan.link_bit_s, self._rig.pair
        if rate_bit_s is None:
            return
        held = link_rate.held(self._rig.hosts, pair.migration_address, rate_bit_s, pair.link_bit_s)
        self._record.add(LinkHeld(rate_bit_s=rate_bit_s, devices=dict(stack.enter_context(held))))

    def _attesting(self, stack: ExitStack) -> Sequence[Observer]:
        """The observer that attests, where the campaign asks for one; the guests are enrolled here."""
        if self._run_attestation is None or self._trial.scenario is not None:
            return ()
        guests = [(one.rig, one.spec) for one in self._guests]
        opened = attestation.observer(self._run_attestation, self._rig, self._trial, self._record, guests)
        return (stack.enter_context(opened),)

    # -- the observers

    def _start_observers(
        self, stack: ExitStack, observers: Sequence[Observer], of: Aboard | None = None
    ) -> None:
        """Start each, cheapest first; one that does not start is recorded and the trial goes on.

        What an observer `of` one guest cannot do is said of that guest alone.
        """
        record = self._record if of is None else of.record
        scene = Scene(
            hosts=self._rig.hosts,
            client=self._rig.client,
            guest=(of or self._guests[0]).rig.subject,
            connections=self._rig.hypervisors.connect(),
            heartbeat_hz=self._plan.heartbeat.rate_on(self._rig.accelerator),
        )
        for observer in observers:
            stack.callback(observer.stop)
            try:
                observer.start(scene, self._record)
            except StorageError:
                raise
            except SodbenchError as error:
                record.failed(observer.name, error.summary)

    def _changed(self, began: Mapping[str, ClockOffset]) -> list[str]:
        """Sample clocks and hosts once more; why a machine is not known to have run through as it `began`."""
        ended = clocks.sample(self._rig.machines, self._record)
        host_state.sample(self._rig.hosts, self._record, "after")
        changed = host_drift.invalidating(host_drift.of_account(self._record.account))
        return [*clocks.restarted(self._rig.hosts, began, ended), *changed]
