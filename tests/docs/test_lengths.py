"""A file has at most 400 lines, a function at most 60: code, playbooks, benchmarks and tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("harness", "playbooks", "benchmarks", "tests", "openstack")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
FILE_LINES, FUNCTION_LINES = 400, 60


def _too_long(source: str) -> Iterator[str]:
    """What in a module's text has more lines than it may, with its number of lines."""
    lines = len(source.splitlines())
    if lines > FILE_LINES:
        yield f"the file: {lines}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{node.name}: {lines}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_is_longer_than_it_may_be(folder: str) -> None:
    files = [path for path in FILES if path.is_relative_to(ROOT / folder)]
    assert files
    found = {str(path.relative_to(ROOT)): [*_too_long(path.read_text(encoding="utf-8"))] for path in files}
    assert {name: what for name, what in found.items() if what} == {}


def test_what_is_too_long_is_found_and_what_just_fits_is_not() -> None:
    def function(lines: int) -> str:
        return "def long():\n" + "    pass\n" * (lines - 1)

    assert list(_too_long(function(FUNCTION_LINES))) == []
    assert list(_too_long(function(FUNCTION_LINES + 1))) == [f"long: {FUNCTION_LINES + 1}"]
    assert list(_too_long("pass\n" * FILE_LINES)) == []
    assert list(_too_long("pass\n" * (FILE_LINES + 1))) == [f"the file: {FILE_LINES + 1}"]
