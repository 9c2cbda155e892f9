"""The section `gate` of a campaign: what it refuses, and that a plan without it is as it was."""

from __future__ import annotations

import json

import pytest

from harness.campaign.file import loads
from harness.campaign.plan import expand, from_json
from harness.errors import CampaignError
from tests.synthetic.campaigns import MINIMAL, campaign

GATE = """\
gate:
  primary:
    - {metric: total_time, better: lower, smallest_effect_percent: 10}
    - {metric: work_lost, better: lower, smallest_effect: 3}
"""


def refused(text: str) -> str:
    with pytest.raises(CampaignError) as caught:
        loads(MINIMAL + text, "mine.yml")
    return str(caught.value)


def test_the_gate_is_in_the_plan_and_its_hash() -> None:
    plan = expand(campaign(GATE))
    assert plan.gate is not None and plan.gate.names == ("total_time", "work_lost")
    assert from_json(json.loads(json.dumps(plan.to_json()))) == plan
    assert expand(campaign(GATE.replace("percent: 10", "percent: 11"))).hash != plan.hash


def test_a_plan_without_a_gate_says_nothing_of_it() -> None:
    assert "gate" not in expand(campaign()).to_json()
    assert expand(campaign(GATE)).hash != expand(campaign()).hash


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("total_time", "total_tim", "did you mean 'total_time'?"),
        ("total_time", "launch_time", "'launch_time' is no metric of a migration"),
        (
            "total_time, better: lower",
            "total_time, better: higher",
            "of total_time the lower value is better",
        ),
        ("total_time, better: lower", "total_time, better: less", "better: 'less' is not allowed"),
        (", smallest_effect_percent: 10", "", "either smallest_effect_percent or smallest_effect"),
        (
            "percent: 10",
            "percent: 10, smallest_effect: 1",
            "either smallest_effect_percent or smallest_effect",
        ),
        ("percent: 10", "percent: 0", "gate.primary[0].smallest_effect_percent: 0 is not allowed"),
        ("smallest_effect: 3", "smallest_effect: null", "an empty value is not allowed"),
        ("work_lost", "total_time", "each metric once"),
        ("primary:", "primari:", "did you mean 'primary'?"),
    ],
)
def test_what_is_wrong_is_told(old: str, new: str, told: str) -> None:
    assert told in refused(GATE.replace(old, new))


def test_a_gate_of_nothing_is_refused() -> None:
    assert "at least 1 item" in refused("gate: {primary: []}\n")
    assert "gate.primary: the key is missing" in refused("gate: {}\n")


def test_a_metric_without_a_direction_of_its_own_takes_either() -> None:
    for better in ("lower", "higher"):
        text = GATE.replace("total_time, better: lower", f"dirty_rate, better: {better}")
        assert expand(campaign(text)).gate is not None
