"""Traits and statements of what the registry knows: nothing is claimed that does not hold."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.attest.reasons import Tier
from harness.attest.verdict import Verdict
from harness.clock import NS_PER_S
from harness.instant import Instant
from harness.policy.fleet import Fleet
from harness.policy.nova.publish import LIFE_NS, statement
from harness.policy.nova.statement import MOST_LIFE_NS, read, sealed
from harness.policy.nova.traits import MOST_CHARACTERS, PREFIX, cells, replaced, required, traits
from harness.policy.request import request
from harness.policy.server import Server
from harness.policy.threats import COLUMNS
from harness.policy.validation import deploy
from tests.policy.servers import BAD, END_NS, EXPIRED, GOOD, NOW_NS, SILENT, TABLE, WARNED, server

REALTIME_NS = 1_800_000_000 * NS_PER_S
NOW = Instant(realtime_ns=REALTIME_NS, monotonic_ns=NOW_NS, boot_id="b")
KEY = bytes(range(32))
VERDICTS = st.sampled_from([GOOD, WARNED, EXPIRED, SILENT, BAD])
SERVERS = st.builds(
    server,
    st.just("a"),
    st.sampled_from([None, "unheard of", *TABLE]),
    VERDICTS,
    st.just(0),
    st.sampled_from(sorted(COLUMNS)),
)


@given(SERVERS, st.sampled_from([["1"], ["1", "2"], ["6:i"], ["1:c", "3"], ["5", "6", "7"]]), st.booleans())
def test_a_host_has_the_traits_of_a_request_where_it_satisfies_it(
    one: Server, options: list[str], warning_counts: bool
) -> None:
    asked = request(options)
    found = traits(one, TABLE, NOW_NS, warning_counts=warning_counts)
    has = {f"trait:{name}" for name in found} >= set(required(asked))
    fleet = Fleet(TABLE, [one], warning_counts=warning_counts)
    assert has == (deploy(asked, fleet, NOW_NS).count == 1)
    assert cells(found) <= set(COLUMNS.values()) - one.withdrawn


@given(SERVERS)
def test_traits_are_placements(one: Server) -> None:
    found = traits(one, TABLE, NOW_NS)
    assert all(re.fullmatch(r"CUSTOM_[A-Z0-9_]+", name) and len(name) <= MOST_CHARACTERS for name in found)
    assert replaced({"HW_CPU_X86_VMX", f"{PREFIX}OTHER_VMS_C", f"{PREFIX}OLD"}, found) == {
        "HW_CPU_X86_VMX",
        *found,
    }


@pytest.mark.parametrize("verdict", [SILENT, BAD, EXPIRED, WARNED])
def test_silence_is_no_trait(verdict: Verdict) -> None:
    assert traits(replace(server("a"), verdict=verdict), TABLE, NOW_NS) == frozenset()


@given(SERVERS, st.integers(1, 2 * MOST_LIFE_NS))
def test_a_statement_says_what_the_registry_knows_and_no_longer(one: Server, life_ns: int) -> None:
    stated = statement(one, "compute-1", NOW, life_ns)
    assert stated.expires_ns - stated.generated_ns <= min(life_ns, MOST_LIFE_NS)
    back = read("compute-1", [sealed(stated, "k1", KEY)], {"k1": KEY}, REALTIME_NS).server
    now = one.verdict.at(NOW_NS)
    assert (back.verdict.tier, back.verdict.reason) == (now.tier, now.reason)
    assert (back.architecture, back.withdrawn) == (one.architecture, one.withdrawn)
    if back.verdict.tier.believed:
        assert back.verdict.expires_ns is not None
        assert back.verdict.expires_ns - REALTIME_NS <= END_NS - NOW_NS
        assert back.verdict.at(REALTIME_NS + life_ns + END_NS).tier is Tier.NONE


def test_a_statement_ends_by_itself() -> None:
    long = replace(server("a"), verdict=replace(GOOD, expires_ns=NOW_NS + 10 * LIFE_NS))
    assert statement(long, "a", NOW).expires_ns == REALTIME_NS + LIFE_NS
