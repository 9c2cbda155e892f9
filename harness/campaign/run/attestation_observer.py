"""Attestation during a trial: every machine at its interval, destinations before, the guest after each move.

Attests while the workload runs and the migrations fire, and changes neither: a verdict is evidence like any
other here, and acting on it is left to its readers. The trust monitor keeps the schedule, as it
does for a guard; what is seen goes to one file, line by line.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from itertools import count
from typing import ClassVar, TypeVar

from harness.attest.evidence import KeyType
from harness.attest.examine import arrival
from harness.attest.examine.outcome import LinkedRound
from harness.attest.guest import history
from harness.attest.guest.continuity import GuestMove
from harness.attest.measures import line as lines
from harness.attest.measures import transcript
from harness.attest.monitor.kinds.contract import Observation
from harness.attest.monitor.monitor import Settings, TrustMonitor
from harness.attest.monitor.schedule import LIFE_IN_INTERVALS
from harness.attest.monitor.standing import Change
from harness.attest.monitor.watch import Watch
from harness.attest.options import Attest
from harness.attest.verdict import Verdict
from harness.campaign.run.attestation_rounds import (
    AttestationFile,
    Machines,
    Rounds,
    Subject,
    TrialAttestation,
)
from harness.clock import NS_PER_S
from harness.evidence.events import (
    AttestationContradicted,
    AttestationStarted,
    AttestationStopped,
    MigrationReturned,
    MigrationSkipped,
    MigrationStarted,
    Value,
    WindowOpened,
)
from harness.evidence.journal import Event
from harness.evidence.observers.contract import Scene
from harness.evidence.record import Record
from harness.json_types import Json
from harness.pair_name import FIRST, GUEST, SECOND
from harness.rig.guest.domain import START

V = TypeVar("V", bound=Value)

_LOOK_UP_S = 0.05
"""How often the journal is looked at for a migration's beginning and end."""

_LONGEST_LOOK_S = 180.0
"""A look takes no longer: two machines are asked, and to start an attester and to ask it have limits."""


class Attestation:
    """The observer. One value serves one attempt.

    Args:
        trials: One for each guest of the attempt; the hosts are attested at their interval once.
    """

    name = "attestation"

    def __init__(self, *trials: TrialAttestation) -> None:
        self._trials = trials
        self._file: AttestationFile | None = None
        self._running: list[_Running] = []
        self._record: Record | None = None

    def start(self, scene: Scene, record: Record) -> None:
        """Begin to attest; `scene` is not needed, the channels are open already.

        Raises:
            RegistryError: A guest cannot be placed; then no file is opened and no event is written.
            StorageError: The evidence cannot be written.
        """
        del scene
        for trial in self._trials:
            _place(trial)
        described = {
            (one.machine, one.name): (one, trial) for trial in self._trials for one in trial.subjects.values()
        }
        for subject, trial in described.values():
            of = trial.guest if subject.machine == GUEST else None
            record.of(of).add(_described(subject, trial.attest))
        self._record = record
        self._file = AttestationFile(record)
        machines = Machines(self._trials, record.clock)
        for number, trial in enumerate(self._trials):
            running = _Running(trial, record.of(trial.guest), self._file, machines, hosts=number == 0)
            self._running.append(running)
            running.begin()

    def stop(self) -> None:
        """End: what is under way is finished first, a question to a TPM has a time limit of its own."""
        if self._file is None or self._record is None:
            return
        for running in self._running:
            running.ending()
        missed = sum(running.stop() for running in self._running)
        self._file.close()
        for running in self._running:
            running.review()
        self._record.add(AttestationStopped(rows=self._file.rows, missed=missed))


class _Interval:
    """A monitor that attests one machine of a trial at each look.

    Args:
        attest: Does it and writes its line; the number of the look, from 0.
    """

    name: ClassVar[str] = "trial"
    architecture: ClassVar[str] = "TPM"
    simulated: ClassVar[bool] = False

    def __init__(self, attest: Callable[[int], Verdict]) -> None:
        self._attest = attest
        self._turns = count()

    def boot_properties(self) -> Mapping[str, Json]:
        """None: a trial's looks state no server's properties."""
        return {}

    def observe(self) -> Observation:
        """One attestation."""
        return Observation(verdict=self._attest(next(self._turns)), simulated=self.simulated)


