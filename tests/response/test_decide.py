"""The decision: one answer for each VM in trouble or due, none for the others, never an ineligible server."""

from __future__ import annotations

import pytest

from harness.response.decide.cause import Cause
from harness.response.decide.decide import Nowhere, Relocate, Wait, decide
from harness.response.decide.hysteresis import Held, VmHistory
from harness.response.decide.situation import UnderWay, looked
from tests.response.deciding import NOW_NS, VIOLATED, crowd, decided, the
from tests.response.fleets import HYPERVISOR_C, accused, good, s, server, silent, state, vm, warned

# who gets an answer


def test_a_vm_that_is_well_gets_none() -> None:
    assert decided([server("a"), server("b")], vm()) == {}


def test_a_vm_on_a_bad_server_is_moved_to_a_good_one() -> None:
    move = the(Relocate, decided([server("a", trust=VIOLATED), server("b")], vm()))

    assert (move.cause, move.candidates) == (Cause.VIOLATION, ("b",))
    assert "contraindicated" in move.finding.why
    assert move.refused == {}


@pytest.mark.parametrize("destination", ["b", None])
def test_a_vm_with_a_response_under_way_gets_none(destination: str | None) -> None:
    open_one = UnderWay(vm="vm-1", source="a", destination=destination)
    assert decided([server("a", trust=VIOLATED), server("b")], vm(), under_way=[open_one]) == {}


def test_only_servers_that_satisfy_the_request_are_candidates() -> None:
    servers = [
        server("a", trust=VIOLATED),
        server("b", "HyperSafe"),
        server("c", trust=silent()),
        server("d", trust=good(expires_ns=NOW_NS)),
        server("e", withdrawn=[HYPERVISOR_C]),
        server("f", trust=warned()),
        server("g", trust=accused()),
        server("h", trust=good(expires_ns=NOW_NS + 1)),
    ]
    move = the(Relocate, decided(servers, vm()))
    assert move.candidates == ("h",)
    assert set(move.refused) == set("bcdefg")


def test_a_warning_counts_where_it_is_let() -> None:
    servers = [server("a", trust=VIOLATED), server("b", trust=warned())]
    assert the(Relocate, decided(servers, vm(), warning_counts=True)).candidates == ("b",)


def test_candidates_are_ranked_and_no_more_are_named_than_can_be_used() -> None:
    servers = [server("a", trust=VIOLATED), server("z", "H-SVM")]
    servers += [server(f"s{n:02}", running_vms=20 - n) for n in range(20)]
    move = the(Relocate, decided(servers, vm()))
    assert move.candidates == ("z", *(f"s{n:02}" for n in range(19, 12, -1)))


def test_a_vm_of_which_nothing_is_remembered_was_satisfied_with_nothing() -> None:
    first = vm(options=["1", "3"], number=1)
    assert the(Relocate, decided([server("a"), server("b", "Bastion")], first)).cause is Cause.REQUEST


def test_the_cause_is_the_request_where_it_is_newer_than_what_was_satisfied() -> None:
    more = vm(options=["1", "3"], number=5)
    servers = [server("a"), server("b", "Bastion")]
    assert the(Relocate, decided(servers, more)).cause is Cause.REQUEST
    known = {"vm-1": VmHistory(complied=5)}
    assert the(Relocate, decided(servers, more, histories=known)).cause is Cause.PROPERTIES


# nowhere to go


@pytest.mark.parametrize("what", ["hold", "suspend", "shut-down"])
def test_a_vm_that_can_go_nowhere_is_dealt_with_as_the_policy_says(what: str) -> None:
    servers = [server("a", trust=VIOLATED), server("b", "HyperSafe"), server("c", trust=silent())]
    stuck = the(Nowhere, decided(servers, vm(), nowhere=what))

    assert (stuck.what, stuck.cause, stuck.known, stuck.until_ns) == (what, Cause.VIOLATION, False, None)
    assert set(stuck.refused) == {"b", "c"}
    assert stuck.alarm == (
        "vm-1 on a can go nowhere. violation: a is contraindicated: memory-violation, not what it was. "
        "Elsewhere: b (HyperSafe): hypervisor_c, hypervisor_i: no; "
        "c cannot be believed: attester-unreachable, no answer"
    )


