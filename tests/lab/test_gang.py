"""Three guests leave a host in the policy's order, on real machines: by schedule, and from a violated host.

The order is computed here from the journal, by code of the test's own: from what each guest was deployed
with, and from when its migration began. Under the reversed order the same guests leave the other way round.
"""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from conftest import Lab
from harness.analysis import table as results
from harness.attest.measures import line as attestations
from harness.clock import NS_PER_S
from harness.evidence import folder as store
from harness.evidence import journal
from harness.evidence.journal import Event
from harness.migration.measures.evacuation import Evacuation, evacuations
from tests.lab.conftest import Trust

pytestmark = pytest.mark.lab

NAMES = {"plain", "middle", "strict"}
CAMPAIGN = """
name: gang
rig: lab
guest: {image: small}
workloads: [idle]
schedule: {points_s: [2], window_s: 16, baseline_s: 3}
attest: {interval_s: 2, keys: [ecc-p256], policy: lab, guest_policy: guest}
guests:
  each:
    - {name: plain, request: ["1"]}
    - {name: middle, request: ["1", "2:c"]}
    - {name: strict, request: ["1", "2"]}
"""


def test_three_guests_leave_at_a_point_of_the_schedule_and_each_arrival_is_proved(
    trust: Trust, lab: Lab, tmp_path: Path
) -> None:
    run = carried_out(trust, lab, tmp_path, CAMPAIGN)
    events = journal.read(run.journal)
    assert left(events) == ["strict", "middle", "plain"]
    measured(run, events)
    (folder,) = run.root.glob("trials/*/attempt-1")
    found = attestations.read(folder / attestations.FILE)
    assert {one.tier for one in found} == {"affirming"}, [one for one in found if one.tier != "affirming"]
    assert {one.guest for one in found if one.subject == "guest"} == NAMES
    arrived = {one.guest: one for one in found if one.purpose == "arrival"}
    assert set(arrived) == NAMES
    for one in arrived.values():
        assert (one.host, one.epoch) == ("b", 2)
        assert one.continuity is not None and one.continuity.same_key


VIOLATED = """
name: violated
rig: lab
guest: {image: small}
workloads: [{name: memory, options: {size_mib: 16, rate_mib_s: 4}}]
schedule: {points_s: [2], window_s: 12, baseline_s: 3, settle_timeout_s: 240}
guests:
  order: ORDER
  concurrency: AT_ONCE
  each:
    - {name: plain, request: ["1"]}
    - {name: middle, request: ["1", "2:c"]}
    - {name: strict, request: ["1", "2"]}
attest: {interval_s: 2, keys: [ecc-p256], policy: lab, guest_policy: guest}
respond: {scenarios: [violation], policy: lab, wait_s: 60}
"""
"""The window stays open until every guest has left, however early it would close."""


def of(events: list[Event], kind: str) -> dict[str, Event]:
    """The events of that kind by their guests, in their order."""
    return {str(one.data["guest"]): one for one in events if one.kind == kind}


def left(events: list[Event]) -> list[str]:
    """The guests in the order in which their migrations began."""
    return list(of(events, "migration.started"))


def strictest_first(events: list[Event]) -> list[str]:
    """The guests by how many protections each was deployed with, most first; no two ask for as many."""
    launched: dict[str, Any] = of(events, "response.launched")
    letters = {
        guest: sum(len(aspects) for aspects in one.data["request"]["options"].values())
        for guest, one in launched.items()
    }
    assert len(set(letters.values())) == len(letters) > 1, letters
    return sorted(letters, key=lambda guest: -letters[guest])


def measured(run: store.RunFolder, events: list[Event]) -> Evacuation:
    """The evacuation, of which everything that the report states was measured."""
    assert [one.data for one in events if one.kind == "observer.failed"] == []
    (attempt,) = results.read_attempts(run)
    (found,) = evacuations(attempt)
    assert {one.guest for one in found.departures} == NAMES
    assert found.total.value is not None and found.total.value > 0, found.total.reason
    assert found.link_share(10**9).value is not None, found.link_share(10**9).reason
    for one in found.departures:
        assert one.readings["blackout"].value, (one.guest, one.readings["blackout"].reason)
        assert one.readings["cpu_source"].value is not None, one.readings["cpu_source"].reason
    return found


def evacuated(trust: Trust, lab: Lab, tmp_path: Path, *, order: str, at_once: int) -> store.RunFolder:
    """The run of three guests that leave a violated host in that order, so many at once."""
    return carried_out(
        trust, lab, tmp_path, VIOLATED.replace("AT_ONCE", str(at_once)).replace("ORDER", order)
    )


def carried_out(trust: Trust, lab: Lab, tmp_path: Path, text: str) -> store.RunFolder:
    """The run of a campaign whose small guests are attested."""
    trust.know_small()
    campaign = tmp_path / "gang.yml"
    campaign.write_text(text)
    done = lab.sodbench("run", campaign, "--results", tmp_path / "r", timeout_s=900)
    assert done.status == 0, done
    return store.find(tmp_path / "r")


@pytest.mark.parametrize("at_once", [1, 2])
def test_three_guests_leave_a_violated_host(trust: Trust, lab: Lab, tmp_path: Path, at_once: int) -> None:
    run = evacuated(trust, lab, tmp_path, order="strictest-first", at_once=at_once)
    events = journal.read(run.journal)
    assert left(events) == strictest_first(events)
    decided = of(events, "response.decided")
    assert list(decided) == left(events)
    assert {(one.data["source"], one.data["destination"]) for one in decided.values()} == {("a", "b")}
    for kind in ("guest.enrolled", "response.launched", "response.arrived", "migration.returned"):
        assert set(of(events, kind)) == NAMES, kind
    assert {one.data["tier"] for one in of(events, "response.arrived").values()} == {"affirming"}
    names = {str(one.data["name"]) for one in of(events, "guest.enrolled").values()}
    assert len(names) == len(NAMES) and all(name.endswith(tuple(NAMES)) for name in names)
    assert most_at_once(events) == at_once
    detected = min(one.t_ns for one in of(events, "response.detected").values())
    returned = max(one.t_ns for one in of(events, "migration.returned").values())
    total = measured(run, events).total.value
    assert total is not None and total <= (returned - detected) / NS_PER_S + 0.1


def test_under_the_reversed_order_the_guests_leave_the_other_way_round(
    trust: Trust, lab: Lab, tmp_path: Path
) -> None:
    """The list of the campaign is the reverse of strictest first, which the test above would refuse."""
    run = evacuated(trust, lab, tmp_path, order="oldest-request", at_once=1)
    events = journal.read(run.journal)
    assert left(events) == strictest_first(events)[::-1] != strictest_first(events)


def most_at_once(events: list[Event]) -> int:
    """How many migrations were under way at once, at most."""
    steps = sorted(
        [(one.t_ns, 1) for one in events if one.kind == "migration.started"]
        + [(one.t_ns, -1) for one in events if one.kind == "migration.returned"]
    )
    return max(accumulate(step for _, step in steps))
