"""The workload of one attempt: prepared, started, awaited until it is steady, and ended.

A load that cannot be prepared or does not become steady ends the attempt, with what the workload's programs
said last.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness import workloads
from harness.campaign.plan import Plan, Trial
from harness.clock import NS_PER_S
from harness.errors import WorkloadError
from harness.evidence import verdict
from harness.evidence.events import (
    BaselineOpened,
    WorkloadPrepared,
    WorkloadStarted,
    WorkloadSteady,
    WorkloadStopped,
    WorkloadUnsteady,
)
from harness.evidence.observers.output import Output
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.pair_name import GUEST
from harness.rig import contract
from harness.rig.contract import CommandError
from harness.rig.rig import Rig
from harness.workloads.contract import Machine, Site, Step, Workload

_SLACK_S = 120.0
_POLL_S = 0.25
_COMPLAINT = 800


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLoad:
    """What an attempt's load is made of; :func:`load_of` makes it.

    Attributes:
        workload: What runs.
        trial: Its limits and lengths.
        site: What the workload's commands are told.
        guest: SSH to the guest.
        client: SSH to the client.
        record: Where events and the output go.
        interrupt: Ends every wait.
    """

    workload: Workload
    trial: Trial
    site: Site
    guest: contract.Machine
    client: contract.Machine
    record: Record
    interrupt: Interrupt

    def prepare(self) -> None:
        """Start the workload's servers and everything that its load needs.

        Raises:
            InterruptedRunError: The user asked to stop.
            WorkloadError: A step failed.
        """
        clock = self.record.clock
        for step in self.workload.preparation(self.site):
            self.interrupt.check()
            begin = clock.now_ns()
            self._take(step)
            seconds = (clock.now_ns() - begin) / NS_PER_S
            self.record.add(WorkloadPrepared(what=step.what, machine=step.machine, seconds=seconds))

    def _take(self, step: Step) -> None:
        try:
            status, out, err = self._machine(step.machine).attempt(step.command, timeout_s=step.timeout_s)
        except CommandError as error:
            why = " ".join(error.what.split())  # it may quote the command, which may be a whole program
            raise WorkloadError(f"cannot {step.what}", where=error.where, why=why) from error
        if status != 0:
            why = (err.strip() or out.strip() or "it said nothing")[-_COMPLAINT:]
            raise WorkloadError(f"cannot {step.what}", where=step.machine, why=f"exit status {status}: {why}")

    @contextmanager
    def running(self) -> Iterator[Output]:
        """The load, started; it runs for the length of the block. What it printed stays readable after it.

        Raises:
            StorageError: Its output cannot be stored.
            UnreachableError: Its machine does not answer.
        """
        load = self.workload
        started = WorkloadStarted(
            workload=load.name,
            generator=load.generator,
            version=self._version(),
            substitutes=load.substitutes,
            options=self.trial.options,
        )
        self.record.add(started)
        output = Output(self.record)
        try:
            for process in load.processes(self.site):
                output.start(self._machine(process.machine), process)
            yield output
        finally:
            # Read before the load is ended from here, which is no result of its own.
            statuses = output.exit_statuses
            output.stop()
            self.record.add(WorkloadStopped(exit_status=statuses))

    def _version(self) -> str | None:
        step = self.workload.version()
        if step is None:
            return None
        _, out, err = self._machine(step.machine).attempt(step.command, timeout_s=step.timeout_s)
        return next((line.strip() for line in (out + err).splitlines() if line.strip()), None)

    def await_steady(self, output: Output) -> None:
        """Wait until the load is steady by its own test.

        Raises:
            InterruptedRunError: The user asked to stop.
            WorkloadError: It was not within the trial's limit, or one of its programs ended.
        """
        clock, begin = self.record.clock, self.record.clock.now_ns()
        test = self.workload.steady_test
        while not self.workload.steady(output.lines):
            after_s = (clock.now_ns() - begin) / NS_PER_S
            reason = ""
            if after_s > self.trial.settle_timeout_s:
                reason = f"not steady within {self.trial.settle_timeout_s:g} s"
            elif ended := output.ended:
                reason = ended
            if reason:
                self.record.add(WorkloadUnsteady(after_s=after_s, test=test, reason=reason))
                problems = self.workload.parse(output.lines).problems
                cause, *known = verdict.unsteady(reason, problems, test, ended=bool(output.ended))
                raise WorkloadError(cause, why="\n".join(known))
            self._pause(_POLL_S)
        self.record.add(WorkloadSteady(after_s=(clock.now_ns() - begin) / NS_PER_S, test=test))

    def baseline(self) -> None:
        """Let the steady load run undisturbed for the trial's baseline.

        Raises:
            InterruptedRunError: The user asked to stop.
        """
        self.record.add(BaselineOpened(baseline_s=self.trial.baseline_s))
        end = self.record.clock.now_ns() + int(self.trial.baseline_s * NS_PER_S)
        while (left_s := (end - self.record.clock.now_ns()) / NS_PER_S) > 0:
            self._pause(min(left_s, 1.0))

    def _machine(self, name: Machine) -> contract.Machine:
        return self.guest if name == GUEST else self.client

    def _pause(self, seconds: float) -> None:
        self.interrupt.pause(self.record.clock, seconds)
        self.interrupt.check()


def load_of(rig: Rig, plan: Plan, trial: Trial, record: Record, interrupt: Interrupt) -> TrialLoad:
    """The load of one attempt at `trial` on `rig`, whose guest need not be up yet."""
    limits_s = trial.settle_timeout_s + trial.baseline_s + trial.window_s
    return TrialLoad(
        workload=workloads.make(trial.workload, trial.options),
        trial=trial,
        site=Site(
            guest_address=rig.guest.endpoint.address,
            client_address=rig.client.endpoint.address,
            baseline_s=trial.baseline_s,
            window_s=trial.window_s,
            limit_s=limits_s + plan.migration_timeout_s + _SLACK_S,
        ),
        guest=rig.guest,
        client=rig.client,
        record=record,
        interrupt=interrupt,
    )
