"""Several real processes that want the same at the same moment: exactly one gets it, and nothing is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from harness.attest.reasons import Tier
from harness.json_types import Json
from harness.registry.registry import Registry, open_registry
from tests.registry.subjects import condemned, enrolment, key, moment, result
from tests.registry.workers import Answer, at_once, nothing

KEY = key("tpm of host-a").name
PROCESSES = 3
TURNS = 15


def counted(answers: Sequence[Answer]) -> Counter[str]:
    return Counter(kind for kind, _ in answers)


def enrol(registry: Registry, argument: Any) -> str:
    return registry.enrol(enrolment(**argument)).id


def consume(registry: Registry, nonces: Sequence[bytes]) -> list[bool]:
    return [registry.consume(nonce) for nonce in nonces]


def accept(registry: Registry, versions: Sequence[int]) -> list[bool]:
    return [
        registry.accept(
            result(), key_name=KEY, memory={}, version=version, generated=moment(), expires=moment(60)
        )
        for version in versions
    ]


def add(registry: Registry, amount: int) -> int:
    """Add to a number in the memory until `TURNS` additions were accepted; how many were not."""
    accepted = refused = 0
    while accepted < TURNS:
        state, version = registry.memory("host-a", KEY)
        before: Any = state or {"sum": 0}
        after: Json = {"sum": before["sum"] + amount}
        if registry.accept(
            result(), key_name=KEY, memory=after, version=version, generated=moment(), expires=moment(60)
        ):
            accepted += 1
        else:
            refused += 1
    return refused


def judge(registry: Registry, tier: Tier) -> None:
    """Attest again and again, or condemn once."""
    if tier is Tier.CONTRAINDICATED:
        registry.record(condemned(), generated=moment())
        return
    for _ in range(TURNS):
        accept(registry, [registry.memory("host-a", KEY)[1]])


def place(registry: Registry, host: str) -> str:
    return registry.place("guest-1", host, 1).host


def begin(registry: Registry, owner: str) -> int:
    return registry.responses.begin("vm-1", owner=owner, trigger={}, decision={"by": owner}).number


def adopt_and_finish(registry: Registry, owner: str) -> bool:
    """Take over whatever is open and carry it on from where it stands, as a recovery does."""
    following = {"begun": "migrating", "migrating": "arrived", "arrived": "completed"}
    for found in registry.responses.open():
        now = registry.responses.adopt(found.number, owner=owner, why="restarted")
        while now.open:
            now = registry.responses.advance(now.number, following[now.state], {}, owner=owner)
        return True
    return False


def append(registry: Registry, name: str) -> list[int]:
    """The numbers of a process's own entries, while others append too and rows are stored."""
    numbers = []
    for turn in range(TURNS):
        numbers.append(registry.audit.append("action", name, {"turn": turn}).number)
        registry.protection.set(name, {"turn": turn}, by=name, why="test")
    return numbers


def change(registry: Registry, source: str) -> None:
    for value in range(TURNS):
        registry.set_property("host-a", "trust_evidence", value, source=source, simulated=True)


def test_all_open_a_new_registry_and_it_is_built_once(url: str) -> None:
    answers = at_once(url, nothing, range(PROCESSES), opening=True)
    assert answers == [("ok", 0)] * PROCESSES


@pytest.mark.parametrize("turn", range(3))
def test_one_of_several_tpms_gets_an_id(url: str, turn: int) -> None:
    open_registry(url).close()
    answers = at_once(url, enrol, [{"attester": "host-a", "tpm": f"tpm {n}"} for n in range(PROCESSES)])
    assert counted(answers) == {"ok": 1, "identity-taken": PROCESSES - 1}
    with open_registry(url) as registry:
        (found,) = registry.attesters()
        assert len(found.keys) == 2
        assert len(registry.history("host-a")) == 1


@pytest.mark.parametrize("turn", range(3))
def test_one_of_several_ids_gets_a_tpm(url: str, turn: int) -> None:
    open_registry(url).close()
    answers = at_once(
        url, enrol, [{"attester": f"host-{n}", "tpm": "one", "turn": n} for n in range(PROCESSES)]
    )
    assert counted(answers) == {"ok": 1, "identity-taken": PROCESSES - 1}
    with open_registry(url) as registry:
        assert len(registry.attesters()) == 1


def test_a_nonce_is_used_by_one_of_several_verifiers(url: str) -> None:
    nonces = [bytes([n] * 20) for n in range(TURNS)]
    with open_registry(url) as registry:
        registry.enrol(enrolment("host-a"))
        now = registry.now()
        for nonce in nonces:
            registry.issue(nonce, attester="host-a", issued=now, expires=now.later(10**9))
    answers = at_once(url, consume, [nonces] * PROCESSES)
    assert [sum(got) for got in zip(*(told for _, told in answers), strict=True)] == [1] * TURNS


def test_threads_may_share_a_registry(url: str) -> None:
    nonces = [bytes([n] * 20) for n in range(TURNS)]
    with open_registry(url) as registry:
        registry.enrol(enrolment("host-a"))
        now = registry.now()

        def issue_and_consume(nonce: bytes) -> int:
            registry.issue(nonce, attester="host-a", issued=now, expires=now.later(10**9))
            return sum([registry.consume(nonce), registry.consume(nonce)])

        with ThreadPoolExecutor(max_workers=8) as threads:
            assert list(threads.map(issue_and_consume, nonces)) == [1] * TURNS
            assert sum(threads.map(registry.consume, nonces)) == 0


