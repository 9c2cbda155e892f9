"""Attested campaigns on played machines: TPMs in software keys, and a registry of the run's own."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from harness import report
from harness.campaign.run import runner
from harness.cli import rigs
from harness.cli.run import run as run_command
from harness.errors import IncompleteRunError, RecordError
from harness.evidence import archive, journal
from harness.evidence import folder as folders
from harness.evidence.folder import RunFolder
from harness.evidence.journal import Event
from harness.interrupt import Interrupt
from tests.played import campaigns
from tests.played.test_deaths import in_child, resume
from tests.report import unpainted

ATTESTED = """\
name: attested
workloads: [idle]
repetitions: 1
schedule: {window_s: 6, baseline_s: 2, points_s: [0, 3]}
heartbeat: {rate_hz: 10}
attest: {policy: lab, interval_s: 1.0, keys: [ecc-p256]}
"""
PINNED_NS = 1_700_000_000_000_000_000
MARK = "PLAYED, not measured"
Line = dict[str, object]


def lines(run: RunFolder) -> list[Line]:
    """What was attested, of the only attempt."""
    (file,) = run.root.glob("trials/*/attempt-1/attestations.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def events(run: RunFolder, kind: str) -> list[Event]:
    return [one for one in journal.read(run.journal) if one.kind == kind]


def played(root: Path, script: str = "", text: str = ATTESTED) -> RunFolder:
    run = campaigns.begin(root, text, campaigns.BRIEF + script)
    campaigns.carry_out(run, text)
    return run


def answers(run: RunFolder, subject: str) -> list[tuple[str, str]]:
    return [(str(one["tier"]), str(one["reason"])) for one in lines(run) if one["subject"] == subject]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return played(tmp_path_factory.mktemp("calm"))


def test_hosts_and_guest_are_attested_and_each_arrival_is_proved(calm: RunFolder) -> None:
    said = lines(calm)
    assert {one["subject"] for one in said} == {"a", "b", "guest"}
    assert {(one["tier"], one["reason"]) for one in said} == {("affirming", "accepted")}
    arrivals = [(one["migration"], one["host"], one["epoch"]) for one in said if one["purpose"] == "arrival"]
    assert arrivals == [(1, "b", 2), (2, "a", 3)]
    assert [one["migration"] for one in said if one["purpose"] == "gate"] == [1, 1, 2, 2]
    assert all(isinstance(one["continuity"], dict) for one in said if one["purpose"] == "arrival")
    assert not events(calm, "observer.failed")
    assert len(events(calm, "guest.enrolled")) == 1


def test_it_counts_as_software_and_as_played(calm: RunFolder, tmp_path: Path) -> None:
    started = events(calm, "attestation.started")
    assert [one.data["software"] for one in started] == [True] * 3
    manifest = json.loads(calm.manifest.read_text())
    assert manifest["played"] is True
    assert "registry" not in manifest
    with pytest.raises(RecordError, match="played run is not kept"):
        archive.pack(calm, tmp_path / "archive")


def test_the_policy_for_hardware_refuses_played_tpms(tmp_path: Path) -> None:
    run = played(tmp_path, text=ATTESTED.replace("policy: lab, ", ""))
    assert {tier for tier, _ in answers(run, "a")} == {"contraindicated"}


def test_the_same_campaign_has_the_same_report_to_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is never played is pinned: the wall clock, the run's name, and what the controller spends."""
    for module in (runner, folders):
        monkeypatch.setattr(module, "realtime_ns", lambda: PINNED_NS)
    monkeypatch.setattr(folders, "secrets", SimpleNamespace(token_hex=lambda _bytes: "000000"))
    still = SimpleNamespace(
        pid=1,
        children=lambda recursive: [],
        cpu_times=lambda: SimpleNamespace(user=1.0, system=1.0),
        memory_info=lambda: SimpleNamespace(rss=1 << 27),
    )
    monkeypatch.setattr(psutil, "Process", lambda *_pid: still)
    pages: list[list[bytes]] = []
    evidence: list[list[Line]] = []
    for _ in range(2):
        place = tmp_path / "same"
        run = played(place_of(place))
        with unpainted.figures():
            made = report.build(run, place / "report", ("html", "md"))
        pages.append([path.read_bytes() for path in made.documents])
        evidence.append(lines(run))
        shutil.rmtree(place)
    assert evidence[0] == evidence[1]
    assert pages[0] == pages[1]
    assert pages[0][0].decode().count(MARK) >= pages[0][0].decode().count("<section") > 5


def place_of(place: Path) -> Path:
    place.mkdir()
    return place


def test_a_host_whose_measurements_change_is_refused_from_then_on(tmp_path: Path) -> None:
    run = played(tmp_path, "measure: [{machine: b, after_s: 5}]\n")
    said = answers(run, "b")
    changed = said.index(("contraindicated", "ima-file-unknown"))
    assert set(said[:changed]) == {("affirming", "accepted")}
    assert {tier for tier, _ in said[changed:]} == {"contraindicated"}
    assert {tier for tier, _ in answers(run, "a")} == {"affirming"}


