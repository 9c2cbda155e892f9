"""Nova's hosts as a fleet: the answers are the oracle's, and hosts that change are seen to."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import resources
from harness.attest.reasons import Reason, Tier
from harness.clock import NS_PER_S
from harness.errors import RecordError
from harness.policy.capability_file import SHIPPED, load_table
from harness.policy.nova.hosts import Hosts, Seen, ranks, refusals
from harness.policy.nova.statement import Statement, sealed
from harness.policy.nova.table import read_table
from harness.policy.request import request
from harness.policy.server import effective
from harness.policy.threats import CELLS
from tests.nova.test_statement import GOOD, KEY, KEYS, NOW_NS

TABLE = load_table()
LATER_NS = NOW_NS + NS_PER_S
REQUESTS = st.sampled_from(
    [request(["1"]), request(["1", "2"]), request(["6:i"]), request(["1", "5", "6", "7"])]
)
STATED = st.builds(
    replace,
    st.just(GOOD),
    architecture=st.sampled_from([None, *TABLE]),
    tier=st.sampled_from(Tier),
    withdrawn=st.frozensets(st.sampled_from(CELLS), max_size=3),
    expires_ns=st.sampled_from([NOW_NS + 1, NOW_NS + 60 * NS_PER_S]),
)


def shown(name: str, stated: Statement | None, vms: int = 0) -> Seen:
    """A host as the scheduler shows it."""
    return Seen(name, vms, () if stated is None else (sealed(replace(stated, host=name), "k1", KEY),))


@given(REQUESTS, st.lists(st.tuples(st.none() | STATED, st.integers(0, 3)), min_size=1, max_size=8))
def test_hosts_pass_and_rank_as_servers_do(asked: object, stated: list[tuple[Statement | None, int]]) -> None:
    wanted = asked if not isinstance(asked, tuple) else asked[0]
    hosts = Hosts(TABLE, KEYS)
    seen = [shown(f"h{number}", one, vms) for number, (one, vms) in enumerate(stated)]
    answer = hosts.judge(wanted, seen, LATER_NS)  # type: ignore[arg-type]
    names = [one.name for one in seen]
    for name, (one, _) in zip(names, stated, strict=True):
        server = hosts.fleet.get(name)
        assert server is not None
        if one is None:
            assert server.verdict.tier is Tier.NONE
        counts = effective(server, TABLE, LATER_NS).cells
        assert answer.permits(name) == all(counts[cell].value == "yes" for cell in answer.request.cells)
    order = ranks(answer, names)
    best = sorted(names, key=lambda name: order[names.index(name)])
    assert best[: answer.count] == list(answer.eligible)
    assert sum(one.count for one in refusals(answer, names)) == len(names) - answer.count


def test_the_newest_statement_counts_and_an_older_one_never_again() -> None:
    hosts, asked = Hosts(TABLE, KEYS), request(["1"])
    bad = replace(GOOD, tier=Tier.CONTRAINDICATED, reason=Reason.MEMORY_VIOLATION, generated_ns=NOW_NS + 1)
    assert hosts.judge(asked, [shown("a", GOOD)], LATER_NS).permits("a")
    assert not hosts.judge(asked, [shown("a", bad)], LATER_NS).permits("a")
    again = hosts.judge(asked, [shown("a", GOOD)], LATER_NS)
    assert "an older statement took a newer one's place" in again.refused["a"].why
    hosts.judge(asked, [shown("a", None)], LATER_NS)
    assert not hosts.judge(asked, [shown("a", GOOD)], LATER_NS).permits("a")
    assert hosts.judge(asked, [shown("a", replace(GOOD, generated_ns=NOW_NS + 2))], LATER_NS).permits("a")


def test_metadata_that_nova_alters_in_place_are_read_again() -> None:
    hosts, asked = Hosts(TABLE, KEYS), request(["1"])
    metadata = sealed(GOOD, "k1", KEY)
    assert hosts.judge(asked, [Seen("a", 0, (metadata,))], LATER_NS).permits("a")
    metadata["sod_tier"] = "warning"
    assert not hosts.judge(asked, [Seen("a", 0, (metadata,))], LATER_NS).permits("a")


def test_what_was_stated_ends_without_any_change() -> None:
    hosts, asked = Hosts(TABLE, KEYS), request(["1"])
    assert hosts.judge(asked, [shown("a", GOOD)], LATER_NS).permits("a")
    answer = hosts.judge(asked, [shown("a", GOOD)], GOOD.expires_ns)
    assert "expired" in answer.refused["a"].why
    assert not hosts.judge(asked, [shown("a", GOOD)], LATER_NS).permits(
        "a"
    )  # a clock that is set back helps no one


def test_hosts_with_the_same_lack_share_a_reason() -> None:
    hosts = Hosts(TABLE, KEYS)
    seen = [shown(f"t{number}", replace(GOOD, architecture="TPM")) for number in range(3)] + [
        shown("s", None)
    ]
    found = refusals(hosts.judge(request(["1"]), seen, LATER_NS), [one.name for one in seen])
    assert [(one.count, one.example.server) for one in found] == [(3, "t0"), (1, "s")]


def test_the_short_reader_reads_the_shipped_table_as_the_long_one() -> None:
    text = (resources.reference() / SHIPPED).read_text(encoding="utf-8")
    assert {name: replace(one, source="") for name, one in TABLE.items()} == dict(read_table(text))


@pytest.mark.parametrize(
    "change",
    [
        ("yes", "perhaps"),
        ("hardware,AEGIS", "odd,AEGIS"),
        ("XOM", "AEGIS"),
        ("kind,", "sort,"),
        (",Data+App\n", "\n"),
    ],
)
def test_a_damaged_table_is_refused_whole(change: tuple[str, str]) -> None:
    text = (resources.reference() / SHIPPED).read_text(encoding="utf-8").replace(*change, 1)
    with pytest.raises(RecordError):
        read_table(text)
    with pytest.raises(RecordError):
        read_table("")


def test_a_host_costs_less_than_ten_times_what_is_promised() -> None:
    hosts, asked = Hosts(TABLE, KEYS), request(["1"])
    names = sorted(TABLE)
    seen = [
        shown(f"h{number}", replace(GOOD, architecture=names[number % len(names)])) for number in range(500)
    ]
    taken_us = []
    for _ in range(5):
        begin_ns = time.perf_counter_ns()
        answer = hosts.judge(asked, seen, LATER_NS)
        passing = [one.name for one in seen if answer.permits(one.name)]
        taken_us.append((time.perf_counter_ns() - begin_ns) / 1e3 / len(seen))
    assert passing
    assert min(taken_us) < 10 * 20
