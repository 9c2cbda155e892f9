"""After a controller died: one step for every combination of facts, and never two copies that run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import product
from typing import get_args

import pytest

from harness.registry.response_states import FOLLOWING, ResponseState
from harness.response.decide.after_crash import (
    ClosedState,
    Domain,
    Found,
    Intent,
    OpenState,
    Recovery,
    Step,
    recover,
)

GONE = {Domain.OFF, Domain.ABSENT}
WHOLE = {Domain.RUNNING, Domain.PAUSED}


def found(
    here: Domain,
    there: Domain,
    *,
    state: OpenState = "migrating",
    intent: Intent = "move",
    job: bool | None = False,
    placed: str = "a",
    suspended: bool = False,
    third: Domain = Domain.ABSENT,
) -> Found:
    return Found(
        state=state,
        intent=intent,
        source="a",
        destination="b" if intent == "move" else None,
        domains={"a": here, "b": there, "c": third},
        placed=placed,
        job=job,
        suspended=suspended,
    )


def _everything() -> Iterator[Found]:
    """The whole product of what there can be, impossible combinations included."""
    for here, there, third, state, intent, job, placed, suspended in product(
        Domain,
        Domain,
        (Domain.ABSENT, Domain.RUNNING, Domain.PAUSED, Domain.UNKNOWN),
        get_args(OpenState),
        get_args(Intent),
        (False, True, None),
        "abc",
        (False, True),
    ):
        yield found(
            here,
            there,
            state=state,
            intent=intent,
            job=job,
            placed=placed,
            suspended=suspended,
            third=third,
        )


@cache
def everything() -> tuple[Found, ...]:
    return tuple(_everything())


def carried_out(one: Found, step: Recovery) -> Found:
    """What is found next, if the step did what it says."""
    after: Mapping[Step, Domain] = {
        Step.DESTROY: Domain.ABSENT,
        Step.RESUME: Domain.RUNNING,
        Step.SUSPEND: Domain.PAUSED,
    }
    if step.step not in after:
        return one
    return replace(one, domains={**one.domains, **dict.fromkeys(step.hosts, after[step.step])})


def on(one: Found, states: set[Domain]) -> set[str]:
    return {host for host, domain in one.domains.items() if domain in states}


def test_every_combination_has_one_outcome_that_is_safe() -> None:
    seen = set()
    for one in everything():
        step = recover(one)
        seen.add(step.step)
        assert step.why
        assert (step.closed is not None) == (step.step is Step.CLOSE)
        assert bool(step.hosts) >= (step.step in {Step.DESTROY, Step.RESUME, Step.SUSPEND})
        after = carried_out(one, step)
        known = one.job is False
        if known:
            assert len(on(after, {Domain.RUNNING})) <= 1, (one, step)
        if step.step is not Step.LOOK_AGAIN:
            assert known
        if step.step in {Step.DESTROY, Step.RESUME, Step.VERIFY, Step.CLOSE}:
            assert not on(one, {Domain.UNKNOWN, Domain.SPLIT})
    assert seen == set(Step)


def test_nothing_is_resumed_beside_another_copy_and_nothing_that_was_suspended_before() -> None:
    for one in everything():
        step = recover(one)
        if step.step is Step.RESUME:
            assert on(one, set(Domain) - GONE) == set(step.hosts) == {"a"}
            assert one.domains["a"] is Domain.PAUSED
            assert not one.suspended
            assert (one.state, one.intent) == ("migrating", "move")


def test_no_copy_that_runs_is_destroyed_and_a_whole_one_always_stays() -> None:
    for one in everything():
        step = recover(one)
        if step.step is Step.DESTROY:
            assert not on(one, {Domain.RUNNING}) & set(step.hosts)
            assert on(carried_out(one, step), WHOLE)


def test_a_response_is_closed_or_verified_only_where_one_copy_at_most_is_left() -> None:
    for one in everything():
        step = recover(one)
        if step.step in {Step.CLOSE, Step.VERIFY}:
            assert len(on(one, set(Domain) - GONE)) <= 1
        if step.step is Step.VERIFY:
            assert on(one, WHOLE) == {"b"}


def test_steps_lead_to_an_end() -> None:
    for one in everything():
        step, at = recover(one), one
        for _ in range(4):
            at = carried_out(at, step)
            step = recover(at)
        assert step.step in {Step.CLOSE, Step.VERIFY, Step.ASK, Step.LOOK_AGAIN}, (one, step)
        if step.step is Step.LOOK_AGAIN:
            assert at.job is not False or on(at, {Domain.UNKNOWN})


def test_what_a_response_is_closed_as_is_allowed_to_follow_where_the_registry_keeps_it() -> None:
    assert set(get_args(ClosedState)) <= {state.value for state in ResponseState}
    for one in everything():
        step = recover(one)
        possible = (one.intent == "move") or one.state == "begun"
        if step.closed is not None and possible:
            assert ResponseState(step.closed) in FOLLOWING[ResponseState(one.state)]


def test_whenever_a_person_has_to_look_there_is_an_alarm() -> None:
    for one in everything():
        step = recover(one)
        if step.step in {Step.ASK, Step.SUSPEND}:
            assert step.alarm
        if step.step is Step.LOOK_AGAIN:
            assert step.alarm == (one.job is not True)


@pytest.mark.parametrize(
    ("one", "step", "hosts", "closed", "alarm"),
    [
        # begun: nothing was asked of libvirt yet
        (found(Domain.RUNNING, Domain.ABSENT, state="begun"), Step.CLOSE, (), "abandoned", False),
        (found(Domain.RUNNING, Domain.OFF, state="begun"), Step.CLOSE, (), "abandoned", False),
        (found(Domain.PAUSED, Domain.ABSENT, state="begun"), Step.CLOSE, (), "abandoned", True),
        (
            found(Domain.PAUSED, Domain.ABSENT, state="begun", suspended=True),
            Step.CLOSE,
            (),
            "abandoned",
            False,
        ),
        (found(Domain.ABSENT, Domain.RUNNING, state="begun"), Step.VERIFY, (), None, False),
        (found(Domain.PAUSED, Domain.RUNNING, state="begun"), Step.ASK, (), None, True),
        (found(Domain.RUNNING, Domain.INCOMING, state="begun"), Step.DESTROY, ("b",), None, False),
        # migrating
        (found(Domain.RUNNING, Domain.INCOMING, job=True), Step.LOOK_AGAIN, (), None, False),
        (found(Domain.RUNNING, Domain.RUNNING, job=True), Step.LOOK_AGAIN, (), None, False),
        (found(Domain.RUNNING, Domain.ABSENT), Step.CLOSE, (), "failed", False),
        (found(Domain.RUNNING, Domain.INCOMING), Step.DESTROY, ("b",), None, False),
        (found(Domain.PAUSED, Domain.INCOMING), Step.DESTROY, ("b",), None, False),
        (found(Domain.PAUSED, Domain.ABSENT), Step.RESUME, ("a",), None, False),
        (found(Domain.PAUSED, Domain.ABSENT, suspended=True), Step.CLOSE, (), "failed", False),
        (found(Domain.ABSENT, Domain.RUNNING), Step.VERIFY, (), None, False),
        (found(Domain.OFF, Domain.RUNNING), Step.VERIFY, (), None, False),
        (found(Domain.ABSENT, Domain.PAUSED), Step.VERIFY, (), None, True),
        (found(Domain.ABSENT, Domain.PAUSED, suspended=True), Step.VERIFY, (), None, False),
        (found(Domain.PAUSED, Domain.RUNNING), Step.DESTROY, ("a",), None, False),
        (found(Domain.PAUSED, Domain.RUNNING, suspended=True), Step.ASK, (), None, True),
        (found(Domain.PAUSED, Domain.PAUSED), Step.ASK, (), None, True),
        (found(Domain.RUNNING, Domain.PAUSED), Step.ASK, (), None, True),
        (found(Domain.ABSENT, Domain.INCOMING), Step.ASK, (), None, True),
        (found(Domain.INCOMING, Domain.ABSENT), Step.ASK, (), None, True),
        (found(Domain.SPLIT, Domain.RUNNING), Step.ASK, (), None, True),
        (found(Domain.PAUSED, Domain.SPLIT), Step.ASK, (), None, True),
        (found(Domain.ABSENT, Domain.ABSENT), Step.CLOSE, (), "failed", True),
        (found(Domain.OFF, Domain.ABSENT), Step.CLOSE, (), "failed", True),
        # running twice: the copy that the registry does not place stops, also where a third is unknown
        (found(Domain.RUNNING, Domain.RUNNING), Step.SUSPEND, ("b",), None, True),
        (found(Domain.RUNNING, Domain.RUNNING, placed="b"), Step.SUSPEND, ("a",), None, True),
        (found(Domain.RUNNING, Domain.RUNNING, placed="c"), Step.SUSPEND, ("a", "b"), None, True),
        (
            found(Domain.RUNNING, Domain.RUNNING, third=Domain.UNKNOWN),
            Step.SUSPEND,
            ("b",),
            None,
            True,
        ),
        (
            found(Domain.ABSENT, Domain.RUNNING, third=Domain.RUNNING, placed="b"),
            Step.SUSPEND,
            ("c",),
            None,
            True,
        ),
        # half knowledge
        (found(Domain.UNKNOWN, Domain.RUNNING), Step.LOOK_AGAIN, ("a",), None, True),
        (found(Domain.PAUSED, Domain.UNKNOWN), Step.LOOK_AGAIN, ("b",), None, True),
        (found(Domain.RUNNING, Domain.ABSENT, third=Domain.UNKNOWN), Step.LOOK_AGAIN, ("c",), None, True),
        (found(Domain.RUNNING, Domain.ABSENT, job=None), Step.LOOK_AGAIN, (), None, True),
        # a third host
        (found(Domain.RUNNING, Domain.ABSENT, third=Domain.PAUSED), Step.ASK, (), None, True),
        (found(Domain.ABSENT, Domain.ABSENT, third=Domain.RUNNING), Step.ASK, (), None, True),
        # arrived
        (found(Domain.ABSENT, Domain.RUNNING, state="arrived"), Step.VERIFY, (), None, False),
        (found(Domain.ABSENT, Domain.PAUSED, state="arrived"), Step.VERIFY, (), None, False),
        (found(Domain.PAUSED, Domain.RUNNING, state="arrived"), Step.DESTROY, ("a",), None, False),
        (
            found(Domain.PAUSED, Domain.RUNNING, state="arrived", suspended=True),
            Step.DESTROY,
            ("a",),
            None,
            False,
        ),
        (found(Domain.RUNNING, Domain.ABSENT, state="arrived"), Step.CLOSE, (), "failed", True),
        # what was not to be moved
        (
            found(Domain.RUNNING, Domain.ABSENT, state="begun", intent="hold"),
            Step.CLOSE,
            (),
            "abandoned",
            False,
        ),
        (
            found(Domain.RUNNING, Domain.ABSENT, state="begun", intent="suspend"),
            Step.CLOSE,
            (),
            "abandoned",
            False,
        ),
        (
            found(Domain.PAUSED, Domain.ABSENT, state="begun", intent="suspend"),
            Step.CLOSE,
            (),
            "suspended",
            False,
        ),
        (
            found(Domain.PAUSED, Domain.ABSENT, state="begun", intent="shut-down"),
            Step.CLOSE,
            (),
            "abandoned",
            True,
        ),
        (
            found(Domain.ABSENT, Domain.ABSENT, state="begun", intent="shut-down"),
            Step.CLOSE,
            (),
            "shut-down",
            False,
        ),
        (
            found(Domain.OFF, Domain.ABSENT, state="begun", intent="shut-down"),
            Step.CLOSE,
            (),
            "shut-down",
            False,
        ),
        (
            found(Domain.ABSENT, Domain.ABSENT, state="begun", intent="suspend"),
            Step.CLOSE,
            (),
            "failed",
            True,
        ),
        (
            found(Domain.RUNNING, Domain.ABSENT, state="begun", intent="shut-down"),
            Step.CLOSE,
            (),
            "abandoned",
            False,
        ),
        (
            found(Domain.RUNNING, Domain.RUNNING, state="begun", intent="hold"),
            Step.SUSPEND,
            ("b",),
            None,
            True,
        ),
        (
            found(Domain.RUNNING, Domain.PAUSED, state="begun", intent="hold"),
            Step.ASK,
            (),
            None,
            True,
        ),
    ],
)
def test_each_case_by_name(
    one: Found, step: Step, hosts: tuple[str, ...], closed: str | None, alarm: bool
) -> None:
    told = recover(one)
    assert (told.step, told.hosts, told.closed, told.alarm) == (step, hosts, closed, alarm)


@pytest.mark.parametrize("missing", ["a", "b"])
def test_a_host_that_matters_has_to_be_asked(missing: str) -> None:
    one = found(Domain.RUNNING, Domain.ABSENT)
    domains = {host: domain for host, domain in one.domains.items() if host != missing}
    with pytest.raises(ValueError, match=f"nothing is said of {missing}"):
        recover(replace(one, domains=domains))


def test_a_vm_ran_before_unless_it_is_said_that_it_was_suspended() -> None:
    plain = Found(
        state="migrating",
        intent="move",
        source="a",
        destination="b",
        domains={"a": Domain.PAUSED, "b": Domain.ABSENT},
        placed="a",
        job=False,
    )
    assert recover(plain).step is Step.RESUME


def test_where_there_is_no_destination_none_has_to_be_asked() -> None:
    one = replace(found(Domain.RUNNING, Domain.ABSENT, intent="hold"), domains={"a": Domain.RUNNING})
    assert recover(one).step is Step.CLOSE
