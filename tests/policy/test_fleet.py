"""The fleet's index: whatever happens to it, it answers as a newly built one would."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from harness.attest.reasons import Reason, Tier
from harness.attest.verdict import Verdict
from harness.policy.capability import Capability
from harness.policy.fleet import MOST_ENDS, Fleet
from harness.policy.request import Request, RequestRefusedError, request
from harness.policy.server import Server
from harness.policy.threats import COLUMNS
from harness.policy.validation import NoServerError, deploy, relocate, satisfied
from tests.policy.servers import BAD, END_NS, EXPIRED, GOOD, NOW_NS, SILENT, TABLE, WARNED, server

NAMES = st.sampled_from([f"s{number}" for number in range(8)])
ENDS = st.integers(0, 40)
TRUSTS = st.one_of(
    st.builds(Verdict, tier=st.just(Tier.AFFIRMING), reason=st.just(Reason.ACCEPTED), expires_ns=ENDS),
    st.builds(Verdict, tier=st.sampled_from(Tier), reason=st.sampled_from(Reason), expires_ns=ENDS),
    st.just(SILENT),
    st.just(BAD),
)
SERVERS = st.builds(
    Server,
    name=NAMES,
    architecture=st.sampled_from(["HyperWall", "NoHype", "DataSafe", "TPM", "HyperSafe", "unknown", None]),
    verdict=TRUSTS,
    running_vms=st.integers(0, 3),
    withdrawn=st.frozensets(st.sampled_from(list(COLUMNS.values())), max_size=2),
)


def kept(options: list[str], accepted: list[str]) -> Request | None:
    try:
        return request(options, accept_removed=accepted)
    except RequestRefusedError:
        return None


REQUESTS = st.builds(
    kept,
    st.lists(st.sampled_from(["1", "1:c", "2", "2:i", "3:c", "5", "6:i", "7"]), max_size=3),
    st.lists(st.sampled_from(["NoHype", "HyperWall"]), max_size=1),
).filter(lambda one: one is not None)


def slowly(asked: Request, fleet: Fleet, servers: dict[str, Server], here: str | None) -> list[str]:
    """The eligible servers, ranked, from every server's own effective capabilities."""

    def fits(one: Server) -> bool:
        cells = fleet.effective(one).cells
        accepts = one.architecture in asked.accept_removed
        good = {Capability.YES, Capability.REMOVED} if accepts else {Capability.YES}
        return one.name != here and all(cells[cell] in good for cell in asked.cells)

    def rank(one: Server) -> tuple[int, int, str]:
        cells = fleet.effective(one).cells
        beyond = [
            cell for cell, value in cells.items() if value is Capability.YES and cell not in asked.cells
        ]
        return len(beyond), one.running_vms, one.name

    return [one.name for one in sorted(filter(fits, servers.values()), key=rank)]


class AFleet(RuleBasedStateMachine):
    """Servers come, change and go, and time passes; questions in between change no later answer."""

    def __init__(self) -> None:
        super().__init__()
        self.warning_counts = False
        self.fleet = Fleet(TABLE)
        self.servers: dict[str, Server] = {}
        self.now_ns = 0

    @precondition(lambda self: not self.servers)
    @rule(warning_counts=st.booleans())
    def begin(self, warning_counts: bool) -> None:
        self.fleet = Fleet(TABLE, warning_counts=warning_counts)
        self.warning_counts = warning_counts
        self.now_ns = 0

    @rule(one=SERVERS)
    def update(self, one: Server) -> None:
        self.fleet.update(one)
        self.servers[one.name] = one

    @rule(name=NAMES, vms=st.integers(0, 3))
    def load(self, name: str, vms: int) -> None:
        if name in self.servers:
            self.update(replace(self.servers[name], running_vms=vms))

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        self.fleet.remove(name)
        self.servers.pop(name, None)

    @rule(ns=st.integers(0, 15))
    def advance(self, ns: int) -> None:
        self.now_ns += ns
        self.fleet.advance(self.now_ns)

    @rule(asked=REQUESTS, here=st.one_of(st.none(), NAMES), ns=st.integers(0, 3))
    def ask(self, asked: Request, here: str | None, ns: int) -> None:
        self.now_ns += ns
        again = Fleet(TABLE, self.servers.values(), warning_counts=self.warning_counts)
        answers = []
        for fleet in (self.fleet, again):
            verdict = (
                deploy(asked, fleet, self.now_ns)
                if here is None
                else relocate(asked, fleet, here, self.now_ns)
            )
            answers.append((list(verdict.eligible), verdict.count, dict(verdict.refused)))
            self.check_parts(verdict.count, list(verdict.eligible), dict(verdict.refused), here)
            assert sum(one.count for one in verdict.summary()) == len(verdict.refused)
            assert all(verdict.permits(name) == (name in answers[-1][0]) for name in self.servers)
        assert answers[0] == answers[1]
        assert answers[0][0] == slowly(asked, self.fleet, self.servers, here)

    def check_parts(
        self, count: int, eligible: list[str], refused: dict[str, object], here: str | None
    ) -> None:
        assert count == len(eligible) == len(set(eligible))
        assert not set(eligible) & set(refused)
        assert set(eligible) | set(refused) == set(self.servers)
        assert here not in eligible
        good = {Tier.AFFIRMING, Tier.WARNING} if self.warning_counts else {Tier.AFFIRMING}
        for name in eligible:
            trust = self.servers[name].verdict
            assert trust.tier in good
            assert trust.expires_ns is not None
            assert self.now_ns < trust.expires_ns

    @invariant()
    def nothing_is_left_over(self) -> None:
        assert self.fleet.names == self.servers.keys()
        assert sum(size for _, size in self.fleet.shelves()) == len(self.fleet) == len(self.servers)
        assert all(size for _, size in self.fleet.shelves())


