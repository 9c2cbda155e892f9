"""The director of a guarded trial: which order of events makes it provoke, wait, miss, undo and close."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.campaign.scenarios.director import LOOK_UP_S, Script, Sight, next_action, next_point
from harness.clock import NS_PER_S
from harness.evidence.journal import Event
from harness.json_types import Json
from harness.migration.actions import Action, Close, Miss, Provoke, Undo, Wait

OPENED_S = 100.0  # the controller's clock does not start with the window
LOOK = Wait(LOOK_UP_S)
SCRIPT = Script(points_s=(1.0, 8.0), window_s=26.0, wait_s=5.0, calm_s=2.0, settle_s=1.0)
WELL = Sight(busy=False, well_since_s=0.0, standing=False)
STANDING = Sight(busy=False, well_since_s=None, standing=True)


@dataclass
class Told:
    """An attempt's events, each at its second after the window opened."""

    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.add(0.0, "window.opened", {"window_s": SCRIPT.window_s}, observer="runner")

    def add(self, at_s: float, kind: str, data: dict[str, Json], observer: str = "response") -> Told:
        t_ns = round((OPENED_S + at_s) * NS_PER_S)
        self.events.append(
            Event(seq=len(self.events), t_ns=t_ns, observer=observer, kind=kind, trial="001-x", data=data)
        )
        return self

    def provoked(self, at_s: float, n: int) -> Told:
        about: dict[str, Json] = {
            "server": "a",
            "vm": "guest",
            "what": "a violation",
            "scenario": "violation",
        }
        return self.add(at_s, "response.provoked", {"n": n, "earliest_ns": 0, "latest_ns": 0, **about})

    def closed(self, at_s: float, n: int, state: str = "completed", guest: str | None = None) -> Told:
        about: dict[str, Json] = {"n": n, "state": state, "response": 1, "reason": "over"}
        return self.add(at_s, "response.closed", about if guest is None else {**about, "guest": guest})

    def missed(self, at_s: float, n: int) -> Told:
        return self.add(at_s, "response.missed", {"n": n, "reason": "nothing"})

    def ask(self, now_s: float, sight: Sight = WELL, script: Script = SCRIPT) -> Action:
        return next_action(script, now_s, self.events, sight)


def test_the_first_point_is_played_when_it_comes() -> None:
    assert Told().ask(0.9) == LOOK
    assert Told().ask(1.0) == Provoke(1)


@pytest.mark.parametrize(
    "sight", [replace(WELL, busy=True), replace(WELL, well_since_s=None)], ids=["busy", "unwell"]
)
def test_nothing_is_provoked_while_the_guest_is_in_trouble(sight: Sight) -> None:
    assert Told().ask(5.0, sight) == LOOK


def test_a_provocation_is_awaited_until_its_own_response_is_over_and_then_undone() -> None:
    told = Told().provoked(1.0, n=1)
    assert told.ask(1.5, STANDING) == LOOK
    assert told.closed(3.0, n=7).ask(3.1, STANDING) == LOOK
    assert told.closed(4.0, n=1).ask(4.1, STANDING) == Undo()


def test_what_makes_several_guests_leave_stands_until_each_has_an_answer_of_its_own() -> None:
    several = replace(SCRIPT, guests=frozenset({"plain", "strict"}))
    told = Told().provoked(1.0, n=1).closed(2.0, n=1, guest="strict")
    assert told.ask(2.1, STANDING, several) == LOOK
    told.closed(3.0, n=2, state="failed", guest="plain")
    assert told.ask(3.1, STANDING, several) == LOOK, "a move that failed is decided again"
    told.closed(4.0, n=3, guest="plain")
    assert told.ask(4.1, STANDING, several) == Undo()


def test_a_guest_that_never_answers_is_missed_although_the_others_have_left() -> None:
    several = replace(SCRIPT, guests=frozenset({"plain", "strict"}))
    told = Told().provoked(1.0, n=1).closed(2.0, n=1, guest="strict")
    assert told.ask(6.1, STANDING, several) == Miss(1, "nothing was over within 5 s")
    assert told.missed(6.2, n=1).ask(6.3, STANDING, several) == Undo()


def test_answers_to_an_earlier_provocation_do_not_count() -> None:
    several = replace(SCRIPT, guests=frozenset({"plain", "strict"}))
    told = Told().provoked(1.0, n=1).closed(2.0, n=1, guest="strict").closed(3.0, n=2, guest="plain")
    told.provoked(8.0, n=3).closed(9.0, n=3, guest="strict")
    assert told.ask(9.1, STANDING, several) == LOOK
    assert told.closed(10.0, n=4, guest="plain").ask(10.1, STANDING, several) == Undo()


def test_a_response_that_was_over_before_its_provocation_was_journalled_counts() -> None:
    """The loop may be faster than the line that says what was done."""
    assert Told().closed(1.4, n=1).provoked(1.5, n=1).ask(1.6, STANDING) == Undo()


