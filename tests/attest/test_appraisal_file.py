"""Policies and reference values as files: strict, and every mistake is named with its line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.attest.played.platform import PCRS, Platform, policy, require
from harness.attest.reference import files as appraisal_file
from harness.attest.reference.files import AppraisalFileError
from harness.attest.reference.policy import AppraisalPolicy, ImaReference, ReferenceValues, contradictions
from harness.attest.reference.values import to_yaml
from harness.errors import InputFileError

POLICY = """\
version: 1
name: lab
pcrs: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
require:
  pcr_values: check
  event_log: check
  ima: check
"""
ZEROS = "0" * 64


def reference_of(machine: Platform, **changes: object) -> ReferenceValues:
    return ReferenceValues.model_validate({**dict(machine.reference), **changes})


# policy files


def test_a_policy_is_read_with_its_defaults() -> None:
    read = appraisal_file.policy(POLICY, "policy.yml")
    assert read.pcrs == PCRS
    assert (read.bank, read.software_tpm, read.ima_unknown_file, read.clock_unsafe) == (
        "sha256",
        "refuse",
        "refuse",
        "refuse",
    )
    assert read.keys == ("ecc-p256", "rsa-2048")
    assert read.limits.event_log_bytes == 16 * 2**20
    assert read.limits.ima_bytes == 64 * 2**20
    assert not read.ignores_all


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "the file is empty"),
        ("- 1\n", 1, "does not hold a mapping"),
        (POLICY.replace("version: 1", f"version: 0x{'f' * 5000}"), 1, "is not the number it looks like"),
        (POLICY.replace("name: lab\n", ""), 1, "name: the key is missing"),
        (POLICY.replace("  ima: check\n", ""), 4, "require.ima: the key is missing"),
        (POLICY.replace("version: 1", "version: 2"), 1, "version: 2 is not allowed"),
        (POLICY.replace("name: lab", "name: Lab No 1"), 2, "lower-case letters"),
        (POLICY.replace("[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]", "[]"), 3, "pcrs: [] is not allowed"),
        (POLICY.replace("9, 10]", "9, 10, 10]"), 3, "each PCR once"),
        (POLICY.replace("9, 10]", "9, 10, 24]"), 3, "pcrs[11]: 24 is not allowed"),
        (POLICY.replace("9, 10]", "9, 10, 1.1e1]"), 3, "pcrs[11]: 11.0 is not allowed"),
        (POLICY.replace("[0, 1, 2", "[0, true, 2"), 3, "pcrs[1]: true is not allowed"),
        (POLICY.replace("ima: check", "ima: maybe"), 7, "require.ima: 'maybe' is not allowed"),
        (POLICY + "softwaretpm: accept\n", 8, "did you mean 'software_tpm'?"),
        (POLICY + "pcr_values: check\n", 8, "did you mean 'require.pcr_values'?"),
        (POLICY + "keys: []\n", 8, "keys: [] is not allowed"),
        (POLICY + "keys: [rsa-1024]\n", 8, "did you mean 'rsa-2048'?"),
        (POLICY + "result_lifetime_s: 0\n", 8, "result_lifetime_s: 0 is not allowed"),
        *(
            (POLICY + f"{key}_s: 1.0e+300\n", 8, "less than or equal to 31536000")
            for key in ("result_lifetime", "nonce_lifetime", "max_window")
        ),
        (POLICY + "max_window_s: .inf\n", 8, "a finite number"),
        (POLICY + "limits:\n  ima_bytes: 1000000000\n", 9, "limits.ima_bytes: 1000000000"),
        (POLICY + "bank: sha1\n", 8, "bank: 'sha1' is not allowed"),
        (POLICY.replace("9, 10]", "9]"), 7, "require.ima: the IMA list is checked against PCR 10"),
        (
            POLICY.replace("[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]", "[10]"),
            6,
            "require.event_log: the event log is checked, and pcrs has none",
        ),
        (POLICY + "name: other\n", 8, "the key is there twice"),
    ],
)
def test_what_is_wrong_in_a_policy_is_named_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(AppraisalFileError) as refused:
        appraisal_file.policy(text, "policy.yml")
    assert refused.value.where == f"policy.yml:{line}"
    assert said in str(refused.value)
    assert refused.value.remedy
    assert refused.value.exit_code == 3


def test_all_mistakes_are_named_at_once() -> None:
    text = POLICY.replace("version: 1", "version: 2") + "banks: sha256\nsoftware_tpm: ask\n"
    with pytest.raises(AppraisalFileError, match="3 mistakes in the file") as refused:
        appraisal_file.policy(text, "policy.yml")
    for place in ("policy.yml:1: version", "policy.yml:8: banks", "policy.yml:9: software_tpm"):
        assert place in str(refused.value)


def test_a_mistake_in_form_hides_none_in_content() -> None:
    with pytest.raises(AppraisalFileError, match="2 mistakes in the file"):
        appraisal_file.policy(POLICY + "name: other\nbank: sha1\n", "policy.yml")
    with pytest.raises(AppraisalFileError, match="the key is there twice"):
        appraisal_file.policy(POLICY + "bank: sha256\nbank: sha256\n", "policy.yml")


def test_files_are_read(tmp_path: Path, machine: Platform) -> None:
    (tmp_path / "policy.yml").write_text(POLICY)
    (tmp_path / "reference.yml").write_text(to_yaml(machine.reference))
    assert appraisal_file.load_policy(tmp_path / "policy.yml").name == "lab"
    assert appraisal_file.load_reference(tmp_path / "reference.yml") == machine.reference
    with pytest.raises(InputFileError, match="cannot be read"):
        appraisal_file.load_policy(tmp_path / "none.yml")


def test_schemas_know_every_key() -> None:
    policy_schema, reference_schema = appraisal_file.policy_schema(), appraisal_file.reference_schema()
    assert set(policy_schema["properties"]) == set(AppraisalPolicy.model_fields)
    assert set(reference_schema["properties"]) == set(ReferenceValues.model_fields)
    assert policy_schema["additionalProperties"] is False
    assert all(one.get("description") for one in policy_schema["properties"].values())
    assert policy_schema["properties"]["name"]["pattern"] == "^(?:[a-z0-9][a-z0-9._-]{0,62})$"
    assert json.dumps(reference_schema)


# reference files


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("version: 1\npcrs:\n  sha1: {}\n", 3, "pcrs.sha1: 'sha1' is not allowed"),
        (f"version: 1\npcrs:\n  sha256:\n    99: ['{ZEROS}']\n", 4, "pcrs.sha256.99: '99' is not allowed"),
        (f"version: 1\npcrs:\n  sha256:\n    0: [{ZEROS}]\n", 4, "has to stand in quotes"),
        ("version: 1\npcrs:\n  sha256:\n    0: ['ABCD']\n", 4, "hexadecimal digits in lower case"),
        ("version: 1\npcrs:\n  sha256:\n    0: ['abcd']\n", 2, "sha256 digests of 64 hexadecimal digits"),
        *(
            (
                f"version: 1\npcrs:\n  sha256:\n    4: ['{ZEROS}']\n    {again}: ['{ZEROS}']\n",
                5,
                "without sign",
            )
            for again in ("04", "+4", "'4.0'", "' 4'", "4_")
        ),
        ("version: 1\nevents:\n  sha384:\n    0: []\n", 4, "events.sha384.0: [] is not allowed"),
        ("version: 1\nima:\n  files:\n    /bin/sh: ['abcd']\n", 4, "hash, colon and digest"),
        ("version: 1\nfirmware_versions: ['1']\n", 2, "16 hexadecimal digits"),
        ("version: 1\nfiles: {}\n", 2, "did you mean 'ima.files'?"),
    ],
)
def test_what_is_wrong_in_reference_values_is_named(text: str, line: int, said: str) -> None:
    with pytest.raises(AppraisalFileError) as refused:
        appraisal_file.reference(text, "reference.yml")
    assert refused.value.where == f"reference.yml:{line}"
    assert said in str(refused.value)


@pytest.mark.parametrize("missing", ["pcrs", "events", "ima"])
def test_a_policy_that_cannot_be_met_is_refused(machine: Platform, missing: str) -> None:
    empty: Mapping[str, object] = {"pcrs": {}, "events": {}, "ima": ImaReference()}
    appraisal_file.matched(policy(), machine.reference, "lab.yml")
    # Whole PCR values explain an event log too, so that both have to be missing.
    gone = {"pcrs", "events"} if missing == "events" else {missing}
    reference = reference_of(machine, **{name: empty[name] for name in gone})
    with pytest.raises(AppraisalFileError, match="cannot be met"):
        appraisal_file.matched(policy(), reference, "lab.yml")
    ignoring = {"pcrs": "pcr_values", "events": "event_log", "ima": "ima"}
    lax = policy(require=require(**{ignoring[name]: "ignore" for name in gone}))
    assert contradictions(lax, reference) == ()
