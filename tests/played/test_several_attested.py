"""Several guests on a played host that are attested, in a trial with a schedule and in a control trial."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from harness.evidence import journal
from harness.evidence.folder import RunFolder
from harness.report import build
from tests.played.campaigns import begin, carry_out
from tests.report import unpainted

GUESTS = ("plain", "strict")
SCHEDULED = """\
name: attested-guests
workloads: [file]
guest: {memory_mib: 256}
guests: {each: [{name: plain}, {name: strict, request: ["1", "2"]}]}
control: 1
schedule: {window_s: 8, baseline_s: 2, points_s: [0, 4]}
heartbeat: {rate_hz: 10}
attest: {policy: lab, interval_s: 1.0, keys: [ecc-p256]}
"""


def lines(run: RunFolder, trial: str) -> list[dict[str, object]]:
    file = run.attempt(trial, 1) / "attestations.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Two guests that leave twice, and a control trial, attested throughout."""
    found = begin(tmp_path_factory.mktemp("attested"), SCHEDULED)
    assert carry_out(found, SCHEDULED) is not None, found.journal.read_text()[-3000:]
    return found


def trials(run: RunFolder) -> dict[str, str]:
    """Kind to id, of the two trials."""
    started = [one for one in journal.read(run.journal) if one.kind == "attempt.started"]
    return {str(one.data["kind"]): str(one.trial) for one in started}


def test_each_guest_is_attested_and_each_of_its_arrivals_is_proved(run: RunFolder) -> None:
    said = lines(run, trials(run)["migrations"])
    assert {(one["tier"], one["reason"]) for one in said} == {("affirming", "accepted")}
    assert {one.get("guest") for one in said if one["subject"] == "guest"} == set(GUESTS)
    assert all("guest" not in one for one in said if one["subject"] != "guest")
    arrivals = [one for one in said if one["purpose"] == "arrival"]
    for guest in GUESTS:
        mine = [(one["host"], one["epoch"]) for one in arrivals if one["guest"] == guest]
        assert mine == [("b", 2), ("a", 3)]
    events = journal.read(run.journal)
    moved = {one.data["n"]: one.data["guest"] for one in events if one.kind == "migration.started"}
    assert {one["migration"]: one["guest"] for one in arrivals} == moved
    continuity = [one["continuity"] for one in arrivals]
    assert all(isinstance(one, dict) and one["same_key"] for one in continuity)
    assert not [one for one in events if one.kind == "observer.failed"]


def test_hosts_are_asked_once_at_each_interval_however_many_guests_they_have(run: RunFolder) -> None:
    said = lines(run, trials(run)["control"])
    asked = {host: sum(1 for one in said if one["subject"] == host) for host in ("a", "b")}
    each = {guest: sum(1 for one in said if one.get("guest") == guest) for guest in GUESTS}
    assert all(abs(number - asked["a"]) <= 1 for number in (*asked.values(), *each.values())), (asked, each)
    assert {one["purpose"] for one in said} == {"interval"}


def test_each_guest_has_an_identity_of_its_own_and_a_column_names_it(run: RunFolder, tmp_path: Path) -> None:
    enrolled = [one for one in journal.read(run.journal) if one.kind == "guest.enrolled"]
    assert [one.data["guest"] for one in enrolled] == [*GUESTS, *GUESTS]
    assert len({str(one.data["name"]) for one in enrolled}) == 4
    table = pd.read_parquet(run.root / "attestations.parquet")
    assert set(table[table["subject"].eq("guest")]["guest"]) == set(GUESTS)
    assert table[table["subject"].ne("guest")]["guest"].isna().all()
    assert table[table["subject"].eq("guest")]["tpm"].eq("software").all()
    with unpainted.figures():
        build(run, tmp_path / "report", ("md",))
    assert "What attestation costs" in (tmp_path / "report/report.md").read_text()
