"""Response policies as files: strict, every mistake named with its line, the shipped ones found by name."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness import resources
from harness.errors import InputFileError, UsageError
from harness.response import policy_file
from harness.response.policy import MovingTarget, ResponsePolicy
from harness.response.policy_file import ResponsePolicyError

POLICY = """\
version: 1
name: mine
nowhere: hold
"""


def test_a_policy_is_read_with_its_defaults() -> None:
    read = policy_file.policy(POLICY, "mine.yml")

    assert (read.order, read.nowhere, read.concurrent_migrations) == ("strictest-first", "hold", 1)
    assert (read.settle_s, read.return_after_s, read.max_wait_s) == (30, 300, 60)
    assert (read.max_moves, read.per_s, read.retry_after_s, read.max_window_s) == (3, 900, 10, 10)
    assert read.moving_target is None


def test_spans_are_told_in_ns() -> None:
    text = (
        POLICY
        + "settle_s: 0.5\nreturn_after_s: 2\nper_s: 3\nretry_after_s: 1\nmax_wait_s: 4\nmax_window_s: 5\n"
    )
    read = policy_file.policy(text + "moving_target:\n  min_s: 6\n  max_s: 7.25\n", "mine.yml")

    assert (read.settle_ns, read.return_after_ns, read.per_ns) == (500_000_000, 2 * 10**9, 3 * 10**9)
    assert (read.retry_after_ns, read.max_wait_ns, read.max_window_ns) == (10**9, 4 * 10**9, 5 * 10**9)
    assert read.moving_target == MovingTarget(min_s=6, max_s=7.25)
    assert (read.moving_target.min_ns, read.moving_target.max_ns) == (6 * 10**9, 7_250_000_000)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "the file is empty"),
        (POLICY.replace("nowhere: hold\n", ""), 1, "nowhere: the key is missing"),
        (POLICY.replace("version: 1", "version: 2"), 1, "version: 2 is not allowed"),
        (POLICY.replace("name: mine", "name: My Own"), 2, "lower-case letters"),
        (POLICY.replace("hold", "shutdown"), 3, "did you mean 'shut-down'?"),
        (POLICY + "order: strictest\n", 4, "did you mean 'strictest-first'?"),
        (POLICY + "settle: 3\n", 4, "did you mean 'settle_s'?"),
        (POLICY + "min_s: 3\n", 4, "did you mean 'moving_target.min_s'?"),
        (POLICY + "settle_s: -1\n", 4, "settle_s: -1 is not allowed"),
        (POLICY + "settle_s: .inf\n", 4, "settle_s: inf is not allowed"),
        (POLICY + "settle_s: '3'\n", 4, "settle_s: '3' is not allowed"),
        (POLICY + "max_moves: 0\n", 4, "max_moves: 0 is not allowed"),
        (POLICY + "per_s: 0\n", 4, "per_s: 0 is not allowed"),
        (POLICY + "concurrent_migrations: 0\n", 4, "concurrent_migrations: 0 is not allowed"),
        (POLICY + "max_window_s: 0\n", 4, "max_window_s: 0 is not allowed"),
        (POLICY + "moving_target:\n  min_s: 0\n  max_s: 5\n", 5, "moving_target.min_s: 0 is not allowed"),
        (POLICY + "moving_target:\n  min_s: 5\n", 4, "moving_target.max_s: the key is missing"),
        (POLICY + "moving_target:\n  min_s: 5\n  max_s: 4\n", 6, "max_s 4 is less than min_s 5"),
        (POLICY + "retry_after_s: 900\n", 4, "retry_after_s 900 is not less than per_s 900"),
        (POLICY + "name: other\n", 4, "the key is there twice"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(ResponsePolicyError) as refused:
        policy_file.policy(text, "mine.yml")
    assert refused.value.where == f"mine.yml:{line}"
    assert said in str(refused.value)
    remedies = ("no response was begun", "did you mean", "write it without them")
    assert any(one in refused.value.remedy for one in remedies)
    assert refused.value.exit_code == 3


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(ResponsePolicyError, match="2 mistakes in the file") as refused:
        policy_file.policy(POLICY.replace("hold", "stay") + "settel_s: 3\n", "mine.yml")
    assert "mine.yml:3: nowhere" in str(refused.value)
    assert "mine.yml:4: settel_s" in str(refused.value)


def test_the_longest_span_is_a_year_and_both_ends_of_a_range_may_be_one() -> None:
    assert policy_file.policy(POLICY + "settle_s: 31536000\n", "mine.yml").settle_s == 31_536_000
    with pytest.raises(ResponsePolicyError):
        policy_file.policy(POLICY + "settle_s: 31536001\n", "mine.yml")
    steady = policy_file.policy(POLICY + "moving_target:\n  min_s: 5\n  max_s: 5\n", "mine.yml")
    assert steady.moving_target == MovingTarget(min_s=5, max_s=5)


@pytest.mark.parametrize(("name", "nowhere"), [("default", "suspend"), ("lab", "hold")])
def test_shipped_policies_are_found_by_name(name: str, nowhere: str) -> None:
    for asked in (name, str(resources.locate(policy_file.FOLDER) / f"{name}.yml")):
        read = policy_file.load(policy_file.locate(asked))
        assert (read.name, read.nowhere) == (name, nowhere)


def test_every_shipped_policy_is_one() -> None:
    shipped = sorted(resources.locate(policy_file.FOLDER).glob("*.yml"))
    assert [policy_file.load(one).name for one in shipped] == [one.stem for one in shipped]
    assert {"default", "lab"} <= {one.stem for one in shipped}


def test_a_file_goes_before_a_shipped_policy_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert policy_file.locate("lab") == resources.locate(policy_file.FOLDER) / "lab.yml"
    (tmp_path / "lab").write_text(POLICY)
    assert policy_file.load(policy_file.locate("lab")).name == "mine"


@pytest.mark.parametrize(
    "asked", ["none", "./lab", "lab.yml", "elsewhere/lab", os.devnull + "/lab", "policies/lab"]
)
def test_another_name_is_refused_with_those_that_are_there(asked: str) -> None:
    with pytest.raises(UsageError, match="no such response policy") as refused:
        policy_file.locate(asked)
    assert refused.value.where == asked
    assert "default, lab" in refused.value.remedy


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="cannot be read"):
        policy_file.load(tmp_path / "none.yml")


def test_the_schema_knows_every_key() -> None:
    schema = policy_file.schema()
    assert set(schema["properties"]) == set(ResponsePolicy.model_fields)
    assert schema["additionalProperties"] is False
    assert all(one.get("description") for one in schema["properties"].values())
    assert schema["$schema"].endswith("2020-12/schema")
    assert json.dumps(schema)
