"""The loop and its responder over a real registry: what is decided, done, stored, and said, in what order.

Hosts and TPMs are played, so that a fault can come at an exact moment; the lab's tests have the real ones.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from harness.attest.reasons import Reason
from harness.clock import sleep
from harness.policy.fleet import Fleet
from harness.policy.request import request
from harness.policy.server import Server
from harness.registry.errors import RegistryError, ResponseOpenError
from tests.response.fleets import TABLE, accused, good, server
from tests.response.played_stage import CLOCK, VM, Stage, quick


def test_a_guest_that_is_well_is_left_alone(stage: Stage) -> None:
    loop = stage.guard()
    sleep(0.2)
    loop.check()
    assert (stage.said, stage.hands.moves, stage.registry.responses.of(VM)) == ([], [], ())


def test_a_violation_moves_it_and_every_step_is_stored_before_the_next(stage: Stage) -> None:
    stage.outlook.trusts["a"] = accused(Reason.MEMORY_VIOLATION)
    stage.guard()
    (end,) = stage.await_ends(1)
    assert (end.state, end.host) == ("completed", "b")
    assert stage.states() == ["begun", "migrating", "arrived", "completed"]
    assert [kind for kind, _ in stage.said] == [
        "response.detected",
        "response.decided",
        "response.arrived",
        "response.closed",
    ]
    assert stage.said[0][1]["cause"] == "violation"
    assert (stage.placement(VM).host, stage.placement(VM).epoch) == ("b", 2)
    assert stage.registry.responses.of(VM)[0].trigger["cause"] == "violation"
    assert stage.registry.audit.head().number > 0


def test_it_is_moved_once_and_not_again(stage: Stage) -> None:
    stage.outlook.trusts["a"] = accused()
    stage.guard()
    stage.await_ends(1)
    sleep(0.2)
    assert stage.hands.moves == [(1, "b")]


def test_the_call_to_migrate_comes_after_the_decision_is_on_the_disk(stage: Stage) -> None:
    seen: list[str] = []
    stage.hands.during = lambda _destination: seen.extend(stage.states())
    stage.outlook.trusts["a"] = accused()
    stage.guard()
    stage.await_ends(1)
    assert seen == ["begun", "migrating"]


def test_a_new_request_that_the_server_does_not_satisfy_moves_it(stage: Stage) -> None:
    stage.guard()
    sleep(0.1)
    other = Server(name="b", architecture="DataSafe", verdict=good(10**19))
    stage.outlook.fleet = lambda running: _fleet([server("a"), other])  # type: ignore[method-assign]
    stage.registry.protection.set(VM, request(["1", "5", "6", "7"]).to_json(), by="customer", why="more")
    (end,) = stage.await_ends(1)
    assert (end.state, end.host, stage.said[0][1]["cause"]) == ("completed", "b", "request")


def _fleet(servers: Sequence[Server]) -> Fleet:
    fleet = Fleet(TABLE)
    for one in servers:
        fleet.update(one)
    return fleet


def test_a_destination_that_is_bad_when_asked_once_more_is_not_used(stage: Stage) -> None:
    stage.outlook.trusts["a"] = accused()
    stage.prover.bad = {"b"}
    stage.guard()
    (end, *_) = stage.await_ends(1)
    assert end.state == "not-begun"
    assert "pcr-value" in end.reason
    assert stage.hands.moves == []
    assert stage.registry.responses.of(VM) == ()


def test_a_destination_whose_quote_is_older_than_the_window_is_not_used(stage: Stage) -> None:
    """What it said then says too little of now; it may be asked again, at the next decision."""
    stage.outlook.trusts["a"] = accused()
    stage.prover.old_ns = 3 * 10**9
    stage.guard(quick(max_window_s=2))
    (end, *_) = stage.await_ends(1)
    assert end.state == "not-begun"
    assert "max_window_s" in end.reason and "3.0" in end.reason
    assert stage.hands.moves == []


def test_a_decision_that_took_too_long_to_store_is_not_used(stage: Stage) -> None:
    begin = stage.registry.responses.begin

    def slow(*given: Any, **named: Any) -> Any:
        sleep(0.3)
        return begin(*given, **named)

    stage.registry.responses.begin = slow  # type: ignore[method-assign]
    stage.outlook.trusts["a"] = accused()
    stage.guard(quick(max_window_s=0.25, retry_after_s=50, per_s=60))
    (end, *_) = stage.await_ends(1)
    assert (end.state, end.host) == ("failed", "a")
    assert "max_window_s" in end.reason
    assert stage.hands.moves == []
    assert [one.state for one in stage.registry.responses.of(VM)] == ["failed"]


def test_within_the_window_the_guest_is_moved(stage: Stage) -> None:
    stage.outlook.trusts["a"] = accused()
    stage.prover.old_ns = 3 * 10**9
    stage.guard(quick(max_window_s=60))
    (end, *_) = stage.await_ends(1)
    assert (end.state, end.host) == ("completed", "b")


def test_a_move_is_called_off_when_its_destination_degrades(stage: Stage) -> None:
    def degrade(destination: str) -> None:
        stage.outlook.trusts[destination] = accused()
        end_ns = CLOCK.now_ns() + 5_000_000_000
        while stage.hands.called_off is None and CLOCK.now_ns() < end_ns:
            sleep(0.005)

    stage.hands.during = degrade
    stage.outlook.trusts["a"] = accused(Reason.MEMORY_VIOLATION)
    stage.guard(quick(nowhere="hold"))
    end = stage.await_ends(1)[0]
    assert (end.state, end.host) == ("called-off", "a")
    assert "not good any more" in end.reason
    assert stage.placement(VM).host == "a"


def test_too_late_to_call_it_off_the_guest_moves_on(stage: Stage) -> None:
    """It arrives on a server that has become bad; the other one has become good again meanwhile."""

    def degrade(destination: str) -> None:
        if destination == "b":
            stage.outlook.trusts = {"a": good(10**19), "b": accused()}
            sleep(0.1)

    stage.hands.during, stage.hands.too_late = degrade, True
    stage.outlook.trusts["a"] = accused(Reason.MEMORY_VIOLATION)
    stage.guard()
    ends = stage.await_ends(2)
    assert [(one.state, one.host) for one in ends[:2]] == [("completed", "b"), ("completed", "a")]
    assert stage.hands.moves == [(1, "b"), (2, "a")]


def test_a_failed_migration_is_another_decision_and_not_a_silent_retry(stage: Stage) -> None:
    stage.hands.outcomes = ["connection reset"]
    stage.outlook.trusts["a"] = accused()
    stage.guard()
    ends = stage.await_ends(2)
    assert [one.state for one in ends[:2]] == ["failed", "completed"]
    assert stage.states() == ["begun", "migrating", "failed", "begun", "migrating", "arrived", "completed"]


@pytest.mark.parametrize("seen", [True, False])
def test_the_arrival_is_looked_at_once_whether_or_not_it_was_seen_to_run(stage: Stage, seen: bool) -> None:
    stage.hands.seen_to_run = seen
    stage.outlook.trusts["a"] = accused()
    stage.guard()
    (end,) = stage.await_ends(1)
    assert (end.state, stage.prover.looks) == ("completed", [("b", 2)])


def test_what_was_seen_to_run_and_then_failed_to_arrive_did_not_arrive(stage: Stage) -> None:
    stage.hands.outcomes = ["the destination ended before libvirt was done"]
    stage.outlook.trusts["a"] = accused()
    stage.guard(quick(max_moves=1))
    end = stage.await_ends(1)[0]
    assert (end.state, end.host, stage.prover.looks[0]) == ("failed", "a", ("b", 2))
    assert stage.placement(VM).host == "a"


def test_what_arrives_and_is_not_what_left_is_a_failed_response(stage: Stage) -> None:
    stage.prover.arrived = Reason.GUEST_RESTARTED
    stage.outlook.trusts["a"] = accused()
    stage.guard()
    (end,) = stage.await_ends(1)
    assert (end.state, end.host) == ("failed", "b")
    assert stage.placement(VM).host == "b"


@pytest.mark.parametrize(
    ("what", "state", "stops"),
    [("hold", "held", []), ("suspend", "suspended", ["suspend"]), ("shut-down", "shut-down", ["shut-down"])],
)
def test_with_no_server_left_the_policy_s_last_resort_is_done_and_an_alarm_raised(
    stage: Stage, what: str, state: str, stops: list[str]
) -> None:
    stage.outlook.trusts = {"a": accused(), "b": accused()}
    stage.guard(quick(nowhere=what))
    (end,) = stage.await_ends(1)
    sleep(0.1)
    assert (end.state, stage.hands.stops, stage.hands.moves) == (state, stops, [])
    assert stage.states() == ["begun", state]
    alarms = [one for one in stage.registry.audit.entries() if one.kind == "alarm"]
    assert len(alarms) == 1
    assert "no server is left" in str(alarms[0].body)


def test_a_held_guest_is_moved_as_soon_as_a_server_is_good_again(stage: Stage) -> None:
    stage.outlook.trusts = {"a": accused(), "b": accused()}
    stage.guard(quick(nowhere="hold"))
    stage.await_ends(1)
    stage.outlook.trusts["b"] = good(10**19)
    assert stage.await_ends(2)[1].host == "b"


def test_a_second_controller_is_refused_and_stops(stage: Stage) -> None:
    stage.registry.responses.begin(VM, owner="another", trigger={}, decision={})
    stage.outlook.trusts["a"] = accused()
    loop = stage.guard()
    with pytest.raises(ResponseOpenError):
        stage.await_ends(1)
    assert stage.hands.moves == []
    loop.stop()


def test_a_registry_that_is_gone_ends_the_guard_with_its_reason(stage: Stage) -> None:
    loop = stage.guard()
    sleep(0.05)

    def refuse(vm: str) -> None:
        raise RegistryError("the registry does not answer")

    stage.registry.protection.current = refuse  # type: ignore[method-assign]
    end_ns = CLOCK.now_ns() + 5_000_000_000
    with pytest.raises(RegistryError, match="does not answer"):
        while CLOCK.now_ns() < end_ns:
            loop.check()
            sleep(0.01)


def test_flapping_evidence_moves_a_guest_no_more_often_than_the_policy_lets(stage: Stage) -> None:
    stage.guard(quick(max_moves=2, per_s=60.0, max_wait_s=60.0))
    stop = threading.Event()

    def flap() -> None:
        while not stop.is_set():
            here = stage.placement(VM).host
            other = "b" if here == "a" else "a"
            stage.outlook.trusts = {here: accused(), other: good(10**19)}
            sleep(0.03)

    thread = threading.Thread(target=flap)
    thread.start()
    sleep(1.0)
    stop.set()
    thread.join()
    assert len(stage.hands.moves) == 2
