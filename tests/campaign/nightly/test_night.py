"""The order of a night with steps that only say what they would do: what is skipped, and how it ends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.campaign.nightly import ledger as ledgers
from harness.campaign.nightly import lock
from harness.campaign.nightly.ledger import Ledger, Step
from harness.campaign.nightly.night import Asked, Begun, Night, Times, patiently
from harness.errors import (
    GuestError,
    IncompleteRunError,
    InconclusiveError,
    PrerequisiteError,
    ProvisionError,
    RegressedError,
    RigLockedError,
    SodbenchError,
    StorageError,
)
from harness.evidence.folder import RunFolder

NOW = datetime(2026, 1, 2, 2, 0, tzinfo=UTC)
ALL = ["restore earlier", "preflight", "tune", "run", "restore", "gate", "publish", "keep", "trend"]
Errors = dict[str, list[BaseException]]


class Said:
    """Steps that note their names, and raise what `errors` has for them, once each."""

    def __init__(self, place: Path, errors: Errors | None = None) -> None:
        self.done: list[str] = []
        self.removed: list[int] = []
        self.place = place
        self.errors = errors or {}

    def _do(self, name: str) -> str:
        self.done.append(name)
        if self.errors.get(name):
            raise self.errors[name].pop(0)
        return f"{name} was done"

    def restore(self) -> str:
        return self._do("restore")

    def preflight(self) -> str:
        return self._do("preflight")

    def tune(self) -> str:
        return self._do("tune")

    def run(self, begun: Begun) -> str:
        begun(RunFolder(self.place / "run"))
        return self._do("run")

    def gate(self, run: RunFolder) -> str:
        assert run.root == self.place / "run"
        return self._do("gate")

    def publish(self, run: RunFolder) -> str:
        return self._do("publish")

    def keep(self, nights: Sequence[Ledger]) -> str:
        self.removed += [one.number for one in nights]
        return self._do("keep")

    def trend(self) -> str:
        return self._do("trend")


class Waits:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    @property
    def times(self) -> Times:
        return Times(now=lambda: NOW, monotonic_s=lambda: self.now_s, sleep=self.sleep)


def night(
    steps: Said,
    before: Sequence[Ledger] = (),
    *,
    tune: bool = True,
    gate: bool = True,
    keep: int | None = None,
    wait_s: float = 0.0,
) -> tuple[Night, list[SodbenchError]]:
    told: list[SodbenchError] = []
    made = Night(
        folder=steps.place,
        ledger=ledgers.begun(Path("/n.yml"), before, NOW),
        before=before,
        owed=ledgers.owes_restore(before),
        asked=Asked(tune=tune, gate=gate, keep=keep),
        steps=steps,
        times=Waits().times,
        until_s=wait_s,
        tell=lambda _step: None,
        failed=told.append,
    )
    return made, told


def outcomes(one: Night) -> dict[str, str]:
    return {step.name: step.outcome for step in one.ledger.steps}


def earlier(*steps: Step, run: str | None = None, number: int = 1) -> Ledger:
    name, began = f"20260101T020000Z-{number}", "2026-01-01T02:00:00+00:00"
    return Ledger(night=name, number=number, file="/n.yml", began_utc=began, run=run, steps=steps)


def test_every_step_in_its_order_and_the_record_of_it(tmp_path: Path) -> None:
    steps = Said(tmp_path)
    one, told = night(steps)
    assert one.carry_out() == 0 and not told
    assert [step.name for step in one.ledger.steps] == ALL
    assert steps.done == ["restore", "preflight", "tune", "run", "restore", "gate", "publish", "trend"]
    (kept,), damaged = ledgers.earlier(tmp_path)
    assert kept == one.ledger and not damaged
    assert kept.exit_code == 0 and kept.run == str(tmp_path / "run")


def test_what_is_not_asked_for_is_skipped_with_the_reason(tmp_path: Path) -> None:
    steps = Said(tmp_path)
    one, _ = night(steps, tune=False, gate=False)
    assert one.carry_out() == 0
    assert steps.done == ["preflight", "run", "publish", "trend"]
    assert {step.name: step.told for step in one.ledger.steps if step.outcome == "skipped"} == {
        "restore earlier": "no earlier night left hosts tuned",
        "tune": "the file does not ask for it",
        "restore": "the hosts were not tuned",
        "gate": "the file names no baseline",
        "keep": "the file keeps every night",
    }


@pytest.mark.parametrize(
    ("step", "error", "done"),
    [
        ("preflight", PrerequisiteError("no"), ["restore", "preflight", "trend"]),
        ("tune", ProvisionError("no"), ["restore", "preflight", "tune", "restore", "trend"]),
        ("run", GuestError("no"), ["restore", "preflight", "tune", "run", "restore", "trend"]),
        ("run", StorageError("full"), ["restore", "preflight", "tune", "run", "restore", "trend"]),
        (
            "gate",
            RegressedError("worse"),
            ["restore", "preflight", "tune", "run", "restore", "gate", "publish", "trend"],
        ),
    ],
)
def test_hosts_are_restored_and_the_page_is_made_whatever_fails(
    step: str, error: SodbenchError, done: list[str], tmp_path: Path
) -> None:
    steps = Said(tmp_path, {step: [error]})
    one, told = night(steps)
    assert one.carry_out() == error.exit_code
    assert steps.done == done and told == [error]
    assert outcomes(one)[step] == "failed"


def test_nothing_is_run_on_hosts_that_cannot_be_restored(tmp_path: Path) -> None:
    steps = Said(tmp_path, {"restore": [ProvisionError("no")]})
    one, _ = night(steps, [earlier(run="/r", number=n) for n in (1, 2)], keep=1)
    assert one.carry_out() == ProvisionError.exit_code
    assert steps.done == ["restore", "trend"]
    assert outcomes(one)["keep"] == "skipped"


def test_an_incomplete_run_is_judged_and_its_code_gives_way_to_the_gates(tmp_path: Path) -> None:
    one, _ = night(Said(tmp_path, {"run": [IncompleteRunError("two are not valid")]}))
    assert one.carry_out() == 13
    assert outcomes(one)["gate"] == "done"
    both: Errors = {"run": [IncompleteRunError("two")], "gate": [InconclusiveError("not shown")]}
    one, _ = night(Said(tmp_path, both))
    assert one.carry_out() == 24
    assert outcomes(one)["publish"] == "done"


def test_the_first_failure_is_the_exit_code(tmp_path: Path) -> None:
    one, told = night(Said(tmp_path, {"gate": [RegressedError("worse")], "trend": [StorageError("full")]}))
    assert one.carry_out() == 23
    assert [error.exit_code for error in told] == [23, 11]


def test_an_interrupt_restores_the_hosts_and_does_nothing_else(tmp_path: Path) -> None:
    steps = Said(tmp_path, {"run": [KeyboardInterrupt()]})
    one, _ = night(steps)
    assert one.carry_out() == 130
    assert steps.done == ["restore", "preflight", "tune", "run", "restore"]


def test_hosts_are_restored_before_an_error_of_ours_ends_the_night(tmp_path: Path) -> None:
    steps = Said(tmp_path, {"run": [ZeroDivisionError()]})
    one, _ = night(steps)
    with pytest.raises(ZeroDivisionError):
        one.carry_out()
    assert steps.done == ["restore", "preflight", "tune", "run", "restore"]


def test_another_user_of_the_rig_is_waited_for_as_long_as_the_file_says(tmp_path: Path) -> None:
    steps = Said(tmp_path, {"run": [RigLockedError("in use"), RigLockedError("in use")]})
    one, _ = night(steps, wait_s=60)
    assert one.carry_out() == 0
    assert steps.done.count("run") == 3
    steps = Said(tmp_path, {"run": [RigLockedError("in use") for _ in range(9)]})
    one, _ = night(steps, wait_s=12)
    assert one.carry_out() == 7
    assert steps.done.count("run") == 4  # at 0, 5, 10 and 12 s


@pytest.mark.parametrize(
    ("steps", "owed"),
    [
        ([], False),
        ([Step(name="tune", outcome="skipped")], False),
        ([Step(name="tune", outcome="running")], True),
        ([Step(name="tune", outcome="failed")], True),
        ([Step(name="tune", outcome="done"), Step(name="restore", outcome="running")], True),
        ([Step(name="tune", outcome="done"), Step(name="restore", outcome="failed")], True),
        ([Step(name="tune", outcome="done"), Step(name="restore", outcome="done")], False),
    ],
)
def test_a_night_that_did_not_restore_is_restored_by_the_next(
    steps: list[Step], owed: bool, tmp_path: Path
) -> None:
    left = earlier(*steps)
    said = Said(tmp_path)
    one, _ = night(said, [left], tune=False)
    one.carry_out()
    assert (said.done[0] == "restore") is owed
    assert not ledgers.owes_restore([left, one.ledger])


def test_hosts_are_not_tuned_where_the_night_cannot_be_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = StorageError("cannot write", why="No space left on device")
    written: list[str] = []

    def store(_folder: Path, ledger: Ledger) -> None:
        step = ledger.steps[-1].name if ledger.steps else ""
        if step == fails_from or written[-1:] == ["full"]:
            written.append("full")
            raise full
        written.append(step)

    monkeypatch.setattr(ledgers, "store", store)
    fails_from = ""
    with pytest.raises(StorageError):
        night(Said(tmp_path))[0].carry_out()
    fails_from, steps = "tune", Said(tmp_path)
    written.clear()
    one, _ = night(steps)
    assert one.carry_out() == 11
    assert "tune" not in steps.done and "run" not in steps.done
    fails_from, steps = "restore", Said(tmp_path)
    written.clear()
    one, _ = night(steps)
    assert (
        one.carry_out() == 11
    )  # hosts are restored all the same, and the night says that its record is not whole
    assert steps.done.count("restore") == 2


def test_the_newest_nights_with_a_run_are_kept(tmp_path: Path) -> None:
    nights = [
        earlier(run=run, number=number)
        for number, run in ((1, "/a"), (2, None), (3, "/b"), (4, None), (5, "/c"))
    ]
    assert [one.number for one in ledgers.to_remove(nights, 2)] == [1, 2]
    assert [one.number for one in ledgers.to_remove(nights, 1)] == [1, 2, 3, 4]
    assert ledgers.to_remove(nights, 3) == [] == ledgers.to_remove(nights, 4)
    steps = Said(tmp_path)
    one, _ = night(steps, nights, keep=2)
    assert one.carry_out() == 0
    assert steps.removed == [1, 2, 3, 4]
    steps = Said(tmp_path, {"run": [GuestError("no")]})
    one, _ = night(steps, [], keep=2)
    one.carry_out()
    assert "keep" not in steps.done


def test_nights_are_in_the_order_of_their_numbers_whatever_the_clock_says(tmp_path: Path) -> None:
    tuned = earlier(Step(name="tune", outcome="running"), number=10)
    earlier_day = datetime(2025, 12, 31, tzinfo=UTC)
    for one in (tuned, earlier(number=9), ledgers.begun(Path("/n.yml"), [tuned], earlier_day)):
        ledgers.store(tmp_path, one)
    found, _ = ledgers.earlier(tmp_path)
    assert [one.number for one in found] == [9, 10, 11]
    assert ledgers.owes_restore(found)


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"schema": 2}')
    (tmp_path / "b.json").write_bytes(b"\xff")
    found, damaged = ledgers.earlier(tmp_path)
    assert not found
    assert [Path(one.where).name for one in damaged] == ["a.json", "b.json"]
    assert all(one.exit_code == 12 and "rig restore" in one.remedy for one in damaged)


def test_one_night_at_a_time_and_who_waits_gets_it(tmp_path: Path) -> None:
    waits = Waits()
    with lock.held(tmp_path / "nights", "kim: night"):
        with pytest.raises(RigLockedError) as caught, lock.held(tmp_path / "nights", "another"):
            pass
        assert "held by kim: night" in caught.value.why and caught.value.exit_code == 7
        told: list[RigLockedError] = []

        def take() -> None:
            with lock.held(tmp_path / "nights", "another"):
                pass

        with pytest.raises(RigLockedError):
            patiently(take, waits.times, 12.0, told.append)
        assert waits.now_s == 12.0 and len(told) == 1
    take()


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / lock.NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError), lock.held(tmp_path, "kim"):
        pass
    assert not (tmp_path / "elsewhere").exists()
