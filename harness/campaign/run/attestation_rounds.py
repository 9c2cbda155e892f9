"""The machines of a trial, how they are asked, and what a move of its guest is judged by."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.attest.attester.contract import Attester
from harness.attest.evidence import KeyType
from harness.attest.examine import arrival
from harness.attest.examine.outcome import LinkedRound, Round
from harness.attest.examine.round import Examiner
from harness.attest.guest.continuity import ContinuityPolicy, Quoted, Sighting
from harness.attest.measures import line as lines
from harness.attest.monitor.shared import SharedAttesters
from harness.attest.options import Attest
from harness.evidence.record import Record, Series
from harness.migration.schedule import PlannedMigration
from harness.pair_name import GUEST, HOSTS
from harness.registry.errors import RegistryError
from harness.registry.registry import Registry
from harness.registry.values import Placement


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
class TrialAttestation:
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

    def key(self, turn: int) -> KeyType:
        """The key that signs at that turn; the keys take turns."""
        return self.attest.keys[turn % len(self.attest.keys)]


@dataclass(slots=True)
class Seen:
    """What the moves are judged by; written by all threads, under their lock."""

    guest: list[tuple[KeyType, Sighting]] = field(default_factory=list)
    hosts: dict[str, list[Quoted]] = field(default_factory=lambda: {role: [] for role in HOSTS})


class Rounds:
    """Asks the machines of a trial, and keeps what a move is judged by."""

    def __init__(self, trial: TrialAttestation, record: Record) -> None:
        subjects = trial.subjects.values()
        self._trial = trial
        self._shared = SharedAttesters(
            trial.examiner, {one.name: one.attester for one in subjects}, record.clock
        )
        self._by_name = {one.name: one for one in subjects}
        self._lock = threading.Lock()
        self.seen = Seen()

    def place(self) -> Placement:
        """Where the guest is: the one answer, which is written when it starts and after each move.

        Raises:
            RegistryError: It is not in the registry, or the registry cannot be read.
        """
        guest = self._trial.subjects[GUEST].name
        found = self._trial.registry.placement(guest)
        if found is None:
            raise RegistryError(
                "the registry does not say where the guest is",
                where=guest,
                why="a trial places its guest before it asks, and the entry is gone",
                remedy="`sodbench resume` repeats the trial",
            )
        return found

    def alone(self, machine: str, key: KeyType) -> Round:
        """One machine's own round."""
        done = self._shared.examine(self._trial.subjects[machine].name, key)
        if machine != GUEST:
            self._note(machine, done)
        return done

    def linked(self, key: KeyType) -> tuple[LinkedRound, lines.Machine, int]:
        """The guest with the host that it is on, that host, and the epoch of its stay there."""
        place = self.place()
        guest, host = self._trial.subjects[GUEST], self._by_name[place.host]
        done = self._shared.linked(
            guest.name, host.name, key=key, vm_uuid=self._trial.vm_uuid, epoch=place.epoch
        )
        if done.host is not None:
            self._note(host.machine, done.host)
        sighting = arrival.sighting(done, host.machine, place.epoch)
        if sighting is not None:
            with self._lock:
                self.seen.guest.append((key, sighting))
        return done, host.machine, place.epoch

    def _note(self, machine: str, done: Round) -> None:
        with self._lock:
            self.seen.hosts[machine].append(arrival.quoted(machine, done))

    def before(self, key: KeyType, destination: str, began_ns: int) -> tuple[Sighting | None, Quoted | None]:
        """The guest's last sighting by that key, and its destination's last quote, before a move began."""
        with self._lock:
            # The guest has a key of each type, which take turns: like is compared with like.
            guest = [one for kind, one in self.seen.guest if kind == key and one.latest_ns < began_ns]
            hosts = [
                one
                for one in self.seen.hosts[destination]
                if one.generated_ns is not None and one.generated_ns < began_ns
            ]
        return (guest[-1] if guest else None), (hosts[-1] if hosts else None)


class AttestationFile:
    """The file of a trial's attestations, which numbers its lines."""

    def __init__(self, record: Record) -> None:
        self._series = Series(record.folder / lines.FILE)
        self._lock = threading.Lock()
        self._count = 0

    @property
    def rows(self) -> int:
        """Lines written."""
        return self._series.rows

    def write(self, line: lines.Attestation) -> None:
        """Append a line; it gets the next number."""
        with self._lock:
            self._count += 1
            self._series.add(line.model_copy(update={"n": self._count}).to_line().rstrip("\n"))

    def close(self) -> None:
        """No line follows."""
        self._series.close()
