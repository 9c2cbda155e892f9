"""The move through Nova: one order, whatever becomes of its answer, and each end by its name."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from keystoneauth1.identity import v3

from harness.clock import NS_PER_S
from harness.evidence.events import ResponseAccepted
from harness.migration.nova.notifications import Notice
from harness.migration.nova.outcome import Ending
from harness.response.act.nova_mover import NovaMover, Patience
from harness.response.act.responder import Moved
from harness.rig.openstack.cloud import Cloud, CloudError
from harness.rig.openstack.session import Keystone
from tests.nova.played_api import REQUEST, SERVER, Api, LostError, served
from tests.nova.test_notifications import RECORDED

PATIENCE = Patience(look_s=2.0, server_s=10.0, most_s=30.0, unanswered_s=10.0)


class Hasty:
    """A clock whose waits take no time."""

    def __init__(self) -> None:
        self.now = 1

    def now_ns(self) -> int:
        return self.now

    def wait(self, seconds: float, wake: threading.Event) -> bool:
        self.now += int(seconds * NS_PER_S)
        return wake.is_set()


@dataclass
class Tried:
    """A mover of the played cloud, and what it said."""

    api: Api
    heard: list[Notice] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)
    runs: int = 0
    mover: NovaMover | None = None

    def move(self) -> Moved:
        def tell(value: Any, *, t_ns: int | None = None) -> None:
            self.told.append(value)

        def runs() -> None:
            self.runs += 1

        with served(self.api) as address:
            auth = v3.Password(
                f"{address}/v3", username="u", password="p", user_domain_id="default", project_id="p"
            )
            cloud = Cloud(Keystone(auth, timeout_s=5))
            hosts = {"rack/c": "c"}
            self.mover = NovaMover(cloud, SERVER, hosts, lambda: self.heard, tell, Hasty(), PATIENCE)
            return self.mover.move(1, "rack/c", runs)

    def ends(self, ending: Ending) -> Moved:
        """Move, and expect that end."""
        moved = self.move()
        error = moved.outcome.error
        assert moved.outcome.ok == (ending is Ending.COMPLETED), error
        assert (error or "completed:").startswith(f"{ending}:"), error
        return moved


@pytest.fixture
def tried() -> Iterator[Tried]:
    yield Tried(Api())


def test_a_move_that_succeeds_looks_at_the_server_once(tried: Tried) -> None:
    tried.ends(Ending.COMPLETED)
    assert tried.runs == 1
    assert tried.told == [ResponseAccepted(n=1)]
    assert tried.api.orders == 1
    servers = [path for method, path in tried.api.asked if method == "GET" and path.endswith(SERVER)]
    assert len(servers) == 1


@pytest.mark.parametrize(
    ("name", "answer", "ending"),
    [
        ("vtpm", "answer", Ending.VTPM),
        ("refused-at-once", "stopped", Ending.STATE),
        ("refused-at-once", "denied", Ending.DENIED),
        ("refused-at-once", "unknown_host", Ending.BAD_HOST),
        ("deleted", "gone", Ending.DELETED),
    ],
)
def test_what_nova_refuses_at_once_ends_at_once(tried: Tried, name: str, answer: str, ending: Ending) -> None:
    said = RECORDED[name][answer]
    tried.api.order = lambda: (said["status"], said["body"])
    tried.ends(ending)
    assert (tried.api.looks, tried.api.orders, tried.runs) == (1, 1, 0)


def test_a_token_that_expired_is_renewed_and_the_order_given_once(tried: Tried) -> None:
    tried.api.refuse_tokens = 1
    tried.ends(Ending.COMPLETED)
    assert (tried.api.tokens, tried.api.orders) == (2, 1)


def test_without_a_token_no_order_is_given(tried: Tried) -> None:
    tried.api.refuse_tokens = -1
    tried.ends(Ending.TOKEN)
    assert tried.api.orders == 0


def _lost() -> tuple[int, Any]:
    raise LostError


def test_an_order_whose_answer_is_lost_may_have_been_taken(tried: Tried) -> None:
    tried.api.order = _lost
    tried.ends(Ending.COMPLETED)
    assert tried.api.orders == 1


def test_a_proxys_answer_says_nothing_of_the_order(tried: Tried) -> None:
    def late() -> tuple[int, Any]:
        tried.api.ordered = True
        return 504, b"<html>gateway time-out</html>"

    tried.api.order, tried.api.keeps = late, True
    tried.ends(Ending.COMPLETED)
    assert tried.api.orders == 1


def test_an_error_after_which_no_migration_appears_is_the_end(tried: Tried) -> None:
    tried.api.order = lambda: (500, {"computeFault": {"code": 500, "message": "Unexpected API Error"}})
    tried.ends(Ending.UNREACHABLE)
    assert tried.api.orders == 1


def test_an_order_to_stop_it_is_given_again_where_it_was_lost(tried: Tried) -> None:
    def look(number: int) -> tuple[int, Any] | None:
        if number == 3:
            assert tried.mover is not None
            tried.mover.call_off("the destination has become bad")
        return None

    tried.api.statuses, tried.api.look, tried.api.lost_aborts = ["running"], look, 1
    tried.ends(Ending.CANCELLED)


def test_an_order_that_was_lost_itself_is_not_given_again(tried: Tried) -> None:
    tried.api.order, tried.api.taken = _lost, False
    tried.ends(Ending.UNREACHABLE)
    assert tried.api.orders == 1


@pytest.mark.parametrize(
    "trouble", [(503, None), (500, {"computeFault": {"message": "x"}}), (200, b"<html>"), (200, [])]
)
def test_an_api_that_fails_for_a_while_loses_nothing(tried: Tried, trouble: tuple[int, Any]) -> None:
    tried.api.look = lambda number: trouble if 2 <= number <= 5 else None
    tried.ends(Ending.COMPLETED)
    assert tried.api.orders == 1


def test_an_api_that_fails_for_good_leaves_the_end_unknown(tried: Tried) -> None:
    tried.api.look = lambda number: (503, None) if number > 1 else None
    moved = tried.ends(Ending.UNKNOWN)
    assert "503" in (moved.outcome.error or "")


def test_a_server_that_is_deleted_on_its_way_is_gone(tried: Tried) -> None:
    tried.api.statuses, tried.api.gone = ["running"], True
    tried.ends(Ending.DELETED)


def test_a_notice_of_it_only_makes_that_faster(tried: Tried) -> None:
    tried.api.statuses, tried.api.gone = ["running"], True
    tried.heard = [
        Notice(event="instance.delete.end", publisher="nova-compute:b", at_us=1, server=SERVER, request=None)
    ]
    tried.ends(Ending.DELETED)
    assert tried.api.looks == 2


def test_it_arrives_somewhere_else(tried: Tried) -> None:
    tried.api.host = "a"
    moved = tried.ends(Ending.ELSEWHERE)
    assert "it is on a and was to go to c" in (moved.outcome.error or "")


def test_a_migration_that_does_not_end_is_not_waited_for_for_ever(tried: Tried) -> None:
    tried.api.statuses = ["running"]
    tried.ends(Ending.UNKNOWN)


def test_a_move_is_called_off(tried: Tried) -> None:
    def look(number: int) -> tuple[int, Any] | None:
        if number == 3:
            assert tried.mover is not None
            assert tried.mover.call_off("the destination has become bad")
            assert not tried.mover.call_off("twice")
        return None

    tried.api.statuses, tried.api.look = ["running"], look
    moved = tried.ends(Ending.CANCELLED)
    assert moved.called_off == "the destination has become bad"
    assert sum(1 for method, _ in tried.api.asked if method == "DELETE") == 1


def test_a_host_that_arrives_is_told_by_its_notice_before_the_end(tried: Tried) -> None:
    arriving = "instance.live_migration_post_dest.start"
    tried.heard = [
        Notice(event=arriving, publisher="nova-compute:c", at_us=1, server=SERVER, request=REQUEST)
    ]
    tried.api.statuses = ["running", "running", "error"]
    tried.api.host = "b"
    moved = tried.move()
    assert not moved.outcome.ok
    assert tried.runs == 1


def test_an_answer_without_end_is_not_read(tried: Tried) -> None:
    tried.api.look = lambda number: (200, b" " * 4_000_001) if number > 1 else None
    moved = tried.ends(Ending.UNKNOWN)
    assert "too long" in (moved.outcome.error or "")


def test_stopping_says_what_went_wrong(tried: Tried) -> None:
    with served(tried.api) as address:
        auth = v3.Password(
            f"{address}/v3", username="u", password="p", user_domain_id="default", project_id="p"
        )
        mover = NovaMover(
            Cloud(Keystone(auth)), SERVER, {}, lambda: (), lambda value, *, t_ns=None: None, Hasty()
        )
        assert mover.stop("suspend") is None
        tried.api.order = lambda: (409, {"conflictingRequest": {"message": "Cannot 'pause' instance"}})
        assert mover.stop("shut-down") == "state: Cannot 'pause' instance"
        tried.api.order = _lost
        assert "does not answer" in (mover.stop("suspend") or "")
    with pytest.raises(CloudError):
        Cloud(Keystone(auth, timeout_s=1)).server(SERVER)
