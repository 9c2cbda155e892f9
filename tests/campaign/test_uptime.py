"""How long a guest has been up: waited for by its own clock, planned for, refused where it is not said."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from harness.campaign.estimate import BOOT_TCG_S, estimate
from harness.campaign.file import loads
from harness.campaign.plan import expand, from_json
from harness.campaign.run import uptime
from harness.clock import NS_PER_S
from harness.errors import CampaignError, InterruptedRunError, SodbenchError, WorkloadError
from harness.evidence import journal
from harness.evidence.account import accounts
from harness.evidence.events import GuestAged, GuestMemory
from harness.evidence.journal import Journal
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from tests.played import campaigns
from tests.played.campaigns import SMALL
from tests.synthetic.campaigns import MINIMAL

WAIT_S = 90


class Clock:
    """Time that passes when it is waited for."""

    def __init__(self) -> None:
        self.ns = 0

    def now_ns(self) -> int:
        return self.ns

    def wait(self, seconds: float, wake: threading.Event) -> bool:
        self.ns += round(seconds * NS_PER_S)
        return wake.is_set()


class Guest:
    """A guest that was up for 20 s, and whose clock runs at `pace`."""

    role = "guest"

    def __init__(self, clock: Clock, pace: float = 1.0, text: str | None = None) -> None:
        self._clock, self._pace, self._text = clock, pace, text

    def run(self, command: str, **_options: Any) -> str:
        assert command == "cat /proc/uptime"
        up_s = 20 + self._pace * self._clock.ns / NS_PER_S
        return f"{up_s:.2f} {up_s / 2:.2f}\n" if self._text is None else self._text


def reached(
    path: Path, asked_s: float, pace: float = 1.0, text: str | None = None, *, stop: bool = False
) -> GuestAged | SodbenchError:
    """What is recorded of waiting, or the error that it ends with."""
    clock, interrupt = Clock(), Interrupt()
    guest: Any = Guest(clock, pace, text)
    if stop:
        interrupt.ask()
    with Journal(path / "journal.jsonl", clock) as writer:
        record = Record(journal=writer, clock=clock, folder=path, trial="001-idle", attempt=1)
        try:
            uptime.reach(guest, record, interrupt, asked_s)
        except SodbenchError as error:
            return error
    (told,) = journal.read(path / "journal.jsonl")
    assert isinstance(told.value, GuestAged)
    return told.value


@pytest.mark.parametrize(("asked_s", "waited_s"), [(60.0, 40.0), (20.0, 0.0), (5.0, 0.0)])
def test_the_rest_is_waited_for_and_what_the_guest_then_says_is_recorded(
    tmp_path: Path, asked_s: float, waited_s: float
) -> None:
    told = reached(tmp_path, asked_s)
    assert isinstance(told, GuestAged)
    assert (told.asked_s, told.waited_s) == (asked_s, waited_s)
    assert told.up_s == max(20.0, asked_s)


def test_a_guest_whose_clock_runs_slow_is_waited_for_longer(tmp_path: Path) -> None:
    told = reached(tmp_path, 60.0, pace=0.999999)
    assert isinstance(told, GuestAged)
    assert told.up_s >= 60.0


def test_a_clock_that_stands_still_ends_the_attempt(tmp_path: Path) -> None:
    error = reached(tmp_path, 60.0, pace=0.0)
    assert isinstance(error, WorkloadError)
    assert "20 of 60 s" in str(error)


@pytest.mark.parametrize("text", ["", "soon\n", "-3.00 1.00\n", "nan nan\n", "9" * 40 + ".00 1.00\n"])
def test_an_age_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    error = reached(tmp_path, 60.0, text=text)
    assert isinstance(error, WorkloadError)
    assert "does not say how long" in str(error)


def test_whoever_wants_to_stop_does_not_wait(tmp_path: Path) -> None:
    assert isinstance(reached(tmp_path, 60.0, stop=True), InterruptedRunError)


def test_the_plan_has_it_and_its_estimate_adds_the_wait() -> None:
    plain = expand(loads(MINIMAL, "c.yml"))
    aged = expand(loads(f"{MINIMAL}guest: {{uptime_s: {WAIT_S}}}\n", "c.yml"))
    assert from_json(aged.to_json()) == aged
    assert "uptime_s" not in str(plain.to_json())
    more_s = estimate(aged, "tcg").total_s - estimate(plain, "tcg").total_s
    assert more_s == pytest.approx(len(aged.trials) * (WAIT_S - BOOT_TCG_S))


def test_a_variant_has_an_age_of_its_own() -> None:
    plan = expand(
        loads(f"{MINIMAL}variants:\n  young: {{}}\n  old: {{guest: {{uptime_s: {WAIT_S}}}}}\n", "c.yml")
    )
    assert [plan.under(name).guest.uptime_s for name in ("young", "old")] == [None, WAIT_S]
    none = expand(loads(f"{MINIMAL}variants:\n  young: {{}}\n  small: {{guest: {{vcpus: 2}}}}\n", "c.yml"))
    more_s = estimate(plan, "tcg").boot_s - estimate(none, "tcg").boot_s
    assert more_s == pytest.approx(len(plan.trials) / 2 * (WAIT_S - BOOT_TCG_S))


@pytest.mark.parametrize("value", ["0", "-1", "86401", "soon", ".nan"])
def test_an_age_that_makes_no_sense_is_refused_with_its_line(value: str) -> None:
    with pytest.raises(CampaignError, match=r"c\.yml:6"):
        loads(f"{MINIMAL}guest: {{uptime_s: {value}}}\n", "c.yml")


def test_a_played_guest_is_left_alone_until_it_is_old_enough(tmp_path: Path) -> None:
    text = f"{SMALL}guest: {{uptime_s: {WAIT_S}}}\n"
    run = campaigns.begin(tmp_path, text)
    assert campaigns.carry_out(run, text) is not None
    told = accounts(journal.read(run.journal))
    assert len(told) == 2
    for one in told:
        (aged,) = (value for _, value in one.told(GuestAged))
        (memory,) = (value for _, value in one.told(GuestMemory))
        assert aged.up_s >= WAIT_S > aged.waited_s > 0
        assert memory.up_s is not None
        assert memory.up_s >= aged.up_s
