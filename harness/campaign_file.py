"""A campaign file becomes a Campaign, or one error that names everything wrong with it.

Reading touches nothing but the file. A refusal names file and line, the key's path, what is allowed and the
nearest match, for every mistake at once: a campaign is corrected in one round, before hours are spent on it.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from harness.campaign import Campaign, Schedule, WorkloadChoice, inconsistencies
from harness.errors import CampaignError
from harness.migration.options import MigrationOptions
from harness.workloads import available
from harness.workloads.contract import Workload
from harness.yaml_source import KeyPath, Plain, Problem, Source, dotted, parse, read_text

Registry = Mapping[str, type[Workload]]
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


def load(path: Path, registry: Registry | None = None) -> Campaign:
    """The campaign stored at `path`, complete: every default is filled in, workload options included.

    Args:
        path: A YAML file.
        registry: The workloads that exist; None for those that are installed.

    Raises:
        CampaignError: The file cannot be read, or something in it is wrong.
    """
    return loads(read_text(path), str(path), registry)


def loads(text: str, where: str, registry: Registry | None = None) -> Campaign:
    """The campaign in `text`; `where` is the file's name in messages. See :func:`load`."""
    source = parse(text)
    if source.problems and not source.data:
        raise _refusal(source.problems, where)
    workloads = available() if registry is None else registry
    campaign, problems = _campaign(source, workloads)
    if problems or campaign is None:
        raise _refusal(problems, where)
    return campaign


def json_schema(registry: Registry | None = None) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a campaign file, for editors; it knows the workloads and their options."""
    workloads = available() if registry is None else registry
    schema = Campaign.model_json_schema()
    choices: list[dict[str, Any]] = [
        {"enum": sorted(workloads), "description": "a workload with its defaults"}
    ]
    for name, workload in sorted(workloads.items()):
        options = workload.Options.model_json_schema(ref_template=f"#/$defs/{name}-{{model}}")
        for inner, definition in options.pop("$defs", {}).items():
            schema["$defs"][f"{name}-{inner}"] = definition
        properties = {"name": {"const": name}, "options": options}
        choices.append(
            {"type": "object", "properties": properties, "required": ["name"], "additionalProperties": False}
        )
    schema["properties"]["workloads"]["items"] = {"anyOf": choices}
    schema["$defs"].pop(WorkloadChoice.__name__, None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _refusal(problems: tuple[Problem, ...] | list[Problem], where: str) -> CampaignError:
    ordered = sorted(problems, key=lambda problem: problem.line)
    first = ordered[0]
    place = f"{where}:{first.line}"
    if len(ordered) == 1:
        what = f"{first.path}: {first.text}" if first.path else first.text
        why = f"allowed: {first.allowed}" if first.allowed else ""
        return CampaignError(
            what,
            where=place,
            why=why,
            remedy=first.hint or "correct the file; `sodbench plan` checks it without touching a machine",
        )
    lines = "".join(f"\n    {where}:{problem.line}: {problem}" for problem in ordered)
    return CampaignError(
        f"{len(ordered)} mistakes in the file",
        where=place,
        why=f"in the order of the lines:{lines}",
        remedy="correct them all; `sodbench plan` checks the file without touching a machine",
    )


def _campaign(source: Source, registry: Registry) -> tuple[Campaign | None, list[Problem]]:
    """The campaign, and everything wrong: form, keys and values, combinations, workloads."""
    problems: list[Problem] = []
    campaign = _validated(Campaign, source.data, (), source, problems)
    schedule = _part(Schedule, source.data.get("schedule", {}))
    migration = _part(MigrationOptions, source.data.get("migration", {}))
    for path, text in inconsistencies(schedule, migration):
        problems.append(Problem(line=source.line(path), path=dotted(path), text=text))
    choices = tuple(_choices(source, registry, problems))
    if campaign is not None:
        campaign = campaign.model_copy(update={"workloads": choices})
    malformed = {(problem.line, problem.path) for problem in source.problems}
    consequences = [problem for problem in problems if (problem.line, problem.path) not in malformed]
    return campaign, [*source.problems, *consequences]


def _part(model: type[Model], value: object) -> Model | None:
    """A section by itself, without its wrong keys, so that combinations are checked in the same round.

    None where nothing can be made of it; its mistakes are reported by the validation of the whole.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        wrong = {detail["loc"][0] for detail in error.errors() if detail["loc"]}
        if not isinstance(value, Mapping) or not wrong & set(value):
            return None
        return _part(model, {key: item for key, item in value.items() if key not in wrong})


