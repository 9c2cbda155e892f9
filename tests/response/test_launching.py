"""Which server a new guest is deployed onto: the best of all that are watched, once all of them are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

from harness.attest.monitor.kinds.contract import ARCHITECTURE_TYPE
from harness.attest.monitor.shared import SharedAttesters
from harness.attest.monitor.standing import Standing
from harness.attest.reasons import Reason, Tier
from harness.attest.verdict import NOTHING_KNOWN, Verdict
from harness.clock import NS_PER_S
from harness.policy.capability_file import load_table
from harness.policy.request import request
from harness.policy.validated import NoServerError
from harness.response.act import launching
from harness.response.act.servers import Servers, Watched
from tests.synthetic.clocks import SteppedClock

SLOW_NS = NS_PER_S
LIMIT_S = 10.0
A = Standing(
    subject="a",
    monitor="hyperwall",
    simulated=True,
    lifetime_ns=3 * NS_PER_S,
    verdict=Verdict(tier=Tier.AFFIRMING, reason=Reason.ACCEPTED),
    deadline_ns=100 * NS_PER_S,
    heard=True,
)
B = replace(A, subject="b")
UNSEEN = replace(A, verdict=NOTHING_KNOWN, heard=False)
SILENT = replace(A, verdict=A.verdict.lost(Reason.RESULT_EXPIRED), silent=True)
ACCUSED = replace(A, verdict=Verdict(tier=Tier.CONTRAINDICATED, reason=Reason.MEMORY_VIOLATION))
WITHOUT = replace(UNSEEN, evident=False)


@dataclass
class Monitor:
    """Stands one way at the first question and the next way at the next; the last way lasts."""

    told: list[tuple[Standing, ...]]

    def standings(self) -> tuple[Standing, ...]:
        return self.told.pop(0) if len(self.told) > 1 else self.told[0]


def chosen(*told: Sequence[Standing], slow_ns: int = 0) -> str:
    """The server that is chosen as the monitor of a and b stands so, by a registry that takes `slow_ns`."""
    clock = SteppedClock(now=NS_PER_S)

    def properties(_server: str) -> object:
        clock.now += slow_ns
        return {ARCHITECTURE_TYPE: SimpleNamespace(value="HyperWall")}

    stub: Any = SimpleNamespace(properties=properties)
    shared = SharedAttesters(stub, {}, clock)
    servers = Servers(
        [Watched(name=name, monitors=("hyperwall",)) for name in "ab"],
        shared,
        shared.means("ecc-p256", lambda _name: 0),
        stub,
        load_table(),
        interval_s=1,
        clock=clock,
        on_change=lambda: None,
    )
    monitor: Any = Monitor([tuple(one) for one in told])
    servers.monitor = monitor

    def pause(seconds: float) -> None:
        clock.now += round(seconds * NS_PER_S)

    return launching.choose(servers, request(["1", "2"]), clock, limit_s=LIMIT_S, pause=pause)[0]


def test_of_equal_servers_the_first_by_name_is_chosen() -> None:
    assert chosen([A, B]) == "a"


def test_a_server_that_becomes_known_while_it_is_chosen_is_chosen_too() -> None:
    assert chosen([UNSEEN, B], [A, B]) == "a"


def test_a_server_that_was_late_for_a_moment_is_waited_for() -> None:
    assert chosen([SILENT, B], [SILENT, B], [SILENT, B], [A, B]) == "a"


def test_a_result_that_expires_while_the_registry_is_read_is_waited_for() -> None:
    expiring = replace(A, deadline_ns=NS_PER_S + SLOW_NS)
    assert chosen([expiring, B], [expiring, B], [A, B], slow_ns=SLOW_NS) == "a"


@pytest.mark.parametrize("lost", [UNSEEN, SILENT])
def test_a_server_that_stays_unknown_is_not_waited_for_forever(lost: Standing) -> None:
    assert chosen([lost, B]) == "b"


def test_where_every_server_is_known_to_be_bad_the_answer_is_given_at_once() -> None:
    bad = [ACCUSED, replace(ACCUSED, subject="b")]
    with pytest.raises(NoServerError):
        chosen(bad, bad, bad, [A, B])


def test_a_server_that_stays_unknown_may_still_be_the_one() -> None:
    late = [ACCUSED, replace(UNSEEN, subject="b")]
    assert chosen(*[late] * 6, [ACCUSED, B]) == "b"


@pytest.mark.parametrize("bad", [ACCUSED, WITHOUT])
def test_a_server_of_which_nothing_better_will_come_is_not_waited_for(bad: Standing) -> None:
    assert chosen([bad, B], [bad, B], [A, B]) == "b"
