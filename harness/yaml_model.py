"""A file's content as a model, or all its mistakes in the terms of a writer of YAML.

Every file that a person writes is refused the same way: file and line, the key's path, what is allowed and
the nearest match, for all mistakes at once. Nothing here knows any particular file; the models do.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from harness.errors import InputFileError
from harness.legible import legible
from harness.nearest import nearest
from harness.yaml_source import KeyPath, Problem, Source, dotted

Model = TypeVar("Model", bound=BaseModel)
Refusal = TypeVar("Refusal", bound=InputFileError)

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
"""pydantic's error types in the words of a writer of YAML."""

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
    model: type[Model],
    value: object,
    at: KeyPath,
    source: Source,
    root: type[BaseModel],
    *,
    as_written: bool = False,
) -> tuple[Model | None, list[Problem]]:
    """`value` as `model`, and all that is wrong with it; None where anything is.

    An empty value (null) is wrong everywhere, also where the model has None for what is left out: an empty
    section must not mean that there is none.

    Args:
        model: What it has to be.
        value: A part of `source`.
        at: The key path of that part.
        source: The file, for lines.
        root: The model of the whole file, in which a misplaced key is looked up.
        as_written: Nothing is converted even if the model, which may be from elsewhere, would: true is no 1.
    """
    empty = [_empty(field, (*at, *place), source) for place, field in _empty_values(model, value)]
    try:
        if as_written:
            result = model.model_validate_json(json.dumps(value), strict=True)
        else:
            result = model.model_validate(value)
    except ValidationError as error:
        details = [*_causes(error.errors(include_url=False))]
        told = {one.path for one in empty}
        found = [_problem(model, detail, at, source, root) for detail in details]
        return None, [*empty, *(problem for problem in found if problem.path not in told)]
    if empty:
        return None, empty
    allowed = keys(model)
    ignored = [key for key in value if key not in allowed] if isinstance(value, Mapping) else []
    if ignored and model.model_config.get("extra") != "allow":
        # A model from elsewhere may drop what it does not know.
        return None, [_unknown_key(model, (*at, key), source, root) for key in ignored]
    return result, []


def refusal(problems: Iterable[Problem], where: str, error: type[Refusal], hint: str) -> Refusal:
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


def file_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a file that a person writes as `model`: without null, as it is refused."""
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    drop_null(found)
    return found


def drop_null(schema: object) -> None:
    """Take null out of all that a JSON Schema allows, at every depth."""
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        drop_null(inner)
    if not isinstance(schema, dict) or {"type": "null"} not in schema.get("anyOf", ()):
        return
    others = [one for one in schema.pop("anyOf") if one != {"type": "null"}]
    schema.update(others[0] if len(others) == 1 else {"anyOf": others})
    if schema.get("default", 0) is None:
        del schema["default"]


def keys(model: type[BaseModel]) -> list[str]:
    """The keys that the model has in a file."""
    return [field.alias or name for name, field in model.model_fields.items()]


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
        allowed = _described(field) if field else "a value"
        return Problem(line=line, path=place, text="the key is missing", allowed=allowed)
    given = detail["input"]
    if given is None and field is not None and not field.is_required():
        return _empty(field, path, source)
    allowed = _KINDS.get(detail["type"]) or _size(detail) or detail["msg"]
    if detail["type"] == "string_pattern_mismatch" and described:
        allowed = described
    allowed = allowed.removeprefix("Value error, ").removeprefix("Input should be ")
    hint = _other_type(given, detail["type"])
    if isinstance(given, str) and not hint:
        expected = str(context.get("expected", ""))
        hint = nearest(given, [word.strip("' ") for word in expected.replace(" or ", ", ").split(",")])
    return Problem(line=line, path=place, text=_not_allowed(given), allowed=allowed, hint=hint)


def _empty(field: FieldInfo, path: KeyPath, source: Source) -> Problem:
    """A key with nothing behind it."""
    section = _section(field.annotation)
    hint = "" if field.is_required() else "leave the key out for its default"
    if section is not None and not field.is_required():
        needed = _required(section)
        what = (
            f"write its {', '.join(needed)}" if needed else f"write `{path[-1]}: {{}}` for all its defaults"
        )
        hint = f"{what}, or leave the key out"
    allowed = _described(field)
    return Problem(
        line=source.line(path), path=dotted(path), text=_not_allowed(None), allowed=allowed, hint=hint
    )


def _described(field: FieldInfo) -> str:
    """What may stand there: in the model's words, or by the keys that a section has to have."""
    section = _section(field.annotation)
    if field.description or section is None:
        return field.description or "a value"
    needed = _required(section)
    return _KINDS["model_type"] + (f", at least {', '.join(needed)}" if needed else "")


