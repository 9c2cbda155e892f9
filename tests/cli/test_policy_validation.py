"""`sodbench policy validate` and `explain`: where a guest may be, and why. No test needs a machine."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from harness.attest.reasons import Reason, Tier
from harness.policy.threats import COLUMNS
from harness.registry.places import policy_file
from tests.cli.command import LIFE_S, Policy
from tests.policy.stored import attested, said, stated

# -- validate


def test_a_new_vm_is_deployed(rack: Policy) -> None:
    said = rack("validate", "-o", "1", "--json")
    assert said.code == 0
    assert said.value == {
        "mode": "deployment",
        "request": {"options": {"1": "ci"}, "packages": [], "accept_removed": []},
        "here": None,
        "stays": None,
        "count": 4,
        "eligible": ["d", "b", "a", "c"],
        "refused": {},
        "reason": None,
    }
    shown = rack("validate", "-o", "1", "--most", "1")
    assert shown.line("d")[1:] == ["NoHype", "0", "cells", "0"]
    assert "and 3 more" in shown.out


def test_a_vm_is_relocated_from_where_it_is(rack: Policy) -> None:
    assert rack("request", "guest", "-p", "untrusted-host", "--why", "x").code == 0
    found = rack("validate", "guest", "--json").value
    assert (found["mode"], found["here"], found["stays"], found["eligible"]) == (
        "relocation",
        "a",
        True,
        ["b"],
    )
    assert found["refused"]["d"]["cells"] == {
        "hypervisor_c": "removed, not accepted",
        "hypervisor_i": "removed, not accepted",
    }
    assert found["refused"]["a"] == {"cells": {}, "why": "the VM is on a and is to leave it"}
    said(rack.registry, "a", Tier.CONTRAINDICATED, Reason.MEMORY_VIOLATION)
    shown = rack("validate", "guest")
    assert "It is on a; it must not stay there: a is contraindicated" in shown.out
    assert shown.line("b")[1:] == ["HyperWall", "(simulated)", "0", "cells", "0"]
    assert rack("validate", "guest", "--here", "b", "--json").code == 20


def test_where_no_server_is_enrolled_the_remedy_is_told(policy: Policy) -> None:
    said = policy("validate", "-o", "1")
    assert said.code == 20
    assert "No server is eligible: none is enrolled (`sodbench attest enrol`)." in said.out


def test_nowhere_to_go_is_20(rack: Policy) -> None:
    said = rack("validate", "-o", "2", "-o", "3")
    assert (said.code, said.err) == (20, "")
    assert "No server is eligible." in said.out
    assert (
        "d (NoHype): hypervisor_c, hypervisor_i: removed, not accepted; hardware_c, hardware_i: no"
        in said.out
    )
    found = rack("validate", "-o", "2", "-o", "3", "--json")
    assert (found.code, found.value["reason"], found.value["count"]) == (20, "no-eligible-host", 0)


def test_only_the_named_servers_are_judged(rack: Policy) -> None:
    found = rack("validate", "-o", "1", "-s", "c", "-s", "b", "--json").value
    assert (found["eligible"], found["refused"]) == (["b", "c"], {})
    assert rack("validate", "-o", "1", "-s", "z").code == 2


def test_named_options_take_the_place_of_stored_ones(rack: Policy) -> None:
    assert rack("request", "guest", "-o", "1", "--why", "x").code == 0
    assert rack("validate", "guest", "-o", "7", "--json").value["eligible"] == ["c"]
    assert rack("validate", "guest", "-o", "4").code == 17


def test_a_warning_counts_if_it_is_said_to(policy: Policy) -> None:
    attested(policy.registry, "a", Tier.WARNING, Reason.SOFTWARE_TPM, life_s=LIFE_S)
    stated(policy.registry, "a", "HyperWall")
    assert policy("validate", "-o", "1", "--no-warning-counts").code == 20
    assert policy("validate", "-o", "1", "--warning-counts").code == 0


def test_without_being_told_so_a_warning_counts_as_the_appraisal_policy_says(
    policy: Policy, tmp_path: Path
) -> None:
    attested(policy.registry, "a", Tier.WARNING, Reason.CLOCK_NOT_SAFE, life_s=LIFE_S)
    stated(policy.registry, "a", "HyperWall")
    strict, shipped = tmp_path / "strict.yml", policy_file("default").read_text(encoding="utf-8")
    strict.write_text(shipped.replace("warning_counts: true", "warning_counts: false"), encoding="utf-8")
    assert policy("validate", "-o", "1").code == 0
    assert policy("validate", "-o", "1", "--policy", str(strict)).code == 20


@pytest.mark.parametrize("words", [["validate"], ["validate", "guest"], ["explain", "guest", "a"]])
def test_without_a_request_there_is_nothing_to_validate(rack: Policy, words: list[str]) -> None:
    assert rack(*words).code == 2


def test_without_any_server_none_is_eligible(policy: Policy) -> None:
    assert policy("validate", "-o", "1").code == 20


# -- explain


def test_every_cell_is_explained(rack: Policy) -> None:
    assert rack("request", "guest", "-o", "1", "-o", "2:c", "--why", "x").code == 0
    assert rack("withdraw", "d", "other_vms_i", "--why", "a flaw").code == 0
    found = rack("explain", "guest", "d", "--json").value
    assert found["satisfied"] is False
    assert list(found["cells"]) == list(COLUMNS)
    assert found["cells"]["other_vms_c"] == {
        "asked": True,
        "architecture": "yes",
        "now": "yes",
        "lacking": None,
    }
    assert found["cells"]["other_vms_i"] == {
        "asked": True,
        "architecture": "yes",
        "now": "no",
        "lacking": "withdrawn",
    }
    assert found["cells"]["hypervisor_c"]["lacking"] == "removed, not accepted"
    assert found["cells"]["hypervisor_i"] == {
        "asked": False,
        "architecture": "removed",
        "now": "removed",
        "lacking": None,
    }
    assert found["why"] == "d (NoHype): other_vms_i: withdrawn; hypervisor_c: removed, not accepted"
    shown = rack("explain", "guest", "d")
    assert shown.code == 0
    assert shown.line("other_vms_i") == ["other_vms_i", "yes", "yes", "no", "withdrawn"]
    assert shown.line("other_vms_c") == ["other_vms_c", "yes", "yes", "yes", "satisfied"]
    assert f"d does not satisfy it: {found['why']}" in shown.out


def test_a_server_that_fits_is_explained(rack: Policy) -> None:
    said = rack("explain", "guest", "a", "-o", "2")
    assert "a satisfies what is asked for guest." in said.out
    assert rack("explain", "guest", "a", "-o", "2", "--json").value["satisfied"] is True
    assert rack("explain", "guest", "z", "-o", "2").code == 2


def test_a_user_without_a_name_asks_by_their_number(rack: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless(uid: int) -> object:
        raise KeyError(f"uid not found: {uid}")

    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nameless)
    said = rack("request", "guest", "--option", "1", "--why", "test", "--json")
    assert said.code == 0
    assert said.value["by"] == f"uid {os.getuid()}"
