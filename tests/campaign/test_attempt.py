"""One try at a trial without a rig: what makes its evidence unusable, whatever came of the measurement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.campaign.plan import Plan, Trial
from harness.campaign.run import attempt
from harness.campaign.run.aboard import Aboard
from harness.campaign.run.load import TrialLoad
from harness.clock import ClockOffset
from harness.evidence.journal import Journal
from harness.evidence.observers import clocks, host_state
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.rig.guest import domain
from harness.rig.guest.kind import STANDARD
from harness.rig.rig import Rig
from tests.synthetic.clocks import SteppedClock

MACHINES = ("a", "b", "client")
HOUR_NS = 3_600 * 10**9


def offset(machine: str, monotonic_offset_ns: int = 0) -> ClockOffset:
    return ClockOffset(
        machine=machine,
        monotonic_offset_ns=monotonic_offset_ns,
        realtime_offset_ns=0,
        uncertainty_ns=100_000,
        same_kernel=False,
    )


def judged(
    path: Path, monkeypatch: pytest.MonkeyPatch, after: dict[str, ClockOffset]
) -> tuple[str, Sequence[str]]:
    """The judgement of an idle trial: clocks were sampled at its beginning and, as `after`, at its end."""
    samples = [{name: offset(name) for name in MACHINES}, after]
    monkeypatch.setattr(clocks, "sample", lambda *_arguments: samples.pop(0))
    nothing = lambda *_args, **_named: None  # noqa: E731 - stands in for what needs machines
    monkeypatch.setattr(host_state, "sample", nothing)
    for step in ("_bring_up", "_start_observers", "_migrate"):
        monkeypatch.setattr(attempt.AttemptRun, step, nothing)
    for step in ("await_steady", "baseline"):
        monkeypatch.setattr(TrialLoad, step, nothing)
    monkeypatch.setattr(Aboard, "tell_memory", nothing)
    for question in ("active_on", "require_answer"):
        monkeypatch.setattr(domain, question, nothing)
    hypervisors = SimpleNamespace(connect=dict)
    machine = SimpleNamespace(endpoint=SimpleNamespace(address="198.18.0.1"))
    rig: Any = SimpleNamespace(
        specify=nothing, clear=nothing, vacate=nothing, subject=SimpleNamespace(name="guest"), guest=machine,
        client=machine, hypervisors=hypervisors, kind=STANDARD,
        pair=SimpleNamespace(guests=lambda _names: ()),
        hosts=dict.fromkeys(("a", "b")), machines=dict.fromkeys(MACHINES),
    )  # fmt: skip
    plan: Any = SimpleNamespace(
        guest=SimpleNamespace(memory_mib=1024, vcpus=1, boot_timeout_s=60.0, uptime_s=None),
        attest=None,
        migration=None,
        overlap="skip",
        migration_timeout_s=60.0,
        link_bit_s=None,
        guests=(),
    )
    trial: Any = SimpleNamespace(
        id="001-idle", workload="idle", options={}, start="boot", repetition=1, kind="migrations",
        scenario=None, variant=None, page_cache_mib=None, dirty_rate_period_s=None,
        settle_timeout_s=60.0, baseline_s=1.0,
        window_s=10.0,
    )  # fmt: skip
    clock = SteppedClock()
    with Journal(path / "journal.jsonl", clock) as journal:
        record = Record(journal=journal, clock=clock, folder=path, trial="001-idle", attempt=1)
        one = attempt.AttemptRun(cast(Rig, rig), cast(Plan, plan), cast(Trial, trial), record, Interrupt())
        judgement = one.perform()
        return judgement.verdict, judgement.reasons


def test_an_attempt_whose_machines_ran_through_is_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert judged(tmp_path, monkeypatch, {name: offset(name) for name in MACHINES})[0] == "valid"


def test_a_host_that_was_rebooted_makes_the_attempt_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its migrations may all have failed, and its counters, caches and clock are those of another boot."""
    after = {name: offset(name, HOUR_NS if name == "b" else 0) for name in MACHINES}
    found, reasons = judged(tmp_path, monkeypatch, after)
    assert found == "invalid"
    assert any("b" in reason and "rebooted" in reason for reason in reasons)


def test_a_host_that_does_not_answer_at_the_end_makes_it_invalid_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, reasons = judged(tmp_path, monkeypatch, {name: offset(name) for name in ("a", "client")})
    assert found == "invalid"
    assert any("b did not answer" in reason for reason in reasons)


def test_a_client_that_does_not_answer_at_the_end_costs_its_observer_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert judged(tmp_path, monkeypatch, {name: offset(name) for name in ("a", "b")})[0] == "valid"
