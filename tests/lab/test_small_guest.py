"""The small guest in the lab: how soon it answers, that it attests, and what its writer costs a migration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from conftest import Lab
from harness.evidence import folder as store
from harness.evidence import journal
from harness.evidence.folder import RunFolder
from tests import tables
from tests.lab.conftest import Trust

pytestmark = pytest.mark.lab

MIB = 1 << 20
RATE_MIB_S = 32
CAMPAIGN = f"""\
name: small
guest: {{image: small, memory_mib: 256}}
workloads:
  - idle
  - name: memory
    options: {{rate_mib_s: {RATE_MIB_S}, size_mib: 64}}
schedule: {{window_s: 24, points_s: [2], baseline_s: 3}}
"""


@pytest.fixture(scope="module")
def run(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.yml").write_text(CAMPAIGN)
    done = lab.sodbench("run", folder / "small.yml", "--results", folder, timeout_s=400)
    assert done.status == 0, done
    return store.find(folder)


@pytest.fixture(scope="module")
def migrations(run: RunFolder) -> Iterator[pd.DataFrame]:
    table = tables.read(run)
    yield table[table.migration.notna()].pivot_table(index="workload", columns="metric", values="value")


def test_it_answers_soon(run: RunFolder) -> None:
    """On idle cores in about half of this; the standard image takes 45 s and more."""
    started = [event.data for event in journal.read(run.journal) if event.kind == "guest.started"]
    boots_s = [float(str(data["boot_s"])) for data in started]
    assert len(boots_s) == 2
    assert 0 < min(boots_s) <= 10.0, f"{boots_s} s; load {Path('/proc/loadavg').read_text()}"


def test_the_heartbeat_saw_the_blackout_of_each_migration(migrations: pd.DataFrame) -> None:
    assert (migrations.outage_network > 0).all(), migrations
    assert (migrations.blackout > 0).all(), migrations


def test_the_writer_reached_its_rate_and_the_migration_sent_it_again(migrations: pd.DataFrame) -> None:
    idle, memory = migrations.loc["idle"], migrations.loc["memory"]
    # 64 MiB that do not compress are sent at least once; in an idle guest these are zero pages.
    assert memory.wire_bytes - idle.wire_bytes > 64 * MIB, migrations.wire_bytes


def test_it_attests(trust: Trust, lab: Lab, tmp_path: Path) -> None:
    done = trust.say("reference", "guest", "--image", "small", timeout_s=300)
    assert done.status == 0, done
    attest = "attest: {interval_s: 1, keys: [ecc-p256], policy: lab, guest_policy: guest}\n"
    (tmp_path / "attested.yml").write_text(CAMPAIGN.replace("  - idle\n", "") + attest)
    done = lab.sodbench("run", tmp_path / "attested.yml", "--results", tmp_path, timeout_s=400)
    assert done.status == 0, done
    table = pd.read_parquet(store.find(tmp_path).root / "attestations.parquet")
    of_guest = table[table["subject"] == "guest"]
    assert {"guest", "linked"} <= set(of_guest["kind"])
    assert set(of_guest["tier"]) == {"affirming"}, of_guest[["tier", "reason"]]
    arrivals = of_guest[of_guest["purpose"] == "arrival"]
    assert list(arrivals["continuity"]) == ["accepted"]
