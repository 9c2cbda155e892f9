"""The reference data set: real runs in the lab, kept with the project, from which everything comes out again.

The same evidence gives the same metrics and the same report, byte for byte, on any machine with the pinned
libraries. Where a change means to alter them, CONTRIBUTING.md says how the data set is brought up to date.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from harness import archive, journal, report, results
from harness.store import RunFolder

REFERENCE = Path(__file__).parent.parent / "results/reference/lab"
WORKLOADS = {"mail", "app", "file", "web", "db", "stream", "idle"}


@pytest.fixture(scope="module", params=["paper-lab", "paper-short", "attest"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def run(name: str, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Unpacked, which checks every file against the sum it had when the run ended."""
    return archive.unpack(REFERENCE / name / "run", tmp_path_factory.mktemp("reference") / "run")


def test_the_metrics_come_out_again(run: RunFolder) -> None:
    made = [*run.root.glob("metrics.*"), *run.root.glob("attestations.*")]
    assert len(made) >= 2
    kept = {path: path.read_bytes() for path in made}
    results.write(run)
    assert {path: path.read_bytes() for path in kept} == kept


def test_the_report_comes_out_again(run: RunFolder, name: str, tmp_path: Path) -> None:
    enclosed = REFERENCE / name / "enclosed"
    steps, attacks = (
        (enclosed / "steps.json", enclosed / "attacks.json") if enclosed.is_dir() else (None, None)
    )
    report.build(run, tmp_path, ("html", "md"), benchmarks=steps, adversary=attacks)
    made = {str(one.relative_to(tmp_path)): one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}
    folder = REFERENCE / name / "report"
    kept = {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}
    assert kept.keys() == made.keys()
    assert [file for file in kept if kept[file] != made[file]] == []


def test_every_row_of_table_v_is_filled(run: RunFolder) -> None:
    table = results.valid(results.read(run))
    for metric in ("total_time", "blackout", "data_sent", "outage_network"):
        rows = table[(table.metric == metric) & table.migration.notna() & table.value.notna()]
        assert set(rows.workload) == WORKLOADS, metric


def test_no_migration_and_no_trial_was_left_out(run: RunFolder, name: str) -> None:
    events = journal.read(run.journal)
    returned = [event.data["ok"] for event in events if event.kind == "migration.returned"]
    assert len(returned) == {"paper-lab": 35, "paper-short": 42, "attest": 21}[name]
    finished = [event.data["verdict"] for event in events if event.kind == "attempt.finished"]
    assert len(finished) == {"paper-lab": 7, "paper-short": 28, "attest": 7}[name]


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
