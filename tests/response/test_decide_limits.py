"""When limits and moving targets forbid or ask for a move, at exact instants, and when to look again."""

from __future__ import annotations

from typing import Any

import pytest

from harness.response.decide.assessment import Vm
from harness.response.decide.cause import Cause
from harness.response.decide.decide import Nowhere, Relocate, Wait, decide, next_look_ns
from harness.response.decide.hysteresis import ServerHistory, Tried, VmHistory
from harness.response.decide.situation import due_ns
from tests.response.deciding import NOW_NS, VIOLATED, bad_until, crowd, decided, the
from tests.response.fleets import s, server, silent, state, vm

# limits


def test_a_server_that_was_bad_receives_when_it_has_settled_and_not_before() -> None:
    servers = [server("a", trust=VIOLATED), server("b")]
    early = the(Wait, decided(servers, vm(), past=bad_until(NOW_NS - s(10) + 1)))
    assert early.until_ns == NOW_NS + 1
    assert "b was bad" in early.why
    assert the(Relocate, decided(servers, vm(), past=bad_until(NOW_NS - s(10)))).candidates == ("b",)


def test_a_server_that_settles_is_passed_over_for_another() -> None:
    servers = [server("a", trust=VIOLATED), server("b"), server("c", running_vms=9)]
    move = the(Relocate, decided(servers, vm(), past=bad_until(NOW_NS)))
    assert move.candidates == ("c",)
    assert "b was bad" in move.refused["b"]


def fled(ended_ns: int) -> dict[str, VmHistory]:
    away = Tried(source="b", destination="a", cause=Cause.SILENCE, ended_ns=ended_ns, ok=True)
    return {"vm-1": VmHistory(attempts=(away,))}


def test_a_vm_does_not_go_back_to_a_server_that_it_fled_before_its_time() -> None:
    servers = [server("a", trust=VIOLATED), server("b")]
    early = the(Wait, decided(servers, vm(), histories=fled(NOW_NS - s(100) + 1)))
    assert early.until_ns == NOW_NS + 1
    assert "fled b" in early.why
    assert the(Relocate, decided(servers, vm(), histories=fled(NOW_NS - s(100)))).candidates == ("b",)


def test_of_several_servers_that_settle_the_first_to_be_ready_is_waited_for() -> None:
    servers = [server("a", trust=VIOLATED), server("b"), server("c")]
    past = {
        "b": ServerHistory(good=True, good_again_ns=NOW_NS - s(1)),
        "c": ServerHistory(good=True, good_again_ns=NOW_NS - s(2)),
    }
    wait = the(Wait, decided(servers, vm(), past=past))
    assert wait.until_ns == NOW_NS + s(8)
    assert "c was bad" in wait.why


def failures(*to: str, last_ns: int = NOW_NS - s(5)) -> dict[str, VmHistory]:
    tried = tuple(
        Tried(
            source="a",
            destination=name,
            cause=Cause.VIOLATION,
            ended_ns=last_ns - s(len(to) - n - 1),
            ok=False,
        )
        for n, name in enumerate(to)
    )
    return {"vm-1": VmHistory(attempts=tried)}


def test_after_a_failed_move_the_next_is_decided_when_the_back_off_is_over() -> None:
    servers = [server("a", trust=VIOLATED), server("b"), server("c")]
    early = the(Wait, decided(servers, vm(), histories=failures("b", last_ns=NOW_NS - s(5) + 1)))
    assert (early.until_ns, early.why) == (NOW_NS + 1, "a move to b failed")
    assert isinstance(decided(servers, vm(), histories=failures("b"))["vm-1"], Relocate)


def test_a_back_off_that_is_over_does_not_shorten_another_limit() -> None:
    servers = [server("a", trust=VIOLATED), server("b")]
    for last_ns in (NOW_NS - s(100), NOW_NS - s(1)):
        failed = failures("b", last_ns=last_ns)
        wait = the(Wait, decided(servers, vm(), histories=failed, past=bad_until(NOW_NS)))
        assert wait.until_ns == NOW_NS + s(10)
        assert "b was bad" in wait.why


