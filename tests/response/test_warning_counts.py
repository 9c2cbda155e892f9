"""Does a warning count? One key of the appraisal policy says so, to all who ask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.attest.evidence import KeyType
from harness.attest.examine.round import Examiner
from harness.attest.guest.continuity import bounds
from harness.attest.monitor.shared import SharedAttesters
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason, Tier
from harness.attest.reference.files import load_policy
from harness.attest.reference.policy import AppraisalPolicy
from harness.clock import MonotonicClock
from harness.errors import GuestError
from harness.evidence.journal import Journal
from harness.evidence.record import Record
from harness.interrupt import Interrupt
from harness.pair_name import ONLY_GUEST
from harness.policy.capability_file import load_table
from harness.registry.places import policy_file
from harness.registry.registry import Registry, open_registry
from harness.response.act import launching
from harness.response.act.guard import Guard, GuardSettings
from harness.response.act.guards import Guards
from harness.response.act.prover import Prover
from harness.response.policy_file import load as load_response
from harness.response.policy_file import locate
from tests.attest.attesters import GOOD, POLICY, UUID, SoftwareAttester, enrol
from tests.registry.blank import blank

CLOCK = MonotonicClock()
KEY: KeyType = "ecc-p256"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with open_registry(blank(tmp_path)) as opened:
        yield opened


def lab(**changes: object) -> AppraisalPolicy:
    return load_policy(policy_file("lab")).model_copy(update=changes)


def servers_count(registry: Registry, folder: Path, hosts: AppraisalPolicy) -> bool:
    """Whether servers with a warning are good enough for a guest under guard."""
    with Journal(folder / "journal.jsonl", CLOCK) as journal:
        record = Record(journal=journal, clock=CLOCK, folder=folder, trial="watch", attempt=1)
        settings = GuardSettings(
            vm="guest",
            monitors={},
            key=KEY,
            policies={"a": hosts, "b": hosts, "guest": lab()},
            references={},
            response=load_response(locate("lab")),
            table=load_table(),
            interval_s=1,
            owner="this",
        )
        nowhere = SimpleNamespace(role="guest", endpoint=SimpleNamespace(address="192.0.2.1"))
        subject = SimpleNamespace(name=ONLY_GUEST)
        rig: Any = SimpleNamespace(hosts={}, guest=nowhere, subject=subject)
        guards = Guards([Guard(rig, registry, settings, record, Interrupt())])
        with guards.watch() as watched_rig:
            return watched_rig.servers.fleet({}).warning_counts


@pytest.mark.parametrize("name", ["default", "lab", "guest"])
def test_what_the_shipped_policies_let_pass_with_a_warning_makes_no_guest_flee(
    name: str, registry: Registry, tmp_path: Path
) -> None:
    given = load_policy(policy_file(name))
    assert given.clock_unsafe == "warn"
    assert bounds(given).tiers == {Tier.AFFIRMING, Tier.WARNING}
    assert servers_count(registry, tmp_path, given)


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("software_tpm", ["warn", "accept"])
def test_destinations_and_servers_get_one_answer(
    registry: Registry, tmp_path: Path, software_tpm: str, counts: bool
) -> None:
    given = lab(software_tpm=software_tpm, warning_counts=counts)
    assert (Tier.WARNING in bounds(given).tiers) is counts
    assert servers_count(registry, tmp_path, given) is counts


def test_a_policy_from_before_the_key_reads_as_one_that_has_it() -> None:
    stored = lab().model_dump(mode="json")
    del stored["warning_counts"]
    assert AppraisalPolicy.model_validate(stored).warning_counts


def warned(registry: Registry, *, counts: bool) -> Prover:
    """Of a guest whose TPM's clock is not safe, which its policy lets pass with a warning."""
    attesters = {name: SoftwareAttester(SoftwareTpm(KEY), CLOCK) for name in "ab"}
    guest = SoftwareAttester(SoftwareTpm(KEY), CLOCK)
    guest.tpm.clock = replace(guest.tpm.clock, safe=False)
    for name, attester in attesters.items():
        enrol(registry, name, attester.tpm)
    enrol(registry, "guest", guest.tpm, "guest")
    policy = POLICY.model_copy(update={"clock_unsafe": "warn"})
    examiner = Examiner(registry, lambda _: policy, lambda _: GOOD, CLOCK)
    shared = SharedAttesters(examiner, {**attesters, "guest": guest}, CLOCK)
    return Prover(
        shared,
        "guest",
        key=KEY,
        vm_uuid=UUID,
        bounds=bounds(policy),
        clock=CLOCK,
        guest_warning_counts=counts,
    )


@pytest.mark.parametrize("counts", [True, False])
def test_a_guest_is_deployed_by_what_its_own_policy_says(registry: Registry, counts: bool) -> None:
    prover = warned(registry, counts=counts)
    found = prover.look("a", 1)
    assert (found.verdict.tier, found.guest.result.reason) == (Tier.WARNING, Reason.CLOCK_NOT_SAFE)
    if counts:
        launching.proved(prover, "guest", "a", 1)
    else:
        with pytest.raises(GuestError, match="not what it should be"):
            launching.proved(prover, "guest", "a", 1)


@pytest.mark.parametrize("counts", [True, False])
def test_an_arrival_is_proved_by_what_the_guests_policy_says(registry: Registry, counts: bool) -> None:
    prover = warned(registry, counts=counts)
    prover.look("a", 1)
    chosen, began_ns = prover.requote("b").quoted, CLOCK.now_ns()
    with prover.arriving("b", 2) as arriving:
        found = prover.arrival(arriving, chosen, "a", (began_ns, CLOCK.now_ns()), 2)
    assert found.good is counts
    assert found.verdict.reason is (Reason.ACCEPTED if counts else Reason.CLOCK_NOT_SAFE)
    again = prover.again("b", 2)
    assert (again.verdict.tier, again.good) == (Tier.WARNING, counts)
