"""Why an attempt is not valid: the cause in one sentence first, the rest on lines of its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.errors import WorkloadError
from harness.evidence import verdict
from harness.evidence.verdict import MOST_CHARACTERS, MOST_REASONS
from harness.workloads import problems


def test_a_failures_cause_is_first_and_each_line_of_its_why_a_reason() -> None:
    error = WorkloadError(
        "cannot start GlassFish", where="guest", why="exit status 1: no port\n\n  it is taken", remedy="wait"
    )
    found = verdict.of_error(error)
    assert found.verdict == "invalid"
    assert found.reasons == ("guest: cannot start GlassFish", "exit status 1: no port", "it is taken")


def test_a_generator_that_ended_is_the_cause_and_not_that_the_load_is_not_steady() -> None:
    seen = "the generator ended by itself; it said last: bye"
    problems = ["Faban said: SEVERE: no memory", "Faban ended with status 1"]
    assert verdict.unsteady(seen, problems, "level", ended=True) == (
        *problems,
        seen,
        "the test of steadiness: level",
    )


def test_a_load_that_is_slow_to_settle_is_said_before_what_its_output_lacks() -> None:
    found = verdict.unsteady("not steady within 3 s", ["no result yet"], "level", ended=False)
    assert found == ("not steady within 3 s", "no result yet", "the test of steadiness: level")


def test_output_without_problems_is_valid_and_an_early_end_is_not() -> None:
    assert verdict.of_output([], None).verdict == "valid"
    found = verdict.of_output(["lost"], "the generator ended by itself")
    assert (found.verdict, found.reasons) == (
        "invalid",
        ("lost", "before the window closed the generator ended by itself"),
    )


def test_twenty_thousand_complaints_are_bounded_and_counted() -> None:
    found = verdict.bounded(f"complaint {number}" for number in range(20_000))
    assert len(found) == MOST_REASONS
    assert found[-1] == f"and {20_000 - MOST_REASONS + 1} more"


@given(st.lists(st.text(max_size=2000), max_size=40))
def test_reasons_are_few_single_lines_of_bounded_length(given_reasons: list[str]) -> None:
    found = verdict.bounded(given_reasons)
    assert len(found) <= MOST_REASONS
    assert all(reason and len(reason.splitlines()) == 1 for reason in found)
    assert all(len(reason) <= MOST_CHARACTERS + 40 for reason in found)
    assert bool(found) == any(reason.strip() for reason in given_reasons)


def test_what_was_left_out_of_a_tools_complaints_is_still_counted_beside_other_reasons() -> None:
    complaints = problems.bounded(f"complaint {number}" for number in range(20_000))
    hosts = ["a was rebooted", "b was rebooted", "the client was rebooted"]
    found = verdict.of_output([*hosts, *complaints], "the generator ended by itself").reasons
    assert f"and {20_000 - problems.KEPT + 1} more" in found
    assert len(found) == MOST_REASONS
