from __future__ import annotations

import ast
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from harness import resources
from harness.attest.verify.memory import Memory
from harness.errors import RecordError
from harness.sentence import sentence

HARNESS = Path(resources.__file__).parent


class Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    count: int
    names: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"count": "SECRET"}, "count: Input should be a valid integer"),
        ({"count": 1, "names": ("a", 5)}, "names.1: Input should be a valid string"),
        ({}, "count: Field required"),
        ({"count": "x", "more": 1}, "count: Input should be a valid integer (2 mistakes in all)"),
        (5, "Input should be a valid dictionary or instance of Stored"),
    ],
)
def test_a_sentence_names_the_first_mistake_and_how_many_there_are(value: object, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Stored.model_validate(value)
    assert sentence(caught.value) == said


def test_a_damaged_value_is_told_in_one_line() -> None:
    with pytest.raises(RecordError) as caught:
        Memory.from_json({"unknown": "SECRET"})
    assert "\n" not in caught.value.why
    assert "SECRET" not in caught.value.why
    assert "http" not in caught.value.why


def test_pydantics_errors_are_read_in_few_places() -> None:
    found = set()
    for path in HARNESS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "error.errors":
                found.add(path.relative_to(HARNESS).as_posix())
    assert found <= {"yaml_model.py", "campaign/file.py", "sentence.py", "rig/pair.py"}
