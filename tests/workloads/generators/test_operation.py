"""A target's name as an operation of Faban's, and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.workloads.generators import operation


@given(st.text())
def test_an_operation_is_mapped_back_to_its_target(name: str) -> None:
    assert operation.target(operation.operation(name)) == name
    assert operation.with_targets(f"no {operation.operation(name)}: failed") == f"no {name}: failed"


@given(st.text())
def test_what_is_no_operation_of_ours_stays_as_it_is(text: str) -> None:
    found = operation.target(text)
    assert found == text or operation.operation(found) == text or text.startswith("op_")