def test_destinations_that_failed_are_tried_last_the_latest_failure_at_the_end() -> None:
    servers = [server("a", trust=VIOLATED), *(server(name) for name in "bcd")]
    move = the(Relocate, decided(servers, vm(), histories=failures("c", "b"), max_moves=9))
    assert move.candidates == ("d", "c", "b")
    only = [server("a", trust=VIOLATED), server("b")]
    assert the(Relocate, decided(only, vm(), histories=failures("b"))).candidates == ("b",)


def test_the_limit_of_moves_is_kept() -> None:
    servers = [server("a", trust=VIOLATED), server("b")]
    often = failures("b", "b", "b", last_ns=NOW_NS - s(20))
    stuck = the(Nowhere, decided(servers, vm(), histories=often))
    assert stuck.until_ns == NOW_NS - s(22) + s(1000)
    assert stuck.refused == {"b": "b satisfies it, but it was moved 3 times within 1000 s"}
    assert stuck.alarm.endswith(f"Elsewhere: {stuck.refused['b']}")


def test_who_would_wait_for_longer_than_the_policy_lets_raises_an_alarm_and_is_never_ended_for_that() -> None:
    servers = [server("a", trust=VIOLATED), server("b")]
    since = {"vm-1": VmHistory(troubled_since_ns=NOW_NS - s(41))}
    patient = the(Wait, decided(servers, vm(), past=bad_until(NOW_NS - s(1)), histories=since))
    assert patient.until_ns == NOW_NS + s(9)
    given: dict[str, Any] = {"past": bad_until(NOW_NS), "histories": since}
    for nowhere, what in (("hold", "hold"), ("suspend", "suspend"), ("shut-down", "hold")):
        stuck = the(Nowhere, decided(servers, vm(), **given, nowhere=nowhere))
        assert (stuck.what, stuck.until_ns) == (what, NOW_NS + s(10))
        assert "b was bad" in stuck.alarm


# moving targets

TARGET = {"min_s": 100, "max_s": 200}


def due_at(one: Vm, **given: Any) -> int:
    due = due_ns(state([], [one], moving_target=TARGET, **given), one)
    assert due is not None
    return due


def test_a_moving_target_moves_when_it_is_due_and_not_before() -> None:
    one, servers = vm(placed_ns=NOW_NS), [server("a"), server("b"), server("c", trust=silent())]
    due = due_at(one)
    assert NOW_NS + s(100) <= due <= NOW_NS + s(200)
    assert decided(servers, one, now_ns=due - 1, moving_target=TARGET) == {}
    move = the(Relocate, decided(servers, one, now_ns=due, moving_target=TARGET))
    assert (move.cause, move.candidates) == (Cause.MOVING_TARGET, ("b",))
    assert move.finding.satisfied
    assert move.refused == {}
    assert move.finding.why == f"it has been on a for {(due - NOW_NS) / 10**9:.1f} s"
    assert decided(servers, one, now_ns=due) == {}


def test_where_a_moving_target_goes_is_drawn() -> None:
    servers = [server("a"), *(server(f"s{n}", running_vms=n) for n in range(5))]
    firsts = set()
    for turn in range(40):
        one = vm(turn=turn)
        move = the(Relocate, decided(servers, one, now_ns=due_at(one), moving_target=TARGET))
        assert set(move.candidates) == {f"s{n}" for n in range(5)}
        firsts.add(move.candidates[0])
    assert firsts == {f"s{n}" for n in range(5)}


def test_of_moving_targets_the_one_that_has_been_due_longest_goes_first() -> None:
    servers = [server("a"), server("b")]
    early, late = vm("z-early", placed_ns=0), vm("a-late", placed_ns=s(1000))
    found = decided(servers, early, late, now_ns=s(1500), moving_target=TARGET)
    assert isinstance(found["z-early"], Relocate)
    assert isinstance(found["a-late"], Wait)


