"""The guide to attestation names what is there: every reason, policy key, verb and exit code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from harness.attest.attester.contract import AttesterError
from harness.attest.evidence import RefusedError
from harness.attest.reasons import Reason, Tier
from harness.attest.reference.policy import AppraisalPolicy, Require
from harness.cli import lazy
from harness.cli.attest import attest
from harness.registry.errors import RegistryError

DOCUMENT = (Path(__file__).parents[2] / "docs/attestation.md").read_text()


def section(title: str) -> str:
    return DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_every_reason_is_explained_once_and_none_that_is_not_there() -> None:
    named = re.findall(r"`([a-z0-9-]+)`", section("Reasons"))
    assert sorted(named) == sorted(reason.value for reason in Reason)


def test_every_tier_is_explained() -> None:
    table = section("What a result says")
    assert all(f"| `{tier.value}` |" in table for tier in Tier)


def test_every_key_of_a_policy_is_explained() -> None:
    explained = set(re.findall(r"^\| `([a-z_.]+)`", section("Policies"), re.MULTILINE))
    keys = {name for name in AppraisalPolicy.model_fields if name != "require"}
    assert explained == keys | {f"require.{name}" for name in Require.model_fields}


def _verbs() -> dict[str, set[str]]:
    group = typer.main.get_group(attest)
    assert isinstance(group, lazy.Verbs)
    return {
        verb.name: {option for parameter in verb.command().params for option in parameter.opts}
        for verb in group.verbs
    }


def test_every_verb_is_explained_and_none_that_is_not_there() -> None:
    named = set(re.findall(r"sodbench\s+attest ([a-z]+)", DOCUMENT))
    assert named == set(_verbs())


@pytest.mark.parametrize(
    "option",
    sorted(
        set(re.findall(r"(?<![-\w])--[a-z][a-z-]+", DOCUMENT))
        - {"--key-algorithm", "--ek-context", "--public", "--object-context"}
    ),
)
def test_every_option_is_there(option: str) -> None:
    assert any(option in options for options in _verbs().values())


@pytest.mark.parametrize("error", [RefusedError, AttesterError, RegistryError])
def test_the_exit_codes_are_those_of_the_errors(
    error: type[RefusedError | AttesterError | RegistryError],
) -> None:
    assert f"| {error.exit_code} |" in section("Exit codes")


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+\.md)\)", DOCUMENT):
        assert (Path(__file__).parents[2] / "docs" / target).is_file()
    headings = {
        re.sub(r"[^a-z ]", "", line.lower()).strip().replace(" ", "-")
        for line in re.findall(r"^#+ (.+)$", DOCUMENT, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([a-z-]+)\)", DOCUMENT)) <= headings
