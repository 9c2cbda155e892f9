"""Each workload of the paper in the lab: started, migrated once, and the migration seen in its own timeline.

One campaign runs them all; every test looks at a part of it.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from conftest import Lab
from harness.analysis import series
from harness.analysis import table as results
from harness.evidence import folder as store
from harness.evidence import journal
from harness.evidence.folder import RunFolder
from harness.migration.measures.switchover import switchover
from tests import tables

pytestmark = pytest.mark.lab

WORKLOADS = ("mail", "app", "file", "web", "db", "stream", "idle")
WORKING = tuple(name for name in WORKLOADS if name != "idle")
STAMPED_ONE_BY_ONE = ("mail", "app", "web", "stream")

CAMPAIGN = """\
name: seven
rig: lab
seed: 7
start: snapshot
workloads: [mail, app, file, web, db, stream, idle]
schedule:
  window_s: 12
  points_s: [3]
  baseline_s: 4
  settle_timeout_s: 240
"""


@pytest.fixture(scope="module")
def seven(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """One trial of each workload, with one migration three seconds after the window opens."""
    folder = tmp_path_factory.mktemp("seven")
    campaign = folder / "seven.yml"
    campaign.write_text(CAMPAIGN)
    done = lab.sodbench("run", campaign, "--results", folder / "r", timeout_s=1800)
    assert done.status == 0, done
    return store.find(folder / "r")


@pytest.fixture(scope="module")
def table(seven: RunFolder) -> pd.DataFrame:
    return tables.read(seven)


def values(table: pd.DataFrame, workload: str, metric: str) -> pd.Series[float]:
    rows = table[(table.workload == workload) & (table.metric == metric) & table.migration.notna()]
    assert len(rows) == 1, rows
    assert rows.value.notna().all(), rows.reason.tolist()
    return rows.value


@pytest.mark.parametrize("workload", WORKLOADS)
def test_it_is_valid_and_was_migrated(table: pd.DataFrame, workload: str) -> None:
    own = table[table.workload == workload]
    assert set(own.verdict) == {"valid"}
    assert values(table, workload, "total_time").item() > 0
    assert values(table, workload, "blackout").item() > 0


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_heartbeat_shows_the_migration(table: pd.DataFrame, workload: str) -> None:
    """The only timeline of an idle guest: silent at least as long as it stood still, less two periods."""
    outage_s = values(table, workload, "outage_network").item()
    assert outage_s > values(table, workload, "blackout").item() - 2 / 200


@pytest.mark.parametrize("workload", WORKING)
def test_its_timeline_goes_on_around_the_migration(seven: RunFolder, workload: str) -> None:
    (attempt,) = [one for one in results.read_attempts(seven) if one.trial.endswith(f"-{workload}")]
    (migration,) = attempt.migrations
    timeline = series.timelines(results.read_attempts(seven))
    own = timeline[timeline.trial.str.endswith(f"-{workload}")]
    assert len(own) > 20
    assert own.rate.notna().sum() > 20
    still = switchover(migration)
    stop_s, resume_s = ((stamp.t_ns - attempt.window_ns) / 1e9 for stamp in (still.stop, still.resume))
    assert (own.t_s <= stop_s).any(), own
    assert (own.t_s > resume_s).any(), own


@pytest.mark.parametrize("workload", STAMPED_ONE_BY_ONE)
def test_its_longest_stall_is_no_shorter_than_the_blackout(table: pd.DataFrame, workload: str) -> None:
    """Whose completions or packets are stamped one by one sees that there were none.

    A tool with one report a second sees nothing of a tenth of one: single seconds of dbench differ by half of
    their mean, whatever the guest does. What it sees of a longer stall is in test_known_effects.py.
    """
    stalled = table[
        (table.workload == workload) & (table.metric == "outage_application") & table.migration.notna()
    ]
    assert stalled.value.notna().all(), stalled.reason.tolist()
    assert stalled.resolution.item() < 0.5
    assert stalled.value.item() >= values(table, workload, "blackout").item() - stalled.resolution.item()


@pytest.mark.parametrize("workload", ["file", "db"])
def test_a_tool_with_one_report_a_second_says_so(table: pd.DataFrame, workload: str) -> None:
    stalled = table[
        (table.workload == workload) & (table.metric == "outage_application") & table.migration.notna()
    ]
    assert stalled.value.notna().all(), stalled.reason.tolist()
    assert stalled.resolution.item() == 1.0
    assert stalled.value.item() > 0


def test_every_generator_is_named_with_its_version(seven: RunFolder) -> None:
    started = {
        str(event.data["workload"]): event.data
        for event in journal.read(seven.journal)
        if event.kind == "workload.started"
    }
    assert set(started) == set(WORKLOADS)
    for workload in WORKING:
        assert started[workload]["version"], started[workload]
    assert {name: data["substitutes"] for name, data in started.items() if data["substitutes"]} == {
        "mail": "mstone",
        "app": "Faban",
        "web": "Faban",
    }


@pytest.fixture(scope="module")
def report(lab: Lab, seven: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run's report in all its formats."""
    folder = tmp_path_factory.mktemp("report")
    done = lab.sodbench("report", seven.root, "--out", folder)
    assert done.status == 0, done
    return folder


@pytest.mark.parametrize("form", ["html", "md", "tex"])
def test_the_report_names_each_stand_in(report: Path, form: str) -> None:
    text = (report / f"report.{form}").read_text(encoding="utf-8")
    assert "in place of mstone" in text
    assert "in place of Faban" in text
