"""The small guest in the lab: it attests, and what its writer costs a migration.

How soon it answers is a test of test_interruptions.py, where it starts several times without a TPM.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest

from conftest import Lab
from harness.evidence import folder as store
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
schedule: {{window_s: 9, points_s: [2], baseline_s: 3}}
attest: {{interval_s: 1, keys: [ecc-p256], policy: lab, guest_policy: guest}}
"""


@pytest.fixture(scope="module")
def run(lab: Lab, trust: Trust, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """An idle trial and one with the writer, both attested."""
    trust.know_small()
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.yml").write_text(CAMPAIGN)
    done = lab.sodbench("run", folder / "small.yml", "--results", folder, timeout_s=400)
    assert done.status == 0, done
    return store.find(folder)


@pytest.fixture(scope="module")
def migrations(run: RunFolder) -> Iterator[pd.DataFrame]:
    table = tables.read(run)
    yield table[table.migration.notna()].pivot_table(index="workload", columns="metric", values="value")


def test_the_heartbeat_saw_the_blackout_of_each_migration(migrations: pd.DataFrame) -> None:
    assert (migrations.outage_network > 0).all(), migrations
    assert (migrations.blackout > 0).all(), migrations


def test_the_writer_reached_its_rate_and_the_migration_sent_it_again(migrations: pd.DataFrame) -> None:
    idle, memory = migrations.loc["idle"], migrations.loc["memory"]
    # 64 MiB that do not compress are sent at least once; in an idle guest these are zero pages.
    assert memory.wire_bytes - idle.wire_bytes > 64 * MIB, migrations.wire_bytes


def test_it_attests(run: RunFolder) -> None:
    table = pd.read_parquet(run.root / "attestations.parquet")
    of_guest = table[table["subject"] == "guest"]
    assert of_guest.trial.nunique() == 2
    for _, trial in of_guest.groupby("trial"):
        assert {"guest", "linked"} <= set(trial["kind"])
        assert set(trial["tier"]) == {"affirming"}, trial[["tier", "reason"]]
        arrivals = trial[trial["purpose"] == "arrival"]
        assert list(arrivals["continuity"]) == ["accepted"]
