from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.campaign.plan import expand
from harness.campaign.state import FINISHING, RunState, fold
from harness.clock import MonotonicClock
from harness.errors import RecordError
from harness.evidence.journal import Event, Journal, parse, read, repair_tail
from harness.json_types import Json
from tests.synthetic.campaigns import campaign
from tests.synthetic.vocabulary import said, whole

PLAN = expand(campaign("repetitions: 2\n"))
FIRST, SECOND = PLAN.trials[0].id, PLAN.trials[1].id


class Story:
    """A journal told line by line."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, kind: str, trial: str | None = None, attempt: int | None = None, **data: Json) -> Story:
        seq = len(self.events)
        self.events.append(
            Event(
                seq=seq,
                t_ns=seq,
                observer="runner",
                kind=kind,
                trial=trial,
                attempt=attempt,
                data=whole(kind, data),
            )
        )
        return self

    def started(self) -> Story:
        return self.add("run.started", plan_hash=PLAN.hash)

    def attempt(self, trial: str, number: int, verdict: str | None) -> Story:
        self.add("attempt.started", trial, number).add("window.opened", trial, number)
        if verdict is not None:
            self.add("attempt.finished", trial, number, verdict=verdict, reasons=["because"])
        return self

    def state(self) -> RunState:
        return fold(self.events, PLAN)


def test_a_run_without_events_is_new_and_everything_remains() -> None:
    state = Story().state()
    assert (state.status, state.current) == ("new", None)
    assert state.remaining == PLAN.trials
    assert state.counts == {"valid": 0, "invalid": 0, "unknown": 0, "pending": 4}
    assert state.next_attempt(FIRST) == 1


@pytest.mark.parametrize("verdict", sorted(FINISHING))
def test_a_judged_attempt_finishes_its_trial(verdict: str) -> None:
    state = Story().started().attempt(FIRST, 1, verdict).state()
    counted = state.of(FIRST).counted
    assert counted is not None
    assert (counted.number, counted.verdict, counted.reasons) == (1, verdict, ("because",))
    assert state.remaining == PLAN.trials[1:]
    assert state.counts[verdict] == 1


def test_a_trial_the_user_aborted_is_run_again() -> None:
    state = Story().started().attempt(FIRST, 1, "skipped").add("run.aborted", reason="Ctrl-C").state()
    assert (state.status, state.reason) == ("aborted", "Ctrl-C")
    assert state.remaining[0].id == FIRST
    assert (state.of(FIRST).finished, state.of(FIRST).interrupted) == (False, ())
    assert state.next_attempt(FIRST) == 2


def test_a_killed_attempt_is_kept_and_not_counted() -> None:
    killed = Story().started().attempt(FIRST, 1, None)
    state = killed.state()
    assert state.current is not None
    assert (state.current.trial, state.current.attempt, state.current.phase) == (FIRST, 1, "window")
    assert state.of(FIRST).interrupted == ()
    resumed = killed.add("run.resumed").state()
    assert (resumed.status, resumed.current) == ("running", None)
    assert resumed.of(FIRST).interrupted == (1,)
    assert resumed.next_attempt(FIRST) == 2
    again = killed.attempt(FIRST, 2, "valid").add("run.finished").state()
    counted = again.of(FIRST).counted
    assert counted is not None
    assert counted.number == 2
    assert again.of(FIRST).interrupted == (1,)
    assert again.status == "finished"


def test_the_phase_names_the_migration_under_way() -> None:
    story = Story().started().attempt(SECOND, 1, None).add("migration.started", SECOND, 1, n=3)
    current = story.state().current
    assert current is not None
    assert (current.phase, current.since_ns) == ("migrating (3)", 3)
    story.add("observer.failed", SECOND, 1, observer="wire", reason="gone")
    assert story.state().current == current


def test_only_the_runner_is_believed() -> None:
    forged = Event(
        seq=1, t_ns=1, observer="heartbeat", kind="attempt.finished", trial=FIRST, attempt=1,
        data={"verdict": "valid"},
    )  # fmt: skip
    assert fold([*Story().started().events, forged], PLAN).remaining == PLAN.trials


@pytest.mark.parametrize(
    ("story", "why"),
    [
        (Story().add("run.started", plan_hash="0"), "another hash"),
        (Story().started().attempt("999-idle", 1, None), "no trial 999-idle"),
        (Story().started().add("attempt.finished", FIRST, 1, verdict="valid"), "never started"),
        (Story().started().attempt(FIRST, 1, "splendid"), "'splendid' is not a verdict"),
    ],
)
def test_a_journal_of_another_plan_is_refused(story: Story, why: str) -> None:
    with pytest.raises(RecordError, match=why):
        story.state()


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Whole runs with kills and aborts: every trial is tried until it is judged, some also interrupted."""
    story = Story().started()
    for trial in PLAN.trials:
        for number in range(1, 5):
            verdict = draw(st.sampled_from([None, "skipped", "valid", "invalid", "unknown"]))
            story.attempt(trial.id, number, verdict)
            if verdict is None or verdict == "skipped":
                story.add("run.resumed")
            else:
                break
    return story


@given(story=stories(), data=st.data())
def test_a_kill_at_any_byte_loses_no_finished_trial_and_counts_no_half_one(
    story: Story, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path: Path = tmp_path_factory.mktemp("killed") / "journal.jsonl"
    with Journal(path, MonotonicClock()) as journal:
        for event in story.events:
            journal.add(said(event.kind, **event.data), trial=event.trial, attempt=event.attempt)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    survived = story.events[: whole[:cut].count(b"\n")]

    next_seq = repair_tail(path)
    state = fold(read(path), PLAN)
    judged = {
        event.trial
        for event in survived
        if event.kind == "attempt.finished" and event.data["verdict"] in FINISHING
    }
    assert {item.trial.id for item in state.trials if item.finished} == judged
    assert [trial.id for trial in state.remaining] == [t.id for t in PLAN.trials if t.id not in judged]
    for trial in PLAN.trials:
        used = {e.attempt for e in survived if e.trial == trial.id and e.kind == "attempt.started"}
        assert state.next_attempt(trial.id) not in used
    assert sum(state.counts.values()) == len(PLAN.trials)

    with Journal(path, MonotonicClock(), next_seq=next_seq) as journal:
        journal.add(said("run.resumed"))
    assert len(parse(path.read_text())) == len(survived) + 1
