"""The main job in the lab, end to end: what a run must hold when everything went well."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from conftest import Lab
from harness.campaign import plan as plans
from harness.campaign import state
from harness.evidence import journal
from harness.evidence.folder import RunFolder
from harness.files import read_json
from tests import tables

pytestmark = pytest.mark.lab

FILLED = (
    "total_time",
    "blackout",
    "outage_network",
    "data_sent",
    "wire_bytes",
    "downtime_libvirt",
    "downtime_qemu",
    "total_time_qemu",
    "total_time_libvirt",
    "iterations",
    "cpu_controller",
)


@pytest.fixture(scope="module")
def migrations(smoke_run: RunFolder) -> pd.DataFrame:
    table = tables.read(smoke_run)
    return table[table.migration.notna()]


def test_every_trial_is_valid_and_every_migration_was_made(smoke_run: RunFolder) -> None:
    plan = plans.from_json(read_json(smoke_run.plan))
    standing = state.fold(journal.read(smoke_run.journal), plan)
    assert standing.status == "finished"
    assert standing.counts["valid"] == 2
    returned = [event for event in journal.read(smoke_run.journal) if event.kind == "migration.returned"]
    assert [event.data["ok"] for event in returned] == [True] * 4


def test_the_guest_goes_back_and_forth(migrations: pd.DataFrame) -> None:
    for _, trial in migrations.groupby("trial"):
        directions = trial.drop_duplicates("migration").sort_values("migration").direction
        assert list(directions) == ["a->b", "b->a"]


@pytest.mark.parametrize("metric", FILLED)
def test_independent_observers_all_saw_each_migration(migrations: pd.DataFrame, metric: str) -> None:
    values = migrations[migrations.metric == metric]
    assert len(values) == 4
    assert values.value.notna().all(), values[["trial", "migration", "reason"]]
    assert (values.value > 0).all()


def test_wire_and_hypervisor_agree_on_plain_tcp_within_three_per_cent(migrations: pd.DataFrame) -> None:
    ratios = migrations[migrations.metric == "wire_ratio"].value
    assert len(ratios) == 4
    assert ratios.between(0.97, 1.03).all(), list(ratios)


def test_the_observers_agree_about_the_blackout(migrations: pd.DataFrame) -> None:
    """STOP to RESUME by QMP and libvirt's own downtime are two definitions of nearly one thing."""
    table = migrations.pivot_table(index=["trial", "migration"], columns="metric", values="value")
    assert (abs(table.blackout - table.downtime_libvirt) < 0.1).all(), table
    # What the network sees is the blackout and what it takes to be found again, never less
    # (less two periods of the heartbeat, whose stamps frame the gap).
    assert (table.outage_network > table.blackout - 2 / 200).all(), table


def test_stamps_of_machines_on_one_kernel_need_no_mapping(smoke_run: RunFolder) -> None:
    sampled = [event.data for event in journal.read(smoke_run.journal) if event.kind == "clock.sampled"]
    by_machine = {str(data["machine"]): data for data in sampled}
    assert set(by_machine) >= {"a", "b", "client"}
    for role in ("a", "b", "client"):
        assert by_machine[role]["same_kernel"] is True
        assert by_machine[role]["uncertainty_ns"] == 0


def test_the_folder_says_what_ran_where(smoke_run: RunFolder) -> None:
    manifest = read_json(smoke_run.manifest)
    assert manifest["rig"] == "lab"
    assert manifest["accelerator"] in ("kvm", "tcg")
    assert manifest["plan_hash"] == plans.from_json(read_json(smoke_run.plan)).hash
    for machine in ("a", "b", "client"):
        for when in ("before", "after"):
            assert read_json(smoke_run.environment(machine, when))["kernel"]
    check = subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"],
        cwd=smoke_run.root,
        capture_output=True,
        check=False,
    )
    assert check.returncode == 0, check


def test_the_machines_are_as_they_were(lab: Lab, smoke_run: RunFolder) -> None:
    assert smoke_run.journal.exists()
    assert lab.domains() == {"a": "", "b": ""}
    assert "sodbench-guest" not in lab.ssh("a", "ls /srv/sodbench/guests")


def test_a_finished_run_has_nothing_to_resume(lab: Lab, smoke_run: RunFolder) -> None:
    before = smoke_run.journal.read_bytes()
    done = lab.sodbench("resume", smoke_run.root)
    assert done.status == 0, done
    started = [line for line in smoke_run.journal.read_text().splitlines() if '"attempt.started"' in line]
    assert len(started) == before.count(b'"attempt.started"') == 2


def test_the_report_shows_the_measured_table(lab: Lab, smoke_run: RunFolder, tmp_path: Path) -> None:
    done = lab.sodbench("report", smoke_run.root, "--out", tmp_path, "--format", "html")
    assert done.status == 0, done
    page = (tmp_path / "report.html").read_text()
    for word in ("Table V", "blackout", "lab", "emulated" if "tcg" in page.lower() else "KVM"):
        assert word.lower() in page.lower()
    assert json.loads(smoke_run.manifest.read_text())["plan_hash"][:12] in page


def test_the_state_of_both_hosts_is_recorded_around_each_trial(smoke_run: RunFolder) -> None:
    told = [event.data for event in journal.read(smoke_run.journal) if event.kind == "host.state"]
    assert [(one["machine"], one["when"]) for one in told] == [
        (machine, when) for _ in range(2) for when in ("before", "after") for machine in ("a", "b")
    ]
    for one in told:
        facts, reasons = one["facts"], one["reasons"]
        assert isinstance(facts, dict) and isinstance(reasons, dict)
        assert isinstance(facts["swappiness"], int)
        assert facts["tcp_no_metrics_save"] in (0, 1)
        # A container has no log of the kernel.
        assert facts["kernel_log_errors"] is None and reasons["kernel_log_errors"]