AFleet.TestCase.settings = settings(max_examples=120, stateful_step_count=25, deadline=None)
TestAFleet = AFleet.TestCase


# -- ranking


def test_strong_servers_are_kept_for_who_needs_them() -> None:
    fleet = Fleet(
        TABLE,
        [server("a", "Bastion"), server("b", "HyperWall"), server("c", "HyperSafe"), server("d", "DataSafe")],
    )
    assert deploy(request(["1"]), fleet, NOW_NS).first(9) == ("c", "b", "d", "a")


def test_then_the_emptier_and_then_the_name() -> None:
    fleet = Fleet(
        TABLE,
        [
            server("z", "HyperWall", GOOD, 0),
            server("b", "H-SVM", GOOD, 1),
            server("a", "HyperWall", GOOD, 1),
            server("c", "HyperWall", GOOD, 10),
            server("d", "HyperWall", GOOD, 9),
        ],
    )
    verdict = deploy(request(["1", "2"]), fleet, NOW_NS)
    assert list(verdict.eligible) == ["z", "a", "b", "d", "c"]
    assert (verdict.first(2), verdict.first(0), verdict.best()) == (("z", "a"), (), "z")


def test_a_weakened_server_is_used_for_what_it_can_still_do() -> None:
    fleet = Fleet(TABLE, [server("a", "HyperWall"), server("b", "HyperWall", GOOD, 5, "hypervisor_c")])
    assert deploy(request(["1"]), fleet, NOW_NS).first(2) == ("b", "a")
    assert deploy(request(["1", "2"]), fleet, NOW_NS).first(2) == ("a",)


def test_what_was_removed_and_is_withdrawn_cannot_be_accepted() -> None:
    fleet = Fleet(TABLE, [server("a", "NoHype", GOOD, 0, "hypervisor_c")])
    asked = request(["2"], accept_removed=["NoHype"])
    verdict = deploy(asked, fleet, NOW_NS)
    assert (verdict.count, "a" in verdict.eligible) == (0, False)
    assert verdict.refused["a"].cells == {COLUMNS["hypervisor_c"]: "withdrawn"}
    assert deploy(request(["2:i"], accept_removed=["NoHype"]), fleet, NOW_NS).best() == "a"


# -- time


def test_what_ends_is_gone_at_that_very_moment() -> None:
    fleet = Fleet(TABLE, [server("a"), server("b", "HyperWall", replace(GOOD, expires_ns=END_NS + 5))])
    asked = request(["1"])
    assert deploy(asked, fleet, END_NS - 1).count == 2
    assert list(deploy(asked, fleet, END_NS).eligible) == ["b"]
    assert deploy(asked, fleet, END_NS + 5).count == 0


