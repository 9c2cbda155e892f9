"""The tree in the document is the tree in the clone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/architecture.md").read_text()
TREE = DOCUMENT.split("## The rooms")[1].split("```")[1]
MODULES = sorted(path for path in (ROOT / "harness").rglob("*.py") if path.name != "__init__.py")
BY_ROOM = {"cli", "report", "workloads", "stats", "observers"}
"""Rooms whose files the tree describes together, because there is one for each verb, section, tool."""


@pytest.mark.parametrize("name", sorted(set(re.findall(r"(?<![*\w])[a-z_]+\.py\b", TREE))))
def test_every_module_that_the_tree_names_is_there(name: str) -> None:
    assert name in {path.name for path in MODULES}


@pytest.mark.parametrize(
    "module", [path for path in MODULES if path.parent.name not in BY_ROOM], ids=lambda path: path.name
)
def test_every_module_of_a_room_that_is_listed_is_in_the_tree(module: Path) -> None:
    assert module.name in TREE


@pytest.mark.parametrize("room", sorted(path.name for path in (ROOT / "harness").iterdir() if path.is_dir()))
def test_every_room_is_in_the_tree(room: str) -> None:
    assert room.startswith(("_", ".")) or f"  {room}/" in TREE


def test_the_documents_it_points_to_are_there() -> None:
    targets = re.findall(r"\]\(([^)]+\.md)\)", DOCUMENT)
    assert targets
    assert all((ROOT / "docs" / target).is_file() for target in targets)