def test_an_attester_that_falls_silent_is_no_verdict_and_the_others_go_on(tmp_path: Path) -> None:
    run = played(tmp_path, "silent: [{machine: b, after_s: 4}]\n")
    said = answers(run, "b")
    assert said[-1] == ("none", "timed-out")
    assert said[0] == ("affirming", "accepted")
    assert len(answers(run, "a")) >= 6
    assert {tier for tier, _ in answers(run, "a")} == {"affirming"}


def test_an_attester_that_answers_again_is_believed_again(tmp_path: Path) -> None:
    run = played(tmp_path, "silent: [{machine: a, after_s: 2, for_s: 1}]\n", ATTESTED.replace("6,", "30,"))
    assert ("none", "timed-out") in answers(run, "guest")  # the guest was asked together with its host
    assert {str(one.data["reason"]).split(":")[0] for one in events(run, "observer.failed")} >= {"a"}
    assert answers(run, "a")[-1] == answers(run, "guest")[-1] == ("affirming", "accepted")


def test_a_registry_that_is_gone_for_a_while_leaves_gaps_that_are_recorded(tmp_path: Path) -> None:
    run = played(tmp_path, "registry_gone: [{after_s: 4, for_s: 1.5}]\n")
    failed = events(run, "observer.failed")
    assert failed
    assert all("the registry's server does not answer" in str(one.data["reason"]) for one in failed)
    assert {tier for tier, _ in answers(run, "a")} == {"affirming"}
    assert [one.data["verdict"] for one in events(run, "attempt.finished")] == ["valid"]


GONE_AT: Sequence[tuple[str, str]] = (
    ("attempt.started", "invalid"),
    ("guest.started", "invalid"),
    ("guest.enrolled", "invalid"),
    ("window.opened", "valid"),
    ("migration.started", "valid"),
    ("migration.returned", "valid"),
)


@pytest.mark.parametrize(("kind", "verdict"), GONE_AT, ids=[one[0] for one in GONE_AT])
def test_a_registry_that_is_gone_for_good_has_the_outcome_of_a_real_one(
    tmp_path: Path, kind: str, verdict: str
) -> None:
    """Without an identity of its guest an attempt cannot attest; later, its other evidence stands."""
    run = campaigns.begin(tmp_path, ATTESTED)
    plan = campaigns.plan_of(ATTESTED)
    rig, clock, trust = rigs.played(plan, None, run)

    def leave(event: Event) -> None:
        trust.registry_gone = trust.registry_gone or event.kind == kind

    with trust.registered(rig, plan.attest) as registered:
        assert registered is not None
        try:
            runner.carry_out(run, rig, clock, Interrupt(), registry=registered.registry, listener=leave)
        except IncompleteRunError:
            assert verdict == "invalid"
    (finished,) = events(run, "attempt.finished")
    assert finished.data["verdict"] == verdict
    failed = (str(one.data["reason"]) for one in events(run, "observer.failed"))
    assert any(
        "the registry's server does not answer" in one for one in (str(finished.data["reasons"]), *failed)
    )
    # What was enrolled and cannot be released any more is known to the next attempt, and said so.
    assert len(events(run, "guest.kept")) == len(events(run, "guest.enrolled"))
    if verdict == "invalid":
        assert not events(run, "window.opened")


def test_a_run_that_was_interrupted_goes_on_with_machines_that_are_enrolled_again(tmp_path: Path) -> None:
    text = ATTESTED.replace("repetitions: 1", "repetitions: 2")
    run = campaigns.begin(tmp_path, text)

    class Died(BaseException):
        pass

    def die(event: Event) -> None:
        if event.kind == "window.closed":
            raise Died

    with pytest.raises(Died):
        campaigns.carry_out(run, text, listener=die)
    assert campaigns.carry_out(run, text) is not None
    assert len(events(run, "guest.enrolled")) == 3


@pytest.mark.parametrize("kind", ["guest.enrolled", "migration.returned", "attestation.stopped"])
def test_a_controller_that_dies_is_resumed_to_the_same_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calm: RunFolder, kind: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the registry of one that dies is left there
    run = campaigns.begin(tmp_path, ATTESTED)

    def die(event: Event) -> None:
        if event.kind == kind:
            os._exit(77)

    assert in_child(lambda: campaigns.carry_out(run, ATTESTED, listener=die)) == 77
    resume(run)
    assert campaigns.figures(run).equals(campaigns.figures(calm))
    assert [one.data["verdict"] for one in events(run, "attempt.finished")] == ["valid"]


def test_the_command_line_plays_it_without_the_users_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "attested.yml").write_text(ATTESTED)
    run_command(str(tmp_path / "attested.yml"), results=tmp_path / "results", rig="played")
    assert {one["tier"] for one in lines(folders.find(tmp_path / "results"))} == {"affirming"}
    assert not (tmp_path / "data").exists()