def test_what_nothing_follows_is_missed_once_and_undone() -> None:
    told = Told().provoked(1.0, n=1)
    assert told.ask(5.9, STANDING) == LOOK
    assert told.ask(6.0, STANDING) == Miss(1, "nothing was over within 5 s")
    assert told.missed(6.0, n=1).ask(6.1, STANDING) == Undo()


def test_the_next_point_waits_until_the_last_response_has_settled() -> None:
    told = Told().provoked(1.0, n=1).closed(8.0, n=1)
    assert told.ask(10.1, replace(WELL, well_since_s=8.0)) == LOOK, "2 s of calm and a look"
    assert told.ask(10.3, replace(WELL, well_since_s=9.5)) == LOOK, "1 s of being well and a look"
    assert told.ask(10.8, replace(WELL, well_since_s=9.5)) == Provoke(2)


def test_a_response_that_nothing_provoked_is_settled_first_too() -> None:
    assert Told().closed(0.5, n=1).ask(1.2, replace(WELL, well_since_s=0.6)) == LOOK


def test_the_window_ends_when_every_point_was_played() -> None:
    told = Told().provoked(1.0, n=1).closed(2.0, n=1).provoked(9.0, n=2).closed(10.0, n=2)
    assert next_point(SCRIPT, told.events) is None
    assert told.ask(25.9) == LOOK
    assert told.ask(26.0) == Close()


def test_nothing_is_provoked_after_the_window() -> None:
    assert Told().ask(26.0) == Close()


def test_what_stands_at_the_windows_end_is_still_awaited_and_undone() -> None:
    told = Told().provoked(25.0, n=1)
    assert told.ask(27.0, STANDING) == LOOK
    assert told.closed(28.0, n=1).ask(28.1, STANDING) == Undo()
    assert told.ask(28.2, replace(WELL, standing=False)) == Close()


def test_a_guest_that_was_shut_down_ends_the_window_once_the_loop_knows() -> None:
    told = Told().provoked(1.0, n=1).closed(3.0, n=1, state="shut-down")
    assert told.ask(3.1, replace(STANDING, busy=True)) == LOOK
    assert told.ask(3.2, STANDING) == Close(), "nothing is undone for a guest that is gone"


def test_a_suspended_guest_does_not_end_it() -> None:
    assert Told().provoked(1.0, n=1).closed(3.0, n=1, state="suspended").ask(3.1, STANDING) == Undo()


def test_a_moving_target_is_watched_until_the_window_ends() -> None:
    script = replace(SCRIPT, points_s=())
    told = Told().closed(3.0, n=1).closed(6.0, n=2)
    assert [told.ask(at_s, WELL, script) for at_s in (0.0, 10.0, 26.0)] == [LOOK, LOOK, Close()]


@given(
    points_s=st.lists(st.floats(0, 30), max_size=4).map(sorted),
    lengths_s=st.lists(st.one_of(st.none(), st.floats(0.1, 12)), min_size=4, max_size=4),
    deaf_s=st.floats(0, 3),
)
def test_whatever_happens_it_ends_and_provokes_one_after_another(
    points_s: list[float], lengths_s: list[float | None], deaf_s: float
) -> None:
    """Played out: each response takes its time (None: never ends), the guest is unwell for a while after."""
    script = replace(SCRIPT, points_s=tuple(points_s))
    told, now_s, standing, end_s, well_s = Told(), 0.0, False, float("inf"), 0.0
    said: list[str] = []
    for _ in range(1000):
        if now_s >= end_s:
            told.closed(end_s, n=len(_of(told, "response.provoked")))
            well_s, end_s = end_s + deaf_s, float("inf")
        busy = end_s < float("inf")
        sight = Sight(busy=busy, well_since_s=well_s if well_s <= now_s else None, standing=standing)
        action = told.ask(now_s, sight, script)
        said.append(type(action).__name__)
        if isinstance(action, Close):
            break
        if isinstance(action, Wait):
            now_s += action.seconds
        elif isinstance(action, Provoke):
            length_s = lengths_s[action.point - 1]
            told.provoked(now_s, n=action.point)
            standing, end_s = True, float("inf") if length_s is None else now_s + length_s
        elif isinstance(action, Miss):
            told.missed(now_s, action.n)
        else:
            assert isinstance(action, Undo)
            standing = False
    deeds = [one for one in said if one in {"Provoke", "Undo"}]
    assert said[-1] == "Close"
    assert deeds == ["Provoke", "Undo"] * (len(deeds) // 2)
    assert all(_at_s(one) <= script.window_s for one in _of(told, "response.provoked"))
    assert [one.data["n"] for one in _of(told, "response.provoked")] == [*range(1, len(deeds) // 2 + 1)]


def _of(told: Told, kind: str) -> list[Event]:
    return [one for one in told.events if one.kind == kind]


def _at_s(event: Event) -> float:
    return event.t_ns / NS_PER_S - OPENED_S
