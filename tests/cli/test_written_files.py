"""What people write is read as they mean it, whichever file it is.

An empty value is no value, nothing is converted, and a text is a text in the sense of YAML 1.2.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import cast

import pytest
from pydantic import BaseModel, ConfigDict, Field

from harness.attest.reference import files as appraisal_file
from harness.campaign import file as campaign_file
from harness.errors import InputFileError
from harness.policy.capability_yaml import from_yaml
from harness.policy.capability_yaml import schema as capability_schema
from harness.response import policy_file
from harness.workloads import available
from harness.workloads.contract import Workload
from harness.yaml_source import parse
from tests.policy.test_capability_file import YAML as CAPABILITIES

CAMPAIGN = """\
name: demo
workloads: [idle]
schedule:
  window_s: 60
  points_s: [0]
attest:
  interval_s: 5
respond:
  scenarios: [violation]
migration:
  mode: pre-copy
heartbeat:
  rate_hz: 100
"""
APPRAISAL = """\
version: 1
name: mine
pcrs: [0, 10]
require:
  pcr_values: check
  event_log: check
  ima: check
limits:
  events: 5
"""
RESPONSE = """\
version: 1
name: mine
nowhere: hold
moving_target:
  min_s: 5
  max_s: 6
"""
REFERENCE = """\
version: 1
firmware_versions: ['0000000000000001']
pcrs: {}
ima:
  files: {}
"""


def capabilities(text: str, where: str) -> None:
    _, problems = from_yaml(text)
    if problems:
        raise InputFileError("; ".join(map(str, problems)), where=f"{where}:{problems[0].line}")


FILES: dict[str, tuple[str, Callable[[str, str], object]]] = {
    "campaign": (CAMPAIGN, campaign_file.loads),
    "appraisal policy": (APPRAISAL, appraisal_file.policy),
    "reference values": (REFERENCE, appraisal_file.reference),
    "response policy": (RESPONSE, policy_file.policy),
    "capabilities": (CAPABILITIES, capabilities),
}


def keys() -> list[tuple[str, int]]:
    """Each line of each file that has a key: the file, and the line from 0."""
    found = []
    for name, (text, _) in FILES.items():
        lines = text.splitlines()
        found += [(name, number) for number, line in enumerate(lines) if ":" in line]
    return found


def refused(name: str, text: str) -> InputFileError:
    with pytest.raises(InputFileError) as caught:
        FILES[name][1](text, "f.yml")
    return caught.value


# -- an empty value


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_right_before_they_are_changed(name: str) -> None:
    text, read = FILES[name]
    read(text, "f.yml")


@pytest.mark.parametrize(("name", "number"), keys())
@pytest.mark.parametrize("empty", ["", " ~", " null"])
def test_a_key_without_a_value_is_refused_with_its_line(name: str, number: int, empty: str) -> None:
    lines = FILES[name][0].splitlines()
    depth = len(lines[number]) - len(lines[number].lstrip())
    below = number + 1
    while below < len(lines) and len(lines[below]) - len(lines[below].lstrip()) > depth:
        below += 1
    lines[number:below] = [lines[number].partition(":")[0] + ":" + empty]
    error = refused(name, "\n".join(lines) + "\n")
    assert f"f.yml:{number + 1}" in str(error)
    assert "an empty value is not allowed" in str(error)


def test_an_empty_section_does_not_switch_the_attestation_off() -> None:
    text = CAMPAIGN.replace("attest:\n  interval_s: 5\n", "attest:\n")
    error = refused("campaign", text)
    assert (error.where, error.what) == ("f.yml:6", "attest: an empty value is not allowed")
    assert "attest: {}" in error.remedy
    read = campaign_file.loads(text.replace("attest:\n", "attest: {}\n"), "f.yml")
    assert read.attest is not None
    assert read.attest.interval_s == 5.0


def test_an_empty_section_that_has_to_say_something_is_not_advised_to_say_nothing() -> None:
    error = refused("campaign", CAMPAIGN.replace("respond:\n  scenarios: [violation]\n", "respond:\n"))
    assert "write its scenarios" in error.remedy
    assert "{}" not in error.remedy


def test_a_section_that_is_missing_is_told_with_the_keys_that_it_needs() -> None:
    error = refused("campaign", "name: small\nworkloads: [idle]\n")
    assert (error.what, error.why) == (
        "schedule: the key is missing",
        "allowed: a mapping of keys to values, at least window_s, points_s",
    )


@pytest.mark.parametrize("option", ["threads", "rate"])
def test_an_empty_option_of_a_workload_is_refused(option: str) -> None:
    text = CAMPAIGN.replace("[idle]", f"\n- name: db\n  options:\n    {option}:")
    assert refused("campaign", text).where == "f.yml:5"


def test_editors_are_not_told_that_null_is_allowed() -> None:
    for schema in (
        campaign_file.json_schema(),
        appraisal_file.policy_schema(),
        appraisal_file.reference_schema(),
        policy_file.schema(),
        capability_schema(),
    ):
        assert '"null"' not in json.dumps(schema)
        assert '"default": null' not in json.dumps(schema)


# -- nothing is converted


class LaxOptions(BaseModel):
    """Options of another package's workload, as lax as pydantic is by default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int = Field(default=1)
    share: float = Field(default=0.5)
    word: str = Field(default="a")
    on: bool = Field(default=False)
    several: tuple[int, ...] = Field(default=(1,))


