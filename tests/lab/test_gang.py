"""Three guests leave a host one after another, in the order of the policy, on real machines.

The order is computed here from what each guest asks for, by code of the test's own, and is held against the
journal. The same guests under the reversed order must leave otherwise, so that the test can fail.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import Lab
from harness.analysis import table as results
from harness.campaign import file as campaign_file
from harness.campaign import plan as plans
from harness.campaign.run import runner
from harness.clock import MonotonicClock
from harness.evidence import journal
from harness.interrupt import Interrupt
from harness.migration.measures.evacuation import evacuations
from harness.rig import pair as pairs
from harness.rig.guest.kind import kind_of
from harness.rig.session import open_rig

pytestmark = pytest.mark.lab

ASKED = {"plain": ["1"], "middle": ["1", "2:c"], "strict": ["1", "2"]}
ASPECTS = {"1": 1, "2": 3, "2:c": 1}
"""How many protections each option stands for, as the paper's Table I counts them."""

CAMPAIGN = """
name: gang
rig: lab
guest: {image: small}
workloads: [idle]
schedule: {points_s: [0], window_s: 60, baseline_s: 3}
guests:
  each:
    - {name: plain, request: ["1"]}
    - {name: middle, request: ["1", "2:c"]}
    - {name: strict, request: ["1", "2"]}
"""


def test_three_guests_leave_in_the_order_of_the_policy(lab: Lab, tmp_path: Path) -> None:
    plan = plans.expand(campaign_file.loads(CAMPAIGN, "gang.yml"))
    pair, clock = pairs.load(lab.inventory), MonotonicClock()
    with open_rig(pair, "the gang test", clock, kind_of(plan.guest.image)) as rig:
        provenance = runner.Provenance(
            campaign_text=CAMPAIGN.encode(), command_line=["pytest"], commit=None, inventory=pair.inventory
        )
        run = runner.begin(tmp_path, plan, rig, provenance)
        runner.carry_out(run, rig, clock, Interrupt())
    events = journal.read(run.journal)
    left = [str(one.data["guest"]) for one in events if one.kind == "migration.started"]
    strictest = sorted(ASKED, key=lambda name: -sum(ASPECTS[one] for one in ASKED[name]))
    assert left == strictest
    assert left != strictest[::-1]
    (attempt,) = results.read_attempts(run)
    (found,) = evacuations(attempt)
    assert found.total.value is not None and found.total.value > 0, found.total.reason
    for one in found.departures:
        assert one.readings["blackout"].value, (one.guest, one.readings["blackout"].reason)
        assert one.readings["cpu_source"].value is not None, one.readings["cpu_source"].reason