def test_where_there_is_no_server_the_alarm_says_so() -> None:
    stuck = the(Nowhere, decided([], vm()))
    assert (stuck.cause, stuck.refused) == (Cause.SILENCE, {})
    assert stuck.alarm.endswith("there is no other server")


def test_in_a_large_fleet_servers_alike_are_named_together() -> None:
    servers = [server("a", trust=VIOLATED)]
    servers += [server(f"s{n:03}", "HyperSafe") for n in range(50)]
    servers += [server(f"t{n:03}", trust=silent()) for n in range(20)]
    stuck = the(Nowhere, decided(servers, vm()))
    assert set(stuck.refused) == {"s000", "t000"}
    assert "(and 49 more like it)" in stuck.alarm
    assert "(and 19 more like it)" in stuck.alarm
    servers.append(server("a0", trust=VIOLATED))
    same = the(Nowhere, decided(servers, vm()))
    assert same.refused["a"].endswith("(and 1 more like it)")


@pytest.mark.parametrize(("others", "named"), [(18, 19), (19, 2)])
def test_up_to_twenty_servers_each_has_its_own_reason(others: int, named: int) -> None:
    servers = [server("a", trust=VIOLATED), server("t", trust=silent())]
    servers += [server(f"s{n:02}", "HyperSafe") for n in range(others)]
    stuck = the(Nowhere, decided(servers, vm()))
    assert len(stuck.refused) == named
    assert stuck.refused["t"].endswith("no answer")


def test_what_was_done_and_told_is_known() -> None:
    done = Held(what="hold", cause=Cause.VIOLATION, request_number=0)
    held = {"vm-1": VmHistory(held=done)}
    bad = [server("a", trust=VIOLATED)]
    assert the(Nowhere, decided(bad, vm(), histories=held)).known
    assert not the(Nowhere, decided(bad, vm(), histories=held, nowhere="suspend")).known
    assert not the(Nowhere, decided(bad, vm(number=2), histories=held)).known
    assert not the(Nowhere, decided([server("a", trust=accused())], vm(), histories=held)).known


@pytest.mark.parametrize("what", ["hold", "suspend"])
def test_a_held_vm_moves_as_soon_as_a_server_becomes_eligible(what: str) -> None:
    held = {"vm-1": VmHistory(held=Held(what=what, cause=Cause.VIOLATION, request_number=0))}
    servers = [server("a", trust=VIOLATED), server("b")]
    assert the(Relocate, decided(servers, vm(), histories=held, nowhere=what)).candidates == ("b",)


SUSPENDED = {"vm-1": VmHistory(held=Held(what="suspend", cause=Cause.SILENCE, request_number=0))}


def test_a_suspended_vm_is_reported_until_it_runs_even_where_its_server_is_good_again() -> None:
    stuck = the(Nowhere, decided([server("a")], vm(), histories=SUSPENDED, nowhere="suspend"))
    assert (stuck.what, stuck.known, stuck.cause) == ("suspend", True, Cause.SILENCE)
    assert "may be resumed there" in stuck.alarm
    move = the(Relocate, decided([server("a"), server("b")], vm(), histories=SUSPENDED, nowhere="suspend"))
    assert (move.candidates, move.cause) == (("b",), Cause.SILENCE)


def test_a_held_vm_that_is_well_again_gets_no_answer() -> None:
    held = {"vm-1": VmHistory(held=Held(what="hold", cause=Cause.SILENCE, request_number=0))}
    assert decided([server("a"), server("b")], vm(), histories=held) == {}


