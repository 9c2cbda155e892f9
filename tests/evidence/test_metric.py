"""Metrics and values: a missing number always has its reason."""

from __future__ import annotations

import math
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness.evidence.metric as module
from harness import plugins
from harness.errors import PrerequisiteError
from harness.evidence.metric import Metric, NotApplicable, NotMeasured, Value, extensions


def _metric(error: Exception | None = None) -> Metric[int]:
    def measure(evidence: int) -> Value:
        if error is not None:
            raise error
        return Value(value=float(evidence))

    return Metric(
        name="answer", title="Answer", unit="s", better="none", observer="nobody", definition="d",
        source="s", measure=measure,
    )  # fmt: skip


ANSWER = _metric()
NO_METRIC = 42


def test_a_missing_value_needs_its_reason() -> None:
    with pytest.raises(ValueError, match="reason"):
        Value(value=None)
    with pytest.raises(ValueError, match="reason"):
        Value(value=None, reason="")


def test_a_value_needs_no_reason() -> None:
    with pytest.raises(ValueError, match="no reason"):
        Value(value=1.0, reason="because")


@given(st.sampled_from([math.nan, math.inf, -math.inf]))
def test_a_number_that_is_none_is_no_measurement(value: float) -> None:
    with pytest.raises(ValueError, match="no measurement"):
        Value(value=value)


@given(st.text(min_size=1))
def test_what_was_not_measured_is_null_with_the_reason(reason: str) -> None:
    value = _metric(NotMeasured(reason)).of(1)
    assert (value.value, value.reason, value.applicable) == (None, reason, True)


def test_what_does_not_apply_is_null_and_says_so() -> None:
    value = _metric(NotApplicable("an idle guest")).of(1)
    assert (value.value, value.reason, value.applicable) == (None, "an idle guest", False)


def test_a_mistake_in_a_metric_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        _metric(ZeroDivisionError()).of(1)


def _register(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    points = (EntryPoint(name=name, value=value, group=module.GROUP),)
    monkeypatch.setattr(plugins, "registered", lambda group: points if group == module.GROUP else ())


def test_another_package_may_register_a_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    _register(monkeypatch, "answer", "tests.evidence.test_metric:ANSWER")
    assert [metric.name for metric in extensions()] == ["answer"]


@pytest.mark.parametrize(
    "value", ["tests.nowhere:X", "tests.evidence.test_metric:NOTHING", "tests.evidence.test_metric:NO_METRIC"]
)
def test_a_broken_registration_is_an_error_with_its_name(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    _register(monkeypatch, "broken", value)
    with pytest.raises(PrerequisiteError, match="broken") as caught:
        extensions()
    assert caught.value.where == value
