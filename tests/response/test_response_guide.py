"""The guide to responses names what is there: every cause, answer and policy key, with its default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from pydantic_core import PydanticUndefined

from harness.response.decide.after_crash import ClosedState, Step
from harness.response.decide.cause import Cause
from harness.response.policy import MovingTarget, Order, Resort, ResponsePolicy

DOCUMENT = (Path(__file__).parents[2] / "docs/response.md").read_text()


def section(title: str) -> str:
    return DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_every_cause_is_explained_and_in_the_order_in_which_they_count() -> None:
    named = re.findall(r"^\| `([a-z-]+)` \|", section("Causes"), re.MULTILINE)
    assert named == [cause.value for cause in Cause]


def test_every_key_of_a_policy_is_explained_with_its_default() -> None:
    rows = dict(
        re.findall(r"^\| `([a-z_.]+)` \| `?([^|`]+?)`? \|", section("Response policies"), re.MULTILINE)
    )
    fields = dict(ResponsePolicy.model_fields)
    keys = set(fields) | {f"moving_target.{name}" for name in MovingTarget.model_fields}
    assert set(rows) == keys
    for name, field in fields.items():
        default = field.default
        if default is PydanticUndefined:
            assert rows[name] == "required"
        elif isinstance(default, str):
            assert rows[name] == default
        elif default is None:
            assert rows[name] == "none"
        else:
            assert float(rows[name]) == default


def test_every_choice_is_explained() -> None:
    text = section("Response policies")
    assert all(f"`{choice}`" in text for choice in (*get_args(Order), *get_args(Resort)))


def test_what_the_table_after_a_crash_closes_a_response_as_is_what_there_is() -> None:
    text = section("After a crash")
    closed = set(re.findall(r"close as `([a-z-]+)`", text))
    assert closed == {"abandoned", "suspended", "shut-down", "failed"}
    assert closed <= set(get_args(ClosedState))
    words = {
        Step.LOOK_AGAIN: "wait",
        Step.DESTROY: "destroy the copy",
        Step.RESUME: "resume it",
        Step.SUSPEND: "suspend it",
        Step.VERIFY: "advance to `arrived`",
        Step.CLOSE: "close as",
        Step.ASK: "ask an operator",
    }
    assert set(words) == set(Step)
    assert all(word in text for word in words.values())


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+\.md)(?:#[a-z-]+)?\)", DOCUMENT):
        assert (Path(__file__).parents[2] / "docs" / target).is_file()
