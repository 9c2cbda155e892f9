"""Verifiers with one check missing, made from the real one, to see whether the table notices.

A mutant lacks one refusal (a ``raise`` is left out), one condition of one (an operand of ``and`` or ``or`` in
the test before it is left out), or has one bound that is off by one (``<`` for ``<=`` and so on). It exists
in memory only: a function's code is exchanged for a while.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType, MappingProxyType, ModuleType

from harness.attest.guest import binding, continuity
from harness.attest.logs import eventlog, ima, ima_templates
from harness.attest.tpm import cursor, keys, structures
from harness.attest.verify import appraisal_step, log_steps, quote_steps

MODULES: tuple[ModuleType, ...] = (
    quote_steps,
    log_steps,
    appraisal_step,
    binding,
    continuity,
    structures,
    cursor,
    keys,
    eventlog,
    ima,
    ima_templates,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A function without one of its checks.

    Attributes:
        module: Where it is.
        function: Its qualified name.
        without: What was left out, as source.
        line: Where it was.
        code: What the function does without it.
    """

    module: ModuleType
    function: str
    without: str
    line: int
    code: CodeType

    @property
    def id(self) -> str:
        """Names it in a failure and in the list of the equivalent ones."""
        return f"{self.module.__name__.rpartition('.')[2]}.{self.function} without {self.without}"


def of(module: ModuleType) -> Iterator[Mutant]:
    """Every mutant of a module."""
    for node in ast.parse(inspect.getsource(module)).body:
        for number in range(_count(node)):
            without = _Without(number)
            changed = without.visit(copy.deepcopy(node))
            assert without.function, "a check stands in a function"
            yield Mutant(
                module=module,
                function=without.function,
                without=without.text,
                line=without.line,
                code=code_of(_compiled(changed, module), without.function),
            )


def refuses(function: FunctionType) -> bool:
    """Whether a function has a refusal of its own, not only in what it calls."""
    return any(isinstance(node, ast.Raise) for node in ast.walk(_definition(function)))


def without_refusals(function: FunctionType) -> CodeType:
    """A function that refuses nothing any more and does all else as before."""
    module = inspect.getmodule(function)
    assert module is not None
    return code_of(_compiled(_Silent().visit(_definition(function)), module), function.__qualname__)


def _definition(function: FunctionType) -> ast.FunctionDef:
    """The source of a function of a module."""
    module = inspect.getmodule(function)
    assert module is not None
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.FunctionDef) and node.name == function.__name__:
            return node
    raise LookupError(function.__name__)


def _compiled(node: ast.stmt, module: ModuleType) -> CodeType:
    """One statement of a module, which all begin with the same import from the future."""
    future = ast.parse("from __future__ import annotations").body
    tree = ast.fix_missing_locations(ast.Module(body=[*future, node], type_ignores=[]))
    return compile(tree, module.__file__ or "", "exec")


@contextlib.contextmanager
def alive(mutant: Mutant) -> Iterator[None]:
    """The mutant in the place of the function, until the block ends."""
    with exchanged(_function(mutant.module, mutant.function), mutant.code):
        yield


@contextlib.contextmanager
def exchanged(function: FunctionType, code: CodeType) -> Iterator[None]:
    """Other code in a function, until the block ends; what was remembered of either is forgotten."""
    before = function.__code__
    function.__code__ = code
    _forget()
    try:
        yield
    finally:
        function.__code__ = before
        _forget()


def _forget() -> None:
    for module in MODULES:
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def _function(module: ModuleType, qualified: str) -> FunctionType:
    found: object = module
    for name in qualified.split("."):
        found = inspect.getattr_static(found, name)
    if isinstance(found, property):
        found = found.fget
    if isinstance(found, classmethod | staticmethod):
        found = found.__func__
    found = inspect.unwrap(found)  # type: ignore[arg-type]
    assert isinstance(found, FunctionType), qualified
    return found


def code_of(code: CodeType, qualified: str) -> CodeType:
    for one in code.co_consts:
        if isinstance(one, CodeType):
            if one.co_qualname == qualified:
                return one
            if qualified.startswith(one.co_qualname + "."):
                return code_of(one, qualified)
    raise LookupError(qualified)


def _count(node: ast.stmt) -> int:
    counting = _Without(-1)
    counting.visit(copy.deepcopy(node))
    return counting.seen


_NEXT: Mapping[type[ast.cmpop], type[ast.cmpop]] = MappingProxyType(
    {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
)
"""Comparisons, and those that differ from them only where both sides are equal."""


class _Without(ast.NodeTransformer):
    """Leaves out the check of a number; counts them all on the way."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.seen = 0
        self.function = ""
        self.text = ""
        self.line = 0
        self._path: list[str] = []

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._inside(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._inside(node)

    def _inside(self, node: ast.ClassDef | ast.FunctionDef) -> ast.AST:
        self._path.append(node.name)
        self.generic_visit(node)
        self._path.pop()
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if _is_misuse(node):
            return node
        return ast.copy_location(ast.Pass(), node) if self._chosen(node) else node

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        last = node.body[-1]
        if isinstance(last, ast.Pass) or (isinstance(last, ast.Raise) and not _is_misuse(last)):
            node.test = self._weaker(node.test)
        return node

    def _weaker(self, test: ast.expr) -> ast.expr:
        if isinstance(test, ast.UnaryOp):
            test.operand = self._weaker(test.operand)
        if isinstance(test, ast.Compare) and type(test.ops[-1]) in _NEXT:
            if self._chosen(test, "the bound of "):
                test.ops[-1] = _NEXT[type(test.ops[-1])]()
            return test
        if not isinstance(test, ast.BoolOp):
            return test
        test.values = [self._weaker(one) for one in test.values]
        kept = [one for one in test.values if not self._chosen(one)]
        return kept[0] if len(kept) == 1 else ast.copy_location(ast.BoolOp(op=test.op, values=kept), test)

    def _chosen(self, node: ast.stmt | ast.expr, of: str = "") -> bool:
        chosen = self.seen == self.number
        self.seen += 1
        if chosen:
            self.function = ".".join(self._path)
            self.text = of + ast.unparse(node)
            self.line = node.lineno
        return chosen


def _is_misuse(node: ast.Raise) -> bool:
    """Whether it tells a programmer of a mistake, which is no refusal of evidence."""
    call = node.exc
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "ValueError"


class _Silent(ast.NodeTransformer):
    """Leaves out every refusal."""

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return ast.copy_location(ast.Pass(), node)
