"""The rule: a setting that changed makes a trial invalid, what happened to an unchanged host flags it."""

from __future__ import annotations

from typing import Literal

import pytest

from harness.evidence import host_drift
from harness.evidence.account import Account
from harness.evidence.events import HostStateSampled
from harness.evidence.journal import Event
from harness.json_types import Json

FACTS: dict[str, Json] = {
    "governor": "performance",
    "mitigations": {"mds": "Not affected", "srbds": "Vulnerable"},
    "core_throttles": 3,
    "temperature_celsius": 50.0,
    "kernel_log_next": 100,
    "kernel_log_errors": [[40, "an old error"]],
}


def state(when: Literal["before", "after"], machine: str = "a", /, **facts: Json) -> HostStateSampled:
    own = {**FACTS, **facts}
    reasons = {name: "it is gone" for name, value in own.items() if value is None}
    return HostStateSampled(machine=machine, when=when, facts=own, reasons=reasons)


def told(**facts: Json) -> list[tuple[str, str]]:
    found = host_drift.drifts(state("before"), state("after", **facts))
    return [(one.weight, one.text) for one in found]


def test_a_host_that_stayed_as_it_was() -> None:
    assert told() == []


@pytest.mark.parametrize("name", sorted(host_drift.SETTINGS))
def test_each_setting_that_changes_makes_the_trial_invalid(name: str) -> None:
    was, is_now = {name: 1}, {name: 2}
    before, after = state("before", **was), state("after", **is_now)
    (found,) = host_drift.drifts(before, after)
    assert found.weight == "invalid"
    assert found.text == f"a: {host_drift.SETTINGS[name]} changed during the trial: 1 to 2"
    assert host_drift.invalidating([found]) == [found.text]


def test_of_the_mitigations_those_that_changed_are_named() -> None:
    changed = {"mds": "Not affected", "srbds": "Mitigation: Microcode"}
    assert told(mitigations=changed) == [
        (
            "invalid",
            "a: mitigations of processor vulnerabilities changed during the trial: "
            "srbds: Vulnerable to Mitigation: Microcode",
        )
    ]


def test_throttling_flags() -> None:
    assert told(core_throttles=5) == [("flagged", "a: thermal throttling of cores during the trial: 2 times")]


@pytest.mark.parametrize("count", [3, 0, None])
def test_a_counter_that_did_not_rise_says_nothing(count: int | None) -> None:
    assert told(core_throttles=count) == []


def test_a_new_error_of_the_kernel_flags_and_an_old_one_does_not() -> None:
    new: list[Json] = [[n, f"error {n}"] for n in range(100, 105)]
    errors: Json = [[40, "an old error"], *new]
    assert told(kernel_log_errors=errors) == [
        (
            "flagged",
            "a: the kernel logged errors during the trial: error 100; error 101; error 102; "
            "and at least 2 more",
        )
    ]


@pytest.mark.parametrize("errors", [None, "text", [1], [[1]], [["x", "y"]], [[200, 3]], {}])
def test_a_log_that_cannot_be_understood_says_nothing(errors: Json) -> None:
    assert told(kernel_log_errors=errors) == []


def test_a_temperature_is_not_judged() -> None:
    assert told(temperature_celsius=90.0) == []


def test_a_setting_that_can_no_longer_be_read_flags() -> None:
    assert told(governor=None) == [
        ("flagged", "a: frequency governor cannot be read at the trial's end: it is gone")
    ]


def test_a_setting_that_never_could_be_read_says_nothing() -> None:
    before = state("before", governor=None)
    assert host_drift.drifts(before, state("after")) == []


def test_the_worst_comes_first() -> None:
    assert [weight for weight, _ in told(core_throttles=9, governor="powersave")] == ["invalid", "flagged"]


def account(*values: HostStateSampled) -> Account:
    events = (
        Event(seq=n, t_ns=n, observer=one.OBSERVER, kind=one.KIND, data=one.to_data())
        for n, one in enumerate(values)
    )
    return Account(trial="t", attempt=1, events=tuple(events))


def test_each_host_is_held_against_itself() -> None:
    found = host_drift.of_account(
        account(
            state("before", "a"),
            state("before", "b", governor="powersave"),
            state("after", "a"),
            state("after", "b", governor="schedutil"),
        )
    )
    assert [one.machine for one in found] == ["b"]


def test_one_sample_alone_and_no_sample_say_nothing() -> None:
    assert host_drift.of_account(account()) == []
    assert host_drift.of_account(account(state("before"))) == []