def test_a_memory_is_replaced_by_one_of_several_verifiers(url: str) -> None:
    with open_registry(url) as registry:
        registry.enrol(enrolment("host-a"))
        first = registry.memory("host-a", KEY)[1]
    answers = at_once(url, accept, [[first]] * PROCESSES)
    assert sorted(told for _, told in answers) == [[False]] * (PROCESSES - 1) + [[True]]
    with open_registry(url) as registry:
        assert len(registry.results("host-a")) == 1


def test_no_accepted_memory_is_lost(url: str) -> None:
    with open_registry(url) as registry:
        registry.enrol(enrolment("host-a"))
    amounts = [1, 100, 10_000]
    assert counted(at_once(url, add, amounts)) == {"ok": len(amounts)}
    with open_registry(url) as registry:
        assert registry.memory("host-a", KEY)[0] == {"sum": TURNS * sum(amounts)}
        assert len(registry.results("host-a", limit=1000)) == TURNS * len(amounts)


def test_nothing_is_affirmed_after_the_moment_of_a_contraindicated_result(url: str) -> None:
    with open_registry(url) as registry:
        registry.enrol(enrolment("host-a"))
    answers = at_once(url, judge, [Tier.AFFIRMING, Tier.CONTRAINDICATED, Tier.AFFIRMING])
    assert counted(answers) == {"ok": 3}
    with open_registry(url) as registry:
        newest = registry.latest("host-a")
        assert newest is not None
        assert newest.tier is Tier.CONTRAINDICATED
        assert [one.held for one in registry.attesters()] == [True]


@pytest.mark.parametrize("turn", range(3))
def test_a_guest_gets_one_host_in_an_epoch(url: str, turn: int) -> None:
    hosts = [f"host-{n}" for n in range(PROCESSES)]
    with open_registry(url) as registry:
        for host in hosts:
            registry.enrol(enrolment(host))
        registry.enrol(replace(enrolment("guest-1"), kind="guest"))
    answers = at_once(url, place, hosts)
    assert counted(answers) == {"ok": 1, "epoch-reused": PROCESSES - 1}
    with open_registry(url) as registry:
        assert [one.host for one in registry.placements("guest-1")] == [
            told for kind, told in answers if kind == "ok"
        ]


def test_a_property_is_what_its_last_change_says(url: str) -> None:
    open_registry(url).close()
    answers = at_once(url, change, [f"monitor {n}" for n in range(PROCESSES)])
    assert counted(answers) == {"ok": PROCESSES}
    with open_registry(url) as registry:
        changes = registry.changes("host-a")
        now = registry.properties("host-a")["trust_evidence"]
    assert len(changes) == PROCESSES * TURNS
    assert (now.value, now.source, now.since) == (changes[-1].value, changes[-1].source, changes[-1].at)


@pytest.mark.parametrize("turn", range(3))
def test_one_of_several_responses_of_a_vm_is_begun(url: str, turn: int) -> None:
    open_registry(url).close()
    answers = at_once(url, begin, [f"watch-{n}" for n in range(PROCESSES)])
    assert counted(answers) == {"ok": 1, "a response of this VM is open already": PROCESSES - 1}
    with open_registry(url) as registry:
        (found,) = registry.responses.of("vm-1")
        assert found.decision == {"by": found.owner}
        assert registry.audit.verify().number == 2


def test_a_response_is_finished_by_one_of_several_that_recover(url: str) -> None:
    with open_registry(url) as registry:
        begin(registry, "watch-0")
    answers = at_once(url, adopt_and_finish, [f"watch-{n}" for n in range(1, PROCESSES + 1)])
    assert [finished for _, finished in answers].count(True) == 1
    assert set(counted(answers)) <= {"ok", "the response is another's now", "the response is closed"}
    with open_registry(url) as registry:
        (found,) = registry.responses.of("vm-1")
        assert found.state == "completed"
        assert answers[int(found.owner.removeprefix("watch-")) - 1] == ("ok", True)
        steps = registry.responses.steps(found.number)
        states = [one.state.value for one in steps if "adopted_from" not in one.detail]
        assert [states.count(state) for state in ("migrating", "arrived", "completed")] == [1, 1, 1]
        registry.audit.verify()


def test_all_that_append_make_one_chain(url: str) -> None:
    open_registry(url).close()
    answers = at_once(url, append, [f"process-{n}" for n in range(PROCESSES)])
    assert counted(answers) == {"ok": PROCESSES}
    with open_registry(url) as registry:
        assert registry.audit.verify().number == 1 + 2 * PROCESSES * TURNS
        for name, (_, numbers) in zip((f"process-{n}" for n in range(PROCESSES)), answers, strict=True):
            own = registry.audit.entries(kind="action", subject=name)
            assert [one.number for one in own] == numbers
            assert [one.body["turn"] for one in own] == list(range(TURNS))
