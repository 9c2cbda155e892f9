"""The window of a guarded trial over a played loop: what is done in which order, however it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.campaign.model import Respond
from harness.campaign.run import guarded
from harness.campaign.run.guarded import Asked, Guarded, Guarding
from harness.campaign.run.playing import Playing
from harness.campaign.scenarios.injector import Moment
from harness.campaign.scenarios.scenarios import Done, Provocation
from harness.errors import InterruptedRunError
from harness.evidence.events import ResponseClosed, Value
from harness.evidence.journal import Event, Journal, read
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.migration.schedule import PlannedMigration
from harness.policy.request import request
from tests.response.fleets import policy
from tests.synthetic.clocks import SteppedClock

S = 1_000_000_000
VM = "guest:run:001-file:1"


class PlayedLoop:
    """Its response to a provocation is over `takes_s` later, in `state`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.upcoming = 1
        self.due_ns: int | None = None

    @property
    def busy(self) -> bool:
        return self.due_ns is not None

    def respond(self) -> None:
        self.due_ns = self.world.clock.now + round(self.world.takes_s * S)
        self.upcoming += 1

    def check(self) -> None:
        self.world.on_check()
        if self.due_ns is not None and self.world.clock.now >= self.due_ns:
            self.due_ns = None
            closed = ResponseClosed(n=self.upcoming - 1, response=1, state=self.world.state, reason="over")
            self.world.tell(closed)
            self.world.gone = self.world.state == "shut-down"


class World:
    """A guest, its guard, the flights and the provocation; `did` is what was done to them, in its order."""

    def __init__(self, folder: Path) -> None:
        self.clock = SteppedClock(now=100 * S)
        self.folder = folder
        journal = Journal(folder / "journal.jsonl", self.clock)
        self.record = Record(journal=journal, clock=self.clock, folder=folder, trial="001-file", attempt=1)
        self.did: list[str] = []
        self.takes_s = 1.0
        self.state = "completed"
        self.gone = False
        self.on_check: Callable[[], None] = lambda: None
        self.loop = PlayedLoop(self)
        self.names = (VM,)
        self.each = (self,)

        self.interrupt = Interrupt()

    # -- as a guard

    def tell(self, value: Value, *, t_ns: int | None = None) -> Event:
        return self.record.add(value, t_ns=t_ns)

    @contextmanager
    def guarding(self, *_parts: object) -> Iterator[PlayedLoop]:
        self.did.append("loop begins")
        try:
            yield self.loop
        finally:
            self.did.append("loop ends")

    def placement(self, _vm: str) -> Any:
        return SimpleNamespace(host="a")

    # -- as flights

    def guest_of(self, _n: int) -> str:
        return "guest"

    def watch_limit(self, limit_s: float) -> None:
        pass

    def check(self) -> None:
        pass

    def abandon(self) -> None:
        self.did.append("abandon")

    def settle(self) -> None:
        self.did.append("settle")

    # -- as a provocation

    def invoke(self, _stage: object, here: str, before: Sequence[Done]) -> Done:
        self.did.append(f"provoke {len(before) + 1} on {here}")
        self.loop.respond()
        now = self.clock.now
        return Done(what="a violation", server=here, moment=Moment(earliest_ns=now, latest_ns=now))

    def teardown(self, _stage: object, _done: Done) -> None:
        self.did.append("undo")

    # -- the trial

    def run(self, *points_s: float) -> list[Event]:
        trial: Any = SimpleNamespace(
            window_s=26.0,
            migrations=tuple(PlannedMigration(n=n, at_s=at) for n, at in enumerate(points_s, start=1)),
        )
        nothing: Any = None
        about = Guarding(
            run_attestation=nothing,
            rig=nothing,
            plan=SimpleNamespace(migration_timeout_s=60.0),  # type: ignore[arg-type]
            trial=trial,
            record=self.record,
            interrupt=self.interrupt,
            respond=Respond(scenarios=("violation",), wait_s=5.0, calm_s=2.0),
            scenario="violation",
            policy=policy(settle_s=1.0, return_after_s=2.0),
            guests=(Asked(rig=nothing, request=request(["1", "2"])),),
            accepted={},
        )
        world: Any = self
        rig: Any = SimpleNamespace(servers=None)
        Guarded(about=about, guards=world, watched_rig=rig, stage=nothing, provers=[nothing]).run([world])
        return self.events()

    def events(self) -> list[Event]:
        return read(self.folder / "journal.jsonl")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    provocation = Provocation(invoke=made.invoke, teardown=made.teardown)
    monkeypatch.setattr(guarded, "of_scenario", lambda *_about: provocation)
    monkeypatch.setattr(Playing, "well", lambda _playing: True)
    return made


def kinds(events: Sequence[Event]) -> list[str]:
    return [event.kind for event in events]


def test_each_point_is_provoked_answered_and_undone(world: World) -> None:
    events = world.run(1.0, 2.0)
    assert kinds(events) == [
        "window.opened",
        *["response.provoked", "response.closed"] * 2,
        "window.closed",
    ]
    turn = ["provoke 1 on a", "undo", "provoke 2 on a", "undo"]
    assert world.did == ["loop begins", *turn, "loop ends", "settle"]
    assert [one.data["n"] for one in events if one.kind == "response.provoked"] == [1, 2]
    first, second = (one.t_ns for one in events if one.kind == "response.provoked")
    assert second - first >= (1.0 + 2.0) * S, "the response, and then calm"
    assert events[-1].data == {"late_s": 0.0}


def test_what_is_not_answered_in_time_is_missed_and_undone(world: World) -> None:
    world.takes_s = 100.0
    events = world.run(1.0)
    assert kinds(events)[1:3] == ["response.provoked", "response.missed"]
    assert events[2].data["reason"] == "nothing was over within 5 s"
    assert world.did.count("undo") == 1


def test_a_guest_that_is_shut_down_ends_the_window_and_is_undone_after_the_loop(world: World) -> None:
    world.state = "shut-down"
    events = world.run(1.0, 2.0)
    assert kinds(events) == ["window.opened", "response.provoked", "response.closed", "window.closed"]
    assert world.did == ["loop begins", "provoke 1 on a", "loop ends", "undo", "settle"]
    assert events[-1].t_ns - events[0].t_ns < 5 * S


def test_an_interrupt_abandons_the_move_before_the_loop_is_ended_and_undoes_what_stands(world: World) -> None:
    world.on_check = lambda: world.interrupt.ask() if world.loop.busy else None
    with pytest.raises(InterruptedRunError):
        world.run(1.0)
    assert world.did == ["loop begins", "provoke 1 on a", "abandon", "loop ends", "undo"]
    assert "window.closed" not in kinds(world.events())
