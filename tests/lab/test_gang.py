"""Three guests leave a host in the policy's order, on real machines: by schedule, and from a violated host.

The order is computed here from what each guest asks for, by code of the test's own, and is held against the
journal. The same guests under the reversed order must leave otherwise, so that the test can fail.
"""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import pytest

from conftest import Lab
from harness.analysis import table as results
from harness.campaign import file as campaign_file
from harness.campaign import plan as plans
from harness.campaign.run import runner
from harness.clock import NS_PER_S, MonotonicClock
from harness.evidence import folder as store
from harness.evidence import journal
from harness.evidence.journal import Event
from harness.interrupt import Interrupt
from harness.migration.measures.evacuation import evacuations
from harness.rig import pair as pairs
from harness.rig.guest.kind import kind_of
from harness.rig.session import open_rig
from tests.lab.conftest import Trust

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


VIOLATED = """
name: violated
rig: lab
guest: {image: small}
workloads: [{name: memory, options: {size_mib: 16, rate_mib_s: 4}}]
schedule: {points_s: [2], window_s: 100, baseline_s: 3, settle_timeout_s: 240}
guests:
  concurrency: AT_ONCE
  each:
    - {name: plain, request: ["1"]}
    - {name: middle, request: ["1", "2:c"]}
    - {name: strict, request: ["1", "2"]}
attest: {interval_s: 2, keys: [ecc-p256], policy: lab, guest_policy: guest}
respond: {scenarios: [violation], policy: lab, wait_s: 90}
"""


def of(events: list[Event], kind: str) -> dict[str, Event]:
    """The events of that kind by their guests, in their order."""
    return {str(one.data["guest"]): one for one in events if one.kind == kind}


@pytest.mark.parametrize("at_once", [1, 2])
def test_three_guests_leave_a_violated_host(trust: Trust, lab: Lab, tmp_path: Path, at_once: int) -> None:
    done = trust.say("reference", "guest", "--image", "small", timeout_s=300)
    assert done.status == 0, done
    campaign = tmp_path / "violated.yml"
    campaign.write_text(VIOLATED.replace("AT_ONCE", str(at_once)))
    done = lab.sodbench("run", campaign, "--results", tmp_path / "r", timeout_s=900)
    assert done.status == 0, done
    run = store.find(tmp_path / "r")
    events = journal.read(run.journal)
    decided = of(events, "response.decided")
    strictest = sorted(ASKED, key=lambda name: -sum(ASPECTS[one] for one in ASKED[name]))
    assert list(decided) == strictest
    assert list(decided) != strictest[::-1]
    assert {(one.data["source"], one.data["destination"]) for one in decided.values()} == {("a", "b")}
    for kind in ("guest.enrolled", "response.launched", "response.arrived", "migration.returned"):
        assert set(of(events, kind)) == set(ASKED), kind
    assert {one.data["tier"] for one in of(events, "response.arrived").values()} == {"affirming"}
    names = {str(one.data["name"]) for one in of(events, "guest.enrolled").values()}
    assert len(names) == len(ASKED) and all(name.endswith(tuple(ASKED)) for name in names)
    assert most_at_once(events) == at_once
    (attempt,) = results.read_attempts(run)
    (found,) = evacuations(attempt)
    detected = min(one.t_ns for one in of(events, "response.detected").values())
    returned = max(one.t_ns for one in of(events, "migration.returned").values())
    assert found.total.value is not None, found.total.reason
    assert 0 < found.total.value <= (returned - detected) / NS_PER_S + 0.1
    assert found.link_share(10**9).value is not None
    for one in found.departures:
        assert one.readings["blackout"].value, (one.guest, one.readings["blackout"].reason)
        assert one.readings["cpu_source"].value is not None, one.readings["cpu_source"].reason


def most_at_once(events: list[Event]) -> int:
    """How many migrations were under way at once, at most."""
    steps = sorted(
        [(one.t_ns, 1) for one in events if one.kind == "migration.started"]
        + [(one.t_ns, -1) for one in events if one.kind == "migration.returned"]
    )
    return max(accumulate(step for _, step in steps))
