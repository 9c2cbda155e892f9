"""What the registry knows of servers: the worst that is said counts, and only on accepted evidence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.attest.reasons import Reason, Tier
from harness.clock import NS_PER_S
from harness.json_types import Json
from harness.policy import known
from harness.policy.fleet import Fleet
from harness.policy.request import request
from harness.policy.threats import CELLS, COLUMNS
from harness.policy.validation import deploy
from harness.registry.registry import Registry, open_registry
from tests.policy.servers import TABLE
from tests.policy.stored import attested, said, stated
from tests.registry.blank import blank
from tests.registry.subjects import SteppedPresent, enrolment, moment


@pytest.fixture
def present() -> SteppedPresent:
    return SteppedPresent()


@pytest.fixture
def registry(tmp_path: Path, present: SteppedPresent) -> Iterator[Registry]:
    with open_registry(blank(tmp_path), now=present) as opened:
        yield opened


def eligible(registry: Registry, *options: str) -> list[str]:
    fleet = Fleet(TABLE, known.servers(registry))
    return list(deploy(request(options), fleet, registry.now().monotonic_ns).eligible)


def standing(registry: Registry) -> tuple[str, str]:
    trust = known.server(registry, "a").verdict
    return trust.tier.value, trust.reason.value


# -- trust


def test_an_accepted_result_and_a_stated_architecture_make_a_server(registry: Registry) -> None:
    attested(registry, "a")
    stated(registry, "a", "HyperWall", "hyperwall", simulated=True)
    one = known.server(registry, "a")
    assert (one.architecture, one.verdict.tier, one.simulated) == ("HyperWall", Tier.AFFIRMING, True)
    assert one.verdict.expires_ns == 60 * NS_PER_S
    assert eligible(registry, "1", "2") == ["a"]


def test_without_a_stated_architecture_it_can_do_nothing(registry: Registry) -> None:
    attested(registry, "a")
    assert known.server(registry, "a").architecture is None
    assert eligible(registry, "1") == []


@pytest.mark.parametrize("value", [None, 7, ["HyperWall"]])
def test_an_architecture_is_a_text(registry: Registry, value: Json) -> None:
    registry.set_property("a", "architecture_type", value, source="hyperwall", simulated=True)
    assert known.server(registry, "a").architecture is None


def test_simulated_monitors_alone_give_no_trust(registry: Registry) -> None:
    registry.enrol(enrolment("a"))
    stated(registry, "a", "HyperWall", "hyperwall", simulated=True)
    said(registry, "a", Tier.AFFIRMING, Reason.ACCEPTED)
    assert standing(registry) == ("none", "nothing-appraised")
    assert eligible(registry, "1") == []


def test_who_is_not_enrolled_is_nobody(registry: Registry) -> None:
    stated(registry, "a", "HyperWall")
    said(registry, "a", Tier.AFFIRMING, Reason.ACCEPTED, "tpm")
    assert standing(registry) == ("none", "not-enrolled")
    assert known.servers(registry) == ()


def test_a_result_ends(registry: Registry, present: SteppedPresent) -> None:
    attested(registry, "a")
    stated(registry, "a", "HyperWall")
    present.at = moment(59.9)
    assert eligible(registry, "1") == ["a"]
    present.at = moment(60)
    assert standing(registry) == ("none", "result-expired")
    assert eligible(registry, "1") == []


def test_a_result_of_before_a_reboot_ends_by_the_wall_clock(
    registry: Registry, present: SteppedPresent
) -> None:
    attested(registry, "a")
    present.at = moment(5, wall_s=20, boot="boot-2")
    trust = known.server(registry, "a").verdict
    assert (trust.tier, trust.expires_ns) == (Tier.AFFIRMING, 45 * NS_PER_S)
    present.at = moment(5, wall_s=60, boot="boot-2")
    assert standing(registry) == ("none", "result-expired")
    present.at = moment(5, wall_s=-1, boot="boot-2")
    assert standing(registry) == ("none", "result-expired")


@pytest.mark.parametrize(
    ("tier", "reason"), [(Tier.CONTRAINDICATED, Reason.PCR_VALUE), (Tier.NONE, Reason.ATTESTER_UNREACHABLE)]
)
def test_the_newest_result_counts(registry: Registry, tier: Tier, reason: Reason) -> None:
    attested(registry, "a")
    attested(registry, "a", tier, reason)
    assert standing(registry) == (tier.value, reason.value)
    assert known.server(registry, "a").verdict.expires_ns is None


def test_who_was_condemned_stays_so_when_it_falls_silent(registry: Registry) -> None:
    attested(registry, "a", Tier.CONTRAINDICATED, Reason.PCR_VALUE)
    attested(registry, "a", Tier.NONE, Reason.TIMED_OUT)
    assert standing(registry) == ("contraindicated", "held-contraindicated")


def test_who_was_revoked_is_condemned(registry: Registry) -> None:
    attested(registry, "a")
    registry.revoke("a", "as the test asks")
    assert standing(registry) == ("contraindicated", "revoked")


def test_a_new_enrolment_begins_anew(registry: Registry) -> None:
    attested(registry, "a")
    registry.release("a", "rebuilt")
    registry.enrol(enrolment("a", tpm="another"))
    assert standing(registry) == ("none", "nothing-appraised")


# -- monitors


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("tier", "reason"),
    [
        (Tier.CONTRAINDICATED, Reason.MEMORY_VIOLATION),
        (Tier.NONE, Reason.MONITOR_SILENT),
        (Tier.WARNING, Reason.IMA_VIOLATION),
    ],
)
def test_the_worst_counts(registry: Registry, tier: Tier, reason: Reason, first: bool) -> None:
    attested(registry, "a")
    said(registry, "a", Tier.AFFIRMING, Reason.ACCEPTED, "tpm", first=not first)
    said(registry, "a", tier, reason, first=first)
    assert standing(registry) == (tier.value, reason.value)
    assert "by the monitor hyperwall (simulated)" in known.server(registry, "a").verdict.detail


def test_a_condemned_server_is_worse_than_a_silent_one(registry: Registry) -> None:
    attested(registry, "a", Tier.NONE, Reason.TIMED_OUT)
    said(registry, "a", Tier.CONTRAINDICATED, Reason.MEMORY_VIOLATION)
    assert standing(registry) == ("contraindicated", "memory-violation")


def test_a_newer_result_overtakes_what_its_monitor_said(registry: Registry, present: SteppedPresent) -> None:
    attested(registry, "a")
    said(registry, "a", Tier.NONE, Reason.RESULT_EXPIRED, "tpm")
    present.at = moment(1)
    attested(registry, "a")
    assert standing(registry) == ("affirming", "accepted")


def test_a_newer_word_of_its_monitor_counts(registry: Registry, present: SteppedPresent) -> None:
    attested(registry, "a")
    present.at = moment(1)
    said(registry, "a", Tier.NONE, Reason.MONITOR_FAILED, "tpm")
    assert standing(registry) == ("none", "monitor-failed")


def test_a_result_overtakes_no_other_monitor(registry: Registry, present: SteppedPresent) -> None:
    said(registry, "a", Tier.CONTRAINDICATED, Reason.MEMORY_VIOLATION)
    present.at = moment(1)
    attested(registry, "a")
    assert standing(registry) == ("contraindicated", "memory-violation")


@pytest.mark.parametrize("value", [None, "affirming", {}, {"tier": "splendid"}, {"tier": 1}, ["affirming"]])
def test_a_word_that_cannot_be_read_is_no_good_word(registry: Registry, value: Json) -> None:
    attested(registry, "a")
    registry.set_property("a", "trust_tier", value, source="hyperwall", simulated=True)
    assert standing(registry)[0] == "none"


# -- withdrawn cells


@pytest.mark.parametrize(
    "value", [["other_vms_c"], {"cells": ["other_vms_c"], "why": "a flaw"}, ["other_vms_c", "other_vms_c"]]
)
def test_a_provider_withdraws_cells(registry: Registry, value: Json) -> None:
    attested(registry, "a")
    stated(registry, "a", "HyperWall")
    registry.set_property("a", known.WITHDRAWN, value, source="provider", simulated=False)
    assert known.server(registry, "a").withdrawn == {COLUMNS["other_vms_c"]}
    assert (eligible(registry, "1"), eligible(registry, "1:i")) == ([], ["a"])
    registry.set_property("a", known.WITHDRAWN, [], source="provider", simulated=False)
    assert eligible(registry, "1") == ["a"]


def test_a_monitor_withdraws_beside_the_provider(registry: Registry) -> None:
    registry.set_property("a", known.WITHDRAWN, ["hardware_c"], source="provider", simulated=False)
    registry.set_property("a", f"x.{known.WITHDRAWN}", ["hardware_i"], source="x", simulated=True)
    assert known.server(registry, "a").withdrawn == {COLUMNS["hardware_c"], COLUMNS["hardware_i"]}


@pytest.mark.parametrize("value", [None, "other_vms_c", ["other_vms"], [1], {"why": "x"}, {"cells": "x"}])
def test_a_withdrawal_that_cannot_be_read_withdraws_everything(registry: Registry, value: Json) -> None:
    registry.set_property("a", known.WITHDRAWN, value, source="provider", simulated=False)
    assert known.server(registry, "a").withdrawn == set(CELLS)


# -- all servers


def test_all_hosts_and_the_guests_on_them(registry: Registry) -> None:
    for name in ("b", "a", "c"):
        attested(registry, name)
    for epoch, (guest, host) in enumerate([("g", "a"), ("h", "a"), ("i", "b"), ("g", "b")], start=1):
        if registry.attester(guest) is None:
            registry.enrol(enrolment(guest, kind="guest"))
        registry.place(guest, host, epoch)
    assert [(one.name, one.running_vms) for one in known.servers(registry)] == [("a", 1), ("b", 2), ("c", 0)]
