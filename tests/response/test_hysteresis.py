"""What is remembered of servers and VMs, at exact instants: settling, fleeing, limits, back-off, episodes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.policy.server import Server
from harness.response.decide.cause import FLED, Cause
from harness.response.decide.hysteresis import (
    Held,
    ServerHistory,
    Tried,
    VmHistory,
    attempted,
    barred_until_ns,
    failed_before,
    held,
    may_move_ns,
    noted,
    released,
    settled_ns,
    troubled,
    well,
)
from tests.response.fleets import HYPERVISOR_C, OTHER_VMS_C, accused, good, policy, s, server, silent, warned

POLICY = policy()  # settles in 10 s, returns after 100 s, 3 moves in 1000 s, retries after 5 s
NEEDED = frozenset({HYPERVISOR_C})


def history(*seen: tuple[int, Server], warning_counts: bool = False) -> ServerHistory:
    found: ServerHistory | None = None
    for now_ns, one in seen:
        found = noted(found, one, now_ns, warning_counts=warning_counts)
    assert found is not None
    return found


def attempt(
    source: str, destination: str, ended_ns: int, *, ok: bool = True, cause: Cause = Cause.VIOLATION
) -> Tried:
    return Tried(source=source, destination=destination, cause=cause, ended_ns=ended_ns, ok=ok)


def moved(*attempts: Tried) -> VmHistory:
    found = VmHistory()
    for one in attempts:
        found = attempted(found, one, POLICY)
    return found


# servers


def test_a_server_that_was_never_bad_receives_at_once() -> None:
    assert settled_ns(None, NEEDED, POLICY) is None
    assert settled_ns(history((0, server("a")), (5, server("a"))), NEEDED, POLICY) is None


def test_a_server_of_which_nothing_was_known_was_not_bad() -> None:
    first = history((0, server("a", trust=silent())), (5, server("a", trust=silent())), (9, server("a")))
    assert first.good
    assert settled_ns(first, NEEDED, POLICY) is None


@pytest.mark.parametrize("bad", [accused(), silent(), warned()])
def test_a_server_that_was_bad_settles_from_when_it_is_good_again(bad: object) -> None:
    worse = server("a", trust=bad)  # type: ignore[arg-type]
    seen = history((0, server("a")), (s(1), worse), (s(5), server("a")), (s(7), server("a")))
    assert settled_ns(seen, NEEDED, POLICY) == s(15)


def test_a_server_that_is_accused_when_it_is_first_seen_was_bad() -> None:
    seen = history((0, server("a", trust=accused())), (s(5), server("a")))
    assert settled_ns(seen, NEEDED, POLICY) == s(15)


def test_each_relapse_begins_the_time_anew() -> None:
    seen = history((0, server("a")), (s(1), server("a", trust=accused())), (s(5), server("a")))
    again = noted(noted(seen, server("a", trust=silent()), s(6)), server("a"), s(8))
    assert settled_ns(again, NEEDED, POLICY) == s(18)


def test_evidence_that_expired_before_the_next_came_was_a_time_without_trust() -> None:
    short = server("a", trust=good(expires_ns=s(10)))
    in_time = history((0, short), (s(10) - 1, server("a")))
    late = history((0, short), (s(10), server("a")))

    assert settled_ns(in_time, NEEDED, POLICY) is None
    assert settled_ns(late, NEEDED, POLICY) == s(20)


def test_a_server_that_is_bad_now_is_noted_as_such() -> None:
    seen = history((0, server("a")), (1, server("a", trust=silent())))
    assert seen.good is False
    assert seen.good_until_ns is None
    assert history((0, server("a", trust=silent()))).good is None


def test_a_warning_is_good_where_it_counts() -> None:
    seen = ((0, server("a")), (1, server("a", trust=warned())), (2, server("a")))
    assert settled_ns(history(*seen, warning_counts=True), NEEDED, POLICY) is None
    assert noted(None, server("a", trust=warned()), 0).good is False


def test_another_architecture_is_another_server() -> None:
    seen = history((0, server("a", "HyperSafe")), (s(3), server("a", "HyperWall")))
    assert settled_ns(seen, NEEDED, POLICY) == s(13)


def test_an_architecture_that_was_not_stated_for_a_while_is_the_same() -> None:
    quiet = server("a", None, silent())
    seen = history((0, quiet), (1, server("a")), (2, server("a")))
    assert settled_ns(seen, NEEDED, POLICY) is None


def test_of_two_changes_of_the_architecture_the_later_counts_also_where_none_was_stated_between() -> None:
    seen = history((0, server("a", "HyperSafe")), (s(1), server("a", None)), (s(3), server("a", "HyperWall")))
    assert settled_ns(seen, NEEDED, POLICY) == s(13)


def test_what_was_over_before_it_was_first_seen_says_nothing() -> None:
    expired = server("a", trust=good(expires_ns=5))
    assert settled_ns(history((9, expired), (20, server("a"))), NEEDED, POLICY) is None
    unknown = [(n, server("a", name, silent())) for n, name in enumerate(("HyperSafe", "HyperWall"))]
    assert settled_ns(history(*unknown, (9, server("a"))), NEEDED, POLICY) is None


def test_a_cell_that_came_back_settles_for_those_who_need_it() -> None:
    seen = history((0, server("a", withdrawn=[HYPERVISOR_C])), (s(2), server("a")), (s(3), server("a")))

    assert settled_ns(seen, NEEDED, POLICY) == s(12)
    assert settled_ns(seen, frozenset({OTHER_VMS_C}), POLICY) is None
    assert settled_ns(seen, frozenset({OTHER_VMS_C, HYPERVISOR_C}), POLICY) == s(12)


def test_of_trust_and_cells_the_later_counts() -> None:
    base = ((0, server("a", withdrawn=[HYPERVISOR_C])), (s(2), server("a")))
    seen = history(*base, (s(3), server("a", trust=accused())), (s(6), server("a")))
    assert settled_ns(seen, NEEDED, POLICY) == s(16)
    other = history((0, server("a")), (s(1), server("a", trust=accused())), (s(2), server("a")))
    other = noted(noted(other, server("a", withdrawn=[HYPERVISOR_C]), s(3)), server("a"), s(4))
    assert settled_ns(other, NEEDED, POLICY) == s(14)
    assert settled_ns(other, frozenset({OTHER_VMS_C}), POLICY) == s(12)


# moves


def test_a_vm_does_not_go_back_to_what_it_fled() -> None:
    past = moved(attempt("a", "b", s(1)), attempt("b", "c", s(2)), attempt("c", "a", s(200)))
    assert barred_until_ns(past, "a", POLICY) == s(101)
    assert barred_until_ns(past, "b", POLICY) == s(102)
    assert barred_until_ns(past, "c", POLICY) == s(300)
    assert barred_until_ns(past, "d", POLICY) is None


def test_the_last_flight_counts() -> None:
    past = moved(attempt("a", "b", s(1)), attempt("b", "a", s(200)), attempt("a", "b", s(300)))
    assert barred_until_ns(past, "a", POLICY) == s(400)


@pytest.mark.parametrize("cause", list(Cause))
def test_only_who_left_for_the_servers_sake_has_fled(cause: Cause) -> None:
    past = moved(attempt("a", "b", s(1), cause=cause))
    assert (barred_until_ns(past, "a", POLICY) is not None) == (cause in FLED)
    assert barred_until_ns(moved(attempt("a", "b", s(1), ok=False)), "a", POLICY) is None


def test_nothing_stands_against_a_first_move() -> None:
    assert may_move_ns(VmHistory(), Cause.VIOLATION, POLICY) is None
    assert may_move_ns(moved(attempt("a", "b", 0)), Cause.VIOLATION, POLICY) is None


def test_a_failed_move_is_not_repeated_at_once() -> None:
    limit = may_move_ns(moved(attempt("a", "b", s(7), ok=False)), Cause.SILENCE, POLICY)
    assert limit == (s(12), "a move to b failed")
    over = moved(attempt("a", "b", s(7), ok=False), attempt("a", "c", s(20)))
    assert may_move_ns(over, Cause.SILENCE, POLICY) is None


def test_a_vm_is_moved_so_often_and_not_more() -> None:
    past = moved(attempt("a", "b", s(1)), attempt("b", "c", s(2), ok=False), attempt("b", "c", s(30)))
    limit = may_move_ns(past, Cause.REQUEST, POLICY)
    assert limit == (s(1001), "it was moved 3 times within 1000 s")
    later = attempted(past, attempt("c", "a", s(1001)), POLICY)
    limit = may_move_ns(later, Cause.REQUEST, POLICY)
    assert limit is not None
    assert limit[0] == s(1002)


def test_moves_without_a_reason_do_not_stand_in_the_way_of_one_that_has_one() -> None:
    idle = [attempt("a", "b", s(n), ok=n != 3, cause=Cause.MOVING_TARGET) for n in (1, 2, 3)]
    assert may_move_ns(moved(*idle), Cause.VIOLATION, POLICY) is None
    limit = may_move_ns(moved(*idle), Cause.MOVING_TARGET, POLICY)
    assert limit is not None
    assert limit[0] == s(1001)


def test_moves_with_a_reason_stand_in_the_way_of_one_that_has_none() -> None:
    past = moved(*(attempt("a", "b", s(n)) for n in (1, 2, 3)))
    limit = may_move_ns(past, Cause.MOVING_TARGET, POLICY)
    assert limit is not None
    assert limit[0] == s(1001)


def test_of_two_limits_the_later_one_counts() -> None:
    past = moved(*(attempt("a", "b", s(n), ok=False) for n in (1, 2, 999)))
    assert may_move_ns(past, Cause.SILENCE, POLICY) == (s(1004), "a move to b failed")


def test_destinations_that_failed_are_known_until_a_move_succeeds() -> None:
    failures = [attempt("a", name, s(n), ok=False) for n, name in enumerate("bcb")]
    assert failed_before(moved(*failures)) == ("c", "b")
    assert failed_before(moved(*failures, attempt("a", "d", s(5)))) == ()
    assert failed_before(VmHistory()) == ()


def test_what_no_limit_reaches_is_forgotten_and_nothing_else() -> None:
    past = moved(attempt("a", "b", 0), attempt("b", "c", 1), attempt("c", "d", s(1000)))
    assert [one.ended_ns for one in past.attempts] == [1, s(1000)]
    long_return = policy(return_after_s=5000)
    kept = attempted(
        attempted(VmHistory(), attempt("a", "b", 0), long_return), attempt("b", "c", s(4999)), long_return
    )
    assert barred_until_ns(kept, "a", long_return) == s(5000)


# episodes


def test_trouble_is_counted_from_its_first_moment() -> None:
    first = troubled(VmHistory(), s(1))
    assert troubled(first, s(5)).troubled_since_ns == s(1)


def test_trouble_is_over_when_the_vm_has_been_well_for_long_enough() -> None:
    hurt = held(troubled(VmHistory(), s(1)), Held(what="hold", cause=Cause.SILENCE, request_number=1))
    better = well(hurt, 1, s(2), POLICY)
    assert (better.troubled_since_ns, better.fine_since_ns) == (s(1), s(2))
    assert well(better, 1, s(12) - 1, POLICY).held is not None
    over = well(better, 1, s(12), POLICY)
    assert (over.troubled_since_ns, over.held, over.fine_since_ns) == (None, None, s(2))


def test_a_relapse_is_the_same_trouble_and_the_same_alarm() -> None:
    hurt = held(troubled(VmHistory(), s(1)), Held(what="hold", cause=Cause.SILENCE, request_number=1))
    relapsed = troubled(well(hurt, 1, s(2), POLICY), s(11))
    assert (relapsed.troubled_since_ns, relapsed.fine_since_ns) == (s(1), None)
    assert well(relapsed, 1, s(12), POLICY).held is not None


def test_the_request_that_was_satisfied_is_remembered() -> None:
    seen = well(VmHistory(), 4, 0, POLICY)
    assert seen.complied == 4
    assert well(seen, 3, 1, POLICY).complied == 4
    assert troubled(seen, 2).complied == 4


def test_a_move_that_succeeds_lets_a_vm_go_on_and_one_that_fails_does_not() -> None:
    stopped = held(VmHistory(), Held(what="suspend", cause=Cause.SILENCE, request_number=1))
    assert stopped.suspended
    assert not attempted(stopped, attempt("a", "b", 1), POLICY).suspended
    assert attempted(stopped, attempt("a", "b", 1, ok=False), POLICY).suspended
    assert not released(stopped).suspended
    assert not replace(stopped, held=Held(what="hold", cause=Cause.SILENCE, request_number=1)).suspended


@given(
    st.lists(st.tuples(st.integers(1, 400), st.booleans()), max_size=30),
    st.integers(1, 4),
    st.integers(10, 900),
)
def test_however_a_vm_is_driven_it_moves_no_more_often_than_the_policy_lets_it(
    steps: list[tuple[int, bool]], most: int, per_s: int
) -> None:
    chosen = policy(max_moves=most, per_s=per_s)
    past, now_ns, ended = VmHistory(), 0, []
    for wait_s, ok in steps:
        now_ns += s(wait_s)
        limit = may_move_ns(past, Cause.SILENCE, chosen)
        if limit is None or limit[0] <= now_ns:
            past = attempted(past, attempt("a", "b", now_ns, ok=ok), chosen)
            ended.append((now_ns, ok))
    for first, last in zip(ended, ended[most:], strict=False):
        assert last[0] - first[0] >= s(per_s)
    assert all(after[0] - before[0] >= s(5) for before, after in pairwise(ended) if not before[1])
