"""A fleet over time, driven at random: no guest forgotten, none starved, none moved back and forth."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.attest.reasons import Reason
from harness.policy.request import request
from harness.policy.server import Server
from harness.response.decide.cause import Cause
from harness.response.decide.decide import Relocate
from tests.response.fleets import HYPERVISOR_C, OTHER_VMS_C, accused, good, policy, s, server, silent, vm
from tests.response.simulation import Luck, World

ARCHITECTURES = ("HyperWall", "HyperWall", "H-SVM", "Cell", "Bastion", "HyperSafe")
REQUESTS = (("1",), ("1",), ("1", "2"), ("1:i", "2:c"), ("1", "3"), ("1", "2", "3"))
PER_S, RETURN_S, SETTLE_S = 300, 60, 10

policies = st.fixed_dictionaries(
    {
        "order": st.sampled_from(["strictest-first", "oldest-request", "name"]),
        "nowhere": st.sampled_from(["hold", "suspend", "shut-down"]),
        "settle_s": st.sampled_from([0, SETTLE_S]),
        "return_after_s": st.sampled_from([0, RETURN_S]),
        "max_moves": st.integers(1, 4),
        "per_s": st.just(PER_S),
        "retry_after_s": st.sampled_from([0, 5]),
        "max_wait_s": st.sampled_from([0, 30]),
        "concurrent_migrations": st.integers(1, 2),
        "moving_target": st.none() | st.just({"min_s": 40, "max_s": 90}),
    }
)


def changed(data: st.DataObject, one: Server, now_ns: int) -> Server:
    """The server after something happened to it."""
    trust = data.draw(
        st.sampled_from(
            [
                good(),
                good(),
                good(expires_ns=now_ns + s(7)),
                accused(),
                accused(Reason.MEMORY_VIOLATION),
                silent(),
                one.verdict,
            ]
        )
    )
    withdrawn = data.draw(st.sampled_from([(), (), (HYPERVISOR_C,), (OTHER_VMS_C,)]))
    return replace(one, verdict=trust, withdrawn=frozenset(withdrawn))


def luck(data: st.DataObject, *, fails: bool) -> Luck:
    def succeeds() -> bool:
        return not (fails and data.draw(st.booleans()))

    return Luck(takes_ns=lambda: s(data.draw(st.sampled_from([1, 8, 25]))), succeeds=succeeds)


def drawn_world(data: st.DataObject, **changes: Any) -> World:
    servers = [
        server(f"s{n}", data.draw(st.sampled_from(ARCHITECTURES)))
        for n in range(data.draw(st.integers(2, 5)))
    ]
    vms = [
        vm(
            f"vm-{n}",
            data.draw(st.sampled_from([one.name for one in servers])),
            data.draw(st.sampled_from(REQUESTS)),
            number=n + 1,
            placed_ns=1,
        )
        for n in range(data.draw(st.integers(1, 6)))
    ]
    return World(policy(**{**data.draw(policies), **changes}), servers, vms)


def disturb(data: st.DataObject, world: World) -> None:
    """Servers go bad and recover, customers change their minds, while moves take their time or fail."""
    number = 100
    for _ in range(data.draw(st.integers(1, 12))):
        for name in data.draw(st.sets(st.sampled_from(sorted(world.servers)), max_size=2)):
            world.change(changed(data, world.servers[name], world.now_ns))
        if data.draw(st.booleans()) and world.vms:
            name = data.draw(st.sampled_from(sorted(world.vms)))
            asked, number = data.draw(st.sampled_from(REQUESTS)), number + 1
            world.ask(replace(world.vms[name], request=request(asked), request_number=number))
        world.run(world.now_ns + s(data.draw(st.sampled_from([1, 5, 20, 60]))), luck(data, fails=True))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_happens_every_vm_ends_well_or_reported_and_none_is_moved_to_and_fro(
    data: st.DataObject,
) -> None:
    world = drawn_world(data)
    disturb(data, world)
    quiet_s = 2 * PER_S + RETURN_S + SETTLE_S + 25 * len(world.vms)
    world.run(world.now_ns + s(quiet_s), luck(data, fails=False))

    world.check_log()
    world.check_rest()


def steady(*, takes_s: float = 8, ok: bool = True) -> Luck:
    return Luck(takes_ns=lambda: s(takes_s), succeeds=lambda: ok)


def test_a_bad_server_is_left_by_all_one_after_the_other_the_strictest_first() -> None:
    vms = [vm(f"lax-{n}", options=["1"], number=n) for n in range(8)]
    vms += [vm(f"strict-{n}", number=20 + n) for n in range(4)]
    world = World(policy(max_wait_s=1000), [server("a"), server("b")], vms)
    world.change(server("a", trust=accused()))
    world.run(s(200), steady())

    assert {one.host for one in world.vms.values()} == {"b"}
    assert [name for name, _ in world.log] == [f"strict-{n}" for n in range(4)] + [
        f"lax-{n}" for n in range(8)
    ]
    ended = [one.ended_ns for _, one in world.log]
    assert ended == [1 + s(8) * (n + 1) for n in range(12)]


def test_two_servers_that_take_turns_in_being_bad_do_not_play_ping_pong() -> None:
    world = World(policy(settle_s=0, return_after_s=0), [server("a"), server("b")], [vm()])
    for n in range(100):
        bad, fine = ("a", "b") if n % 2 == 0 else ("b", "a")
        world.change(server(bad, trust=silent()))
        world.change(server(fine))
        world.run(world.now_ns + s(9), steady())

    assert len(world.log) == 3
    world.check_log()


def test_a_move_that_always_fails_is_tried_so_often_and_no_more_while_others_go() -> None:
    world = World(policy(max_wait_s=1000), [server("a"), server("b")], [vm("z"), vm("lax", options=["1"])])
    world.change(server("a", trust=accused()))
    tries = {"z": 0}

    def succeeds() -> bool:
        last = next(one.vm for one in world.actions if isinstance(one, Relocate))
        tries["z"] += last == "z"
        return last != "z"

    world.run(s(900), Luck(takes_ns=lambda: s(8), succeeds=succeeds))
    assert world.vms["lax"].host == "b"
    assert [name for name, _ in world.log] == ["z", "lax", "z", "z"]
    assert tries == {"z": 3}


def test_strict_newcomers_do_not_starve_who_waits() -> None:
    """A new strict VM comes into trouble before each move ends; the lax one goes all the same."""
    names = [f"strict-{n:02}" for n in range(40)]
    world = World(
        policy(max_wait_s=50),
        [server("a", trust=accused()), server("b"), server("c")],
        [vm("lax", options=["1"], number=99)],
    )
    for n, name in enumerate(names):
        world.ask(vm(name, number=n + 1, placed_ns=world.now_ns))
        world.run(world.now_ns + s(7.9), steady())

    order = [name for name, _ in world.log]
    assert "lax" in order
    moved = next(one for name, one in world.log if name == "lax")
    assert moved.ended_ns <= s(50 + 3 * 8)


def test_moving_targets_move_within_their_range_and_never_because_of_it_back_and_forth_faster() -> None:
    world = World(
        policy(moving_target={"min_s": 40, "max_s": 90}, max_moves=100),
        [server("a"), server("b"), server("c")],
        [vm(placed_ns=1)],
    )
    world.run(s(2000), steady())

    arrivals = [1, *(one.ended_ns for _, one in world.log)]
    assert all(one.cause is Cause.MOVING_TARGET for _, one in world.log)
    stays = [after - before - s(8) for before, after in pairwise(arrivals)]
    assert len(stays) > 20
    assert all(s(40) <= stay <= s(90) for stay in stays)
    assert len({one.destination for _, one in world.log}) == 3
