"""Which files can hold a test that ``-m`` asks for: the others are not even imported.

A file's text says what its tests are marked with: all of them by a ``pytestmark`` of one line, some of them
by what the file, a `conftest.py` above it or a module of tests that one of these imports names. A test whose
marks do not follow from its file ends the run, so that no test is passed over by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression

ROOT = Path(__file__).resolve().parents[1]
MARKS = frozenset({"programs", "long", "lab"})
_WHOLE = re.compile(r"^pytestmark = pytest\.mark\.(\w+)$", re.MULTILINE)
_SOME = re.compile(r"\bmark\.(\w+)")
_IMPORT = re.compile(r"^from (tests(?:\.\w+)*) import (.+)$", re.MULTILINE)


def can_hold(file: Path, wanted: str) -> bool:
    """Whether a test of `file` can have marks for which the expression `wanted` is true."""
    if not wanted:
        return True
    expression = Expression.compile(wanted)
    if not expression.idents() <= MARKS:
        return True
    surely, perhaps = marks(file)
    return any(_holds(expression, surely | some) for some in _subsets(perhaps - surely))


def _holds(expression: Expression, marked: frozenset[str]) -> bool:
    return expression.evaluate(lambda name, /, **_: name in marked)


def _subsets(names: frozenset[str]) -> Iterator[frozenset[str]]:
    for size in range(len(names) + 1):
        yield from map(frozenset, combinations(sorted(names), size))


@cache
def marks(file: Path) -> tuple[frozenset[str], frozenset[str]]:
    """The marks of every test of `file`, and all that any of them can have."""
    texts = _text(file)
    surely = frozenset(_WHOLE.findall(texts)) & MARKS
    around = [above / "conftest.py" for above in file.parents if above != ROOT and ROOT in above.parents]
    named = {name for one in (file, *around) for text in _with_imports(one) for name in _SOME.findall(text)}
    return surely, surely | (frozenset(named) & MARKS)


def _with_imports(file: Path) -> Iterator[str]:
    text = _text(file)
    yield text
    for package, names in _IMPORT.findall(text):
        folder = ROOT.joinpath(*package.split("."))
        yield _text(folder.with_suffix(".py"))
        for name in re.findall(r"\w+", names):
            yield _text(folder / f"{name}.py")


@cache
def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def check(items: list[pytest.Item]) -> None:
    """End the run where a test is marked as its file does not say.

    Raises:
        pytest.UsageError: It names the test and what to do.
    """
    for item in items:
        surely, perhaps = marks(item.path)
        marked = {name for name in MARKS if item.get_closest_marker(name)}
        if not surely <= marked <= perhaps:
            raise pytest.UsageError(
                f"{item.nodeid} is marked {sorted(marked)}, but its file, the conftest.py above it and what"
                f" they import say {sorted(surely)} of all its tests and {sorted(perhaps)} of some: a run by"
                " -m could pass it over. Name the mark in the file (tests/selection.py)."
            )
