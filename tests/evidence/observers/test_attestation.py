from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from harness.attest.evidence import Evidence
from harness.attest.examine.round import Examiner
from harness.attest.guest.continuity import ContinuityPolicy, Sighting
from harness.attest.measures import line as lines
from harness.attest.options import Attest
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason
from harness.attest.tpm.structures import ClockInfo
from harness.campaign.run.attestation_observer import Attestation
from harness.campaign.run.attestation_rounds import Machines, Rounds, Subject, TrialAttestation
from harness.clock import NS_PER_S, MonotonicClock
from harness.evidence.events import MigrationReturned, WindowOpened
from harness.evidence.journal import Event, Journal, read
from harness.evidence.observers.contract import Scene
from harness.evidence.record import Record
from harness.migration.schedule import PlannedMigration
from harness.registry.errors import RegistryError
from harness.registry.registry import Registry, open_registry
from tests.attest.attesters import GOOD, POLICY, UUID, SoftwareAttester, enrol
from tests.registry.blank import blank
from tests.synthetic.vocabulary import said

SCENE = cast("Scene", None)
"""The observer's channels are open before it starts: it needs nothing of the scene."""
NAMES = {"a": "a", "b": "b", "guest": "guest:1"}


@dataclass
class Stage:
    registry: Registry
    record: Record
    attesters: dict[str, SoftwareAttester]

    def observer(
        self, *, interval_s: float = 0.1, at_s: tuple[float, ...] = (), window_s: float = 10.0
    ) -> Attestation:
        examiner = Examiner(self.registry, lambda _name: POLICY, lambda _name: GOOD, self.record.clock)
        roles: tuple[lines.Machine, ...] = ("a", "b", "guest")
        return Attestation(
            TrialAttestation(
                attest=Attest(interval_s=interval_s, keys=("ecc-p256",), lead_s=0.05),
                examiner=examiner,
                registry=self.registry,
                subjects={
                    role: Subject(
                        machine=role,
                        name=NAMES[role],
                        attester=self.attesters[role],
                        software=True,
                        manufacturer="IBM",
                        firmware=None,
                        policy="test",
                    )
                    for role in roles
                },
                vm_uuid=UUID,
                migrations=tuple(PlannedMigration(n=n, at_s=at) for n, at in enumerate(at_s, start=1)),
                bounds=ContinuityPolicy(max_window_s=window_s),
            )
        )

    def migrate(
        self, n: int, source: str, destination: str, *, ok: bool = True, seconds: float = 0.1
    ) -> None:
        self.record.add(said("migration.started", n=n, source=source, destination=destination))
        time.sleep(seconds)
        self.record.add(MigrationReturned(n=n, ok=ok, error=None))

    def asked(self, machine: str) -> int:
        """How often a machine was asked for a quote."""
        return len(self.attesters[machine].asked)

    def events(self) -> list[Event]:
        return read(self.record.folder / "journal.jsonl")

    def lines(self) -> tuple[lines.Attestation, ...]:
        return lines.read(self.record.folder / lines.FILE)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    clock = MonotonicClock()
    attesters = {role: SoftwareAttester(SoftwareTpm("ecc-p256"), clock) for role in NAMES}
    with (
        open_registry(blank(tmp_path)) as registry,
        Journal(tmp_path / "journal.jsonl", clock) as journal,
    ):
        for role, name in NAMES.items():
            enrol(registry, name, attesters[role].tpm, "guest" if role == "guest" else "host")
        record = Record(journal=journal, clock=clock, folder=tmp_path, trial="001-idle", attempt=1)
        yield Stage(registry, record, attesters)


LONG_S = 30.0
"""How long a test waits before it fails."""


def until(what: Callable[[], bool]) -> None:
    """Wait for what must come, however busy the machine is."""
    limit = time.monotonic() + LONG_S
    while not what():
        assert time.monotonic() < limit, "it did not come to that in time"
        time.sleep(0.005)


def missed(stage: Stage) -> int:
    stopped = next(e for e in read(stage.record.folder / "journal.jsonl") if e.kind == "attestation.stopped")
    return int(str(stopped.data["missed"]))


def test_every_machine_is_attested_at_its_interval(stage: Stage) -> None:
    observer = stage.observer(interval_s=0.1)
    observer.start(SCENE, stage.record)
    begin = time.monotonic()
    until(lambda: all(stage.asked(role) >= 8 for role in NAMES))
    ending = time.monotonic()
    observer.stop()
    slots, more = (3 * (end - begin) / 0.1 for end in (ending, time.monotonic()))
    found = stage.lines()
    # On a busy machine slots go by; each is served or counted, for the three machines together, and what was
    # under way at the end may take its time.
    assert slots - 6 <= len(found) + missed(stage) <= more + 6
    counts = {subject: sum(1 for one in found if one.subject == subject) for subject in NAMES}
    assert all(count >= 4 for count in counts.values()), counts
    kinds = [one.kind for one in found if one.subject == "guest"]
    assert kinds == (["guest", "linked"] * len(kinds))[: len(kinds)]
    assert {one.reason for one in found} == {"accepted"}
    assert [one.n for one in found] == list(range(1, len(found) + 1))


