"""The reference data set: real runs in the lab, kept with the project, from which everything comes out again.

The same evidence gives the same metrics and the same report, byte for byte, on any machine with the pinned
libraries. Where a change means to alter them, CONTRIBUTING.md says how the data set is brought up to date.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from harness import report
from harness.analysis import table as results
from harness.evidence import archive, journal
from harness.evidence.folder import RunFolder
from tests import reference, tables

REFERENCE = reference.DATA
WORKLOADS = {"mail", "app", "file", "web", "db", "stream", "idle"}


@dataclass(frozen=True)
class Kept:
    """What a run of the data set is known to hold: trials, migrations, workloads, rows of Table V."""

    trials: int
    migrations: int
    workloads: frozenset[str] = frozenset(WORKLOADS)
    rows: tuple[str, ...] = ("total_time", "blackout", "data_sent", "outage_network")


KEPT = {
    "paper-lab": Kept(21, 105),
    "paper-short": Kept(28, 42),
    "paper-kits": Kept(6, 15, frozenset({"mail", "app", "web"})),
    "attest": Kept(7, 21),
    "options": Kept(36, 72, frozenset({"file"})),
    "respond": Kept(45, 240, frozenset({"idle", "file", "web"})),
    # A guest that is suspended stands still before its migration and after it: nothing is cut off by it.
    "respond-stop": Kept(10, 10, frozenset({"idle"}), ("total_time", "data_sent")),
}


@pytest.fixture(scope="module", params=list(KEPT))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def run(name: str, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Unpacked, which checks every file against the sum it had when the run ended."""
    return archive.unpack(REFERENCE / name / "run", tmp_path_factory.mktemp("reference") / "run")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.long] if name == "respond" else []) for name in KEPT],
    indirect=True,
    scope="module",
)
def test_the_metrics_come_out_again(run: RunFolder) -> None:
    made = [path for kind in ("metrics", "attestations", "responses") for path in run.root.glob(f"{kind}.*")]
    assert len(made) >= 2
    kept = {path: path.read_bytes() for path in made}
    results.write(run)
    assert {path: path.read_bytes() for path in kept} == kept


@pytest.mark.long
def test_the_report_comes_out_again(run: RunFolder, name: str, tmp_path: Path) -> None:
    report.build(run, tmp_path, ("html", "md"), **reference.enclosed(REFERENCE / name))
    made = {str(one.relative_to(tmp_path)): one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}
    folder = REFERENCE / name / "report"
    kept = {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}
    assert kept.keys() == made.keys()
    assert [file for file in kept if kept[file] != made[file]] == []


def test_every_row_of_table_v_is_filled(run: RunFolder, name: str) -> None:
    table = results.valid(tables.read(run))
    for metric in KEPT[name].rows:
        rows = table[(table.metric == metric) & table.migration.notna() & table.value.notna()]
        assert set(rows.workload) == KEPT[name].workloads, metric


def test_no_migration_and_no_trial_was_left_out(run: RunFolder, name: str) -> None:
    events = journal.read(run.journal)
    returned = [event.data["ok"] for event in events if event.kind == "migration.returned"]
    assert len(returned) == KEPT[name].migrations
    finished = [event.data["verdict"] for event in events if event.kind == "attempt.finished"]
    assert len(finished) == KEPT[name].trials


@pytest.fixture(scope="module")
def attested(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    run = archive.unpack(REFERENCE / "attest/run", tmp_path_factory.mktemp("attest") / "run")
    return results.attestations(run)


def test_hosts_and_guest_were_attested_under_every_workload_with_both_keys(attested: pd.DataFrame) -> None:
    seen = set(attested[["workload", "kind", "key"]].itertuples(index=False, name=None))
    kinds, keys = ("host", "guest", "linked"), ("ecc-p256", "rsa-2048")
    assert seen == {(load, kind, key) for load in WORKLOADS for kind in kinds for key in keys}
    assert set(attested["phase"]) == {"before", "during", "after"}


def test_a_guest_moved_under_load_kept_its_attested_identity(attested: pd.DataFrame) -> None:
    arrivals = attested[attested["purpose"] == "arrival"]
    assert len(arrivals) == 21
    assert set(arrivals["continuity"]) == {"accepted"}
    assert arrivals["same_key"].all()


@pytest.fixture(scope="module")
def responses(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    run = archive.unpack(REFERENCE / "respond/run", tmp_path_factory.mktemp("respond") / "run")
    return results.responses(run)


def test_every_trigger_was_answered_in_three_trials_of_every_workload(responses: pd.DataFrame) -> None:
    completed = responses[responses["state"].eq("completed")]
    counts = completed.groupby(["scenario", "workload"]).agg({"n": "size", "trial": "nunique"})
    triggers = ("violation", "attestation", "request", "properties", "moving-target")
    assert set(counts.index) == {(name, load) for name in triggers for load in ("idle", "file", "web")}
    assert counts["n"].min() >= 15
    assert counts["trial"].min() >= 3


def test_every_guest_that_was_moved_is_proved_to_be_the_one_that_left(responses: pd.DataFrame) -> None:
    moved = responses[responses["state"].eq("completed")]
    assert set(moved["arrival_reason"]) == {"accepted"}
    assert moved["same_key"].all()
