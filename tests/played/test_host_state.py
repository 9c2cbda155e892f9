"""The hosts' state of a trial: recorded before and after, judged, and shown by the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UnreachableError
from harness.evidence import journal
from harness.evidence.account import Account, accounts
from harness.evidence.events import HostStateSampled
from harness.evidence.folder import RunFolder
from harness.json_types import Json
from harness.report import compose, material
from harness.rig.contract import Machine
from harness.rig.state import read
from harness.rig.state.facts import HostFacts
from tests.played import campaigns
from tests.report import unpainted

TEXT = """\
name: small
workloads: [idle]
repetitions: 1
schedule: {window_s: 8, baseline_s: 2, points_s: [0, 4]}
heartbeat: {rate_hz: 10}
"""


def attempt_of(run: RunFolder) -> Account:
    (found,) = accounts(journal.read(run.journal))
    return found


def carried_out(root: Path, monkeypatch: pytest.MonkeyPatch, *states: dict[str, Json] | None) -> RunFolder:
    """A run whose hosts are found in these states, one after another; None: the host does not answer."""
    found = iter(states)

    def state(host: Machine) -> HostFacts:
        facts = next(found)
        if facts is None:
            raise UnreachableError("the machine cannot be reached over ssh", where=host.role)
        return HostFacts(facts=facts, reasons={})

    monkeypatch.setattr(read, "state", state)
    run = campaigns.begin(root, TEXT)
    campaigns.carry_out(run, TEXT)
    return run


def shown(run: RunFolder) -> str:
    with unpainted.figures():
        return str(compose.document(material.read(run)))


def test_each_host_is_looked_at_before_and_after(tmp_path: Path) -> None:
    run = campaigns.begin(tmp_path, TEXT)
    assert campaigns.carry_out(run, TEXT) is not None
    told = [value for _, value in attempt_of(run).told(HostStateSampled)]
    assert [(one.machine, one.when) for one in told] == [
        ("a", "before"),
        ("b", "before"),
        ("a", "after"),
        ("b", "after"),
    ]
    assert all(one.facts["governor"] == "performance" and one.reasons["turbo"] for one in told)
    assert "was the same after each trial as before it" in shown(run)
    assert "The hosts' state before the first trial" in shown(run)


def test_a_setting_that_changed_makes_the_trial_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast: dict[str, Json] = {"governor": "performance"}
    run = carried_out(tmp_path, monkeypatch, fast, fast, fast, {"governor": "powersave"})
    attempt = attempt_of(run)
    assert attempt.verdict == "invalid"
    text = "b: frequency governor changed during the trial: performance to powersave"
    assert attempt.reasons == (text,)
    assert text in shown(run)


def test_throttling_flags_a_valid_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cool: dict[str, Json] = {"core_throttles": 1}
    run = carried_out(tmp_path, monkeypatch, cool, cool, {"core_throttles": 4}, cool)
    attempt = attempt_of(run)
    assert (attempt.verdict, attempt.reasons) == ("valid", ())
    assert "a: thermal throttling of cores during the trial: 3 times" in shown(run)
    assert "Something happened to a host during 1 valid trial; they are in the means." in shown(run)


def test_a_host_that_does_not_give_its_state_costs_that_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: dict[str, Json] = {"governor": "performance"}
    run = carried_out(tmp_path, monkeypatch, None, known, None, known)
    attempt = attempt_of(run)
    assert attempt.verdict == "valid"
    assert [observer for observer, _ in attempt.failures] == ["host-state", "host-state"]
    assert "a, before the trial: " in attempt.failures[0][1]


def test_a_run_without_it_shows_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.evidence.observers.host_state.sample", lambda *_: None)
    run = campaigns.begin(tmp_path, TEXT)
    campaigns.carry_out(run, TEXT)
    assert "host-state" not in shown(run)
    assert "state of the hosts" not in shown(run)
