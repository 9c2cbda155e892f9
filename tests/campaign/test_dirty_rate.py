"""The check of a load's dirty rate by QEMU's page sampling: when it is asked for, refused, and recorded."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.analysis import sampled_rate
from harness.campaign.estimate import estimate
from harness.campaign.file import json_schema, loads
from harness.campaign.plan import expand, from_json
from harness.campaign.run import dirty_rate
from harness.clock import NS_PER_S
from harness.errors import CampaignError
from harness.evidence import journal
from harness.evidence.account import accounts
from harness.evidence.events import DirtyRateSampled, ObserverFailed, Value
from harness.evidence.journal import Journal
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.json_types import Json
from harness.report import material
from harness.report.migration import modelled
from harness.rig.contract import HypervisorError
from harness.workloads.contract import Dirtying
from tests.played import campaigns

LOAD = "{{name: memory, options: {{size_mib: {size}, rate_mib_s: {rate}}}, dirty_rate_period_s: {period}}}"
TEXT = """\
name: small
guest: {{image: small}}
workloads: [{load}]
schedule: {{window_s: 8, baseline_s: 2, points_s: [0, 4]}}
heartbeat: {{rate_hz: 10}}
migration: {{bandwidth_mib_s: 100}}
"""


def text(size: int = 64, rate: int = 16, period: int = 2) -> str:
    return TEXT.format(load=LOAD.format(size=size, rate=rate, period=period))


class Clock:
    def __init__(self) -> None:
        self.ns = 0

    def now_ns(self) -> int:
        return self.ns

    def wait(self, seconds: float, wake: threading.Event) -> bool:
        self.ns += round(seconds * NS_PER_S)
        return wake.is_set()


class Job:
    """A QEMU that answers as it is told to, once the period is over."""

    def __init__(self, clock: Clock, answer: Json, refusal: str = "") -> None:
        self._clock, self._answer, self._refusal = clock, answer, refusal
        self.asked: Mapping[str, Json] = {}

    def qemu(self, command: str, arguments: Mapping[str, Json] | None = None) -> Json:
        if self._refusal:
            raise HypervisorError(self._refusal)
        if command == "calc-dirty-rate":
            self.asked = arguments or {}
            return {}
        assert command == "query-dirty-rate"
        return {"status": "measuring"} if self._clock.ns < NS_PER_S else self._answer


def sampled(path: Path, answer: Json, refusal: str = "") -> tuple[Value | None, Any]:
    """What is recorded of it, and what QEMU was asked."""
    clock = Clock()
    job: Any = Job(clock, answer, refusal)
    with Journal(path / "journal.jsonl", clock) as writer:
        record = Record(journal=writer, clock=clock, folder=path, trial="001-memory", attempt=1)
        dirty_rate.sample(job, record, Interrupt(), Dirtying(rate_mib_s=16, size_mib=64), 1)
    (told,) = journal.read(path / "journal.jsonl")
    return told.value, job.asked


MEASURED: dict[str, Json] = {"status": "measured", "dirty-rate": 15, "sample-pages": 16384, "calc-time": 1}


def test_qemu_samples_as_many_pages_as_it_can_and_its_answer_is_recorded(tmp_path: Path) -> None:
    told, asked = sampled(tmp_path, MEASURED)
    assert asked == {"calc-time": 1, "sample-pages": 16384}
    assert isinstance(told, DirtyRateSampled)
    assert (told.rate_mib_s, told.stated_mib_s, told.working_set_mib, told.period_s) == (15, 16, 64, 1)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"status": "measuring"}, "no dirty rate 15 s after a period of 1 s"),
        ({**MEASURED, "dirty-rate": -1}, "does not say its dirty-rate"),
        ({**MEASURED, "dirty-rate": "much"}, "does not say its dirty-rate"),
        ({**MEASURED, "dirty-rate": True}, "does not say its dirty-rate"),
        ({"status": "measured", "dirty-rate": 3}, "does not say its sample-pages"),
        (None, "no dirty rate"),
        ([1], "no dirty rate"),
    ],
)
def test_an_answer_that_is_none_costs_the_value_alone(tmp_path: Path, answer: Json, said: str) -> None:
    told, _ = sampled(tmp_path, answer)
    assert isinstance(told, ObserverFailed)
    assert said in told.reason


def test_a_qemu_that_does_not_know_the_command_costs_the_value_alone(tmp_path: Path) -> None:
    told, _ = sampled(tmp_path, MEASURED, "The command calc-dirty-rate has not been found")
    assert isinstance(told, ObserverFailed)
    assert "has not been found" in told.reason


def test_the_rate_is_valid_where_the_working_set_exceeds_rate_times_period() -> None:
    assert sampled_rate.valid(64, 31, 2)
    assert not sampled_rate.valid(64, 32, 2)


def test_chance_falls_with_the_pages_that_are_dirtied_and_ends_at_all_of_them() -> None:
    errors = [sampled_rate.chance(256, rate, 1) for rate in (1, 4, 45, 256, 1000)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-2:] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("asked", "line", "said"),
    [
        (text(size=32, rate=16, period=2), 3, "a page that is written twice is counted once"),
        (text(period=61), 3, "dirty_rate_period_s"),
        (text(period=0), 3, "dirty_rate_period_s"),
        (
            TEXT.format(load="{name: idle, dirty_rate_period_s: 1}"),
            3,
            "idle does not state how fast it dirties memory",
        ),
        (
            text() + "variants:\n  slow: {}\n  fast: {workloads: {memory: {rate_mib_s: 40}}}\n",
            9,
            "which 40 MiB/s write through",
        ),
    ],
)
def test_a_check_that_would_say_nothing_is_refused_with_its_line(asked: str, line: int, said: str) -> None:
    with pytest.raises(CampaignError) as caught:
        loads(asked, "c.yml")
    assert f"c.yml:{line}" in str(caught.value)
    assert said in str(caught.value)


def test_the_plan_has_it_and_keeps_its_hash_without_it() -> None:
    plan = expand(loads(text(), "c.yml"))
    assert [trial.dirty_rate_period_s for trial in plan.trials] == [2]
    assert from_json(plan.to_json()) == plan
    plain = expand(loads(text().replace(", dirty_rate_period_s: 2", ""), "c.yml"))
    assert "dirty_rate" not in str(plain.to_json())
    assert estimate(plan, "tcg").steady_s == estimate(plain, "tcg").steady_s + 2
    assert "dirty_rate_period_s" in str(json_schema())


def test_a_played_run_has_the_sampled_rate_next_to_the_stated_one(tmp_path: Path) -> None:
    run = campaigns.begin(tmp_path, text())
    assert campaigns.carry_out(run, text()) is not None
    (told,) = (
        value for one in accounts(journal.read(run.journal)) for _, value in one.told(DirtyRateSampled)
    )
    assert (told.rate_mib_s, told.sample_pages) == (16, 16384)
    found = modelled.points(material.read(run))
    assert found
    table = modelled._table(found)
    at = [column.label for column in table.columns].index("sampled")
    (row,) = table.rows
    assert row[at].text == "16.8"
    assert row[at].below.startswith("+0 % (chance: ±")
    assert row[at].reason == ""