def test_how_long_trouble_lasts_is_told_from_trouble_also_of_a_moving_target() -> None:
    servers = [server("a", trust=VIOLATED), server("b")]
    since = {"vm-1": VmHistory(troubled_since_ns=NOW_NS - s(41))}
    given: dict[str, Any] = {"past": bad_until(NOW_NS), "histories": since, "moving_target": TARGET}
    assert the(Nowhere, decided(servers, vm(placed_ns=NOW_NS), **given)).until_ns == NOW_NS + s(10)


def test_a_moving_target_goes_to_one_of_the_best() -> None:
    servers = [server("a"), *(server(f"s{n:02}", running_vms=n) for n in range(20))]
    for turn in range(20):
        one = vm(turn=turn)
        move = the(Relocate, decided(servers, one, now_ns=due_at(one), moving_target=TARGET))
        assert set(move.candidates) == {f"s{n:02}" for n in range(8)}


def test_trouble_goes_before_a_turn_and_so_does_another_vm_in_trouble() -> None:
    one = vm("due", "c", placed_ns=0)
    servers = [server("a", trust=VIOLATED), server("b"), server("c")]
    actions = decided(servers, one, vm(), now_ns=due_at(one), moving_target=TARGET)
    assert isinstance(actions["vm-1"], Relocate)
    assert the(Wait, actions, "due").cause is Cause.MOVING_TARGET
    lost = vm("due", "a", placed_ns=0)
    assert the(Relocate, decided(servers, lost, now_ns=due_at(lost), moving_target=TARGET), "due").cause is (
        Cause.VIOLATION
    )


@pytest.mark.parametrize("nowhere", ["hold", "suspend", "shut-down"])
def test_a_moving_target_without_another_server_stays_and_nothing_is_done_with_it(nowhere: str) -> None:
    one = vm()
    wait = the(Wait, decided([server("a")], one, now_ns=s(200), moving_target=TARGET, nowhere=nowhere))
    assert (wait.until_ns, wait.why) == (None, "no other server satisfies it")
    settling = the(
        Wait,
        decided(
            [server("a"), server("b")],
            one,
            now_ns=s(900),
            moving_target=TARGET,
            nowhere=nowhere,
            past=bad_until(s(899)),
            settle_s=5000,
        ),
    )
    assert settling.until_ns == s(5899)
    assert "b was bad" in settling.why


# when to look again


def test_the_next_look_is_when_a_limit_ends_or_a_turn_comes() -> None:
    early, late = vm("early", placed_ns=NOW_NS), vm("late", placed_ns=NOW_NS + s(500))
    servers = [server("a", trust=VIOLATED), server("b")]
    at_rest = state([server("a"), server("b")], [early, late], moving_target=TARGET)
    assert next_look_ns(at_rest, decide(at_rest, NOW_NS), NOW_NS) == due_at(early)
    settling = state(servers, [vm()], past=bad_until(NOW_NS))
    assert next_look_ns(settling, decide(settling, NOW_NS), NOW_NS) == NOW_NS + s(10)
    quiet = state([server("a")], [vm()])
    assert next_look_ns(quiet, decide(quiet, NOW_NS), NOW_NS) is None
    stuck = state(servers, [vm()], past=bad_until(NOW_NS), max_wait_s=0)
    assert next_look_ns(stuck, decide(stuck, NOW_NS), NOW_NS) == NOW_NS + s(10)


def test_who_moves_and_who_waits_for_the_link_are_no_reason_to_look_again() -> None:
    busy = state([server("a", trust=VIOLATED), server("b")], crowd(4))
    actions = decide(busy, NOW_NS)
    assert [type(one).__name__ for one in actions] == ["Relocate", "Wait", "Wait", "Wait"]
    assert next_look_ns(busy, actions, NOW_NS) is None


def test_a_turn_that_has_come_is_no_moment_to_wait_for() -> None:
    one = vm()
    due = due_at(one)
    here = state([server("a")], [one], moving_target=TARGET)
    assert next_look_ns(here, decide(here, due), due) is None
