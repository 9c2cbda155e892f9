from __future__ import annotations

import pytest

from harness.evidence.account import Account, accounts
from harness.evidence.metric import NotMeasured
from tests.synthetic.evidence import AttemptTruth, Journalist, MigrationTruth, Truths, events_of


def told(*truths: AttemptTruth) -> list[Account]:
    return accounts(events_of(Truths(attempts=truths)))


def test_five_migrations_go_back_and_forth() -> None:
    (attempt,) = told(AttemptTruth())
    assert [move.direction for move in attempt.moves] == ["a->b", "b->a", "a->b", "b->a", "a->b"]
    assert [move.outcome for move in attempt.moves] == ["completed"] * 5
    assert attempt.moves[1].started_s == 12.003
    assert attempt.counts


def test_a_failed_and_a_skipped_migration_are_outcomes_with_their_reasons() -> None:
    (attempt,) = told(
        AttemptTruth(
            migrations=(
                MigrationTruth(planned_s=0.0, ok=False, error="no route to host"),
                MigrationTruth(planned_s=12.0, skipped="its slot was taken"),
            )
        )
    )
    failed, skipped = attempt.moves
    assert (failed.outcome, failed.detail) == ("failed", "no route to host")
    assert (skipped.outcome, skipped.detail, skipped.started_s) == ("skipped", "its slot was taken", None)
    assert skipped.direction is None


def test_an_abort_is_told_from_a_failure() -> None:
    book = Journalist(trial="001-idle", attempt=1)
    book.add(1_000_000_000, "runner", "window.opened", window_s=60.0)
    book.add(
        2_000_000_000,
        "runner",
        "migration.started",
        n=1,
        planned_s=1.0,
        source="a",
        destination="b",
        options={},
    )
    book.add(3_000_000_000, "runner", "migration.aborted", n=1, reason="interrupted")
    book.add(4_000_000_000, "runner", "migration.returned", n=1, ok=False, error=None)
    (attempt,) = accounts(book.events())
    assert attempt.moves[0].outcome == "aborted"
    assert attempt.moves[0].detail == "interrupted"
    assert (attempt.moves[0].started_s, attempt.moves[0].returned_s) == (1.0, 3.0)


def test_a_delay_is_told_with_its_reason() -> None:
    book = Journalist(trial="001-idle", attempt=1)
    book.add(0, "runner", "window.opened", window_s=60.0)
    book.add(1, "runner", "migration.delayed", n=1, planned_s=12.0, reason="the one before was under way")
    book.add(2, "runner", "migration.started", n=1, planned_s=12.0, source="a", destination="b", options={})
    (attempt,) = accounts(book.events())
    assert attempt.moves[0].detail == "delayed: the one before was under way"
    assert attempt.moves[0].outcome == "not returned"


def test_an_attempt_without_an_end_is_unfinished_and_does_not_count() -> None:
    (attempt,) = told(AttemptTruth(finished=False))
    assert attempt.verdict == "unfinished"
    assert not attempt.counts


def test_a_control_trial_never_counts() -> None:
    (attempt,) = told(AttemptTruth(kind="control", migrations=()))
    assert attempt.verdict == "valid"
    assert not attempt.counts


def test_failed_observers_and_unsteady_load_are_told() -> None:
    (attempt,) = told(AttemptTruth(steady=False, failures=(("wire", 3.0, "the counter went away"),)))
    assert attempt.failures == (("wire", "the counter went away"),)
    assert attempt.remarks == ("not steady before the window (as stated): slow",)


def test_two_attempts_at_a_trial_are_two() -> None:
    first, second = told(
        AttemptTruth(trial="001-idle", verdict="invalid", reasons=("lost",)),
        AttemptTruth(trial="001-idle", attempt=2),
    )
    assert (first.attempt, second.attempt) == (1, 2)
    assert (first.counts, second.counts) == (False, True)


def test_a_migration_whose_start_cannot_be_read_stays_with_the_reason() -> None:
    book = Journalist(trial="001-idle", attempt=1)
    book.add(0, "runner", "window.opened", window_s=60.0)
    book.add(2, "runner", "migration.started", n=1, source="a", destination="b", options={})
    (attempt,) = accounts(book.events())
    (move,) = attempt.moves
    assert (move.n, move.direction, move.outcome) == (1, None, "not returned")
    assert move.started_ns == 2
    with pytest.raises(NotMeasured, match=r"the journal's migration\.started cannot be read"):
        _ = move.source


def test_a_migration_whose_return_cannot_be_read_says_so() -> None:
    book = Journalist(trial="001-idle", attempt=1)
    book.add(0, "runner", "window.opened", window_s=60.0)
    book.add(2, "runner", "migration.started", n=1, planned_s=1.0, source="a", destination="b", options={})
    book.add(3, "runner", "migration.returned", n=1, ok="yes")
    (attempt,) = accounts(book.events())
    assert attempt.moves[0].failure == "the journal's migration.returned cannot be read"
