"""Attestation in the lab: real hosts, real software TPMs, a guest that moves while it is attested.

One registry and one set of reference values serve all tests, as they would a user; each test leaves both
hosts enrolled and affirming.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import jwt
import pandas as pd
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from conftest import Lab
from harness.evidence import folder as store
from harness.evidence import journal
from harness.evidence.folder import RunFolder
from tests.lab.conftest import Trust
from tests.lab.test_interruptions import count, wait_for

pytestmark = pytest.mark.lab


def test_hosts_enrol_and_attest(trust: Trust) -> None:
    found = trust.verify()
    assert {name: (one["tier"], one["reason"]) for name, one in found.items()} == {
        "a": ("affirming", "accepted"),
        "b": ("affirming", "accepted"),
    }
    assert "a" in trust.say("status").output


def test_an_identity_is_given_once(trust: Trust) -> None:
    done = trust.say("enrol", "a")
    assert done.status == 14
    assert "identity-taken" in done.output


def test_the_result_goes_out_as_a_signed_token(trust: Trust, tmp_path: Path) -> None:
    done = trust.say("verify", "b", "--ear", tmp_path / "ear.jwt")
    assert done.status == 0, done
    named = re.search(r"check them with: (\S+)", done.output)
    assert named is not None, done
    key = load_pem_public_key(Path(named[1]).read_bytes())
    said = jwt.decode((tmp_path / "ear.jwt").read_text().strip(), key, algorithms=["ES256"])  # type: ignore[arg-type]
    assert said["submods"]["b"]["ear_status"] == "affirming"


def test_a_host_whose_pcr_was_extended_is_refused_until_it_is_enrolled_again(trust: Trust) -> None:
    trust.tpm("b", "tpm2_pcrextend 4:sha256=" + "ab" * 32)
    try:
        bad = trust.verify()
        assert bad["b"]["tier"] == "contraindicated"
        assert bad["b"]["reason"] == "event-log-replay"
        assert bad["a"]["tier"] == "affirming"
        trust.ssh("b", "systemctl restart sodbench-swtpm.service")
        healed = trust.verify("b")["b"]
        assert (healed["tier"], healed["reason"]) == ("contraindicated", "held-contraindicated")
    finally:
        trust.begin_anew("b")
    assert trust.verify("b")["b"]["tier"] == "affirming"


def test_a_host_that_was_restarted_passes_as_rebooted(trust: Trust) -> None:
    trust.verify("b")
    trust.ssh("b", "systemctl restart sodbench-swtpm.service")
    after = trust.verify("b")["b"]
    assert (after["tier"], after["claims"]["boot"]) == ("affirming", "reboot")


def test_a_tpm_that_is_gone_is_silence_and_not_trust(trust: Trust) -> None:
    trust.ssh("b", "systemctl stop sodbench-swtpm.service")
    try:
        gone = trust.verify("b")["b"]
        assert (gone["tier"], gone["reason"]) == ("none", "tpm-gone")
    finally:
        trust.ssh("b", "systemctl start sodbench-swtpm.service")
    assert trust.verify("b")["b"]["tier"] == "affirming"


def test_a_tpm_that_does_not_answer_is_given_up_in_time(trust: Trust) -> None:
    trust.signal("b", "STOP")
    try:
        stuck = trust.verify("b")["b"]
        assert stuck["tier"] == "none"
        assert stuck["reason"] in {"tpm-busy", "timed-out"}
    finally:
        trust.signal("b", "CONT")
    assert trust.verify("b")["b"]["tier"] == "affirming"


def test_the_monitor_sees_a_violation_within_its_interval(lab: Lab, trust: Trust) -> None:
    watching = lab.start("attest", "monitor", "a", "b", "--interval", "1", "--for", "14", "--json")
    try:
        assert watching.stdout is not None
        seen = [json.loads(watching.stdout.readline())]
        while sum(1 for one in seen if one["kind"] in ("tier", "recovered")) < 2:
            seen.append(json.loads(watching.stdout.readline()))
        trust.tpm("b", "tpm2_pcrextend 7:sha256=" + "cd" * 32)
        rest, _ = watching.communicate(timeout=60)
        seen += [json.loads(line) for line in rest.splitlines()]
    finally:
        watching.kill()
        trust.begin_anew("b")
    verdicts = [(one["subject"], one["after"]) for one in seen if one["kind"] == "tier"]
    assert ("b", "contraindicated") in verdicts, seen
    assert ("a", "contraindicated") not in verdicts, seen
    assert watching.returncode == 14
    assert trust.verify("b")["b"]["tier"] == "affirming"


def test_a_simulated_monitor_is_marked_wherever_it_speaks(trust: Trust) -> None:
    done = trust.say("monitor", "b", "--monitor", "b=hyperwall", "--interval", "1", "--for", "4", "--json")
    changes = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    spoken = [one for one in changes if one["monitor"] == "hyperwall"]
    assert spoken, done
    assert all(one["simulated"] is True for one in spoken)


@dataclass(frozen=True, slots=True)
class Story:
    """A run of campaigns/attest-smoke.yml that was killed and resumed, and what was enrolled after both."""

    run: RunFolder
    known_after_kill: str
    known_after_end: str


@pytest.fixture(scope="module")
def story(lab: Lab, trust: Trust, tmp_path_factory: pytest.TempPathFactory) -> Story:
    results = tmp_path_factory.mktemp("attest")
    running = lab.start("run", "attest-smoke", "--results", results)
    wait_for(lambda: count(results, "window.opened") > 0, running, timeout_s=240.0)
    running.kill()
    running.wait()
    known_after_kill = trust.say("status").output
    done = lab.sodbench("resume", results)
    assert done.status == 0, done
    return Story(store.find(results), known_after_kill, trust.say("status").output)


@pytest.fixture(scope="module")
def run(story: Story) -> RunFolder:
    """The run, which attested hosts and guest from its beginning to its end once it was resumed."""
    return story.run


@pytest.fixture(scope="module")
def table(run: RunFolder) -> pd.DataFrame:
    return pd.read_parquet(run.root / "attestations.parquet")


def test_a_campaign_attests_hosts_and_guest_with_both_keys(table: pd.DataFrame) -> None:
    groups = table.groupby(["subject", "kind", "key"]).size()
    wanted = {("a", "host"), ("b", "host"), ("guest", "guest"), ("guest", "linked")}
    for subject, kind in wanted:
        for key in ("ecc-p256", "rsa-2048"):
            assert groups.get((subject, kind, key), 0) >= 2, groups
    assert set(table["tier"]) == {"affirming"}, table[table["tier"] != "affirming"][["subject", "reason"]]


def test_the_labels_of_rfc_9334_are_there_and_in_order(table: pd.DataFrame) -> None:
    answered = table[table["ER"].notna()]
    assert len(answered) == len(table)
    assert (answered["NS"] < answered["ER"]).all()
    assert (answered["ER"] <= answered["RG"]).all()
    assert (answered["RG"] <= answered["RR"]).all()
    assert (answered["RR"] <= answered["RA"]).all()
    assert (answered["RA"] < answered["RX"]).all()
    hosts = answered[answered["kind"] == "host"]
    assert ((hosts["NS"] <= hosts["EG"]) & (hosts["EG"] <= hosts["ER"])).all()
    gates = answered[answered["purpose"] == "gate"]
    assert len(gates) == 4
    assert (gates["OP"] > gates["EG"]).all()


def test_a_guest_that_was_moved_keeps_its_attested_identity(table: pd.DataFrame) -> None:
    arrivals = table[table["purpose"] == "arrival"].sort_values("migration")
    assert list(arrivals["migration"]) == [1, 2]
    assert list(arrivals["continuity"]) == ["accepted", "accepted"]
    assert list(arrivals["host"]) == ["b", "a"]
    assert arrivals["epoch"].is_monotonic_increasing
    assert set(table[table["subject"] == "guest"]["boot"].dropna()) <= {"first", "same"}


def test_its_report_says_what_attestation_cost(lab: Lab, run: RunFolder, tmp_path: Path) -> None:
    done = lab.sodbench("report", run.root, "--out", tmp_path / "report", "--format", "md")
    assert done.status == 0, done
    text = next((tmp_path / "report").glob("*.md")).read_text()
    assert "What attestation costs" in text
    assert "2 of 2" in text


def test_the_guests_identity_ends_with_the_trial(story: Story) -> None:
    assert "guest:" not in story.known_after_end


def test_a_host_that_is_not_enrolled_is_found_before_anything_is_touched(
    lab: Lab, trust: Trust, tmp_path: Path
) -> None:
    empty = f"sqlite:///{tmp_path}/empty.sqlite"
    done = lab.sodbench("run", "attest-smoke", "--results", tmp_path, "--registry", empty)
    assert done.status == 4, done
    assert "host a: not enrolled" in done.output
    assert not (tmp_path / "attest-smoke").exists()


def test_a_run_that_was_killed_goes_on_though_its_guests_tpm_is_taken(
    story: Story, table: pd.DataFrame
) -> None:
    """The killed controller released nothing, and the saved guest comes back with the very same TPM."""
    assert "guest:" in story.known_after_kill
    assert sum(one.kind == "guest.released" for one in journal.read(story.run.journal)) == 1
    assert set(table["attempt"]) == {2}
    assert set(table["tier"]) == {"affirming"}
    assert "guest:" not in story.known_after_end