class _Running:
    """The attestation of one guest of a trial, and with `hosts` also of the hosts."""

    def __init__(
        self,
        trial: TrialAttestation,
        record: Record,
        file: AttestationFile,
        machines: Machines,
        *,
        hosts: bool,
    ) -> None:
        self._trial = trial
        self._record = record
        self._file = file
        self._rounds = Rounds(trial, machines)
        self._stopping = threading.Event()
        self._moved = threading.Event()
        watches = [
            self._watch(FIRST, 0.0, lambda turn: self._host(FIRST, trial.key(turn))),
            self._watch(SECOND, 1 / 3, lambda turn: self._host(SECOND, trial.key(turn))),
        ]
        self._monitor = TrustMonitor(
            [*(watches if hosts else ()), self._watch(GUEST, 2 / 3, self._guest)],
            clock=record.clock,
            listeners=[self._told],
            settings=Settings(workers=len(trial.subjects), hang_s=_LONGEST_LOOK_S, close_s=_LONGEST_LOOK_S),
        )
        self._end_ns = 0

    def begin(self) -> None:
        """Attest from here on."""
        self._monitor.start()
        threading.Thread(target=self._guarded, name="attestation", daemon=True).start()

    def ending(self) -> None:
        """Nothing more is begun."""
        self._stopping.set()
        self._end_ns = self._record.clock.now_ns()

    def stop(self) -> int:
        """End, after what is under way; how many looks were due and not begun."""
        self._monitor.close()
        self._record.clock.wait(_LONGEST_LOOK_S, self._moved)
        return self._monitor.missed(self._end_ns)

    def review(self) -> None:
        """Record the sightings that contradict each other."""
        for found in history.review(self._rounds.sightings):
            self._record.add(_contradiction(found))

    # -- at intervals

    def _watch(self, machine: str, phase: float, attest: Callable[[int], Verdict]) -> Watch:
        interval_s = self._trial.attest.interval_s
        return Watch(
            subject=self._trial.subjects[machine].name,
            monitor=_Interval(attest),
            interval_s=interval_s,
            lifetime_s=LIFE_IN_INTERVALS * interval_s,
            server=False,
            phase=phase,
        )

    def _told(self, change: Change) -> None:
        """Record a look that failed, and one that was not heard of in time; the next looks follow."""
        if change.kind in ("failed", "silent"):
            self._record.failed(Attestation.name, f"{change.subject or 'the monitor'}: {change.detail}")

    def _host(self, machine: lines.Machine, key: KeyType) -> Verdict:
        done = self._rounds.alone(machine, key)
        self._file.write(transcript.host_line(machine, "host", "interval", done))
        return done.result.verdict

    def _guest(self, turn: int) -> Verdict:
        """The guest alone and the guest with its host, in turns."""
        key = self._trial.key(turn // 2)
        if turn % 2 == 0:
            done = self._rounds.alone(GUEST, key)
            self._write(transcript.host_line(GUEST, "guest", "interval", done))
            return done.result.verdict
        linked, host, epoch = self._rounds.linked(key)
        self._write(transcript.linked_line("interval", linked, host, epoch))
        return linked.verdict

    # -- moves

    def _guarded(self) -> None:
        try:
            self._moves()
        except Exception as error:  # noqa: BLE001 - a thread has no caller to raise to: silence would be trust
            self._record.failed(Attestation.name, f"{type(error).__name__}: {error}")
        finally:
            self._moved.set()

    def _moves(self) -> None:
        """Before each planned migration the guest and the destination; after it the guest where it is now."""
        clock, trial = self._record.clock, self._trial
        opened = self._await(WindowOpened, lambda _: True) if trial.migrations else None
        before = 0
        for planned in trial.migrations:
            if opened is None:
                return
            due_ns = opened[0].t_ns + int((planned.at_s - trial.attest.lead_s) * NS_PER_S)
            clock.wait((due_ns - clock.now_ns()) / NS_PER_S, self._stopping)
            self._settled(before)
            if self._stopping.is_set():
                return
            self._move(planned.n)
            before = planned.n

    def _move(self, n: int) -> None:
        key, registry = self._trial.key(n - 1), self._trial.registry
        before, source, epoch = self._rounds.linked(key)
        other = next(one for one in self._trial.subjects.values() if one.machine not in (GUEST, source))
        gate = self._rounds.alone(other.machine, key)
        started = self._await(MigrationStarted, lambda said: said.n == n, n)
        op_ns = None if started is None else started[0].t_ns
        self._write(transcript.linked_line("gate", before, source, epoch, migration=n, op_ns=op_ns))
        self._file.write(transcript.host_line(other.machine, "host", "gate", gate, migration=n, op_ns=op_ns))
        returned = None if started is None else self._settled(n)
        if started is None or returned is None or not returned[1].ok:
            return
        destination = self._trial.subjects[started[1].destination]
        placed = registry.place(self._trial.subjects[GUEST].name, destination.name, epoch + 1)
        after, host, arrived_in = self._rounds.linked(key)
        move = GuestMove(
            source=started[1].source,
            destination=started[1].destination,
            began_ns=started[0].t_ns,
            arrived_ns=returned[0].t_ns,
        )
        found = self._continuity(after, move, placed.epoch)
        line = transcript.linked_line("arrival", after, host, arrived_in, migration=n)
        self._write(line.model_copy(update={"continuity": found}))

    def _write(self, line: lines.Attestation) -> None:
        """Append a line about the guest; of several it is named."""
        self._file.write(line.model_copy(update={"guest": self._trial.guest}))

    def _continuity(self, after: LinkedRound, move: GuestMove, epoch: int) -> lines.Continuity | None:
        """The verdict on a move; None where guest or destination were never seen to compare with."""
        before, chosen = self._rounds.before(after.guest.key, move.destination, move.began_ns)
        done = arrival.judged(before, chosen, move, after, epoch, self._trial.bounds)
        if done is None:
            return None
        found = done.continuity
        window_ns = None if found.window_s is None else round(found.window_s * NS_PER_S)
        return lines.Continuity(
            reason=found.reason.value,
            tier=found.tier.value,
            window_ns=window_ns,
            uncertainty_ns=round(found.window_uncertainty_s * NS_PER_S),
            same_key=done.same_key,
            **{"from": move.source, "to": move.destination},
        )

    # -- what the journal says of migrations

    def _settled(self, n: int) -> tuple[Event, MigrationReturned] | None:
        """Migration `n`'s return; None for one that was never fired, and when the attempt ends first."""
        if n < 1:
            return None
        return self._await(MigrationReturned, lambda said: said.n == n, n)

    def _await(
        self, kind: type[V], wanted: Callable[[V], bool], n: int | None = None
    ) -> tuple[Event, V] | None:
        """The first event of `kind` that is `wanted`, and what it says.

        None when migration `n` is skipped or the attempt ends first.
        """
        while True:
            account = self._record.account
            found = next((told for told in account.told(kind) if wanted(told[1])), None)
            if found is not None:
                return found
            skipped = any(said.n == n for _, said in account.told(MigrationSkipped))
            if skipped or self._record.clock.wait(_LOOK_UP_S, self._stopping):
                return None


def _contradiction(found: history.Contradiction) -> AttestationContradicted:
    """Two sightings that cannot both be of one guest that simply ran on."""
    return AttestationContradicted(
        reason=found.reason.value,
        why=found.why,
        hosts=[found.first.host, found.second.host],
        epochs=[found.first.epoch, found.second.epoch],
    )


def _place(trial: TrialAttestation) -> None:
    """Say in the registry that the guest is where it was started.

    Raises:
        RegistryError: It cannot be stored.
    """
    guest = trial.subjects[GUEST].name
    # A TPM that came with a saved state has had epochs before.
    last = trial.registry.placement(guest)
    trial.registry.place(guest, trial.subjects[START].name, 1 if last is None else last.epoch + 1)


def _described(subject: Subject, attest: Attest) -> AttestationStarted:
    return AttestationStarted(
        subject=subject.machine,
        software=subject.software,
        manufacturer=subject.manufacturer,
        firmware=subject.firmware,
        keys=list(attest.keys),
        interval_s=attest.interval_s,
        policy=subject.policy,
        access="ESAPI",
    )