class Lax:
    Options = LaxOptions


def options(text: str, name: str = "lax") -> dict[str, object]:
    campaign = CAMPAIGN.replace("[idle]", f"[{{name: {name}, options: {{{text}}}}}]")
    registry = cast("dict[str, type[Workload]]", {"lax": Lax, **available()})
    return dict(campaign_file.loads(campaign, "f.yml", registry).workloads[0].options)


@pytest.mark.parametrize(
    "text",
    [
        *("count: true", "count: '4'", "count: 4.0", "count: 4.5", "share: true", "share: '1'"),
        *("word: 5", "word: true", "on: 1", "on: 'true'", "on: yes", "several: '1'", "several: [true]"),
    ],
)
def test_an_option_is_not_converted_whatever_the_workload_would_do(text: str) -> None:
    with pytest.raises(InputFileError) as caught:
        options(text)
    assert caught.value.where == "f.yml:2"
    assert f"workloads[0].options.{text.partition(':')[0]}" in caught.value.what


def test_a_list_is_a_tuple_and_a_whole_number_is_a_number() -> None:
    assert options("several: [1, 2], share: 1") | {"several": None} == {
        "count": 1, "share": 1.0, "word": "a", "on": False, "several": None,
    }  # fmt: skip
    assert options("several: [1, 2]")["several"] == [1, 2]


@pytest.mark.parametrize(
    ("name", "option"),
    [(name, option) for name, kind in available().items() for option in kind.Options.model_fields],
)
def test_no_workload_takes_true_for_a_number_or_a_number_for_a_text(name: str, option: str) -> None:
    annotation = available()[name].Options.model_fields[option].annotation
    wrong = "true" if annotation in (int, float) else "5"
    with pytest.raises(InputFileError) as caught:
        options(f"{option}: {wrong}", name)
    assert f"options.{option}: {wrong} is not allowed" in str(caught.value)
    with pytest.raises(ValueError, match=option):
        available()[name].Options.model_validate({option: json.loads(wrong)})


# -- YAML 1.2


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *(("1_000", "1_000"), ("0b11", "0b11"), ("1_0.5", "1_0.5"), ("-0x1F", "-0x1F"), ("0o8", "0o8")),
        *(("1:30", "1:30"), ("yes", "yes"), ("off", "off"), ("2026-01-01", "2026-01-01"), ("=", "=")),
        *(("1e", "1e"), (".", "."), ("1.5.2", "1.5.2"), ("٤", "٤"), ("tRUE", "tRUE"), ("nULL", "nULL")),
        *(("0x1F", 31), ("0o17", 15), ("010", 10), ("+1", 1), ("-7", -7), ("'7'", "7")),
        *(("1e3", 1000.0), ("1.", 1.0), ("+.5", 0.5), ("-.inf", float("-inf")), ("True", True)),
    ],
)
def test_a_plain_scalar_is_what_the_core_schema_says(written: str, value: object) -> None:
    read = parse(f"key: {written}\n")
    assert read.problems == ()
    assert (read.data["key"], type(read.data["key"])) == (value, type(value))


@pytest.mark.parametrize("written", ["!!str 5", "!!int '5'", "!!map {a: 1}", "!mine 5"])
def test_tags_are_refused_as_is_documented(written: str) -> None:
    assert "the tag" in str(parse(f"key: {written}\n").problems[0])


@pytest.mark.parametrize("written", ['key: "\\ud800"', '"\\udfff": 1'])
def test_half_a_character_is_refused(written: str) -> None:
    read = parse(f"first: 1\n{written}\n")
    assert [problem.line for problem in read.problems] == [2]
    assert "is no character" in read.problems[0].text


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("1_000", "'1_000' is not allowed"),
        ("1_000", "1_000 is a text in YAML 1.2; write 1000"),
        ("0b11", "0b11 is a text in YAML 1.2; write 3"),
        ("'4'", "a number in quotes is a text"),
        ("5s", "it was read as a text"),
        ("true", "true is not allowed"),
    ],
)
def test_it_is_said_what_was_read(written: str, said: str) -> None:
    assert said in str(refused("campaign", CAMPAIGN + f"seed: {written}\n"))


# -- a list with one wrong item


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("points_s: [0]", "points_s: [a]"),
        ("workloads: [idle]", "workloads: [5]"),
        ("scenarios: [violation]", "scenarios: [violence]"),
        ("interval_s: 5", "keys: [rsa]"),
    ],
)
def test_one_wrong_item_is_one_mistake_and_the_list_is_not_called_empty(old: str, new: str) -> None:
    error = refused("campaign", CAMPAIGN.replace(old, new))
    assert "mistakes" not in error.what
    assert "[0]" in error.what
    assert "Tuple" not in str(error)


def test_an_empty_list_is_told_how_many_it_takes() -> None:
    error = refused("campaign", CAMPAIGN.replace("points_s: [0]", "points_s: []"))
    assert (error.what, error.why) == ("schedule.points_s: [] is not allowed", "allowed: at least 1 item")


def test_one_value_where_a_list_belongs_is_told_how_to_write_it() -> None:
    assert "[idle]" in refused("campaign", CAMPAIGN.replace("[idle]", "idle")).remedy
