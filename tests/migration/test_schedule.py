from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import NS_PER_S
from harness.evidence.journal import Event
from harness.json_types import Json
from harness.migration.actions import Abort, Action, Close, Delay, Fire, Skip, Wait
from harness.migration.schedule import Overlap, PlannedMigration, next_action
from tests.synthetic.vocabulary import whole

OPENED_S = 100.0  # the controller's clock does not start with the window


def several(concurrency: int, lengths_s: dict[str, float], points_s: tuple[float, ...] = (0.0,)) -> Trial:
    """A trial of several guests, who all move at each point in the order of `lengths_s`, and its end."""
    trial = Trial([], [], "delay", concurrency)
    moves = [(at_s, guest) for at_s in points_s for guest in lengths_s]
    trial.migrations = [
        PlannedMigration(n=n, at_s=at_s, guest=guest) for n, (at_s, guest) in enumerate(moves, start=1)
    ]
    trial.lengths_s = [lengths_s[guest] for _, guest in moves]
    trial.run()
    return trial


def planned(*points_s: float) -> list[PlannedMigration]:
    return [PlannedMigration(n=n, at_s=at_s) for n, at_s in enumerate(points_s, start=1)]


class Trial:
    """A simulated trial: a clock that only moves when told to, and migrations of given lengths."""

    def __init__(
        self, points_s: list[float], lengths_s: list[float], overlap: Overlap, concurrency: int = 1
    ) -> None:
        self.concurrency = concurrency
        self.migrations = planned(*points_s)
        self.lengths_s = lengths_s
        self.overlap = overlap
        self.window_s = 60.0
        self.now_s = 0.0
        self.ends_s: dict[int, float] = {}
        self.history: list[Event] = []
        self.actions: list[tuple[float, Action]] = []
        self.record("window.opened", {"window_s": 60})

    def record(self, kind: str, data: dict[str, Json]) -> None:
        t_ns = round((OPENED_S + self.now_s) * NS_PER_S)
        self.history.append(
            Event(
                seq=len(self.history),
                t_ns=t_ns,
                observer="runner",
                kind=kind,
                trial="001-x",
                data=whole(kind, data),
            )
        )

    def run(self, late_s: float = 0.0) -> None:
        """Until Close; every wait lasts `late_s` longer than asked for, and is not cut short by a return."""
        for _ in range(10_000):
            self.let_return()
            action = next_action(
                self.migrations,
                self.overlap,
                self.window_s,
                self.now_s,
                self.history,
                concurrency=self.concurrency,
            )
            self.actions.append((self.now_s, action))
            if isinstance(action, Close):
                return
            self.obey(action, late_s)
        raise AssertionError("the schedule does not end")

    def obey(self, action: Action, late_s: float) -> None:
        if isinstance(action, Wait):
            assert action.seconds > 0, "a wait of nothing spins"
            until_s = self.now_s + action.seconds + late_s
            self.now_s = min([until_s, *self.ends_s.values()]) if late_s == 0 else until_s
        elif isinstance(action, Fire):
            assert len(self.ends_s) < self.concurrency, "more migrations at once than may be"
            guests = {one.n: one.guest for one in self.migrations}
            moving = [guests[n] for n in self.ends_s]
            assert guests[action.n] not in moving, "a guest that moves cannot move"
            self.record("migration.started", {"n": action.n, "planned_s": action.planned_s})
            self.ends_s[action.n] = self.now_s + self.lengths_s[action.n - 1]
        elif isinstance(action, Skip):
            self.record("migration.skipped", {"n": action.n, "reason": action.reason})
        elif isinstance(action, Delay):
            self.record("migration.delayed", {"n": action.n, "reason": action.reason})
        elif isinstance(action, Abort):
            self.record("migration.aborted", {"n": action.n, "reason": action.reason})
            self.ends_s[action.n] = min(self.ends_s[action.n], self.now_s + 0.2)

    def let_return(self) -> None:
        for n, end_s in list(self.ends_s.items()):
            if end_s <= self.now_s:
                here_s, self.now_s = self.now_s, end_s
                self.record("migration.returned", {"n": n, "ok": True, "error": None})
                self.now_s = here_s
                del self.ends_s[n]

    def of(self, kind: type[Action]) -> list[tuple[float, int]]:
        return [
            (at_s, action.n)
            for at_s, action in self.actions
            if isinstance(action, kind) and hasattr(action, "n")
        ]


def test_short_migrations_start_at_their_points() -> None:
    trial = Trial([0, 12, 24], [3, 3, 3], "delay")
    trial.run()
    assert trial.of(Fire) == [(0, 1), (12, 2), (24, 3)]
    assert trial.actions[-1] == (60, Close())


def test_one_after_another_is_what_several_guests_do_unless_more_may_move_at_once() -> None:
    lengths_s = {"g1": 3.0, "g2": 4.0, "g3": 5.0}
    assert several(1, lengths_s).of(Fire) == [(0, 1), (3, 2), (7, 3)]
    two = several(2, lengths_s)
    assert two.of(Fire) == [(0, 1), (0, 2), (3, 3)]
    assert two.of(Delay) == [(0, 3)]
    assert several(3, lengths_s).of(Fire) == [(0, 1), (0, 2), (0, 3)]


