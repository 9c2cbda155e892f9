"""One attempt at a trial: guest up, observers on, load steady, baseline, window, everything off again.

What happens is recorded as it happens; the verdict says whether the evidence can be used and never how good
the figures are. Whatever ends an attempt, the guest and the load are taken away afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from harness.campaign.plan import Plan, Trial
from harness.campaign.run import attestation
from harness.campaign.run.attestation import Attending
from harness.campaign.run.guarded import guarding
from harness.campaign.run.load import load_of
from harness.clock import NS_PER_S, ClockOffset
from harness.errors import InterruptedRunError, SodbenchError, StorageError
from harness.evidence import verdict
from harness.evidence.events import AttemptFinished, AttemptStarted, CleanupFailed, GuestStarted
from harness.evidence.observers import clocks
from harness.evidence.observers.contract import Observer, Scene
from harness.evidence.observers.heartbeat import Heartbeat
from harness.evidence.observers.job import JobStatistics
from harness.evidence.observers.qmp import Qmp
from harness.evidence.observers.sampler import Sampler
from harness.evidence.observers.wire import Wire
from harness.evidence.record import Record
from harness.evidence.verdict import Judgement
from harness.interrupt import Interrupt
from harness.migration import schedule
from harness.migration.flight import Flights
from harness.migration.window import Window
from harness.rig.guest import domain, snapshot
from harness.rig.rig import Rig


class Attempt:
    """One try at `trial` on `rig`. `perform` does it; nothing is done twice with one value."""

    def __init__(
        self,
        rig: Rig,
        plan: Plan,
        trial: Trial,
        record: Record,
        interrupt: Interrupt,
        attending: Attending | None = None,
    ) -> None:
        self._attending = attending
        self._rig = rig
        self._plan = plan
        self._trial = trial
        self._record = record
        self._interrupt = interrupt
        spec = rig.specify(
            memory_mib=plan.guest.memory_mib, vcpus=plan.guest.vcpus, tpm=plan.attest is not None
        )
        self._spec = snapshot.to_be_saved(spec) if trial.start == "snapshot" else spec
        self._load = load_of(rig, plan, trial, record.of(rig.subject.name), interrupt)

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
        try:
            self._rig.clear(self._spec)
        except SodbenchError as error:
            # The next attempt clears again before it starts, and cannot start otherwise.
            self._record.add(CleanupFailed(reason=error.summary))

    def _measured(self) -> Judgement:
        self._rig.clear(self._spec)
        with ExitStack() as stack:
            about = guarding(
                self._attending, self._rig, self._plan, self._trial, self._record, self._interrupt
            )
            chosen = None if about is None else stack.enter_context(about.watching())
            began_ns = self._record.clock.now_ns()
            self._bring_up()
            self._interrupt.check()
            began = clocks.sample({**self._rig.machines, "guest": self._rig.guest}, self._record)
            guarded = None if chosen is None else chosen.deployed(stack, self._spec, began_ns)
            attesting = self._attesting(stack)
            self._load.prepare()
            output = stack.enter_context(self._load.running())
            job = JobStatistics()
            flights = Flights(self._rig, self._plan.migration, self._record, job, self._interrupt)
            observers: list[Observer] = [
                job,
                Qmp(flights.on_qemu_event),
                Wire(),
                Sampler(),
                *attesting,
                Heartbeat(),
            ]
            self._start_observers(stack, observers)
            self._load.await_steady(output)
            self._load.baseline()
            if guarded is not None:
                guarded.run(flights)
            else:
                self._migrate(flights)
            if guarded is not None and guarded.ended:
                # The guest was shut down, which was to be seen: only the machines are left to ask.
                return verdict.of_output(self._restarted(began), None)
            domain.active_on(self._rig.hypervisors.connect(), self._rig.subject)
            domain.require_answer(self._rig.guest, self._rig.hosts["a"], self._spec)
            ended_early = output.ended
            output.finish()
        problems = [*self._restarted(began), *self._load.workload.parse(output.lines).problems]
        return verdict.of_output(problems, ended_early)

    def _migrate(self, flights: Flights) -> None:
        """The measured window of a trial that follows a schedule."""
        trial = self._trial
        points_s = list(trial.reference_points_s) if trial.kind == "control" else None
        limit_s = self._plan.migration_timeout_s
        window = Window(self._record, flights, self._interrupt, limit_s=limit_s)
        director = schedule.directed(trial.migrations, self._plan.overlap, trial.window_s)
        with window.opened(trial.window_s, points_s) as opened:
            window.carry_out(opened, director, checks=(self._interrupt.check,))

    # -- the guest

    def _bring_up(self) -> None:
        host, connection = self._rig.hosts[domain.START], self._rig.hypervisors.connect()[domain.START]
        begin = self._record.clock.now_ns()
        spec = self._spec
        if self._trial.start == "snapshot":
            self._restore()
        else:
            domain.boot(connection, host, spec)
        limit_s = self._plan.guest.boot_timeout_s
        domain.await_login(self._rig.guest, host, spec, timeout_s=limit_s, clock=self._record.clock)
        started = GuestStarted(
            host=domain.START,
            start=self._trial.start,
            boot_s=(self._record.clock.now_ns() - begin) / NS_PER_S,
            address=self._rig.guest.endpoint.address,
            uuid=spec.uuid,
            memory_bytes=spec.memory_mib * 1024 * 1024,
            vcpus=spec.vcpus,
            cpu_model=spec.cpu_model,
            accelerator=spec.accelerator,
            image=self._rig.image_key,
        )
        self._record.of(self._rig.subject.name).add(started)

    def _restore(self) -> None:
        """Restore the saved guest, which is booted and saved first where there is none."""
        host, connection = self._rig.hosts[domain.START], self._rig.hypervisors.connect()[domain.START]
        spec = self._spec
        folder = snapshot.place(spec, self._rig.pair.storage_path, connection.version())
        if not snapshot.exists(host, folder):
            domain.boot(connection, host, spec)
            limit_s = self._plan.guest.boot_timeout_s
            domain.await_login(self._rig.guest, host, spec, timeout_s=limit_s, clock=self._record.clock)
            self._rig.guest.close()
            snapshot.save(connection, host, spec, folder)
        snapshot.restore(connection, host, spec, folder)

    def _attesting(self, stack: ExitStack) -> Sequence[Observer]:
        """The observer that attests, where the campaign asks for one; the guest is enrolled here."""
        if self._attending is None or self._trial.scenario is not None:
            return ()
        opened = attestation.observer(self._attending, self._rig, self._trial, self._record, self._spec)
        return (stack.enter_context(opened),)

    # -- the observers

    def _start_observers(self, stack: ExitStack, observers: Sequence[Observer]) -> None:
        """Start each, cheapest first; one that does not start is recorded and the trial goes on."""
        scene = Scene(
            hosts=self._rig.hosts,
            client=self._rig.client,
            guest=self._rig.subject,
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
                self._record.failed(observer.name, error.summary)

    def _restarted(self, began: Mapping[str, ClockOffset]) -> list[str]:
        """Sample the clocks once more; why a machine is not known to have run through since `began`."""
        ended = clocks.sample(self._rig.machines, self._record)
        return clocks.restarted(self._rig.hosts, began, ended)
