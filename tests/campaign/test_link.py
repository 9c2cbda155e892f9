"""What one link carries at once: the estimate, and what of it is refused or only named."""

from __future__ import annotations

import pytest

from harness.campaign import link
from harness.campaign import plan as plans
from harness.campaign.file import loads
from harness.campaign.plan import Plan
from harness.campaign.preflight import problems
from harness.migration.options import MigrationOptions
from harness.workloads.contract import Dirtying

GIGABIT = 1_000_000_000
TEXT = """\
name: several
guest: {image: small}
guests: {count: 3, concurrency: AT_ONCE}
workloads: [{name: memory, options: {size_mib: SIZE, rate_mib_s: RATE}}]
schedule: {window_s: 60, points_s: [0]}
"""


def plan(at_once: int = 3, size: int = 64, rate: int = 16, more: str = "") -> Plan:
    text = TEXT.replace("AT_ONCE", str(at_once)).replace("SIZE", str(size)).replace("RATE", str(rate))
    return plans.expand(loads(text + more, "several.yml"))


def test_guests_at_once_share_the_link_and_a_stated_bandwidth_bounds_each() -> None:
    of_link = link.share(3, GIGABIT, MigrationOptions())
    assert of_link is not None and of_link.rate_mib_s == pytest.approx(119.2 / 3, abs=0.1)
    bounded = link.share(3, GIGABIT, MigrationOptions(bandwidth_mib_s=10))
    assert bounded is not None and bounded.rate_mib_s == 10
    assert link.share(3, None, MigrationOptions()) is None


def test_a_move_sends_all_memory_once_and_then_what_was_dirtied_meanwhile() -> None:
    found = link.Share(at_once=2, rate_mib_s=32)
    assert found.longest_s(256, None) == 8
    assert found.longest_s(256, Dirtying(rate_mib_s=16, size_mib=1000)) == 8 + 128 / 16
    assert found.longest_s(256, Dirtying(rate_mib_s=16, size_mib=64)) == 8 + 64 / 16


@pytest.mark.parametrize(("at_once", "refused"), [(1, False), (2, False), (3, True)])
def test_a_load_that_dirties_more_than_a_share_of_the_link_carries_is_refused(
    at_once: int, refused: bool
) -> None:
    found = link.problem(plan(at_once, rate=50), GIGABIT)
    assert (found is not None) == refused
    if found is not None:
        assert found.startswith("3 guests at once have 39.7 MiB/s each, and memory dirties 50 MiB/s of 64")


def test_a_working_set_that_fits_into_the_downtime_limit_ends_however_fast_it_is_dirtied() -> None:
    assert link.problem(plan(size=11, rate=5000), GIGABIT) is None
    assert link.problem(plan(size=12, rate=5000), GIGABIT) is not None
    assert (
        link.problem(plan(size=12, rate=5000, more="migration: {downtime_limit_ms: 400}\n"), GIGABIT) is None
    )


@pytest.mark.parametrize("more", ["migration: {mode: post-copy}\n", "migration: {auto_converge: true}\n"])
def test_what_ends_in_any_case_is_not_refused(more: str) -> None:
    assert link.problem(plan(rate=500, more=more), GIGABIT) is None


def test_each_variant_is_judged_by_its_own_migrations_and_loads() -> None:
    fast = "variants: {calm: {}, busy: {workloads: {memory: {rate_mib_s: 500}}}}\n"
    found = link.problem(plan(more=fast), GIGABIT)
    assert found is not None and found.startswith("under the variant busy: 3 guests at once")
    assert "memory dirties 500 MiB/s" in found
    ends = "variants: {plain: {}, later: {migration: {mode: post-copy}}}\n"
    assert str(link.problem(plan(rate=500, more=ends), GIGABIT)).startswith("under the variant plain: ")
    both = ends.replace("plain: {}", "plain: {migration: {auto_converge: true}}")
    assert link.problem(plan(rate=500, more=both), GIGABIT) is None
    narrow = "variants: {wide: {}, narrow: {migration: {bandwidth_mib_s: 20}}}\n"
    wide, slow = str(link.named(plan(more=narrow), GIGABIT)).splitlines()
    assert wide.startswith("wide: 3 guests") and "39.7 MiB/s each" in wide
    assert slow.startswith("narrow: 3 guests") and "20.0 MiB/s each" in slow


def test_what_is_not_stated_is_named_and_not_refused() -> None:
    assert link.problem(plan(rate=500), None) is None
    assert "sodbench_link_bit_s" in str(link.named(plan(), None))
    said = "3 guests move at once and share the link: 39.7 MiB/s each, a move takes at most 9 s."
    assert link.named(plan(), GIGABIT) == said
    assert link.named(plan(at_once=1), GIGABIT) is None


def test_a_refusal_names_the_link_before_anything_is_touched() -> None:
    found = problems({}, storage_need_bytes=0, needs={}, link="too much")
    assert [one.what for one in found if one.where == "migration link"] == ["too much"]