def _choices(source: Source, registry: Registry, problems: list[Problem]) -> Iterator[WorkloadChoice]:
    """The workloads with their options complete; what is wrong with them is added to `problems`."""
    entries = source.data.get("workloads")
    seen: set[str] = set()
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        choice = _part(WorkloadChoice, entry)
        if choice is None:
            continue
        path: KeyPath = ("workloads", index, "name")
        if choice.name not in registry:
            problems.append(_unknown_workload(choice.name, source.line(path), dotted(path), registry))
            continue
        if choice.name in seen:
            text = f"the workload {choice.name!r} is there twice: its trials could not be told apart"
            problems.append(Problem(line=source.line(path), path=dotted(path), text=text))
        seen.add(choice.name)
        place: KeyPath = ("workloads", index, "options")
        options = _validated(registry[choice.name].Options, choice.options, place, source, problems)
        if options is not None:
            yield WorkloadChoice(name=choice.name, options=options.model_dump(mode="json"))


def _unknown_workload(name: str, line: int, path: str, registry: Registry) -> Problem:
    return Problem(
        line=line,
        path=path,
        text=f"there is no workload {name!r}",
        allowed=", ".join(sorted(registry)) or "none is installed",
        hint=_nearest(name, registry),
    )


def _validated(
    model: type[Model], value: object, at: KeyPath, source: Source, problems: list[Problem]
) -> Model | None:
    """`value` as `model`, or None with each of its mistakes added to `problems`; `at` is its place."""
    try:
        result = model.model_validate(value)
    except ValidationError as error:
        problems.extend(_problem(model, detail, at, source) for detail in error.errors(include_url=False))
        return None
    allowed = _keys(model)
    ignored = [key for key in value if key not in allowed] if isinstance(value, Mapping) else []
    if ignored and model.model_config.get("extra") != "allow":
        # A workload's options may come from elsewhere, from a model that drops what it does not know.
        problems.extend(_unknown_key(model, (*at, key), source) for key in ignored)
        return None
    return result


def _problem(model: type[BaseModel], detail: ErrorDetails, at: KeyPath, source: Source) -> Problem:
    """One of pydantic's errors in the file's terms."""
    path = (*at, *detail["loc"])
    line = source.line(path)
    if detail["type"] == "extra_forbidden":
        return _unknown_key(_model_at(model, detail["loc"][:-1]), path, source)
    field = _field_at(model, detail["loc"])
    if detail["type"] == "missing":
        allowed = (field.description if field else "") or "a value"
        return Problem(line=line, path=dotted(path), text="the key is missing", allowed=allowed)
    given = detail["input"]
    allowed = _KINDS.get(detail["type"]) or detail["msg"]
    if detail["type"] == "string_pattern_mismatch" and field is not None and field.description:
        allowed = field.description
    allowed = allowed.removeprefix("Value error, ").removeprefix("Input should be ")
    expected = detail.get("ctx", {}).get("expected", "")
    candidates = [word.strip("' ") for word in expected.replace(" or ", ", ").split(",")]
    hint = _nearest(given, candidates) if isinstance(given, str) else ""
    return Problem(line=line, path=dotted(path), text=_not_allowed(given), allowed=allowed, hint=hint)


def _not_allowed(given: Plain) -> str:
    return "an empty value is not allowed" if given is None else f"{reprlib.repr(given)} is not allowed"


def _unknown_key(model: type[BaseModel], path: KeyPath, source: Source) -> Problem:
    """An unknown key, with the nearest key there, or the section where a key of that name belongs."""
    key = str(path[-1])
    keys = _keys(model)
    hint = _nearest(key, keys)
    if not hint:
        homes = [dotted(place) for place in _all_keys(Campaign, ()) if place[-1] == key]
        hint = f"did you mean {homes[0]!r}?" if homes else ""
    return Problem(
        line=source.line(path),
        path=dotted(path),
        text="unknown key",
        allowed=", ".join(keys) or "no key at all",
        hint=hint,
    )


def _nearest(word: str, candidates: Registry | list[str]) -> str:
    near = difflib.get_close_matches(word.lower(), [name for name in candidates if name], n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _section(annotation: object) -> type[BaseModel] | None:
    """The model within a field's annotation, such as ``Guest`` or ``tuple[WorkloadChoice, ...]``."""
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
