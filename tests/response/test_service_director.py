"""The service's director: guards until it is told to stop, for its time, or while the guest is there."""

from __future__ import annotations

import pytest

from harness.migration.actions import Close, Now, Wait
from harness.response.service import next_action


def at(now_s: float, *, asked: bool = False) -> Now:
    return Now(now_s=now_s, history=(), asked_to_stop=asked)


@pytest.mark.parametrize("now_s", [0.0, 3600.0, 1e7])
def test_without_an_end_it_goes_on(now_s: float) -> None:
    assert next_action(at(now_s), None, gone=False) == Wait(0.5)


def test_it_ends_when_its_time_is_over_and_not_later() -> None:
    assert next_action(at(9.75), 10.0, gone=False) == Wait(0.25)
    assert next_action(at(10.0), 10.0, gone=False) == Close()
    assert next_action(at(0.0), 0.0, gone=False) == Close()


def test_it_ends_when_the_user_wishes_so_or_the_guest_is_gone() -> None:
    assert next_action(at(1.0, asked=True), None, gone=False) == Close()
    assert next_action(at(1.0), 10.0, gone=True) == Close()
