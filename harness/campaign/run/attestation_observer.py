"""Attestation during a trial: every machine at its interval, destinations before, the guest after each move.

Attests while the workload runs and the migrations fire, and changes neither: a verdict is evidence like any
other here, and what follows from it is for whoever relies on it. Each machine has a thread and a lock of its
own, so that none waits for another's TPM; lines go to one file as they are had.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from harness.attest.attester.contract import Attester
from harness.attest.evidence import KeyType
from harness.attest.examine.outcome import LinkedRound, Round
from harness.attest.examine.round import Examiner
from harness.attest.guest import history
from harness.attest.guest.continuity import ContinuityPolicy, Destination, Move, Quoted, Sighting, check
from harness.attest.measures import line as lines
from harness.attest.measures import transcript
from harness.attest.options import Attest
from harness.clock import NS_PER_S, Clock
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
from harness.evidence.record import Record, Series
from harness.migration.schedule import PlannedMigration
from harness.registry.registry import Registry
from harness.rig.guest.domain import START

_LOOK_UP_S = 0.05
"""How often the journal is looked at for a migration's beginning and end."""

_OTHER: Mapping[str, lines.Machine] = MappingProxyType({"a": "b", "b": "a"})


V = TypeVar("V", bound=Value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A machine that is attested.

    Attributes:
        machine: ``a``, ``b`` or ``guest``.
        name: Its name in the registry.
        attester: The standing channel to it.
        software: Whether its TPM is a program; None where that is not known.
        manufacturer: Of its TPM.
        firmware: Of its TPM.
        policy: Name of the appraisal policy it is held against.
    """

    machine: lines.Machine
    name: str
    attester: Attester
    software: bool | None
    manufacturer: str | None
    firmware: str | None
    policy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """What one trial's attestation needs to know.

    Attributes:
        attest: What the campaign asks for.
        examiner: Does a round.
        registry: Keeps where the guest is.
        subjects: The machines by role, the guest among them.
        vm_uuid: The guest's UUID.
        migrations: The trial's planned migrations.
        bounds: How old a destination's evidence may be when it is used.
    """

    attest: Attest
    examiner: Examiner
    registry: Registry
    subjects: Mapping[str, Subject]
    vm_uuid: str
    migrations: tuple[PlannedMigration, ...]
    bounds: ContinuityPolicy


@dataclass(slots=True)
class _Seen:
    """What the moves are judged by; written by all threads, under their lock."""

    guest: list[tuple[KeyType, Sighting]] = field(default_factory=list)
    hosts: dict[str, list[Quoted]] = field(default_factory=lambda: {"a": [], "b": []})


class Attestation:
    """The observer. One value serves one attempt."""

    name = "attestation"

    def __init__(self, sitting: Sitting) -> None:
        self._sitting = sitting
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._locks = {machine: threading.Lock() for machine in sitting.subjects}
        self._writing = threading.Lock()
        self._seen = _Seen()
        self._epoch = 1
        self._count = 0
        self._missed = 0
        self._record: Record | None = None
        self._series: Series | None = None

    def start(self, scene: Scene, record: Record) -> None:
        """Begin to attest; `scene` is not needed, the channels are open already."""
        del scene
        self._record, self._series = record, Series(record.folder / lines.FILE)
        sitting = self._sitting
        for subject in sitting.subjects.values():
            record.add(_described(subject, sitting.attest))
        guest = sitting.subjects["guest"].name
        # A TPM that came with a saved state has had epochs before.
        last = sitting.registry.placement(guest)
        self._epoch = 1 if last is None else last.epoch + 1
        sitting.registry.place(guest, sitting.subjects[START].name, self._epoch)
        interval_s = sitting.attest.interval_s
        work: list[Callable[[], None]] = [
            lambda: self._regularly(0.0, lambda turn: self._host("a", self._key(turn))),
            lambda: self._regularly(interval_s / 3, lambda turn: self._host("b", self._key(turn))),
            lambda: self._regularly(interval_s * 2 / 3, self._guest),
        ]
        if sitting.migrations:
            work.append(self._moves)
        for one in work:
            thread = threading.Thread(target=self._guarded, args=(one,), name="attestation", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End: what is under way is finished first, a question to a TPM has a time limit of its own."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        if self._series is not None and self._record is not None:
            self._series.close()
            for found in history.review(sighting for _, sighting in self._seen.guest):
                self._record.add(_contradiction(found))
            self._record.add(AttestationStopped(rows=self._series.rows, missed=self._missed))

    # -- when

    @property
    def _clock(self) -> Clock:
        return self._here.clock

    @property
    def _here(self) -> Record:
        assert self._record is not None
        return self._record

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to: silence would be trust
            self._here.failed(self.name, f"{type(error).__name__}: {error}")

    def _regularly(self, phase_s: float, attest: Callable[[int], None]) -> None:
        """Once an interval without drift; slots that have gone by are counted and never made up for."""
        interval_ns = int(self._sitting.attest.interval_s * NS_PER_S)
        begin_ns = self._clock.now_ns() + int(phase_s * NS_PER_S)
        slot = turn = 0
        while not self._wait_until(begin_ns + slot * interval_ns):
            attest(turn)
            turn += 1
            following = max(slot + 1, -(-(self._clock.now_ns() - begin_ns) // interval_ns))
            self._missed += following - slot - 1
            slot = following

    def _wait_until(self, due_ns: int) -> bool:
        """Whether the attempt ended first."""
        return self._clock.wait((due_ns - self._clock.now_ns()) / NS_PER_S, self._stopping)

    def _key(self, turn: int) -> KeyType:
        keys = self._sitting.attest.keys
        return keys[turn % len(keys)]

    # -- what

    def _host(self, machine: lines.Machine, key: KeyType, purpose: lines.Purpose = "interval") -> None:
        began = self._host_round(machine, key)
        self._write(transcript.host_line(machine, "host", purpose, began))

    def _host_round(self, machine: str, key: KeyType) -> Round:
        subject = self._sitting.subjects[machine]
        with self._locks[machine]:
            done = self._sitting.examiner.examine(subject.name, subject.attester, key=key)
        self._note_host(machine, done)
        return done

    def _guest(self, turn: int) -> None:
        """The guest alone and the guest with its host, in turns."""
        key = self._key(turn // 2)
        if turn % 2 == 0:
            subject = self._sitting.subjects["guest"]
            with self._locks["guest"]:
                done = self._sitting.examiner.examine(subject.name, subject.attester, key=key)
            self._write(transcript.host_line("guest", "guest", "interval", done))
            return
        linked, host, epoch = self._linked_round(key)
        self._write(transcript.linked_line("interval", linked, host, epoch))

    def _linked_round(self, key: KeyType) -> tuple[LinkedRound, lines.Machine, int]:
        """The guest with the host it is on, by what the journal says before the question."""
        host, epoch = self._place(), self._epoch
        guest, machine = self._sitting.subjects["guest"], self._sitting.subjects[host]
        with self._locks["guest"], self._locks[host]:
            done = self._sitting.examiner.examine_linked(
                (guest.name, guest.attester),
                (machine.name, machine.attester),
                key=key,
                vm_uuid=self._sitting.vm_uuid,
                epoch=epoch,
            )
        if done.host is not None:
            self._note_host(host, done.host)
        sighting = transcript.sighting(done, host, epoch)
        if sighting is not None:
            with self._writing:
                self._seen.guest.append((key, sighting))
        return done, host, epoch

    def _note_host(self, machine: str, done: Round) -> None:
        with self._writing:
            self._seen.hosts[machine].append(transcript.quoted(machine, done))

    # -- moves

    def _moves(self) -> None:
        """Before each planned migration the guest and the destination; after it the guest where it is now."""
        opened = self._await(WindowOpened, lambda _: True)
        for planned in self._sitting.migrations:
            if opened is None:
                return
            due_ns = opened[0].t_ns + int((planned.at_s - self._sitting.attest.lead_s) * NS_PER_S)
            self._wait_until(due_ns)
            self._settled(planned.n - 1)
            if self._stopping.is_set():
                return
            self._move(planned.n)

    def _move(self, n: int) -> None:
        key = self._key(n - 1)
        before, source, epoch = self._linked_round(key)
        gate = self._host_round(_OTHER[source], key)
        started = self._await(MigrationStarted, lambda said: said.n == n, n)
        op_ns = None if started is None else started[0].t_ns
        self._write(transcript.linked_line("gate", before, source, epoch, migration=n, op_ns=op_ns))
        self._write(transcript.host_line(_OTHER[source], "host", "gate", gate, migration=n, op_ns=op_ns))
        returned = None if started is None else self._settled(n)
        if started is None or returned is None or not returned[1].ok:
            return
        self._epoch += 1
        guest, host = self._sitting.subjects["guest"], self._sitting.subjects[self._place()]
        self._sitting.registry.place(guest.name, host.name, self._epoch)
        after, destination, arrived_in = self._linked_round(key)
        found = self._continuity(after, started, returned[0].t_ns, destination, arrived_in)
        self._write(
            transcript.linked_line("arrival", after, destination, arrived_in, migration=n).model_copy(
                update={"continuity": found}
            )
        )

    def _continuity(
        self,
        after: LinkedRound,
        started: tuple[Event, MigrationStarted],
        returned_ns: int,
        destination: str,
        epoch: int,
    ) -> lines.Continuity | None:
        """The verdict on a move; None where guest or destination were never seen to compare with."""
        began_ns, called = started[0].t_ns, started[1]
        now = transcript.sighting(after, destination, epoch)
        with self._writing:
            # The guest has a key of each type, which take turns: like is compared with like.
            key = after.guest.key
            before = [one for kind, one in self._seen.guest if kind == key and one.latest_ns < began_ns]
            chosen = [
                one
                for one in self._seen.hosts[destination]
                if one.generated_ns is not None and one.generated_ns < began_ns
            ]
        if now is None or not before or not chosen or after.host is None:
            return None
        move = Move(
            source=called.source,
            destination=called.destination,
            began_ns=began_ns,
            arrived_ns=returned_ns,
        )
        arrived = Destination(chosen=chosen[-1], arrived=transcript.quoted(destination, after.host))
        found = check(before[-1], now, move, arrived, self._sitting.bounds)
        window_ns = None if found.window_s is None else round(found.window_s * NS_PER_S)
        return lines.Continuity(
            reason=found.reason.value,
            tier=found.tier.value,
            window_ns=window_ns,
            uncertainty_ns=round(found.window_uncertainty_s * NS_PER_S),
            same_key=before[-1].vak_name == now.vak_name,
            **{"from": move.source, "to": move.destination},
        )

    # -- what the journal says

    def _place(self) -> lines.Machine:
        """Where the guest is, as the runner recorded it: where it started, or where it arrived last."""
        arrived = [move for move in self._here.account.moves if move.outcome == "completed"]
        return _OTHER[arrived[-1].source] if arrived else START

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
            account = self._here.account
            found = next((told for told in account.told(kind) if wanted(told[1])), None)
            if found is not None:
                return found
            skipped = any(said.n == n for _, said in account.told(MigrationSkipped))
            if skipped or self._clock.wait(_LOOK_UP_S, self._stopping):
                return None

    # -- the file

    def _write(self, line: lines.Attestation) -> None:
        assert self._series is not None
        with self._writing:
            self._count += 1
            self._series.add(line.model_copy(update={"n": self._count}).to_line().rstrip("\n"))


def _contradiction(found: history.Finding) -> AttestationContradicted:
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
