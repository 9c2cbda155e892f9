"""Bad weather on played machines: what fails is an outcome with its reason, and what stands is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.campaign import plan as plans
from harness.campaign import state
from harness.campaign.run import runner
from harness.cli import rigs
from harness.errors import PrerequisiteError, UnreachableError
from harness.evidence import journal
from harness.evidence.folder import RunFolder
from harness.evidence.journal import Event
from harness.files import read_json
from harness.registry.errors import RegistryError
from tests.played import campaigns

CALM = campaigns.BRIEF


def events(run: RunFolder, kind: str) -> list[Event]:
    return [one for one in journal.read(run.journal) if one.kind == kind]


def standing(run: RunFolder) -> state.RunState:
    plan = plans.from_json(read_json(run.plan), where=str(run.plan))
    return state.fold(journal.read(run.journal), plan)


def reasons(run: RunFolder, trial: int) -> str:
    counted = standing(run).trials[trial].counted
    assert counted is not None
    return " ".join(counted.reasons)


def test_a_migration_that_fails_is_an_outcome_and_the_next_one_starts_where_the_guest_is(
    tmp_path: Path,
) -> None:
    run = campaigns.begin(tmp_path, script=CALM + "fail: [{n: 1, after_s: 0.3, error: played to fail}]\n")
    assert campaigns.carry_out(run) is not None
    returned = [
        (one.data["n"], one.data["ok"], one.data["error"]) for one in events(run, "migration.returned")
    ]
    assert returned == [(1, False, "played to fail"), (2, True, None)] * 2
    directions = [(one.data["source"], one.data["destination"]) for one in events(run, "migration.started")]
    assert directions == [("a", "b"), ("a", "b")] * 2
    assert standing(run).counts["valid"] == 2
    table = campaigns.figures(run)
    blackouts = table[table["metric"].eq("blackout")]
    assert list(blackouts["value"].isna()) == [True, False] * 2
    assert all(blackouts["reason"].notna() == blackouts["value"].isna())


def test_a_migration_without_end_is_given_up(tmp_path: Path) -> None:
    text = campaigns.SMALL.replace("points_s: [0, 4]", "points_s: [0], migration_timeout_s: 2")
    run = campaigns.begin(tmp_path, text, CALM.replace("migration_s: 0.7", "migration_s: 600"))
    assert campaigns.carry_out(run, text) is not None
    assert [one.data["n"] for one in events(run, "migration.aborted")] == [1, 1]
    assert [one.data["ok"] for one in events(run, "migration.returned")] == [False, False]


@pytest.mark.parametrize("host", ["a", "b"])
def test_a_host_that_dies_ends_the_run_with_its_name_and_a_resume_finishes_it(
    tmp_path: Path, host: str
) -> None:
    dying = f"die: [{{host: {host}, guest: 2, after_s: 4}}]\n"
    run = campaigns.begin(tmp_path, script=CALM + dying)
    # The second trial is the last: what fails then is the look at the machines after the run.
    with pytest.raises(UnreachableError, match=f"host {host}"):
        campaigns.carry_out(run)
    assert standing(run).status == "aborted"
    assert standing(run).counts == {"valid": 1, "invalid": 1, "unknown": 0, "pending": 0}
    assert reasons(run, 1)
    kept = run.journal.read_bytes()
    calm = tmp_path / "calm.yml"
    calm.write_text(CALM)
    assert campaigns.carry_out(run, script=calm) is None  # an invalid trial counts: it is not tried again
    assert run.journal.read_bytes().startswith(kept)
    assert standing(run).status == "finished"


def test_a_host_that_dies_before_the_last_trial_leaves_that_to_a_resume(tmp_path: Path) -> None:
    run = campaigns.begin(tmp_path, script=CALM + "die: [{host: b, guest: 1, after_s: 4}]\n")
    with pytest.raises(UnreachableError):
        campaigns.carry_out(run)
    assert standing(run).counts == {"valid": 0, "invalid": 1, "unknown": 0, "pending": 1}
    calm = tmp_path / "calm.yml"
    calm.write_text(CALM)
    campaigns.carry_out(run, script=calm)
    assert standing(run).counts == {"valid": 1, "invalid": 1, "unknown": 0, "pending": 0}


def test_a_guest_that_hangs_makes_its_trial_invalid_and_no_other(tmp_path: Path) -> None:
    run = campaigns.begin(tmp_path, script=CALM + "hang: [{guest: 2, after_s: 9}]\n")
    assert campaigns.carry_out(run) is None
    assert standing(run).counts == {"valid": 1, "invalid": 1, "unknown": 0, "pending": 0}
    assert "does not answer any more" in reasons(run, 1)


def test_a_guest_that_does_not_come_up_is_invalid_with_its_console(tmp_path: Path) -> None:
    text = campaigns.SMALL + "guest: {boot_timeout_s: 5}\n"
    run = campaigns.begin(tmp_path, text, CALM.replace("boot_s: 0.5", "boot_s: 60"))
    assert campaigns.carry_out(run, text) is None
    assert standing(run).counts["invalid"] == 2
    assert "played guest login" in reasons(run, 0)


@pytest.mark.parametrize("gone", ["a folder that is a file", "a database that is none"])
def test_a_registry_that_is_gone_refuses_an_attested_campaign_before_anything_is_made(
    tmp_path: Path, gone: str
) -> None:
    place = tmp_path / "registry"
    place.write_text("not a registry\n" * 100)
    plan = campaigns.plan_of(campaigns.SMALL + "attest: {}\n")
    rig = rigs.played(campaigns.plan_of(campaigns.SMALL), None).rig
    provenance = runner.Provenance(
        campaign_text=campaigns.SMALL.encode(),
        command_line=["sodbench", "run"],
        commit=None,
        inventory=None,
        registry=f"sqlite:///{place / 'x.sqlite' if 'folder' in gone else place}",
    )
    with pytest.raises(RegistryError) as refused:
        runner.begin(tmp_path / "results", plan, rig, provenance)
    assert str(place) in str(refused.value)
    assert not (tmp_path / "results").exists()


def test_a_guest_that_does_not_fit_into_a_host_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    campaigns.begin(tmp_path, campaigns.SMALL + "guest: {memory_mib: 8128}\n")
    larger = tmp_path / "larger"
    larger.mkdir()
    with pytest.raises(PrerequisiteError) as refused:
        campaigns.begin(larger, campaigns.SMALL + "guest: {memory_mib: 8129}\n")
    assert "host a: 8192 MiB of memory, and 1 guest needs 8193 MiB there" in str(refused.value)
    assert "host b: 8192 MiB of memory" in str(refused.value)
    assert [one.name for one in larger.iterdir()] == ["script.yml"]
