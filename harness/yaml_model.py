"""A file's content as a model, or everything wrong with it in the terms of somebody who writes YAML.

Every file that a person writes is refused the same way: file and line, the key's path, what is allowed and
the nearest match, for all mistakes at once. Nothing here knows any particular file; the models do.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from harness.errors import CampaignError
from harness.legible import legible
from harness.yaml_source import KeyPath, Plain, Problem, Source, dotted

Model = TypeVar("Model", bound=BaseModel)

_KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a text",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
}
"""pydantic's error types in the words of somebody who writes YAML."""

_OF_KEY = "[key]"
"""What pydantic puts behind a mapping's key that is itself wrong."""


def validated(model: type[Model], source: Source) -> tuple[Model | None, tuple[Problem, ...]]:
    """The whole source as `model`, and all that is wrong with it; None where anything is."""
    if source.problems and not source.data:
        return None, source.problems
    result, found = part(model, source.data, (), source, model)
    malformed = {(problem.line, problem.path) for problem in source.problems}
    consequences = [problem for problem in found if (problem.line, problem.path) not in malformed]
    problems = (*source.problems, *consequences)
    return (None if problems else result), problems


def part(
    model: type[Model], value: object, at: KeyPath, source: Source, root: type[BaseModel]
) -> tuple[Model | None, list[Problem]]:
    """`value` as `model`, and all that is wrong with it; None where anything is.

    Args:
        model: What it has to be.
        value: A part of `source`.
        at: The key path of that part.
        source: The file, for lines.
        root: The model of the whole file, in which a misplaced key is looked up.
    """
    try:
        result = model.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False)
        return None, [_problem(model, detail, at, source, root) for detail in details]
    allowed = keys(model)
    ignored = [key for key in value if key not in allowed] if isinstance(value, Mapping) else []
    if ignored and model.model_config.get("extra") != "allow":
        # A model from elsewhere may drop what it does not know.
        return None, [_unknown_key(model, (*at, key), source, root) for key in ignored]
    return result, []


def refusal(problems: Iterable[Problem], where: str, error: type[CampaignError], hint: str) -> CampaignError:
    """One error of kind `error` for all problems of the file `where`.

    There has to be at least one problem. `hint` follows "correct it", where no better remedy is known.
    """
    ordered = sorted(problems, key=lambda problem: problem.line)
    first = ordered[0]
    place = f"{where}:{first.line}"
    if len(ordered) == 1:
        what = f"{first.path}: {first.text}" if first.path else first.text
        why = f"allowed: {first.allowed}" if first.allowed else ""
        return error(what, where=place, why=why, remedy=first.hint or f"correct it; {hint}")
    lines = "".join(f"\n    {where}:{problem.line}: {legible(str(problem))}" for problem in ordered)
    return error(
        f"{len(ordered)} mistakes in the file",
        where=place,
        why=f"in the order of the lines:{lines}",
        remedy=f"correct them all; {hint}",
    )


def keys(model: type[BaseModel]) -> list[str]:
    """The keys that the model has in a file."""
    return [field.alias or name for name, field in model.model_fields.items()]


def nearest(word: str, candidates: Iterable[str]) -> str:
    """A hint at the candidate that looks most like `word`; empty where none does."""
    near = difflib.get_close_matches(word.lower(), [name for name in candidates if name], n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def _problem(
    model: type[BaseModel], detail: ErrorDetails, at: KeyPath, source: Source, root: type[BaseModel]
) -> Problem:
    """One of pydantic's errors in the file's terms."""
    context = detail.get("ctx", {})
    inner: KeyPath = tuple(step for step in detail["loc"] if step != _OF_KEY)
    inner = (*inner, *context.get("path", ()))
    path = (*at, *inner)
    line, place = source.line(path), dotted(path)
    if detail["type"] == "extra_forbidden":
        return _unknown_key(_model_at(model, inner[:-1]), path, source, root)
    if detail["type"] == "contradiction":
        return Problem(line=line, path=place, text=detail["msg"])
    field = _field_at(model, inner)
    described = (field.description if field else "") or ""
    if detail["type"] == "missing":
        return Problem(line=line, path=place, text="the key is missing", allowed=described or "a value")
    given = detail["input"]
    allowed = _KINDS.get(detail["type"]) or detail["msg"]
    if detail["type"] == "string_pattern_mismatch" and described:
        allowed = described
    allowed = allowed.removeprefix("Value error, ").removeprefix("Input should be ")
    hint = ""
    if isinstance(given, str):
        expected = str(context.get("expected", ""))
        hint = nearest(given, [word.strip("' ") for word in expected.replace(" or ", ", ").split(",")])
    elif detail["type"] == "string_type" and isinstance(given, int | float):
        hint = "a text that looks like a number has to stand in quotes"
    return Problem(line=line, path=place, text=_not_allowed(given), allowed=allowed, hint=hint)


def _not_allowed(given: Plain) -> str:
    return "an empty value is not allowed" if given is None else f"{reprlib.repr(given)} is not allowed"


def _unknown_key(model: type[BaseModel], path: KeyPath, source: Source, root: type[BaseModel]) -> Problem:
    """An unknown key, with the nearest key there, or the section where a key of that name belongs."""
    key, known = str(path[-1]), keys(model)
    hint = nearest(key, known)
    if not hint:
        homes = [dotted(place) for place in _all_keys(root, ()) if place[-1] == key]
        hint = f"did you mean {homes[0]!r}?" if homes else ""
    return Problem(
        line=source.line(path),
        path=dotted(path),
        text="unknown key",
        allowed=", ".join(known) or "no key at all",
        hint=hint,
    )


def _section(annotation: object) -> type[BaseModel] | None:
    """The model within a field's annotation, such as ``Limits`` or ``tuple[Entry, ...]``."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((model for part in get_args(annotation) if (model := _section(part))), None)


def _model_at(model: type[BaseModel], path: KeyPath) -> type[BaseModel]:
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            model = _section(model.model_fields[part].annotation) or model
    return model


def _field_at(model: type[BaseModel], path: KeyPath) -> FieldInfo | None:
    return _model_at(model, path[:-1]).model_fields.get(str(path[-1])) if path else None


def _all_keys(model: type[BaseModel], path: KeyPath) -> Iterator[KeyPath]:
    for name, field in model.model_fields.items():
        yield (*path, name)
        section = _section(field.annotation)
        if section is not None:
            yield from _all_keys(section, (*path, name))
