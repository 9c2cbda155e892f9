"""The monitors of each architecture, and how they are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint
from types import MappingProxyType

import pytest

from harness import plugins
from harness.attest.attester.contract import AttesterError, Properties
from harness.attest.evidence import RefusedError
from harness.attest.monitor import kinds
from harness.attest.monitor.kinds.contract import Means, Monitor
from harness.attest.monitor.kinds.datasafe import DatasafeMonitor
from harness.attest.monitor.kinds.hyperwall import HyperwallMonitor
from harness.attest.monitor.kinds.tpm import TpmMonitor
from harness.attest.reasons import Reason, Tier
from harness.attest.result import AttestationResult
from harness.attest.verdict import Verdict
from harness.errors import PrerequisiteError, UsageError
from harness.json_types import Json

GOOD = AttestationResult(
    attester="a",
    key="ecc-p256",
    tier=Tier.AFFIRMING,
    reason=Reason.ACCEPTED,
    detail="",
    claims={"clock": {"reset_count": 3}},
    vector={},
    policy="lab",
    generated_ns=5,
    expires_ns=50,
)


class World:
    """What the monitors are told of the server `a`."""

    def __init__(self, violations: int | None = 0, accepted: int = 0) -> None:
        self.violations = violations
        self.accepted = accepted
        self.examined = GOOD
        self.fault: Exception | None = None
        self.asked: list[str] = []

    def means(self) -> Means:
        return Means(
            examine=self.examine,
            properties=self.properties,
            accepted_violations=lambda _subject: self.accepted,
            now_ns=lambda: 7,
        )

    def examine(self, subject: str) -> AttestationResult:
        self.asked.append(subject)
        if self.fault is not None:
            raise self.fault
        return self.examined

    def properties(self, subject: str) -> Properties:
        self.asked.append(subject)
        if self.fault is not None:
            raise self.fault
        why = {} if self.violations is not None else {"memory_violations": "not a HyperWall"}
        return Properties(
            architecture="HyperWall",
            simulated=True,
            memory_violations=self.violations,
            reasons=why,
            boot_id="boot-1",
        )


def test_a_tpm_is_seen_as_the_verifier_sees_it() -> None:
    world = World()
    found = TpmMonitor("a", world.means()).observe()

    assert world.asked == ["a"]
    assert (found.verdict.tier, found.verdict.reason, found.simulated) == (
        Tier.AFFIRMING,
        Reason.ACCEPTED,
        False,
    )
    assert (found.generated_ns, found.verdict.expires_ns, found.boot) == (5, 50, "reset 3")
    assert found.trust_evidence == {"tier": "affirming", "reason": "accepted"}


def test_a_tpm_that_cannot_be_asked_is_not_made_up_for() -> None:
    world = World()
    world.fault = AttesterError(Reason.TPM_GONE)

    with pytest.raises(AttesterError):
        TpmMonitor("a", world.means()).observe()


@pytest.mark.parametrize(
    ("claims", "boot"),
    [({}, None), ({"clock": {"reset_count": 4}}, "reset 4"), ({"clock": None}, None), ({"clock": {}}, None)],
)
def test_a_result_names_its_boot_only_where_the_evidence_was_genuine(
    claims: Mapping[str, Json], boot: str | None
) -> None:
    world = World()
    world.examined = replace(
        GOOD,
        tier=Tier.WARNING,
        reason=Reason.SOFTWARE_TPM,
        detail="so",
        claims=MappingProxyType(dict(claims)),
    )
    found = TpmMonitor("a", world.means()).observe()

    assert found.verdict == Verdict(
        tier=Tier.WARNING, reason=Reason.SOFTWARE_TPM, detail="so", generated_ns=5, expires_ns=50
    )
    assert found.boot == boot


def test_more_memory_violations_than_accepted_are_a_violation_and_stay_one() -> None:
    world = World(violations=2, accepted=2)
    monitor = HyperwallMonitor("a", world.means())
    assert monitor.observe().verdict.tier is Tier.AFFIRMING

    world.violations = 3
    found = monitor.observe()
    assert (found.verdict.tier, found.verdict.reason) == (Tier.CONTRAINDICATED, Reason.MEMORY_VIOLATION)
    assert found.trust_evidence == {"memory_violations": 3, "most": 3, "accepted": 2}
    assert "3 memory violations, 2 accepted" in found.verdict.detail

    world.violations = 0  # a server cannot take back what it has admitted
    assert monitor.observe().verdict.tier is Tier.CONTRAINDICATED
    world.accepted = 3
    assert monitor.observe().verdict.tier is Tier.AFFIRMING


def test_everything_a_simulated_monitor_says_is_marked() -> None:
    found = HyperwallMonitor("a", World().means()).observe()

    assert (found.simulated, found.boot, found.generated_ns) == (True, "boot-1", 7)
    assert HyperwallMonitor.simulated
    assert DatasafeMonitor.simulated
    assert not TpmMonitor.simulated


@pytest.mark.parametrize("violations", [None, -1])
def test_no_number_of_violations_is_not_none_of_them(violations: int | None) -> None:
    with pytest.raises(RefusedError) as refused:
        HyperwallMonitor("a", World(violations).means()).observe()

    assert refused.value.reason is Reason.MALFORMED_EVIDENCE
    assert violations is not None or "not a HyperWall" in refused.value.why


def test_datasafe_has_a_name_and_no_evidence() -> None:
    world = World()
    monitor = DatasafeMonitor("a", world.means())

    assert monitor.boot_properties() == {"architecture_type": "DataSafe"}
    monitor.observe()
    assert world.asked == []


@pytest.mark.parametrize(
    ("kind", "architecture"),
    [(TpmMonitor, "TPM"), (HyperwallMonitor, "HyperWall"), (DatasafeMonitor, "DataSafe")],
)
def test_each_states_its_architecture(kind: type[Monitor], architecture: str) -> None:
    assert kind("a", World().means()).boot_properties() == {"architecture_type": architecture}
    assert kind.architecture == architecture


POINTS = [
    EntryPoint("tpm", "harness.attest.monitor.kinds.tpm:TpmMonitor", kinds.GROUP),
    EntryPoint("broken", "harness.attest.monitor.kinds.nowhere:Nothing", kinds.GROUP),
]


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    registered = list(POINTS)
    monkeypatch.setattr(plugins, "registered", lambda group: registered)
    return registered


def test_a_monitor_is_found_by_its_name(points: list[EntryPoint]) -> None:
    assert kinds.get("tpm") is TpmMonitor


def test_an_unknown_monitor_is_named_with_the_nearest(points: list[EntryPoint]) -> None:
    with pytest.raises(UsageError) as refused:
        kinds.get("tmp")

    assert "'tpm'" in refused.value.remedy


def test_a_monitor_that_cannot_be_imported_does_not_silently_not_exist(points: list[EntryPoint]) -> None:
    with pytest.raises(PrerequisiteError, match="broken"):
        kinds.available()
    points.pop()
    assert kinds.available() == {"tpm": TpmMonitor}
