"""One guest of an attempt: how it is started, what runs in it, and how it is taken away."""

from __future__ import annotations

from dataclasses import dataclass

from harness.campaign.plan import Plan, Trial
from harness.campaign.run import dirty_rate, fullness, uptime
from harness.campaign.run.load import TrialLoad, load_of
from harness.clock import NS_PER_S
from harness.evidence.events import GuestStarted
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.rig.guest import domain, snapshot
from harness.rig.guest.domain import GuestSpec
from harness.rig.rig import Rig
from harness.workloads.contract import StatesDirtying


@dataclass(frozen=True, slots=True, kw_only=True)
class Aboard:
    """A guest and its load; :func:`aboard` makes those of an attempt.

    Attributes:
        rig: The machines, seen from this guest.
        spec: How it is started.
        load: What runs in it.
        record: Where events about it go.
        trial: How it begins.
        boot_timeout_s: How long it may take, s.
        uptime_s: How long it has been up before its servers start, s; None where that is left alone.
    """

    rig: Rig
    spec: GuestSpec
    load: TrialLoad
    record: Record
    trial: Trial
    boot_timeout_s: float
    uptime_s: float | None

    def start(self) -> int:
        """Start it, without waiting until it is up; when that began, ns.

        Raises:
            GuestError: It does not start.
        """
        begin_ns = self.record.clock.now_ns()
        if self.trial.start == "snapshot":
            self._restore()
        else:
            connection = self.rig.hypervisors.connect()[domain.START]
            domain.boot(connection, self.rig.hosts[domain.START], self.spec)
        return begin_ns

    def await_up(self, begin_ns: int) -> int:
        """Wait until the guest lets us in; how long that took from `begin_ns`, ns.

        Raises:
            GuestError: It does not answer in time.
        """
        self._await_login()
        spec, took_ns = self.spec, self.record.clock.now_ns() - begin_ns
        self.record.add(
            GuestStarted(
                host=domain.START,
                start=self.trial.start,
                boot_s=took_ns / NS_PER_S,
                address=self.rig.guest.endpoint.address,
                uuid=spec.uuid,
                memory_bytes=spec.memory_mib * 1024 * 1024,
                vcpus=spec.vcpus,
                cpu_model=spec.cpu_model,
                accelerator=spec.accelerator,
                image=self.rig.image_key,
            )
        )
        return took_ns

    def _await_login(self) -> None:
        host, clock = self.rig.hosts[domain.START], self.record.clock
        domain.await_login(self.rig.guest, host, self.spec, timeout_s=self.boot_timeout_s, clock=clock)

    def _restore(self) -> None:
        """Restore the saved guest, which is booted and saved first where there is none."""
        host, connection = self.rig.hosts[domain.START], self.rig.hypervisors.connect()[domain.START]
        folder = snapshot.place(self.spec, self.rig.pair.storage_path, connection.version())
        kept = self.rig.saved
        if not snapshot.exists(host, folder, kept):
            domain.boot(connection, host, self.spec)
            self._await_login()
            self.rig.guest.close()
            snapshot.save(connection, host, self.spec, folder, kept)
        snapshot.restore(connection, host, self.spec, folder, kept)

    def age(self, interrupt: Interrupt) -> None:
        """Leave it alone until it has been up for as long as the campaign asks for.

        Raises:
            InterruptedRunError: The user wants to stop.
            WorkloadError: It does not say how long it has been up, or its clock stands still.
        """
        if self.uptime_s is not None:
            uptime.reach(self.rig.guest, self.record, interrupt, self.uptime_s)

    def fill(self) -> None:
        """Let it fill its page cache, where the trial asks for it.

        Raises:
            WorkloadError: It cannot, or does not hold so much.
        """
        if self.trial.page_cache_mib is not None:
            fullness.fill(self.rig.guest, self.record, self.trial.page_cache_mib)

    def tell_memory(self) -> None:
        """Record how full its memory is.

        Raises:
            WorkloadError: A page cache was asked for, and it is not held.
        """
        fullness.tell(self.rig.guest, self.record, self.trial.page_cache_mib)

    def sample_dirty_rate(self, interrupt: Interrupt) -> None:
        """Let its QEMU sample how fast its load dirties memory, where the trial asks for it.

        Raises:
            GuestError: It does not run.
            InterruptedRunError: The user wants to stop.
        """
        period_s, load = self.trial.dirty_rate_period_s, self.load.workload
        if period_s is None or not isinstance(load, StatesDirtying):
            return
        connections = self.rig.hypervisors.connect()
        host = domain.active_on(connections, self.rig.subject)
        job = connections[host].domain(self.rig.subject.domain).job
        dirty_rate.sample(job, self.record, interrupt, load.dirtying, period_s)

    def require_answer(self) -> None:
        """It runs on one host and answers.

        Raises:
            GuestError: It does not.
        """
        domain.active_on(self.rig.hypervisors.connect(), self.rig.subject)
        domain.require_answer(self.rig.guest, self.rig.hosts[domain.START], self.spec)

    def clear(self) -> None:
        """Take it away; fine when it is not there."""
        self.rig.clear(self.spec)


def aboard(rig: Rig, plan: Plan, trial: Trial, record: Record, interrupt: Interrupt) -> tuple[Aboard, ...]:
    """The guests of one attempt at `trial`, none of them started: the rig's one, or the plan's several."""
    guests = rig.pair.guests([one.name for one in plan.guests])
    sizes = [(one.memory_mib, one.vcpus) for one in plan.guests or (plan.guest,)]
    views = [rig.of(guest) for guest in guests] or [rig]
    found = []
    for view, (memory_mib, vcpus) in zip(views, sizes, strict=True):
        own = record.of(view.subject.name)
        spec = view.specify(memory_mib=memory_mib, vcpus=vcpus, tpm=plan.attest is not None)
        found.append(
            Aboard(
                rig=view,
                spec=snapshot.to_be_saved(spec) if trial.start == "snapshot" else spec,
                load=load_of(view, plan, trial, own, interrupt),
                record=own,
                trial=trial,
                boot_timeout_s=plan.guest.boot_timeout_s,
                uptime_s=plan.guest.uptime_s,
            )
        )
    return tuple(found)
