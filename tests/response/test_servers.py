"""What several monitors' standings of one server come to, and what is kept of the looks behind them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from harness.attest.monitor.shared import SharedAttesters
from harness.attest.monitor.standing import Standing
from harness.attest.reasons import Reason, Tier
from harness.attest.verdict import Verdict
from harness.campaign.scenarios.injector import Moment, bounded
from harness.cli.attest import monitor
from harness.response import service
from harness.response.act import servers
from harness.response.act.servers import as_server, together
from tests.synthetic.clocks import SteppedClock

GOOD = Standing(
    subject="a",
    monitor="tpm",
    simulated=False,
    lifetime_ns=10,
    verdict=Verdict(tier=Tier.AFFIRMING, reason=Reason.ACCEPTED),
    deadline_ns=100,
    heard=True,
)
ACCUSED = replace(
    GOOD, verdict=Verdict(tier=Tier.CONTRAINDICATED, reason=Reason.MEMORY_VIOLATION), simulated=True
)
SILENT = replace(GOOD, verdict=Verdict(tier=Tier.NONE, reason=Reason.RESULT_EXPIRED))
WARNED = replace(GOOD, verdict=Verdict(tier=Tier.WARNING, reason=Reason.CLOCK_NOT_SAFE))
WITHOUT = replace(
    GOOD, monitor="datasafe", verdict=Verdict(tier=Tier.NONE, reason=Reason.NOTHING_APPRAISED), evident=False
)


@pytest.mark.parametrize(
    ("standings", "tier", "reason"),
    [
        ([GOOD], Tier.AFFIRMING, Reason.ACCEPTED),
        ([GOOD, WARNED], Tier.WARNING, Reason.CLOCK_NOT_SAFE),
        ([GOOD, SILENT], Tier.NONE, Reason.RESULT_EXPIRED),
        ([ACCUSED, GOOD], Tier.CONTRAINDICATED, Reason.MEMORY_VIOLATION),
        ([SILENT, ACCUSED], Tier.CONTRAINDICATED, Reason.MEMORY_VIOLATION),
        ([WITHOUT, GOOD], Tier.AFFIRMING, Reason.ACCEPTED),
        ([WITHOUT], Tier.NONE, Reason.NOTHING_APPRAISED),
        ([], Tier.NONE, Reason.NOTHING_APPRAISED),
    ],
)
def test_the_worst_of_them_counts(standings: list[Standing], tier: Tier, reason: Reason) -> None:
    found = together(standings)
    assert (found.tier, found.reason) == (tier, reason)


def test_it_holds_as_long_as_the_first_of_them() -> None:
    assert together([GOOD, replace(GOOD, deadline_ns=40)]).expires_ns == 40


def test_one_simulated_monitor_marks_the_whole() -> None:
    assert as_server("a", [replace(GOOD, simulated=True), GOOD], {}, 0).simulated
    assert not as_server("a", [GOOD], {}, 0).simulated


@dataclass
class Attester:
    """Answers a question for properties after a time."""

    clock: SteppedClock

    def properties(self) -> Any:
        self.clock.now += 7
        return "said"


def test_a_look_at_properties_is_stamped_before_and_after() -> None:
    clock, nobody = SteppedClock(now=100), Any
    examiner: Any = nobody
    attester: Any = Attester(clock)
    shared = SharedAttesters(examiner, {"a": attester}, clock)
    assert shared.last("a", "hyperwall") is None
    shared.means("ecc-p256", lambda _name: 0).properties("a")
    found = shared.last("a", "hyperwall")
    assert found is not None
    assert (found.asked_ns, found.evidence_ns, found.result_ns) == (100, 107, 107)
    assert shared.last("a", "tpm") is None


def test_a_hosts_own_stamps_count_where_its_clock_is_the_controllers() -> None:
    assert bounded(20, 30, "k", 10, 40, lambda: "k") == Moment(earliest_ns=20, latest_ns=30)


@pytest.mark.parametrize("kernel", ["another", ""])
def test_elsewhere_the_controllers_stamps_bound_the_moment(kernel: str) -> None:
    assert bounded(20, 30, kernel, 10, 40, lambda: "k") == Moment(earliest_ns=10, latest_ns=40)


@pytest.mark.parametrize("stamps", [(5, 30), (20, 50), (30, 20)])
def test_stamps_that_cannot_be_of_this_clock_are_not_taken(stamps: tuple[int, int]) -> None:
    assert bounded(*stamps, "k", 10, 40, lambda: "k") == Moment(earliest_ns=10, latest_ns=40)


def test_whoever_watches_gives_a_result_the_same_life() -> None:
    lives = {vars(one)["LIFE_IN_INTERVALS"] for one in (servers, service, monitor)}
    assert lives == {3.0}
