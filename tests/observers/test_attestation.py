from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from harness.attest import record as lines
from harness.attest.continuity import ContinuityPolicy
from harness.attest.evidence import Evidence
from harness.attest.reasons import Reason
from harness.attest.round import Examiner
from harness.campaign import Attest
from harness.clock import NS_PER_S, MonotonicClock
from harness.journal import Journal, read
from harness.observers.attestation import Attestation, Sitting, Subject
from harness.observers.contract import Record, Scene
from harness.plan import PlannedMigration
from harness.registry.registry import Registry, open_registry, sqlite_url
from tests.attest.attesters import SoftwareAttester, enrol
from tests.attest.software_tpm import SoftwareTpm
from tests.attest.test_round import GOOD, POLICY, UUID

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
            Sitting(
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
        say = self.record.add
        say("runner", "migration.started", {"n": n, "source": source, "destination": destination})
        time.sleep(seconds)
        say("runner", "migration.returned", {"n": n, "ok": ok, "error": None})

    def lines(self) -> tuple[lines.Attestation, ...]:
        return lines.read(self.record.folder / lines.FILE)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    clock = MonotonicClock()
    attesters = {role: SoftwareAttester(SoftwareTpm("ecc-p256"), clock) for role in NAMES}
    with (
        open_registry(sqlite_url(tmp_path / "registry.sqlite")) as registry,
        Journal(tmp_path / "journal.jsonl", clock) as journal,
    ):
        for role, name in NAMES.items():
            enrol(registry, name, attesters[role].tpm, "guest" if role == "guest" else "host")
        record = Record(journal=journal, clock=clock, folder=tmp_path, trial="001-idle", attempt=1)
        yield Stage(registry, record, attesters)


def run(stage: Stage, observer: Attestation, seconds: float) -> None:
    observer.start(SCENE, stage.record)
    time.sleep(seconds)
    observer.stop()


def missed(stage: Stage) -> int:
    stopped = next(e for e in read(stage.record.folder / "journal.jsonl") if e.kind == "attestation.stopped")
    return int(str(stopped.data["missed"]))


def test_every_machine_is_attested_at_its_interval(stage: Stage) -> None:
    begin = time.monotonic()
    run(stage, stage.observer(interval_s=0.1), 1.05)
    slots = int((time.monotonic() - begin) / 0.1)
    found = stage.lines()
    # On a busy machine slots go by; each is served or counted, for the three machines together.
    assert abs(len(found) + missed(stage) - 3 * slots) <= 6
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
    run(stage, stage.observer(interval_s=0.1), 1.0)
    of_a = [one.stamps.NS for one in stage.lines() if one.subject == "a" and one.kind == "host"]
    assert len(of_a) <= 5
    assert missed(stage) >= 4


def test_a_move_has_a_gate_before_and_an_arrival_after_it(stage: Stage) -> None:
    observer = stage.observer(interval_s=3600, at_s=(0.4, 1.2))
    observer.start(SCENE, stage.record)
    stage.record.add("runner", "window.opened", {"window_s": 2.0})
    time.sleep(0.5)
    stage.migrate(1, "a", "b")
    time.sleep(0.8)
    stage.migrate(2, "b", "a")
    time.sleep(0.3)
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
    stage.record.add("runner", "window.opened", {"window_s": 2.0})
    time.sleep(0.6)
    stage.migrate(1, "a", "b")
    time.sleep(0.3)
    observer.stop()
    arrival = next(one for one in stage.lines() if one.purpose == "arrival")
    assert arrival.continuity is not None
    assert arrival.continuity.reason == Reason.WINDOW_EXCEEDED


def test_a_migration_that_failed_has_no_arrival(stage: Stage) -> None:
    observer = stage.observer(interval_s=3600, at_s=(0.3,))
    observer.start(SCENE, stage.record)
    stage.record.add("runner", "window.opened", {"window_s": 2.0})
    time.sleep(0.4)
    stage.migrate(1, "a", "b", ok=False)
    time.sleep(0.3)
    observer.stop()
    assert [one for one in stage.lines() if one.purpose == "arrival"] == []
    assert stage.registry.placements("guest:1")[-1].host == "a"


def test_a_guest_that_came_back_rolled_back_is_not_the_one_that_left(stage: Stage) -> None:
    observer = stage.observer(interval_s=3600, at_s=(0.3,))
    observer.start(SCENE, stage.record)
    stage.record.add("runner", "window.opened", {"window_s": 2.0})
    time.sleep(0.4)
    before = stage.attesters["guest"].tpm.clock
    stage.attesters["guest"].tpm.clock = type(before)(
        clock_ms=before.clock_ms + 5,
        reset_count=before.reset_count + 1,
        restart_count=0,
        safe=True,
    )
    stage.migrate(1, "a", "b")
    time.sleep(0.3)
    observer.stop()
    arrival = next(one for one in stage.lines() if one.purpose == "arrival")
    assert arrival.continuity is not None
    assert arrival.continuity.reason == Reason.GUEST_RESTARTED


def test_a_registry_that_is_gone_ends_the_observer_and_is_told(stage: Stage) -> None:
    observer = stage.observer(interval_s=0.1)
    observer.start(SCENE, stage.record)
    time.sleep(0.3)
    stage.registry.close()
    (stage.record.folder / "registry.sqlite").write_bytes(b"not a database any more")
    for leftover in stage.record.folder.glob("registry.sqlite-*"):
        leftover.unlink()
    time.sleep(0.5)
    observer.stop()
    failed = [one for one in stage.record.history if one.kind == "observer.failed"]
    assert failed
    assert {one.data["observer"] for one in failed} == {"attestation"}


def test_a_control_trial_attests_and_waits_for_no_migration(stage: Stage) -> None:
    run(stage, stage.observer(interval_s=0.2), 0.5)
    assert {one.purpose for one in stage.lines()} == {"interval"}
