"""What is read of several guests that a violation made leave: when it began, and whose provocation it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from harness.evidence.attempt import Attempt, Migration
from harness.evidence.clocks import Clocks
from harness.evidence.events import ResponseProvoked
from harness.evidence.metric import Value
from harness.json_types import Json
from harness.migration.measures import evacuation
from harness.migration.measures.evacuation import evacuations
from harness.response.measures import table as response_table
from harness.response.measures.evidence import Response
from tests.synthetic.evidence import Journalist
from tests.synthetic.vocabulary import said

S = 1_000_000_000
GUESTS = ("strict", "plain")
ALSO: Mapping[str, Mapping[str, Json]] = {
    "response.provoked": {"scenario": "violation", "server": "a"},
    "response.detected": {
        "cause": "violation",
        "server": "a",
        "monitor": "hyperwall",
        "reason": "memory-violation",
        "detail": None,
        "simulated": True,
        "asked_ns": None,
        "result_ns": None,
    },
    "response.closed": {"response": 1},
    "migration.started": {"options": {}},
}
"""What these events say besides."""


def violated(
    *, detected: bool = True, tries: tuple[tuple[str, int], ...] = (("strict", 1), ("plain", 2))
) -> Attempt:
    """The host is violated at 2 s after t = 0; each of `tries` is a guest and its response."""
    book = Journalist(trial="001-memory", attempt=1)

    def add(at_s: float, observer: str, kind: str, **more: Json) -> None:
        book.add(round(at_s * S), observer, kind, **said(kind, **{**ALSO.get(kind, {}), **more}).to_data())

    add(1, "runner", "attempt.started", scenario="violation", workload="memory")
    for guest in GUESTS:
        add(1, "runner", "guest.started", guest=guest)
    add(10, "runner", "window.opened", window_s=60.0)
    provoked: dict[str, Json] = {"n": 1, "vm": "run:strict, run:plain", "what": "a violation"}
    add(12, "response", "response.provoked", **provoked, earliest_ns=12 * S, latest_ns=12 * S)
    for place, (guest, n) in enumerate(tries):
        began_s = 13.0 + 4 * place
        if detected:
            about: dict[str, Json] = {"guest": guest, "n": n, "evidence_ns": round(12.5 * S)}
            add(began_s, "response", "response.detected", **about)
        move: dict[str, Json] = {"guest": guest, "n": n, "planned_s": 2.0, "source": "a", "destination": "b"}
        add(began_s + 1, "runner", "migration.started", **move)
        add(began_s + 3, "response", "response.closed", guest=guest, n=n, state="completed", reason="over")
    add(60, "response", "response.missed", n=1, reason="nothing was over within 5 s")
    return Attempt(trial="001-memory", attempt=1, events=tuple(book.events()), clocks=Clocks())


@pytest.fixture
def resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each guest resumes 2 s after its migration began; RESUME itself is other tests'."""

    def resumed(migration: Migration, begin_ns: int | None) -> Value:
        if begin_ns is None:
            return Value.missing("not detected")
        return Value(value=(migration.started_ns + 2 * S - begin_ns) / S)

    monkeypatch.setattr(evacuation, "_resumed", resumed)


@pytest.mark.usefixtures("resumes")
def test_the_total_runs_from_the_first_detection_to_the_last_guests_resume() -> None:
    (found,) = evacuations(violated())
    assert [one.guest for one in found.departures] == ["strict", "plain"]
    assert [one.resumed.value for one in found.departures] == [3.0, 7.0]
    assert (found.planned_s, found.total.value) == (2.0, 7.0)


@pytest.mark.usefixtures("resumes")
def test_a_guest_that_failed_to_move_counts_by_its_last_try() -> None:
    (found,) = evacuations(violated(tries=(("strict", 1), ("plain", 2), ("strict", 3))))
    assert [one.guest for one in found.departures] == ["strict", "plain", "strict"]
    assert found.total.value == 11.0


@pytest.mark.usefixtures("resumes")
def test_there_is_no_total_over_the_others_where_a_guest_stayed() -> None:
    (found,) = evacuations(violated(tries=(("strict", 1),)))
    assert (found.total.value, found.total.reason) == (None, "plain was not moved")


def test_there_is_no_total_where_the_detection_is_not_told() -> None:
    (found,) = evacuations(violated(detected=False))
    assert found.total.reason == "the journal does not say when the violation was detected"


def test_what_made_all_of_them_leave_is_every_responses_provocation() -> None:
    attempt = violated()
    assert [Response(attempt=attempt, n=n).provoked_ns for n in (1, 2)] == [12 * S, 12 * S]
    assert Response(attempt=attempt.of("plain"), n=2).provoked_ns == 12 * S


def test_a_provocation_of_one_guest_is_its_own_responses_alone() -> None:
    attempt = violated()
    events = tuple(
        replace(one, data={**one.data, "vm": "run:strict"}) if one.kind == "response.provoked" else one
        for one in attempt.events
    )
    found = Response(attempt=replace(attempt, events=events), n=2)
    assert found.said(ResponseProvoked) is None


def test_a_guest_that_left_is_not_missed_because_another_did_not() -> None:
    attempt = violated()
    assert Response(attempt=attempt, n=1).missed is None
    events = tuple(one for one in attempt.events if one.kind != "response.closed")
    assert Response(attempt=replace(attempt, events=events), n=1).missed is not None


def test_each_row_of_the_responses_says_whose_it_is() -> None:
    found = {row["n"]: row["guest"] for row in response_table.rows(violated(), {})}
    assert found == {1: "strict", 2: "plain"}


def test_a_response_that_never_came_is_of_no_guest() -> None:
    (row,) = response_table.rows(violated(tries=()), {})
    assert (row["n"], row["guest"], row["state"]) == (1, None, "missed")


def test_only_a_run_with_several_guests_has_a_column_for_them() -> None:
    several, one = response_table.columns(several=True), response_table.columns(several=False)
    assert one == dict(response_table.COLUMNS)
    assert list(several)[list(several).index("n") + 1] == "guest"
    assert {name: column for name, column in several.items() if name != "guest"} == one