def _required(model: type[BaseModel]) -> list[str]:
    """The keys without a default."""
    return [field.alias or name for name, field in model.model_fields.items() if field.is_required()]


def _empty_values(model: type[BaseModel], value: object) -> Iterator[tuple[KeyPath, FieldInfo]]:
    """The places in `value` where a key that the model knows has nothing behind it."""
    if not isinstance(value, Mapping):
        return
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    for key, field in fields.items():
        inner, section = value.get(key), _section(field.annotation)
        if key in value and inner is None:
            yield (key,), field
        elif section is not None:
            several = enumerate(inner) if isinstance(inner, list) else ()
            for place, one in (((), inner), *(((index,), one) for index, one in several)):
                for path, found in _empty_values(section, one):
                    yield (key, *place, *path), found


def _causes(details: Sequence[ErrorDetails]) -> Iterator[ErrorDetails]:
    """The errors without those that follow from others: a list whose items are wrong is not too short."""
    places = [detail["loc"] for detail in details]
    for detail in details:
        within = any(place[: len(detail["loc"])] == detail["loc"] != place for place in places)
        if not (detail["type"] == "too_short" and within):
            yield detail


def _size(detail: ErrorDetails) -> str:
    """How long a list or text may be, in words; empty for another error."""
    context = detail.get("ctx", {})
    what = "character" if detail["type"].startswith("string") else "item"
    for kind, key, words in (("too_short", "min_length", "at least"), ("too_long", "max_length", "at most")):
        if detail["type"] in {kind, f"string_{kind}"}:
            return f"{words} {context[key]} {what}{'' if context[key] == 1 else 's'}"
    return ""


def _other_type(given: object, kind: str) -> str:
    """How to write what was meant, where a value was read as another type than a person may think."""
    if not isinstance(given, str):
        looks_like = isinstance(given, int | float) and kind == "string_type"
        return "a text that looks like a number has to stand in quotes" if looks_like else ""
    if kind == "bool_type" and given.lower() in {"yes", "on", "y", "no", "off", "n"}:
        meant = "true" if given.lower() in {"yes", "on", "y"} else "false"
        return f"{given} is a text in YAML 1.2; write {meant}"
    if kind in {"list_type", "tuple_type"} and len(given) <= 40:
        return f"write it as a list: [{given}]"
    if kind not in {"int_type", "float_type"}:
        return ""
    if _number(given):
        return "a number in quotes is a text; write it without them"
    digits = given.replace("_", "")
    if digits != given and _number(digits):
        return f"{given} is a text in YAML 1.2; write {digits}"
    if re.fullmatch(r"0[bB][01]{1,64}", digits):
        return f"{given} is a text in YAML 1.2; write {int(digits, 2)}"
    return "it was read as a text; write a number alone" if re.match(r"[-+.]?[0-9]", given) else ""


def _number(text: str) -> bool:
    return re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", text) is not None


def _not_allowed(given: object) -> str:
    if given is None:
        return "an empty value is not allowed"
    return f"{str(given).lower() if isinstance(given, bool) else reprlib.repr(given)} is not allowed"


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
