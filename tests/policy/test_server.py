"""What of an architecture counts on a server, and what never does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.attest.reasons import Reason, Tier
from harness.attest.verdict import Verdict
from harness.policy.capability import Architecture, Capability
from harness.policy.server import Lost, doubt, effective
from harness.policy.threats import CELLS, COLUMNS
from tests.policy.servers import BAD, END_NS, EXPIRED, GOOD, NOW_NS, SILENT, TABLE, WARNED, server


@pytest.mark.parametrize("name", TABLE)
def test_a_trusted_server_has_its_row(name: str) -> None:
    found = effective(server("s", name), TABLE, NOW_NS)
    assert found.cells == TABLE[name].cells
    assert (found.lost, found.why) == ({}, "")


@pytest.mark.parametrize(
    ("trust", "why"),
    [
        (BAD, "s is contraindicated: memory-violation, 3 of them"),
        (SILENT, "s cannot be believed: monitor-silent"),
        (EXPIRED, "what was known of s expired 0.000 s ago"),
        (replace(EXPIRED, expires_ns=-500_000_000), "what was known of s expired 0.501 s ago"),
        (WARNED, "s has a warning, and that does not count: software-tpm"),
        (replace(BAD, expires_ns=END_NS), "s is contraindicated: memory-violation, 3 of them"),
    ],
)
def test_who_is_not_trusted_has_nothing(trust: Verdict, why: str) -> None:
    found = effective(server("s", "DataSafe", trust), TABLE, NOW_NS)
    assert Capability.YES not in found.cells.values()
    assert set(found.lost) == set(TABLE["DataSafe"].having(Capability.YES))
    assert set(found.lost.values()) == {Lost.UNTRUSTED}
    assert found.why == why


def test_removed_is_lost_like_everything_else() -> None:
    found = effective(server("s", "NoHype", BAD), TABLE, NOW_NS)
    assert not {Capability.YES, Capability.REMOVED} & set(found.cells.values())
    assert {str(cell) for cell in found.lost} >= {"hypervisor_c", "hypervisor_i", "other_vms_c"}


def test_a_result_ends_with_its_last_moment() -> None:
    one = server("s", "HyperWall")
    assert doubt(one, TABLE, END_NS - 1) is None
    assert doubt(one, TABLE, END_NS) is not None


def test_a_warning_counts_where_that_is_wished_for() -> None:
    assert doubt(server("s", "HyperWall", WARNED), TABLE, NOW_NS, warning_counts=True) is None
    assert doubt(server("s", "HyperWall", WARNED), TABLE, END_NS, warning_counts=True) is not None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (None, "s states no architecture"),
        ("hyperwall", "s states the architecture 'hyperwall', which is not in the table"),
        ("", "s states the architecture '', which is not in the table"),
    ],
)
def test_an_unknown_architecture_can_do_nothing(name: str | None, why: str) -> None:
    found = effective(server("s", name), TABLE, NOW_NS)
    assert set(found.cells.values()) == {Capability.NO}
    assert found.lost == dict.fromkeys(CELLS, Lost.UNKNOWN)
    assert found.why == why


def test_what_is_withdrawn_is_gone_and_nothing_else() -> None:
    one = server("s", "NoHype", GOOD, 0, "other_vms_c", "hypervisor_i", "same_app_c", "cloud_manager_i")
    found = effective(one, TABLE, NOW_NS)
    assert found.lost == {
        COLUMNS["other_vms_c"]: Lost.WITHDRAWN,
        COLUMNS["hypervisor_i"]: Lost.WITHDRAWN,
    }
    assert found.why == "withdrawn from s: other_vms_c, hypervisor_i"
    changed = {cell for cell in CELLS if found.cells[cell] != TABLE["NoHype"].cells[cell]}
    assert changed == set(found.lost)


TRUSTS = st.builds(
    Verdict,
    tier=st.sampled_from(Tier),
    reason=st.sampled_from(Reason),
    expires_ns=st.integers(0, 10),
)


@given(
    trust=TRUSTS,
    name=st.sampled_from([*TABLE, None, "unknown"]),
    withdrawn=st.sets(st.sampled_from(list(COLUMNS))),
    now_ns=st.integers(0, 10),
    warning_counts=st.booleans(),
)
def test_nothing_is_ever_added_to_a_row(
    trust: Verdict, name: str | None, withdrawn: set[str], now_ns: int, warning_counts: bool
) -> None:
    one = server("s", name, trust, 0, *withdrawn)
    found = effective(one, TABLE, now_ns, warning_counts=warning_counts)
    good = {Tier.AFFIRMING, Tier.WARNING} if warning_counts else {Tier.AFFIRMING}
    for cell in CELLS:
        value = found.cells[cell]
        if value in {Capability.YES, Capability.REMOVED}:
            assert name is not None
            assert value is TABLE[name].cells[cell]
            assert trust.tier in good
            assert trust.expires_ns is not None
            assert now_ns < trust.expires_ns
            assert str(cell) not in withdrawn
    assert bool(found.why) == bool(found.lost)


@pytest.mark.parametrize("tier", [Tier.AFFIRMING, Tier.WARNING])
def test_trust_without_an_end_is_no_trust(tier: Tier) -> None:
    with pytest.raises(ValueError, match="without an end"):
        server("s", "HyperWall", Verdict(tier=tier, reason=Reason.ACCEPTED))


def test_an_architecture_says_something_of_every_cell() -> None:
    cells = dict(TABLE["TPM"].cells)
    del cells[COLUMNS["hardware_i"]]
    with pytest.raises(ValueError, match="hardware_i"):
        Architecture(name="x", kind="software", cells=cells, protected="VM", source="test")