def test_slots_that_went_by_are_counted_and_not_made_up_for(stage: Stage) -> None:
    def slowly(evidence: Evidence) -> Evidence:
        time.sleep(0.25)
        return evidence

    stage.attesters["a"].twist = slowly
    observer = stage.observer(interval_s=0.1)
    begin = time.monotonic()
    observer.start(SCENE, stage.record)
    until(lambda: stage.asked("a") >= 4)
    observer.stop()
    of_a = [one.stamps.NS for one in stage.lines() if one.subject == "a" and one.kind == "host"]
    assert 2 <= len(of_a) <= (time.monotonic() - begin) / 0.25
    assert missed(stage) >= 4


def test_a_move_has_a_gate_before_and_an_arrival_after_it(stage: Stage) -> None:
    observer = stage.observer(interval_s=3600, at_s=(0.4, 1.2))
    observer.start(SCENE, stage.record)
    stage.record.add(WindowOpened(window_s=2.0))
    until(lambda: stage.asked("b") == 1)  # the first gate: the guest with a, and then b
    stage.migrate(1, "a", "b")
    until(lambda: stage.asked("a") == 3)  # the second one: the guest with b, and then a
    stage.migrate(2, "b", "a")
    until(lambda: stage.asked("a") == 4)
    observer.stop()
    gates = [one for one in stage.lines() if one.purpose == "gate"]
    arrivals = [one for one in stage.lines() if one.purpose == "arrival"]
    assert [(one.migration, one.subject, one.host) for one in gates] == [
        (1, "guest", "a"),
        (1, "b", None),
        (2, "guest", "b"),
        (2, "a", None),
    ]
    assert all(one.stamps.OP is not None and one.stamps.NS < one.stamps.OP for one in gates)
    assert [(one.migration, one.host, one.epoch) for one in arrivals] == [(1, "b", 2), (2, "a", 3)]
    for one in arrivals:
        assert one.continuity is not None
        assert (one.continuity.reason, one.continuity.same_key) == ("accepted", True)
        assert one.continuity.window_ns is not None
        assert 0 < one.continuity.window_ns < 2 * NS_PER_S
    assert [(place.host, place.epoch) for place in stage.registry.placements("guest:1")] == [
        ("a", 1),
        ("b", 2),
        ("a", 3),
    ]


def test_a_destination_whose_evidence_is_too_old_is_said_to_be(stage: Stage) -> None:
    observer = stage.observer(interval_s=3600, at_s=(0.3,), window_s=0.1)
    observer.start(SCENE, stage.record)
    stage.record.add(WindowOpened(window_s=2.0))
    until(lambda: stage.asked("b") == 1)
    time.sleep(0.2)
    stage.migrate(1, "a", "b")
    until(lambda: stage.asked("b") == 2)
    observer.stop()
    arrival = next(one for one in stage.lines() if one.purpose == "arrival")
    assert arrival.continuity is not None
    assert arrival.continuity.reason == Reason.WINDOW_EXCEEDED


def test_a_migration_that_failed_has_no_arrival(stage: Stage) -> None:
    observer = stage.observer(interval_s=3600, at_s=(0.3,))
    observer.start(SCENE, stage.record)
    stage.record.add(WindowOpened(window_s=2.0))
    until(lambda: stage.asked("b") == 1)
    stage.migrate(1, "a", "b", ok=False)
    time.sleep(0.3)
    observer.stop()
    assert [one for one in stage.lines() if one.purpose == "arrival"] == []
    assert stage.registry.placements("guest:1")[-1].host == "a"


def test_a_guest_that_came_back_rolled_back_is_not_the_one_that_left(stage: Stage) -> None:
    observer = stage.observer(interval_s=3600, at_s=(0.3,))
    observer.start(SCENE, stage.record)
    stage.record.add(WindowOpened(window_s=2.0))
    until(lambda: stage.asked("b") == 1)
    before = stage.attesters["guest"].tpm.clock
    stage.attesters["guest"].tpm.clock = type(before)(
        clock_ms=before.clock_ms + 5,
        reset_count=before.reset_count + 1,
        restart_count=0,
        safe=True,
    )
    stage.migrate(1, "a", "b")
    until(lambda: stage.asked("b") == 2)
    observer.stop()
    arrival = next(one for one in stage.lines() if one.purpose == "arrival")
    assert arrival.continuity is not None
    assert arrival.continuity.reason == Reason.GUEST_RESTARTED


