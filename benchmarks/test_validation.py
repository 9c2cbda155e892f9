"""How long policy validation takes, part by part: requests, answers, changes of the fleet, files.

Run with ``python -m pytest benchmarks/test_validation.py --benchmark-only``. Figures of one machine compare
with figures of the same machine alone; what is to be faster than something else is measured next to it, in
one run (validation.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import filter_loop
from benchmarks.validation import BEST, END_NS, NOW_NS, REQUESTS, answered, fleet, spec, states
from harness.policy.capability_file import load_table
from harness.policy.fleet import Fleet
from harness.policy.refusal import refusal
from harness.policy.request import Request, request
from harness.policy.server import Server, effective
from harness.policy.validation import deploy, relocate, satisfied

SERVERS = 10_000
HERE = "server-0000042"


@pytest.fixture(scope="module")
def servers() -> Fleet:
    """A fleet at the moment at which it is asked."""
    found, _ = fleet(SERVERS, seed=1)
    found.advance(NOW_NS)
    return found


def test_a_request_is_made(benchmark: BenchmarkFixture) -> None:
    found = benchmark(request, ["1:c", "3"], ["public-service"])
    assert len(found.cells) == 4


def test_a_stored_request_is_read(benchmark: BenchmarkFixture) -> None:
    stored = REQUESTS[4].to_json()
    assert benchmark(Request.from_json, stored) == REQUESTS[4]


def test_a_new_vm_is_validated(benchmark: BenchmarkFixture, servers: Fleet) -> None:
    verdict, best = benchmark(answered, REQUESTS[1], servers)
    assert (len(best), verdict.count > BEST) == (BEST, True)


def test_a_placement_is_chosen(benchmark: BenchmarkFixture, servers: Fleet) -> None:
    assert benchmark(lambda: deploy(REQUESTS[1], servers, NOW_NS).best()) in servers.names


def test_a_vm_is_relocated(benchmark: BenchmarkFixture, servers: Fleet) -> None:
    found = benchmark(lambda: relocate(REQUESTS[1], servers, HERE, NOW_NS).first(BEST))
    assert HERE not in found


def test_a_vm_is_fine_where_it_is(benchmark: BenchmarkFixture, servers: Fleet) -> None:
    here = deploy(REQUESTS[1], servers, NOW_NS).best()
    assert benchmark(satisfied, REQUESTS[1], servers, here, NOW_NS) is None


def test_a_refusal_is_explained(benchmark: BenchmarkFixture, servers: Fleet) -> None:
    name = next(iter(deploy(REQUESTS[6], servers, NOW_NS).refused))
    found = benchmark(refusal, REQUESTS[6], servers, name)
    assert found.why


def test_capabilities_are_worked_out(benchmark: BenchmarkFixture, servers: Fleet) -> None:
    one = servers.get(HERE)
    assert one is not None
    assert len(benchmark(effective, one, servers.table, NOW_NS).cells) == 14


def test_all_are_ranked(benchmark: BenchmarkFixture, servers: Fleet) -> None:
    found = benchmark(lambda: list(deploy(REQUESTS[0], servers, NOW_NS).eligible))
    assert len(found) > SERVERS // 3


@pytest.mark.parametrize("what", ["VMs", "trust"])
def test_a_changed_server_is_taken_in(benchmark: BenchmarkFixture, what: str) -> None:
    changing, _ = fleet(SERVERS, seed=2)
    one = changing.get(HERE)
    assert one is not None
    trusts = [replace(one.verdict, expires_ns=END_NS + turn) for turn in range(2)]
    both = [
        replace(one, running_vms=turn) if what == "VMs" else replace(one, verdict=trusts[turn])
        for turn in range(2)
    ]
    turns: Iterator[Server] = cycle(both)
    benchmark(lambda: changing.update(next(turns)))
    assert changing.get(HERE) in both


def test_the_table_is_loaded(benchmark: BenchmarkFixture) -> None:
    assert len(benchmark(load_table)) == 13


def test_the_plain_filter_loop(benchmark: BenchmarkFixture, servers: Fleet) -> None:
    hosts, wanted = states(servers), spec(REQUESTS[1])
    found = benchmark(filter_loop.filtered, hosts, wanted)
    assert len(found) == deploy(REQUESTS[1], servers, NOW_NS).count
