"""One check of the product is taken out, and an attack must notice.

The table of the adversary has its own mutants, made by rule. Here a check is named: a function, the source of
the check in it, and what stands in its place. A check that has moved is a failure, so the list stays true.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType

from tests.attest.adversary import mutants, table
from tests.attest.adversary.stage import Stage

Attack = Callable[[Path], bool]
"""Carries an attack out, with a folder for its files; whether it was noticed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """A check, and what the function does without it.

    Attributes:
        function: Where the check is; a method too.
        check: Its source, as it stands there exactly once.
        by: What takes its place.
    """

    function: Callable[..., object]
    check: str
    by: str

    @property
    def id(self) -> str:
        """Names the check in a failure."""
        return f"{self.function.__qualname__} without {' '.join(self.check.split())[:60]}"


@contextlib.contextmanager
def gone(removed: Removed) -> Iterator[None]:
    """The check is missing until the block ends."""
    function = inspect.unwrap(removed.function)
    function = getattr(function, "__func__", function)
    assert isinstance(function, FunctionType), removed.id
    module = inspect.getmodule(function)
    assert module is not None
    source, own = inspect.getsource(module), inspect.getsource(function)
    assert own.count(removed.check) == 1, f"the check has moved: {removed.id}"
    assert source.count(own) == 1, removed.id
    changed = source.replace(own, own.replace(removed.check, removed.by))
    future = ast.parse("from __future__ import annotations").body
    outer = removed.function.__qualname__.split(".")[0]
    node = next(
        one
        for one in ast.parse(textwrap.dedent(changed)).body
        if isinstance(one, ast.FunctionDef | ast.ClassDef) and one.name == outer
    )
    tree = ast.fix_missing_locations(ast.Module(body=[*future, node], type_ignores=[]))
    code = mutants.code_of(compile(tree, module.__file__ or "", "exec"), function.__qualname__)
    with mutants.exchanged(function, code):
        yield


def case(name: str) -> Attack:
    """An attack of the adversary's table."""
    found = next(one for one in table.CASES if one.id == name)

    def noticed(_folder: Path) -> bool:
        return table.said(found.forge(Stage(found.kinds[0]))) == found.expected

    return noticed


def require_needed(removed: Removed, attack: Attack, folder: Path) -> None:
    """Fail unless the attack is noticed with the check, and is not without it."""
    (folder / "whole").mkdir()
    (folder / "without").mkdir()
    assert attack(folder / "whole")
    with gone(removed):
        assert not attack(folder / "without")