def test_a_registry_that_is_gone_ends_the_observer_and_is_told(stage: Stage) -> None:
    observer = stage.observer(interval_s=0.1)
    observer.start(SCENE, stage.record)
    until(lambda: stage.asked("guest") >= 1)
    stage.registry.close()
    (stage.record.folder / "registry.sqlite").write_bytes(b"not a database any more")
    for leftover in stage.record.folder.glob("registry.sqlite-*"):
        leftover.unlink()
    until(lambda: any(one.kind == "observer.failed" for one in tuple(stage.record.history)))
    observer.stop()
    failed = [one for one in stage.record.history if one.kind == "observer.failed"]
    assert failed
    assert {one.data["observer"] for one in failed} == {"attestation"}


def test_a_look_that_fails_is_told_and_the_next_is_taken(stage: Stage) -> None:
    def broken(_evidence: Evidence) -> Evidence:
        stage.attesters["a"].twist = lambda evidence: evidence
        raise ValueError("as the test asks")

    stage.attesters["a"].twist = broken
    observer = stage.observer(interval_s=0.1)
    observer.start(SCENE, stage.record)
    until(lambda: [one.subject for one in stage.lines()].count("a") >= 2)
    observer.stop()
    failed = [str(one.data["reason"]) for one in stage.record.history if one.kind == "observer.failed"]
    assert len([reason for reason in failed if "as the test asks" in reason]) == 1


def test_a_look_that_does_not_return_is_told(stage: Stage) -> None:
    answered = threading.Event()

    def hung(evidence: Evidence) -> Evidence:
        answered.wait(LONG_S)
        return evidence

    stage.attesters["a"].twist = hung
    observer = stage.observer(interval_s=0.1)
    observer.start(SCENE, stage.record)
    until(lambda: any(reason.startswith("a: ") for reason in silences(stage)))
    answered.set()
    observer.stop()
    assert next(reason for reason in silences(stage) if reason.startswith("a: ")).startswith(
        "a: no result yet, "
    )


def test_a_guest_that_is_not_placed_is_refused_by_name(stage: Stage) -> None:
    with pytest.raises(RegistryError, match="the registry does not say where the guest is"):
        trial = stage.observer()._trials[0]
        Rounds(trial, Machines((trial,), stage.record.clock)).place()


def silences(stage: Stage) -> list[str]:
    """What the journal says of attestations that failed or were not heard of."""
    failed = [one for one in tuple(stage.record.history) if one.kind == "observer.failed"]
    return [str(one.data["reason"]) for one in failed if one.data["observer"] == "attestation"]


def test_an_attestation_that_cannot_begin_leaves_neither_file_nor_events(stage: Stage) -> None:
    stage.registry.close()
    (stage.record.folder / "registry.sqlite").write_bytes(b"not a database any more")
    for leftover in stage.record.folder.glob("registry.sqlite-*"):
        leftover.unlink()
    observer = stage.observer()
    with pytest.raises(RegistryError):
        observer.start(SCENE, stage.record)
    observer.stop()
    assert [one.kind for one in stage.events()] == []
    assert not (stage.record.folder / lines.FILE).exists()


def test_a_control_trial_attests_and_waits_for_no_migration(stage: Stage) -> None:
    observer = stage.observer(interval_s=0.2)
    observer.start(SCENE, stage.record)
    until(lambda: all(stage.asked(role) >= 1 for role in NAMES))
    observer.stop()
    assert {one.purpose for one in stage.lines()} == {"interval"}


def test_sightings_that_contradict_each_other_are_said_at_the_end(stage: Stage) -> None:
    observer = stage.observer(interval_s=3600)
    observer.start(SCENE, stage.record)
    here = Sighting(
        vak_name=b"vak",
        host="a",
        epoch=1,
        clock=ClockInfo(clock_ms=1000, reset_count=1, restart_count=0, safe=True),
        generated_ns=NS_PER_S,
    )
    there = replace(here, host="b", clock=replace(here.clock, clock_ms=3000), generated_ns=3 * NS_PER_S)
    (running,) = observer._running
    running._rounds._sightings += [("ecc-p256", here), ("ecc-p256", there)]
    observer.stop()
    (said,) = [one for one in stage.events() if one.kind == "attestation.contradicted"]
    assert (said.data["reason"], said.data["hosts"]) == ("guest-cloned", ["a", "b"])


def test_a_guest_that_simply_ran_on_contradicts_nothing(stage: Stage) -> None:
    observer = stage.observer(interval_s=0.1)
    observer.start(SCENE, stage.record)
    until(lambda: stage.asked("guest") >= 6)
    observer.stop()
    assert [one for one in stage.events() if one.kind == "attestation.contradicted"] == []
