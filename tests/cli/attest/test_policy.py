"""`sodbench attest policy`: policies that are shipped, and those that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.registry import places
from tests.cli.command import Attest

pytestmark = pytest.mark.programs


@pytest.mark.parametrize("name", ["default", "lab", "guest"])
def test_shipped_policies_are_in_order(attest: Attest, name: str) -> None:
    said = attest("policy", name)
    assert said.code == 0
    assert "is in order" in said.out
    assert "checks pcr_values, event_log, ima" in said.out


@pytest.mark.parametrize("name", ["./lab", "lab.yml", "policies/lab.yml"])
def test_a_shipped_policy_does_not_stand_in_for_a_file_that_is_not_there(
    attest: Attest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = attest("policy", name)
    assert (said.code, f"{name}: no such policy" in said.err) == (2, True)


def test_the_shipped_policies_differ_where_they_should(attest: Attest) -> None:
    assert "A TPM in software: refuse." in attest("policy", "default").out
    assert "A TPM in software: accept." in attest("policy", "lab").out
    assert "PCRs 0, 2, 3, 4, 5, 6, 7, 10 " in attest("policy", "guest").out


def test_it_is_shown_whether_a_warning_is_good_enough(attest: Attest, tmp_path: Path) -> None:
    strict = tmp_path / "strict.yml"
    shipped = places.policy_file("lab").read_text()
    strict.write_text(shipped.replace("warning_counts: true", "warning_counts: false"))
    assert "A result with a warning is good enough." in attest("policy", "default").out
    assert "A result with a warning is not good enough." in attest("policy", strict).out


def test_a_wrong_policy_is_shown_with_its_lines(attest: Attest, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(places.policy_file("lab").read_text().replace("software_tpm", "softwear_tpm"))
    said = attest("policy", wrong)
    assert said.code == 3
    assert "softwear_tpm: unknown key" in said.err
    assert "did you mean 'software_tpm'" in said.err


def test_a_policy_is_held_against_reference_values(attest: Attest, tmp_path: Path) -> None:
    empty = tmp_path / "empty.yml"
    empty.write_text("version: 1\n")
    said = attest("policy", "lab", "--reference", empty)
    assert (said.code, "cannot be met" in said.err) == (3, True)
