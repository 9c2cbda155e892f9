"""The journal's vocabulary in the document is that of the types: each kind, and each field of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.evidence.events import KINDS

DOCUMENT = (Path(__file__).parents[2] / "docs/journal.md").read_text()
ROW = re.compile(r"^\| ([\w-]+) \| `(\w+\.\w+)` \| `?([^|`]*)`? \|", re.MULTILINE)
ROWS = {
    kind: (observer, set(filter(None, said.split(", ")))) for observer, kind, said in ROW.findall(DOCUMENT)
}


def test_the_document_and_the_types_know_the_same_kinds() -> None:
    assert set(ROWS) == set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_says_the_same_in_both(kind: str) -> None:
    value = KINDS[kind]
    fields = {name if field.is_required() else f"{name}?" for name, field in value.model_fields.items()}
    assert ROWS[kind] == (value.OBSERVER, fields)
