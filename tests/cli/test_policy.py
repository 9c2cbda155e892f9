"""`sodbench policy` from its command line to the registry and back: requests and capabilities.

No machine is needed for any of it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.attest.reasons import Reason, Tier
from harness.policy import known
from harness.policy.request import Request
from harness.policy.threats import COLUMNS
from tests.cli.command import LIFE_S, Policy
from tests.policy import oracle
from tests.policy.stored import attested, said
from tests.policy.test_capability_file import YAML

# -- request


def test_a_request_is_stored_and_shown(policy: Policy) -> None:
    said = policy("request", "guest", "-o", "1", "--option", "3:c", "--why", "new data", "--by", "alice")
    assert (said.code, said.err) == (0, "")
    assert "For guest: options 1, 3:c" in said.out
    assert said.line("3")[-2:] == ["yes", "no"]
    stored = policy.registry.protection.current("guest")
    assert stored is not None
    assert (stored.by, stored.why) == ("alice", "new data")
    assert {str(cell) for cell in Request.from_json(dict(stored.body or {})).cells} == {
        "other_vms_c",
        "other_vms_i",
        "hardware_c",
    }
    assert policy("request", "guest").out == said.out


@pytest.mark.parametrize(("vm", "options"), [("VM-A", ["1"]), ("VM-B", ["1", "2"])])
def test_the_papers_matrix_is_printed(policy: Policy, vm: str, options: list[str]) -> None:
    words = [word for option in options for word in ("--option", option)]
    found = policy("request", vm, *words, "--why", "Table II", "--json").value
    row = oracle.table2()[vm]
    assert {column: row[column] == "yes" for column in COLUMNS} == found["matrix"]
    assert found["by"]


def test_a_package_and_an_accepted_architecture(policy: Policy) -> None:
    said = policy(
        "request", "g", "-p", "untrusted-host", "--accept-removed", "NoHype", "--why", "x", "--json"
    )
    assert said.value["request"] == {
        "options": {"1": "ci", "2": "ci"},
        "packages": ["untrusted-host"],
        "accept_removed": ["NoHype"],
    }
    assert "package untrusted-host; accepted is what NoHype removes" in policy("request", "g").out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "empty"),
        (["-o", "4"], "cloud-manager-trusted"),
        (["-o", "2", "-p", "medical-records"], "introspection-conflict"),
        (["-o", "8"], "unknown-option"),
        (["-o", "1:x"], "unknown-aspect"),
        (["-p", "medical"], "unknown-package"),
        (["-o", "1", "--accept-removed", "NoHyp"], "unknown-architecture"),
        (["-o", "1", "--accept-removed", "TPM"], "nothing-removed"),
    ],
)
def test_what_cannot_be_kept_changes_nothing(policy: Policy, words: list[str], reason: str) -> None:
    assert policy("request", "guest", "-o", "1", "--why", "first").code == 0
    said = policy("request", "guest", *words, "--why", "second")
    assert (said.code, said.out) == (17, "")
    assert f"request-refused): {reason}:" in said.err
    assert policy("request", "guest", "--json").value["why"] == "first"


def test_a_request_changes_is_withdrawn_and_has_a_history(policy: Policy) -> None:
    assert policy("request", "guest", "--json").value is None
    assert policy("request", "guest").out == "Nothing is asked for guest.\n"
    assert policy("request", "guest", "-o", "1", "--why", "one").code == 0
    assert policy("request", "guest", "-o", "1:c", "--why", "two").code == 0
    assert (
        "Nothing is asked for guest any more"
        in policy("request", "guest", "--withdraw", "--why", "three").out
    )
    found = policy("request", "guest", "--history", "--json").value
    assert [(one["why"], one["request"] and one["request"]["options"]) for one in found] == [
        ("one", {"1": "ci"}),
        ("two", {"1": "c"}),
        ("three", None),
    ]
    assert "withdrawn" in policy("request", "guest", "--history").out
    assert policy("request", "guest", "--withdraw", "--why", "again").code == 16
    assert policy("request", "other", "--history", "--json").value == []


@pytest.mark.parametrize(
    "words",
    [
        ["-o", "1"],
        ["--withdraw"],
        ["-o", "1", "--why", ""],
        ["-o", "1", "--withdraw", "--why", "x"],
        ["--history", "-o", "1", "--why", "x"],
        ["--history", "--withdraw", "--why", "x"],
        ["--history", "--why", "x"],
    ],
)
def test_a_request_that_is_unclear_is_wrong_usage(policy: Policy, words: list[str]) -> None:
    assert policy("request", "guest", *words).code == 2
    assert policy.registry.protection.history("guest") == ()


def test_packages_are_listed(policy: Policy) -> None:
    assert policy("packages", "--json").value["medical-records"]["options"] == ["1", "5", "6", "7"]
    assert policy("packages").line("basic")[1] == "1"


# -- capabilities


def test_the_papers_table_is_shown(policy: Policy) -> None:
    found = policy("capabilities", "--json").value
    rows = oracle.table3()
    assert {one["name"]: one["cells"] for one in found["architectures"]} == {
        name: {column: row[column] for column in COLUMNS} for name, row in rows.items()
    }
    assert found["servers"] == []
    said = policy("capabilities")
    assert said.line("NoHype")[1:] == ["Full", "VM", "no", "no", "no", "yes", "removed", "no", "no"]
    assert said.line("Cell")[1:] == ["Data+App", "no/yes", "yes", "yes", "yes", "yes", "yes/no", "n-a"]
    assert "No server is enrolled" in said.out


def test_what_counts_of_it_now_is_shown(rack: Policy) -> None:
    said_of = rack.registry
    said(said_of, "b", Tier.CONTRAINDICATED, Reason.MEMORY_VIOLATION)
    attested(said_of, "d", life_s=-1)
    found = {one["name"]: one for one in rack("capabilities", "--json").value["servers"]}
    assert found["a"]["cells"]["hypervisor_c"] == "yes"
    assert (found["a"]["simulated"], found["c"]["simulated"]) == (True, False)
    assert 0 < found["a"]["expires_in_s"] <= LIFE_S
    assert found["a"]["running_vms"] == 1
    assert (found["b"]["tier"], found["b"]["reason"]) == ("contraindicated", "memory-violation")
    assert (found["d"]["tier"], found["d"]["reason"]) == ("none", "result-expired")
    for name in "bd":
        assert set(found[name]["cells"].values()) <= {"no", "n-a"}
        assert found[name]["lost"]["other_vms_c"] == "not trusted"
    shown = rack("capabilities", "b", "c")
    assert shown.line("b")[1:4] == ["HyperWall*", "contraindicated", "0"]
    assert shown.line("b")[4:] == ["no", "no", "no", "lost", "lost", "no", "no"]
    assert shown.line("c")[4:] == ["yes", "yes", "yes", "yes", "no", "no", "no"]
    assert "b is contraindicated: memory-violation" in shown.out
    assert "AEGIS" not in shown.out


def test_a_providers_rows_are_added(policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine.yml"
    mine.write_text(YAML)
    names = [one["name"] for one in policy("capabilities", "-f", mine, "--json").value["architectures"]]
    assert names[-2:] == ["Enclave-1", "Enclave 2.x"]
    said = policy("request", "g", "-o", "2", "--accept-removed", "Enclave 2.x", "-f", mine, "--why", "x")
    assert said.code == 0
    monkeypatch.setenv("SODBENCH_CAPABILITIES", str(mine))
    assert len(policy("capabilities", "--json").value["architectures"]) == 15
    mine.write_text(YAML.replace("Enclave-1", "HyperWall"))
    said = policy("capabilities")
    assert (said.code, "mine.yml:3" in said.err) == (3, True)


# -- withdraw and restore


def test_capabilities_are_withdrawn_and_given_back(rack: Policy) -> None:
    said = rack("withdraw", "b", "hypervisor", "other_vms_c", "--why", "a flaw")
    assert said.out == "b: withdrawn is other_vms_c, hypervisor_c, hypervisor_i\n"
    stored = rack.registry.properties("b")[known.WITHDRAWN]
    assert (stored.source, stored.simulated) == ("provider", False)
    assert stored.value == {"cells": ["other_vms_c", "hypervisor_c", "hypervisor_i"], "why": "a flaw"}
    assert rack("withdraw", "b", "hardware_c", "--why", "another").code == 0
    assert (
        rack("restore", "b", "hypervisor", "hardware", "--why", "mended").out
        == "b: withdrawn is other_vms_c\n"
    )
    (one,) = rack("capabilities", "b", "--json").value["servers"]
    assert (one["withdrawn"], one["lost"]) == (["other_vms_c"], {"other_vms_c": "withdrawn"})
    assert rack("restore", "b", "other_vms", "--why", "mended").out == "b: withdrawn is nothing\n"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["b", "hypervisr_c", "--why", "x"], 2, "did you mean 'hypervisor_c'?"),
        (["z", "hypervisor_c", "--why", "x"], 2, "no server 'z' is enrolled"),
        (["guest", "hypervisor_c", "--why", "x"], 2, "no server 'guest' is enrolled"),
        (["b", "hypervisor_c"], 2, "--why"),
        (["b", "hypervisor_c", "--why", " "], 16, "a reason must be"),
    ],
)
def test_a_withdrawal_that_is_wrong_changes_nothing(
    rack: Policy, words: list[str], code: int, text: str
) -> None:
    said = rack("withdraw", *words)
    assert (said.code, text in said.err) == (code, True)
    assert known.WITHDRAWN not in rack.registry.properties("b")


def test_what_cannot_be_read_is_not_changed_by_guessing(rack: Policy) -> None:
    rack.registry.set_property("b", known.WITHDRAWN, "all", source="provider", simulated=False)
    assert rack("restore", "b", "hypervisor_c", "--why", "x").code == 2
    assert rack.registry.properties("b")[known.WITHDRAWN].value == "all"


def test_the_form_is_written_for_the_dashboard(policy: Policy) -> None:
    said = policy("form")
    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out)["properties"]["sod_option_1"]["type"] == "boolean"
