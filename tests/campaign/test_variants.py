"""Variants: what a campaign under one is, which are refused, and how their trials are interleaved."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from harness.campaign import file as files
from harness.campaign import link
from harness.campaign.plan import expand, from_json
from harness.errors import CampaignError
from tests.synthetic.campaigns import MINIMAL, campaign

VARIANTS = """\
variants:
  base: {}
  small-steps: {migration: {bandwidth_mib_s: 32, downtime_limit_ms: 10}}
  post-copy: {migration: {mode: post-copy}, guest: {memory_mib: 512}}
"""


def test_a_variant_changes_what_it_names_and_nothing_else() -> None:
    plan = expand(campaign("migration: {bandwidth_mib_s: 119}\nguest: {vcpus: 2}\n" + VARIANTS))
    base, steps, post = (plan.under(name) for name in ("base", "small-steps", "post-copy"))
    assert (base.migration, base.guest) == (plan.migration, plan.guest)
    assert (steps.migration.bandwidth_mib_s, steps.migration.downtime_limit_ms) == (32, 10)
    assert (post.migration.mode, post.migration.bandwidth_mib_s) == ("post-copy", 119)
    assert (post.guest.memory_mib, post.guest.vcpus) == (512, 2)
    assert plan.under(None) is plan
    with pytest.raises(KeyError):
        plan.under("another")


def test_every_block_has_every_variant_as_often() -> None:
    plan = expand(campaign("repetitions: 4\ncontrol: 4\n" + VARIANTS))
    blocks = Counter((one.repetition, one.workload, one.variant, one.kind) for one in plan.trials)
    assert len(blocks) == 4 * 2 * 3 * 2
    assert set(blocks.values()) == {1}
    assert [one.repetition for one in plan.trials] == sorted(one.repetition for one in plan.trials)


def test_the_order_within_a_block_is_drawn_from_the_seed() -> None:
    orders = {
        tuple(one.variant for one in expand(campaign(f"seed: {n}\n{VARIANTS}")).trials) for n in range(20)
    }
    assert len(orders) > 5
    assert expand(campaign(VARIANTS)).hash == expand(campaign(VARIANTS)).hash


def test_a_plan_with_variants_survives_json() -> None:
    plan = expand(campaign(VARIANTS))
    again = from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan and again.hash == plan.hash
    assert expand(campaign(VARIANTS.replace("32", "33"))).hash != plan.hash


def test_without_variants_nothing_of_them_is_in_the_plan() -> None:
    text = json.dumps(expand(campaign()).to_json())
    assert "variant" not in text


def test_a_workloads_options_are_completed_under_each_variant() -> None:
    text = MINIMAL.replace("workloads: [idle, file]", "workloads: [{name: file, options: {clients: 2}}]")
    plan = expand(campaign("variants: {few: {}, many: {workloads: {file: {clients: 8}}}}\n", base=text))
    found = {one.variant: one.options for one in plan.trials}
    assert (found["few"]["clients"], found["many"]["clients"]) == (2, 8)
    assert set(found["few"]) == set(found["many"])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("variants: {only: {}}", "there is nothing to compare it with"),
        ("variants: {a: {}, b: {migration: {mode: bogus}}}", "variants.b.migration.mode"),
        ("variants: {a: {}, b: {migration: {moed: post-copy}}}", "moed"),
        ("variants: {a: {}, b: {guest: {image: small}}}", "image"),
        ("variants: {a: {}, B: {}}", "variants"),
        ("variants: {a: {}, b: {workloads: {db: {threads: 2}}}}", "the campaign has no workload 'db'"),
        ("variants: {a: {}, b: {workloads: {file: {clients: none}}}}", "clients"),
        ("variants: {a: {}, b: {attest: {interval_s: 1}}}", "does not attest"),
        (
            "variants: {a: {}, b: {migration: {mode: post-copy, parallel_connections: 2}}}",
            "under the variant b",
        ),
        ("guests: {count: 2}\nvariants: {a: {}, b: {guest: {vcpus: 2}}}", "several guests"),
    ],
)
def test_what_cannot_be_compared_or_run_is_refused_with_its_line(lines: str, said: str) -> None:
    with pytest.raises(CampaignError) as refused:
        files.loads(f"{MINIMAL}{lines}\n", "mine.yml")
    assert said in str(refused.value)
    assert "mine.yml:" in str(refused.value)


def test_a_variant_slows_the_link_and_others_leave_it_alone() -> None:
    text = MINIMAL + "variants:\n  full: {}\n  quarter: {link_bit_s: 250000000}\n"
    plan = expand(files.loads(text, "c.yml"))
    assert [plan.under(name).link_bit_s for name in ("full", "quarter")] == [None, 250_000_000]
    assert "link_bit_s" not in json.dumps(plan.to_json()["variants"][0])  # type: ignore[index]
    assert from_json(plan.to_json()) == plan


def test_a_link_cannot_be_made_faster_than_it_is() -> None:
    text = MINIMAL + "variants:\n  full: {}\n  more: {link_bit_s: 1000000000}\n"
    plan = expand(files.loads(text, "c.yml"))
    said = link.problem(plan, 1e9)
    assert said is not None
    assert "under the variant more" in said
    assert "not below the link's own 1000000000 bit/s" in said
    assert link.problem(plan, 1e10) is None
    assert link.problem(plan, None) is None