def test_a_new_result_brings_it_back() -> None:
    fleet = Fleet(TABLE, [server("a")])
    assert deploy(request(["1"]), fleet, END_NS).count == 0
    fleet.update(server("a", "HyperWall", replace(GOOD, expires_ns=END_NS + 10)))
    assert deploy(request(["1"]), fleet, END_NS + 9).count == 1
    assert deploy(request(["1"]), fleet, END_NS + 10).count == 0


def test_ends_that_were_put_off_do_not_pile_up() -> None:
    fleet, asked = Fleet(TABLE, [server("a"), server("b")]), request(["1"])
    for turn in range(1, 1000):
        fleet.update(server("a", "HyperWall", replace(GOOD, expires_ns=END_NS + turn)))
    assert len(fleet._ends) <= 2 * MOST_ENDS + 1
    assert list(deploy(asked, fleet, END_NS + 998).eligible) == ["a"]
    assert deploy(asked, fleet, END_NS + 999).count == 0


def test_time_does_not_go_back() -> None:
    fleet = Fleet(TABLE, [server("a")])
    assert deploy(request(["1"]), fleet, END_NS).count == 0
    assert deploy(request(["1"]), fleet, NOW_NS).count == 0
    assert fleet.now_ns == END_NS


def test_a_condemned_server_does_not_heal_by_waiting() -> None:
    fleet = Fleet(TABLE, [server("a", "HyperWall", replace(BAD, expires_ns=END_NS))])
    before = deploy(request(["1"]), fleet, NOW_NS).refused["a"].why
    assert deploy(request(["1"]), fleet, END_NS + 1).refused["a"].why == before
    assert "contraindicated" in before


# -- refusals


@pytest.mark.parametrize(
    ("one", "options", "why", "word"),
    [
        (server("s", "HyperSafe"), ["2"], "s (HyperSafe): hypervisor_c, hypervisor_i: no", "no"),
        (server("s", "TPM"), ["1:c"], "s (TPM): other_vms_c: n-a", "n-a"),
        (
            server("s", "NoHype"),
            ["2:i"],
            "s (NoHype): hypervisor_i: removed, not accepted",
            "removed, not accepted",
        ),
        (
            server("s", "HyperWall", GOOD, 0, "other_vms_c"),
            ["1"],
            "s (HyperWall): other_vms_c: withdrawn",
            "withdrawn",
        ),
        (
            server("s", "HyperWall", GOOD, 0, "other_vms_c"),
            ["3:c"],
            "s (HyperWall): hardware_c: no",
            "no",
        ),
        (
            server("s", "HyperWall", BAD),
            ["1:i"],
            "s is contraindicated: memory-violation, 3 of them",
            "not trusted",
        ),
        (server("s", "HyperWall", BAD), ["3:i"], "s is contraindicated: memory-violation, 3 of them", "no"),
        (
            server("s", "HyperWall", EXPIRED),
            ["1:i"],
            "what was known of s expired 0.000 s ago",
            "not trusted",
        ),
        (server("s", None), ["1:i"], "s states no architecture", "unknown architecture"),
    ],
)
def test_a_refusal_says_what_failed(one: Server, options: list[str], why: str, word: str) -> None:
    fleet, asked = Fleet(TABLE, [one]), request(options)
    found = deploy(asked, fleet, NOW_NS).refused["s"]
    assert found.why == why
    assert set(found.cells.values()) == {word}
    assert set(found.cells) <= asked.cells
    assert satisfied(asked, fleet, "s", NOW_NS) == found


def test_several_failures_are_told_together() -> None:
    fleet = Fleet(TABLE, [server("s", "NoHype", GOOD, 0, "other_vms_i")])
    why = deploy(request(["1", "2:c", "3:i"]), fleet, NOW_NS).refused["s"].why
    assert why == ("s (NoHype): other_vms_i: withdrawn; hypervisor_c: removed, not accepted; hardware_i: no")


def test_the_server_that_is_left_is_refused_for_that() -> None:
    fleet = Fleet(TABLE, [server("a"), server("b"), server("w", "HyperWall", WARNED)])
    verdict = relocate(request(["1"]), fleet, "a", NOW_NS)
    assert list(verdict.eligible) == ["b"]
    assert (verdict.refused["a"].cells, verdict.refused["a"].why) == (
        {},
        "the VM is on a and is to leave it",
    )
    both = relocate(request(["1"]), fleet, "w", NOW_NS)
    assert both.refused["w"].why.startswith("the VM is on w and is to leave it; w has a warning")
    assert "b" not in both.refused
    with pytest.raises(KeyError):
        both.refused["b"]
    with pytest.raises(KeyError):
        both.refused["nobody"]