def test_a_guest_that_is_still_on_its_way_lets_the_next_one_pass() -> None:
    trial = several(2, {"g1": 12.0, "g2": 1.0}, (0.0, 10.0))
    assert trial.of(Fire) == [(0, 1), (0, 2), (10, 4), (12, 3)]
    assert trial.of(Delay) == [(10, 3)]


def test_who_still_waits_at_the_windows_end_is_left_out_although_others_move() -> None:
    trial = several(2, {"g1": 100.0, "g2": 70.0, "g3": 1.0})
    assert trial.of(Fire) == [(0, 1), (0, 2)]
    assert [n for _, n in trial.of(Skip)] == [3]


@given(lengths_s=st.lists(st.floats(0.1, 30), min_size=2, max_size=5), concurrency=st.integers(1, 5))
def test_with_any_lengths_each_guest_is_moved_once_in_the_order_of_the_plan(
    lengths_s: list[float], concurrency: int
) -> None:
    trial = several(concurrency, {f"g{index}": one for index, one in enumerate(lengths_s)})
    fired, skipped = trial.of(Fire), trial.of(Skip)
    assert sorted([n for _, n in (*fired, *skipped)]) == list(range(1, len(lengths_s) + 1))
    assert [n for _, n in fired] == sorted(n for _, n in fired)


def test_skip_leaves_out_what_comes_too_early() -> None:
    trial = Trial([0, 12, 24, 36], [30, 1, 1, 1], "skip")
    trial.run()
    assert trial.of(Fire) == [(0, 1), (36, 4)]
    assert trial.of(Skip) == [(12, 2), (24, 3)]


def test_skip_holds_although_the_caller_asks_only_after_the_return() -> None:
    trial = Trial([0, 12, 24], [13, 1, 1], "skip")
    trial.run(late_s=2.0)
    assert [n for _, n in trial.of(Skip)] == [2]
    assert [n for _, n in trial.of(Fire)] == [1, 3]


def test_delay_says_so_once_and_starts_when_the_other_is_over() -> None:
    trial = Trial([0, 12, 24], [30, 4, 1], "delay")
    trial.run()
    assert trial.of(Delay) == [(12, 2), (24, 3)]
    assert trial.of(Fire) == [(0, 1), (30, 2), (34, 3)]


def test_abort_ends_the_running_one_and_starts_the_new_one() -> None:
    trial = Trial([0, 12], [30, 1], "abort")
    trial.run()
    assert trial.of(Abort) == [(12, 1)]
    ((first_s, first), (second_s, second)) = trial.of(Fire)
    assert (first_s, first, second) == (0, 1, 2)
    assert second_s == pytest.approx(12.2)


def test_a_migration_that_outlasts_the_window_is_awaited() -> None:
    trial = Trial([48], [20], "delay")
    trial.run()
    assert trial.actions[-1] == (68, Close())


def test_nothing_starts_after_the_window() -> None:
    trial = Trial([0, 12], [70, 1], "delay")
    trial.run()
    assert trial.of(Delay) == [(12, 2)]
    assert trial.of(Skip) == [(70, 2)]
    reason = next(action.reason for _, action in trial.actions if isinstance(action, Skip))
    assert "window closed" in reason


def test_a_control_trial_waits_for_the_end_of_its_window() -> None:
    assert next_action([], "delay", 60, 0, []) == Wait(60)
    assert next_action([], "delay", 60, 60, []) == Close()


def test_a_failed_migration_does_not_stop_the_others() -> None:
    history = [
        Event(seq=0, t_ns=0, observer="runner", kind="window.opened"),
        Event(
            seq=1, t_ns=0, observer="runner", kind="migration.started", data=whole("migration.started", {})
        ),
        Event(
            seq=2,
            t_ns=9,
            observer="runner",
            kind="migration.returned",
            data=whole("migration.returned", {"ok": False}),
        ),
    ]
    assert next_action(planned(0, 12), "delay", 60, 12, history) == Fire(2, 12)


@given(
    points_s=st.lists(st.integers(0, 590).map(lambda tenth: tenth / 10), min_size=1, max_size=6, unique=True),
    lengths_s=st.lists(st.floats(0.01, 90), min_size=6, max_size=6),
    overlap=st.sampled_from(get_args(Overlap)),
    late_s=st.sampled_from([0.0, 0.003, 1.7]),
)
def test_every_planned_migration_is_accounted_for_exactly_once(
    points_s: list[float], lengths_s: list[float], overlap: Overlap, late_s: float
) -> None:
    trial = Trial(sorted(points_s), lengths_s, overlap)
    trial.run(late_s)  # asserts: terminates, never two at once, no empty wait
    fired = [n for _, n in trial.of(Fire)]
    skipped = [n for _, n in trial.of(Skip)]
    assert sorted(fired + skipped) == [item.n for item in trial.migrations]
    assert fired == sorted(fired)
    assert not trial.ends_s
    for kind in (Delay, Abort):
        named = [n for _, n in trial.of(kind)]
        assert len(named) == len(set(named))
    for at_s, n in trial.of(Fire):
        planned_s = trial.migrations[n - 1].at_s
        assert planned_s <= at_s < trial.window_s
        if overlap == "delay" and at_s > planned_s + late_s + 1e-6:
            assert n in [other for _, other in trial.of(Delay)], "it shifted silently"
