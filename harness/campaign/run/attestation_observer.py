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
from harness.campaign.run.attestation_rounds import AttestationFile, Rounds, Subject, TrialAttestation
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
    """The observer. One value serves one attempt."""

    name = "attestation"

    def __init__(self, trial: TrialAttestation) -> None:
        self._trial = trial
        self._running: _Running | None = None

    def start(self, scene: Scene, record: Record) -> None:
        """Begin to attest; `scene` is not needed, the channels are open already.

        Raises:
            RegistryError: The guest cannot be placed.
            StorageError: The evidence cannot be written.
        """
        del scene
        self._running = _Running.begun(self._trial, record)

    def stop(self) -> None:
        """End: what is under way is finished first, a question to a TPM has a time limit of its own."""
        if self._running is not None:
            self._running.stop()


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
    """A trial's attestation from its beginning to its end."""

    def __init__(self, trial: TrialAttestation, record: Record, file: AttestationFile) -> None:
        self._trial = trial
        self._record = record
        self._file = file
        self.rounds = Rounds(trial, record)
        self._stopping = threading.Event()
        self._moved = threading.Event()
        self._monitor = TrustMonitor(
            [
                self._watch(FIRST, 0.0, lambda turn: self._host(FIRST, trial.key(turn))),
                self._watch(SECOND, 1 / 3, lambda turn: self._host(SECOND, trial.key(turn))),
                self._watch(GUEST, 2 / 3, self._guest),
            ],
            clock=record.clock,
            listeners=[self._told],
            settings=Settings(workers=len(trial.subjects), hang_s=_LONGEST_LOOK_S, close_s=_LONGEST_LOOK_S),
        )

    @classmethod
    def begun(cls, trial: TrialAttestation, record: Record) -> _Running:
        """Place the guest, then begin; where it cannot be placed, no file is opened and no event is written.

        Raises:
            RegistryError: The guest cannot be placed.
            StorageError: The evidence cannot be written.
        """
        guest = trial.subjects[GUEST].name
        # A TPM that came with a saved state has had epochs before.
        last = trial.registry.placement(guest)
        trial.registry.place(guest, trial.subjects[START].name, 1 if last is None else last.epoch + 1)
        for subject in trial.subjects.values():
            record.add(_described(subject, trial.attest))
        running = cls(trial, record, AttestationFile(record))
        running._monitor.start()
        threading.Thread(target=running._guarded, name="attestation", daemon=True).start()
        return running

    def stop(self) -> None:
        """End, after what is under way."""
        self._stopping.set()
        end_ns = self._record.clock.now_ns()
        self._monitor.close()
        self._record.clock.wait(_LONGEST_LOOK_S, self._moved)
        missed = self._monitor.missed(end_ns)
        self._file.close()
        for found in history.review(sighting for _, sighting in self.rounds.seen.guest):
            self._record.add(_contradiction(found))
        self._record.add(AttestationStopped(rows=self._file.rows, missed=missed))

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
        done = self.rounds.alone(machine, key)
        self._file.write(transcript.host_line(machine, "host", "interval", done))
        return done.result.verdict

    def _guest(self, turn: int) -> Verdict:
        """The guest alone and the guest with its host, in turns."""
        key = self._trial.key(turn // 2)
        if turn % 2 == 0:
            done = self.rounds.alone(GUEST, key)
            self._file.write(transcript.host_line(GUEST, "guest", "interval", done))
            return done.result.verdict
        linked, host, epoch = self.rounds.linked(key)
        self._file.write(transcript.linked_line("interval", linked, host, epoch))
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
        for planned in trial.migrations:
            if opened is None:
                return
            due_ns = opened[0].t_ns + int((planned.at_s - trial.attest.lead_s) * NS_PER_S)
            clock.wait((due_ns - clock.now_ns()) / NS_PER_S, self._stopping)
            self._settled(planned.n - 1)
            if self._stopping.is_set():
                return
            self._move(planned.n)

    def _move(self, n: int) -> None:
        key, registry = self._trial.key(n - 1), self._trial.registry
        before, source, epoch = self.rounds.linked(key)
        other = next(one for one in self._trial.subjects.values() if one.machine not in (GUEST, source))
        gate = self.rounds.alone(other.machine, key)
        started = self._await(MigrationStarted, lambda said: said.n == n, n)
        op_ns = None if started is None else started[0].t_ns
        self._file.write(transcript.linked_line("gate", before, source, epoch, migration=n, op_ns=op_ns))
        self._file.write(transcript.host_line(other.machine, "host", "gate", gate, migration=n, op_ns=op_ns))
        returned = None if started is None else self._settled(n)
        if started is None or returned is None or not returned[1].ok:
            return
        destination = self._trial.subjects[started[1].destination]
        placed = registry.place(self._trial.subjects[GUEST].name, destination.name, epoch + 1)
        after, host, arrived_in = self.rounds.linked(key)
        move = GuestMove(
            source=started[1].source,
            destination=started[1].destination,
            began_ns=started[0].t_ns,
            arrived_ns=returned[0].t_ns,
        )
        found = self._continuity(after, move, placed.epoch)
        line = transcript.linked_line("arrival", after, host, arrived_in, migration=n)
        self._file.write(line.model_copy(update={"continuity": found}))

    def _continuity(self, after: LinkedRound, move: GuestMove, epoch: int) -> lines.Continuity | None:
        """The verdict on a move; None where guest or destination were never seen to compare with."""
        before, chosen = self.rounds.before(after.guest.key, move.destination, move.began_ns)
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
