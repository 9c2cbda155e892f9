"""The machines of a trial, how they are asked, and what a move of its guest is judged by."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.attest.attester.contract import Attester
from harness.attest.evidence import KeyType
from harness.attest.examine import arrival
from harness.attest.examine.outcome import LinkedRound, Round
from harness.attest.examine.round import Examiner
from harness.attest.guest.continuity import ContinuityPolicy, Quoted, Sighting
from harness.attest.measures import line as lines
from harness.attest.monitor.shared import SharedAttesters
from harness.attest.options import Attest
from harness.clock import Clock
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
    """What the attestation of one guest of a trial, and of the hosts, needs to know.

    Attributes:
        attest: What the campaign asks for.
        examiner: Does a round.
        registry: Keeps where the guest is.
        subjects: The machines by role, the guest among them.
        vm_uuid: The guest's UUID.
        migrations: The guest's planned migrations.
        bounds: How old a destination's evidence may be when it is used.
        guest: Which of several guests it is; None for the only one.
    """

    attest: Attest
    examiner: Examiner
    registry: Registry
    subjects: Mapping[str, Subject]
    vm_uuid: str
    migrations: tuple[PlannedMigration, ...]
    bounds: ContinuityPolicy
    guest: str | None = None

    def key(self, turn: int) -> KeyType:
        """The key that signs at that turn; the keys take turns."""
        return self.attest.keys[turn % len(self.attest.keys)]


class Machines:
    """The machines of a trial: one caller at a time asks each, and the hosts' quotes are kept for all guests.

    Args:
        trials: One for each guest; all name the same hosts.
        clock: The controller's.
    """

    def __init__(self, trials: Sequence[TrialAttestation], clock: Clock) -> None:
        subjects = [subject for trial in trials for subject in trial.subjects.values()]
        self.shared = SharedAttesters(trials[0].examiner, {one.name: one.attester for one in subjects}, clock)
        self._quotes: dict[str, list[Quoted]] = {role: [] for role in HOSTS}
        self._lock = threading.Lock()

    def note(self, host: str, done: Round) -> None:
        """Keep what a host quoted."""
        with self._lock:
            self._quotes[host].append(arrival.quoted(host, done))

    def last(self, host: str, before_ns: int) -> Quoted | None:
        """The host's last quote before that moment; None without one."""
        with self._lock:
            found = [
                one
                for one in self._quotes[host]
                if one.generated_ns is not None and one.generated_ns < before_ns
            ]
        return found[-1] if found else None


class Rounds:
    """Asks one guest of a trial and the hosts, and keeps what a move of the guest is judged by."""

    def __init__(self, trial: TrialAttestation, machines: Machines) -> None:
        self._trial = trial
        self._machines = machines
        self._by_name = {one.name: one for one in trial.subjects.values()}
        self._lock = threading.Lock()
        self._sightings: list[tuple[KeyType, Sighting]] = []

    @property
    def sightings(self) -> tuple[Sighting, ...]:
        """Where the guest was seen, in order."""
        with self._lock:
            return tuple(one for _, one in self._sightings)

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
        done = self._machines.shared.examine(self._trial.subjects[machine].name, key)
        if machine != GUEST:
            self._machines.note(machine, done)
        return done

    def linked(self, key: KeyType) -> tuple[LinkedRound, lines.Machine, int]:
        """The guest with the host that it is on, that host, and the epoch of its stay there."""
        place = self.place()
        guest, host = self._trial.subjects[GUEST], self._by_name[place.host]
        done = self._machines.shared.linked(
            guest.name, host.name, key=key, vm_uuid=self._trial.vm_uuid, epoch=place.epoch
        )
        if done.host is not None:
            self._machines.note(host.machine, done.host)
        sighting = arrival.sighting(done, host.machine, place.epoch)
        if sighting is not None:
            with self._lock:
                self._sightings.append((key, sighting))
        return done, host.machine, place.epoch

    def before(self, key: KeyType, destination: str, began_ns: int) -> tuple[Sighting | None, Quoted | None]:
        """The guest's last sighting by that key, and its destination's last quote, before a move began."""
        with self._lock:
            # The guest has a key of each type, which take turns: like is compared with like.
            guest = [one for kind, one in self._sightings if kind == key and one.latest_ns < began_ns]
        return (guest[-1] if guest else None), self._machines.last(destination, began_ns)


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
