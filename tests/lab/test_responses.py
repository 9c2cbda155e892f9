"""Security on demand in the lab: every trigger moves a guest at work to the other host, and it is proved.

One campaign plays all scenarios on a working guest; the tests look at its evidence, its metrics, its report
and the audit log.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from conftest import Lab
from harness.data_folder import data_folder
from harness.evidence import folder as store
from harness.evidence import journal
from harness.evidence.folder import RunFolder
from harness.evidence.journal import Event
from tests import tables
from tests.lab.conftest import Trust

pytestmark = pytest.mark.lab

MOVING = ("violation", "attestation", "request", "properties", "moving-target")
STOPPING = ("suspend", "shut-down")
CAMPAIGN = """\
name: guarded
rig: lab
seed: 5
guest: {image: small, memory_mib: 256}
workloads: [{name: memory, options: {rate_mib_s: 8, size_mib: 64}}]
schedule: {window_s: 14, points_s: [1], baseline_s: 2}
attest: {interval_s: 1, keys: [ecc-p256], policy: lab, guest_policy: guest}
respond:
  scenarios: [violation, attestation, request, properties, moving-target, suspend, shut-down]
  request: ["1", "2"]
  policy: lab
"""


@pytest.fixture(scope="module")
def run(lab: Lab, trust: Trust, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Every scenario once, on a guest that writes to its memory."""
    trust.know_small()
    folder = tmp_path_factory.mktemp("guarded")
    campaign = folder / "guarded.yml"
    campaign.write_text(CAMPAIGN)
    done = lab.sodbench("run", campaign, "--results", folder / "r", timeout_s=1500)
    assert done.status == 0, done
    return store.find(folder / "r")


@pytest.fixture(scope="module")
def told(run: RunFolder) -> dict[str, list[Event]]:
    """The events of each scenario's trial."""
    events = journal.read(run.journal)
    trials = {str(one.data["scenario"]): one.trial for one in events if one.kind == "attempt.started"}
    return {name: [one for one in events if one.trial == trial] for name, trial in trials.items()}


@pytest.fixture(scope="module")
def table(run: RunFolder) -> pd.DataFrame:
    return tables.read(run)


def first(events: list[Event], kind: str) -> Event:
    found = [one for one in events if one.kind == kind]
    assert found, f"no {kind} among {sorted({one.kind for one in events})}"
    return found[0]


@pytest.mark.parametrize("scenario", MOVING)
def test_the_guest_is_moved_and_proved_to_be_the_one_that_left(
    told: dict[str, list[Event]], scenario: str
) -> None:
    events = told[scenario]
    assert first(events, "response.detected").data["cause"] == scenario
    decided = first(events, "response.decided")
    assert (decided.data["action"], decided.data["destination"]) == ("move", "b")
    assert first(events, "migration.returned").data["ok"] is True
    arrived = first(events, "response.arrived")
    assert (arrived.data["tier"], arrived.data["reason"], arrived.data["same_key"]) == (
        "affirming",
        "accepted",
        True,
    )
    assert first(events, "response.closed").data["state"] == "completed"


@pytest.mark.parametrize("scenario", MOVING)
def test_its_steps_are_in_order_and_none_is_missing(told: dict[str, list[Event]], scenario: str) -> None:
    events = told[scenario]
    kinds = ["response.detected", "response.decided", "migration.started", "response.accepted"]
    stamps = [first(events, kind).t_ns for kind in (*kinds, "migration.returned", "response.arrived")]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize("scenario", [*MOVING, *STOPPING])
def test_the_guest_was_deployed_onto_a_server_that_was_found_good(
    told: dict[str, list[Event]], scenario: str
) -> None:
    launched = first(told[scenario], "response.launched")
    stages = launched.data["stages_ns"]
    assert isinstance(stages, dict)
    assert set(stages) == {"validate", "start", "enrol", "attest", "place"}
    assert all(isinstance(ns, int) and ns > 0 for ns in stages.values())


@pytest.mark.parametrize(
    ("scenario", "state"), [("suspend", "suspended"), ("shut-down", "shut-down")], ids=STOPPING
)
def test_with_no_server_left_it_is_stopped_where_it_is(
    told: dict[str, list[Event]], scenario: str, state: str
) -> None:
    events = told[scenario]
    acted = first(events, "response.acted")
    assert (acted.data["action"], acted.data["ok"]) == (scenario, True)
    assert first(events, "response.closed").data["state"] == state
    assert not [one for one in events if one.kind == "migration.started" and one.t_ns < acted.t_ns]


def test_a_suspended_guest_goes_on_where_it_is_protected_again(told: dict[str, list[Event]]) -> None:
    """The violations were accepted afterwards, so that the other server was good again."""
    events = told["suspend"]
    suspended = first(events, "response.acted").t_ns
    after = [one for one in events if one.t_ns > suspended]
    assert first(after, "response.arrived").data["reason"] == "accepted"
    assert first(after, "migration.returned").data["ok"] is True


@pytest.mark.parametrize("scenario", ["violation", "request", "suspend", "shut-down"])
def test_what_is_simulated_says_so(told: dict[str, list[Event]], scenario: str) -> None:
    detected = first(told[scenario], "response.detected").data
    assert detected["simulated"] is (scenario != "request")


@pytest.mark.parametrize("scenario", MOVING)
def test_every_span_has_a_number(told: dict[str, list[Event]], table: pd.DataFrame, scenario: str) -> None:
    trial = told[scenario][0].trial
    mine = table[(table.trial == trial) & (table.migration == 1)]
    spans = ["response_appraise", "response_decide", "response_trigger", "response_verify", "trigger_delay"]
    spans += [] if scenario == "moving-target" else ["response_detect", "reaction_time"]
    for name in spans:
        row = mine[mine.metric == name]
        assert len(row) == 1, name
        assert row.value.notna().all(), (name, row.reason.tolist())
        assert row.value.item() >= 0, name


def test_the_report_has_the_waterfall_and_the_paper_s_delay(lab: Lab, run: RunFolder, tmp_path: Path) -> None:
    done = lab.sodbench("report", run.root, "--out", tmp_path, "--format", "md")
    assert done.status == 0, done
    text = (tmp_path / "report.md").read_text()
    assert "2.33" in text
    assert "simulated" in text
    for scenario in MOVING:
        assert scenario.replace("-", " ") in text.replace("-", " ")


def test_nothing_of_the_responses_is_left_open(lab: Lab, run: RunFolder) -> None:
    assert "guest" not in "".join(lab.domains().values())
    shown = lab.sodbench("audit", "show", "--limit", "5")
    assert shown.status == 0, shown


def test_the_audit_log_verifies_and_does_not_after_an_edit(
    lab: Lab, trust: Trust, run: RunFolder, tmp_path: Path
) -> None:
    done = lab.sodbench("audit", "verify")
    assert done.status == 0, done
    copy = tmp_path / "copy.sqlite"
    kept = data_folder() / "registry.sqlite"
    with sqlite3.connect(kept) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    with sqlite3.connect(copy) as edited:
        names = [row[0] for row in edited.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        for name in names:
            edited.execute(f'DROP TRIGGER "{name}"')
        changed = edited.execute(
            "UPDATE response_steps SET state = 'completed' WHERE number = "
            "(SELECT number FROM response_steps WHERE state = 'suspended' LIMIT 1)"
        )
        assert changed.rowcount == 1
    done = lab.sodbench("audit", "verify", "--registry", f"sqlite:///{copy}")
    assert done.status == 19, done
