"""Statements of hosts: what counts is whole, fresh, of the host itself and of the monitor's key."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.attest.reasons import Reason, Tier
from harness.clock import NS_PER_S
from harness.errors import RecordError
from harness.policy.nova.statement import (
    CODE,
    FIELDS,
    MOST_AHEAD_NS,
    MOST_CHARACTERS,
    MOST_LIFE_NS,
    Statement,
    read,
    read_keys,
    sealed,
)
from harness.policy.threats import CELLS

NOW_NS = 1_800_000_000 * NS_PER_S
KEY = bytes(range(32))
KEYS = {"k1": KEY}
GOOD = Statement(
    host="a",
    server="rack/a",
    architecture="HyperWall",
    tier=Tier.AFFIRMING,
    reason=Reason.ACCEPTED,
    generated_ns=NOW_NS,
    expires_ns=NOW_NS + 60 * NS_PER_S,
)

STATEMENTS = st.builds(
    replace,
    st.just(GOOD),
    architecture=st.sampled_from([None, "TPM", "Cell Prsr."]),
    tier=st.sampled_from(Tier),
    reason=st.sampled_from(Reason),
    withdrawn=st.frozensets(st.sampled_from(CELLS)),
    simulated=st.booleans(),
)


@given(STATEMENTS)
def test_a_statement_goes_there_and_comes_back(stated: Statement) -> None:
    written = sealed(stated, "k1", KEY)
    assert all(len(value) <= MOST_CHARACTERS for value in written.values())
    server = read("a", [{"availability_zone": "x"}, written], KEYS, NOW_NS).server
    assert (server.name, server.architecture, server.verdict.tier, server.verdict.reason) == (
        "a",
        stated.architecture,
        stated.tier,
        stated.reason,
    )
    assert (server.withdrawn, server.simulated) == (stated.withdrawn, stated.simulated)
    assert server.verdict.at(stated.expires_ns).tier in {Tier.NONE, Tier.CONTRAINDICATED}


@given(st.sampled_from([*FIELDS, CODE]), st.text(max_size=20))
def test_no_part_of_it_can_be_changed(name: str, value: str) -> None:
    written = sealed(GOOD, "k1", KEY)
    if written[name] != value:
        found = read("a", [written | {name: value}], KEYS, NOW_NS).server
        assert not found.verdict.tier.believed
        assert found.architecture is None


@given(st.sets(st.sampled_from([*FIELDS, CODE]), min_size=1))
def test_no_part_of_it_can_be_missing(names: set[str]) -> None:
    left = {name: value for name, value in sealed(GOOD, "k1", KEY).items() if name not in names}
    assert not read("a", [left], KEYS, NOW_NS).server.verdict.tier.believed


@pytest.mark.parametrize(
    ("aggregates", "reason"),
    [
        ([], Reason.NOTHING_APPRAISED),
        ([{"availability_zone": "nova"}], Reason.NOTHING_APPRAISED),
        ([{"sod_tier": "affirming"}], Reason.MALFORMED_EVIDENCE),
        ([sealed(GOOD, "k2", KEY)], Reason.KEY_UNKNOWN),
        ([sealed(GOOD, "k1", bytes(32))], Reason.SIGNATURE_INVALID),
        ([sealed(replace(GOOD, host="b"), "k1", KEY)], Reason.SIGNATURE_INVALID),
        ([sealed(GOOD, "k1", KEY), {"sod_tier": "warning"}], Reason.STATE_CONFLICT),
        (
            [sealed(replace(GOOD, generated_ns=NOW_NS + MOST_AHEAD_NS + 1), "k1", KEY)],
            Reason.CLOCK_NOT_SAFE,
        ),
    ],
)
def test_what_does_not_count_says_why(aggregates: list[dict[str, str]], reason: Reason) -> None:
    found = read("a", aggregates, KEYS, NOW_NS)
    assert found.server.verdict.reason is reason
    assert not found.server.verdict.tier.believed
    assert found.generated_ns == 0


def test_the_same_statement_in_two_aggregates_is_one() -> None:
    written = sealed(GOOD, "k1", KEY)
    assert read("a", [written, dict(written)], KEYS, NOW_NS).server.verdict.tier is Tier.AFFIRMING


@pytest.mark.parametrize(
    ("stated", "key"),
    [
        (GOOD, bytes(31)),
        (replace(GOOD, expires_ns=NOW_NS + MOST_LIFE_NS + 1), KEY),
        (replace(GOOD, expires_ns=NOW_NS), KEY),
        (replace(GOOD, server="x" * 256), KEY),
    ],
)
def test_what_must_not_be_written_is_not(stated: Statement, key: bytes) -> None:
    with pytest.raises(ValueError, match=r"key of|hold for|too long"):
        sealed(stated, "k1", key)


def test_keys_have_names() -> None:
    assert read_keys(f"# two\nk1 {KEY.hex()}\n\nk2 {bytes(40).hex()}\n") == {"k1": KEY, "k2": bytes(40)}


@pytest.mark.parametrize(
    "text", ["", "# none\n", "k1 00ff\n", f"{KEY.hex()}\n", f"k1 {KEY.hex()}\nk1 {KEY.hex()}\n"]
)
def test_keys_that_cannot_be_used_are_refused_and_not_shown(text: str) -> None:
    with pytest.raises(RecordError) as refused:
        read_keys(text)
    assert KEY.hex() not in str(refused.value)