def test_a_vm_may_be_on_a_server_that_nothing_is_known_of() -> None:
    fleet, asked = Fleet(TABLE, [server("a")]), request(["1:c"])
    assert list(relocate(asked, fleet, "gone", NOW_NS).eligible) == ["a"]
    found = satisfied(asked, fleet, "gone", NOW_NS)
    assert found is not None
    assert (found.why, found.cells) == (
        "nothing is known of gone",
        {COLUMNS["other_vms_c"]: "unknown server"},
    )
    assert satisfied(asked, fleet, "a", NOW_NS) is None


def test_nowhere_to_go_says_what_all_lack() -> None:
    fleet = Fleet(TABLE, [server("a", "HyperSafe"), server("b", "HyperSafe"), server("c", "HyperWall", BAD)])
    verdict = deploy(request(["1", "2"]), fleet, NOW_NS)
    assert verdict.reason is Reason.NO_ELIGIBLE_HOST
    with pytest.raises(NoServerError) as caught:
        verdict.best()
    assert caught.value.exit_code == 20
    assert "a (HyperSafe): hypervisor_c, hypervisor_i: no (and 1 more like it)" in caught.value.why
    assert "c is contraindicated" in caught.value.why
    with pytest.raises(NoServerError, match="no server is known"):
        deploy(request(["1"]), Fleet(TABLE), NOW_NS).best()


def test_an_error_tells_the_commonest_reasons() -> None:
    names = [name for name in TABLE if name not in {"HyperWall", "H-SVM", "Cell", "NoHype"}]
    fleet = Fleet(TABLE, [server(f"s{number}", name) for number, name in enumerate(names)])
    fleet.update(server("zz", names[-1]))
    with pytest.raises(NoServerError) as caught:
        deploy(request(["1", "2"]), fleet, NOW_NS).best()
    assert f"s{len(names) - 1} ({names[-1]})" in caught.value.why
    assert caught.value.why.endswith("; and 4 reasons more")


def test_alike_refusals_are_told_once() -> None:
    fleet = Fleet(TABLE, [server(f"n{number}", "TPM") for number in range(5)])
    fleet.update(server("w", "HyperWall"))
    fleet.update(server("bad", "HyperWall", BAD))
    found = relocate(request(["1"]), fleet, "w", NOW_NS).summary()
    assert [(one.count, one.example.server) for one in found] == [(5, "n0"), (1, "bad"), (1, "w")]


# -- a stale answer


@pytest.mark.parametrize("change", ["update", "remove", "advance"])
def test_an_answer_is_not_read_after_the_fleet_has_changed(change: str) -> None:
    fleet = Fleet(TABLE, [server("a"), server("b")])
    verdict = deploy(request(["1"]), fleet, NOW_NS)
    reading = iter(verdict.eligible)
    assert next(reading) == "a"
    if change == "update":
        fleet.update(server("b", "HyperWall", BAD))
    elif change == "remove":
        fleet.remove("b")
    else:
        fleet.advance(END_NS)
    for read in (
        lambda: next(reading),
        lambda: verdict.first(1),
        verdict.best,
        verdict.summary,
        lambda: verdict.permits("a"),
        lambda: list(verdict.refused),
        lambda: verdict.refused["b"],
        lambda: len(verdict.refused),
    ):
        with pytest.raises(RuntimeError, match="has changed"):
            read()


def test_time_that_changes_nothing_spoils_no_answer() -> None:
    fleet = Fleet(TABLE, [server("a")])
    verdict = deploy(request(["1"]), fleet, NOW_NS)
    fleet.advance(END_NS - 1)
    fleet.remove("nobody")
    assert verdict.best() == "a"


@given(st.lists(SERVERS, max_size=8), REQUESTS)
def test_membership_is_the_list(servers: list[Server], asked: Request) -> None:
    fleet = Fleet(TABLE, servers)
    verdict = deploy(asked, fleet, 5)
    assert [name for name in sorted(fleet.names) if name in verdict.eligible] == sorted(verdict.eligible)
    assert 1 not in verdict.eligible
    assert all((name in verdict.refused) != (name in verdict.eligible) for name in fleet.names)