def test_a_suspended_vm_is_not_let_run_by_another_policy_and_not_ended_where_its_server_is_good() -> None:
    bad, fine = [server("a", trust=silent())], [server("a")]
    assert the(Nowhere, decided(bad, vm(), histories=SUSPENDED, nowhere="hold")).what == "suspend"
    assert the(Nowhere, decided(fine, vm(), histories=SUSPENDED, nowhere="shut-down")).what == "suspend"
    ended = the(Nowhere, decided(bad, vm(), histories=SUSPENDED, nowhere="shut-down"))
    assert (ended.what, ended.known) == ("shut-down", False)


# the link


@pytest.mark.parametrize(
    ("most", "moving", "expected"), [(1, 0, 1), (3, 0, 3), (3, 2, 1), (2, 2, 0), (1, 2, 0)]
)
def test_no_more_moves_than_the_policy_lets_and_everybody_else_waits_for_the_link(
    most: int, moving: int, expected: int
) -> None:
    open_ones = [UnderWay(vm=f"other-{n}", source="c", destination="b") for n in range(moving)]
    open_ones.append(UnderWay(vm="held", source="c", destination=None))
    actions = decided(
        [server("a", trust=VIOLATED), server("b")],
        *crowd(6),
        under_way=open_ones,
        concurrent_migrations=most,
        order="oldest-request",
    )
    moves = [one for one in actions.values() if isinstance(one, Relocate)]
    waits = [one for one in actions.values() if isinstance(one, Wait)]
    assert [one.vm for one in moves] == [f"vm-{n}" for n in range(expected)]
    assert len(moves) + len(waits) == len(actions) == 6
    taken = [f"other-{n}" for n in range(moving)] + [one.vm for one in moves]
    for one in waits:
        assert one.until_ns is None
        assert one.why == f"the link is taken by {', '.join(taken)}"


def test_moves_come_first_and_the_order_is_the_policys() -> None:
    servers = [server("a", trust=VIOLATED), server("b"), server("c", trust=silent())]
    strict = vm("z-strict", "a", ["1", "2", "3"], number=9)
    actions = decide(state(servers, [*crowd(2), strict], order="strictest-first"), NOW_NS)
    assert [(type(one).__name__, one.vm) for one in actions] == [
        ("Relocate", "vm-0"),
        ("Nowhere", "z-strict"),
        ("Wait", "vm-1"),
    ]


def test_a_vm_that_has_waited_too_long_overtakes() -> None:
    servers = [server("a", trust=VIOLATED), server("b", "Cell")]
    waited = {"lax": VmHistory(troubled_since_ns=NOW_NS - s(51))}
    vms = [vm("lax", options=["1"], number=9), vm("strict")]
    assert isinstance(decided(servers, *vms)["strict"], Relocate)
    assert isinstance(decided(servers, *vms, histories=waited)["lax"], Relocate)


# the look


def test_a_look_notes_who_is_in_trouble_and_who_is_well() -> None:
    before = state([server("a", trust=VIOLATED), server("b")], [vm(), vm("fine", "b", number=7)])
    after = looked(before, NOW_NS)
    assert after.history("vm-1").troubled_since_ns == NOW_NS
    assert (after.history("fine").fine_since_ns, after.history("fine").complied) == (NOW_NS, 7)
    assert before.histories == {}
    assert looked(after, NOW_NS + 1).history("vm-1").troubled_since_ns == NOW_NS


def test_a_look_leaves_a_vm_under_way_alone() -> None:
    open_one = UnderWay(vm="vm-1", source="a", destination="b")
    before = state([server("a", trust=VIOLATED), server("b")], [vm()], under_way=[open_one])
    assert looked(before, NOW_NS).histories == {}


def test_the_same_state_gives_the_same_answer() -> None:
    servers = [server("a", trust=VIOLATED), server("b"), server("c")]
    one = state(servers, crowd(5))
    assert decide(one, NOW_NS) == decide(one, NOW_NS)
    backwards = state(list(reversed(servers)), list(reversed(crowd(5))))
    assert decide(backwards, NOW_NS) == decide(one, NOW_NS)
