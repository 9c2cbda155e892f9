"""A campaign file becomes a Campaign, or one error that names everything wrong with it.

Reading touches nothing but the file. A refusal names file and line, the key's path, what is allowed and the
nearest match, for every mistake at once: a campaign is corrected in one round, before hours are spent on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.analysis.gate.declared import Gate
from harness.campaign import dirty_check, gang, image_limits, variants
from harness.campaign.gang import Guests
from harness.campaign.model import (
    Campaign,
    Guest,
    Overrides,
    Respond,
    Schedule,
    WorkloadChoice,
    inconsistencies,
)
from harness.errors import CampaignError
from harness.migration.options import MigrationOptions
from harness.nearest import nearest
from harness.workloads import available
from harness.workloads.contract import Workload
from harness.yaml_model import drop_null, file_schema, part, refusal
from harness.yaml_source import KeyPath, Problem, Source, dotted, parse, read_text

Registry = Mapping[str, type[Workload]]
Model = TypeVar("Model", bound=BaseModel)

_HINT = "`sodbench plan` checks the file without touching a machine"


def load(path: Path, registry: Registry | None = None) -> Campaign:
    """The campaign stored at `path`, complete: every default is filled in, workload options included.

    Args:
        path: A YAML file.
        registry: The workloads that exist; None for those that are installed.

    Raises:
        InputFileError: The file cannot be read; as CampaignError: something in it is wrong.
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
    schema = file_schema(Campaign)
    choices: list[dict[str, Any]] = [
        {"enum": sorted(workloads), "description": "a workload with its defaults"}
    ]
    common = schema["$defs"][WorkloadChoice.__name__]["properties"]
    own = {key: common[key] for key in ("page_cache_mib", "dirty_rate_period_s")}
    for name, workload in sorted(workloads.items()):
        options = workload.Options.model_json_schema(ref_template=f"#/$defs/{name}-{{model}}")
        drop_null(options)
        for inner, definition in options.pop("$defs", {}).items():
            schema["$defs"][f"{name}-{inner}"] = definition
        properties = {"name": {"const": name}, "options": options, **own}
        choices.append(
            {"type": "object", "properties": properties, "required": ["name"], "additionalProperties": False}
        )
    schema["properties"]["workloads"]["items"] = {"anyOf": choices}
    schema["$defs"].pop(WorkloadChoice.__name__, None)
    return schema


def _refusal(problems: tuple[Problem, ...] | list[Problem], where: str) -> CampaignError:
    return refusal(problems, where, CampaignError, _HINT)


def _campaign(source: Source, registry: Registry) -> tuple[Campaign | None, list[Problem]]:
    """The campaign, and everything wrong: form, keys and values, combinations, workloads."""
    campaign, problems = part(Campaign, source.data, (), source, Campaign)
    schedule = _part(Schedule, source.data.get("schedule", {}))
    migration = _part(MigrationOptions, source.data.get("migration", {}))
    for path, text in inconsistencies(schedule, migration):
        problems.append(Problem(line=source.line(path), path=dotted(path), text=text))
    if source.data.get("respond") is not None and "attest" not in source.data:
        text = "respond without attest: a guest is guarded by what is attested of its hosts"
        problems.append(Problem(line=source.line(("respond",)), path="respond", text=text))
    problems.extend(_gang_problems(source, schedule))
    problems.extend(_gate_problems(source))
    choices = tuple(_choices(source, registry, problems))
    problems.extend(_image_problems(source))
    if campaign is not None:
        campaign = campaign.model_copy(update={"workloads": choices})
        campaign = _with_variants(campaign, source, registry, problems)
    malformed = {(problem.line, problem.path) for problem in source.problems}
    consequences = [problem for problem in problems if (problem.line, problem.path) not in malformed]
    return campaign, [*source.problems, *consequences]


def _gang_problems(source: Source, schedule: Schedule | None) -> Iterator[Problem]:
    """What several guests do not go together with."""
    if source.data.get("guests") is None:
        return
    start = str(source.data.get("start", "boot"))
    overlap = "delay" if schedule is None else schedule.overlap
    respond = None if source.data.get("respond") is None else _part(Respond, source.data["respond"])
    found = gang.clashes(
        start=start,
        overlap=overlap,
        scenarios=() if respond is None else respond.scenarios,
        common_request="request" in _mapping(source.data.get("respond")),
    )
    for path, text in found:
        yield Problem(line=source.line(path), path=dotted(path), text=text)


def _gate_problems(source: Source) -> Iterator[Problem]:
    """Primary metrics that are none of a migration's, or whose better direction is the other one."""
    gate = None if source.data.get("gate") is None else _part(Gate, source.data["gate"])
    if gate is None:
        return
    from harness.campaign.gated import known_metrics  # noqa: PLC0415 - needs numpy, which few campaigns do

    known = known_metrics()
    for at, one in enumerate(gate.primary):
        path: KeyPath = ("gate", "primary", at, "metric")
        metric = known.get(one.metric)
        if metric is None:
            text, hint = f"{one.metric!r} is no metric of a migration", nearest(one.metric, known)
        elif metric.better not in {"none", one.better}:
            path, hint = (*path[:-1], "better"), ""
            text = f"of {one.metric} the {metric.better} value is better"
        else:
            continue
        yield Problem(line=source.line(path), path=dotted(path), text=text, hint=hint)


def _mapping(value: object) -> Mapping[str, object]:
    """The section, or an empty one where there is none that can be read."""
    return value if isinstance(value, Mapping) else {}


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
        options, wrong = part(
            registry[choice.name].Options, choice.options, place, source, Campaign, as_written=True
        )
        problems.extend(wrong)
        if options is not None:
            yield choice.model_copy(update={"options": options.model_dump(mode="json")})


def _with_variants(
    campaign: Campaign, source: Source, registry: Registry, problems: list[Problem]
) -> Campaign:
    """The campaign with its variants' workload options complete; what is wrong is added to `problems`."""
    wrong = [*variants.clashes(campaign)]
    for name, changes in campaign.variants.items():
        under = variants.migration(campaign.migration, changes)
        for path, text in inconsistencies(campaign.schedule, under):
            wrong.append((("variants", name, *path), f"{text} (under the variant {name})"))
        guest = variants.guest(campaign.guest, changes)
        refused = image_limits.refused_memory(guest, attested=campaign.attest is not None)
        if refused is not None:
            wrong.append((("variants", name, "guest", "memory_mib"), refused))
        wrong.extend((("variants", name, "guest"), text) for text in _caches(campaign, changes, guest))
    problems.extend(Problem(line=source.line(path), path=dotted(path), text=text) for path, text in wrong)
    base = {choice.name: choice.options for choice in campaign.workloads}
    found = {}
    for name, changes in campaign.variants.items():
        completed = {}
        for workload, options in changes.workloads.items():
            if workload in base:
                at: KeyPath = ("variants", name, "workloads", workload)
                merged = {**base[workload], **options}
                whole, bad = part(registry[workload].Options, merged, at, source, Campaign, as_written=True)
                problems.extend(bad)
                completed[workload] = merged if whole is None else whole.model_dump(mode="json")
        found[name] = changes.model_copy(update={"workloads": completed})
    complete = campaign.model_copy(update={"variants": found})
    if not problems:
        problems.extend(
            Problem(line=source.line(place), path=dotted(place), text=text)
            for place, text in dirty_check.problems(complete, registry)
        )
    return complete


def _caches(campaign: Campaign, changes: Overrides, guest: Guest) -> Iterator[str]:
    """What is wrong with the page caches under one variant, whose guest is `guest`."""
    if not {"memory_mib", "page_cache_mib"} & changes.guest.model_fields_set:
        return
    own = [choice for choice in campaign.workloads if choice.page_cache_mib is not None]
    if own and changes.guest.page_cache_mib is not None:
        yield f"page_cache_mib in a variant, but the workload {own[0].name!r} has its own: leave one out"
    for cache in dict.fromkeys((guest.page_cache_mib, *(choice.page_cache_mib for choice in own))):
        refused = image_limits.refused_cache(guest, cache)
        if refused is not None:
            yield refused


def _image_problems(source: Source) -> Iterator[Problem]:
    """What the image of the guest cannot do of what is asked."""
    guest = _part(Guest, source.data.get("guest", {}))
    if guest is None:
        return
    text = image_limits.refused_memory(guest, attested=source.data.get("attest") is not None)
    if text is not None:
        place: KeyPath = ("guest", "memory_mib")
        yield Problem(line=source.line(place), path=dotted(place), text=text)
    yield from _cache_problems(source, guest)
    entries = source.data.get("workloads")
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        choice = _part(WorkloadChoice, entry)
        reason = None if choice is None else image_limits.refused_workload(guest, choice.name)
        if reason is not None:
            path: KeyPath = ("workloads", index, "name")
            allowed = ", ".join(image_limits.SMALL_WORKLOADS) if guest.image == "small" else ""
            yield Problem(line=source.line(path), path=dotted(path), text=reason, allowed=allowed)


def _cache_problems(source: Source, guest: Guest) -> Iterator[Problem]:
    """Page caches that the memory of the guest, or of the smallest of several, does not hold."""
    guests = None if source.data.get("guests") is None else _part(Guests, source.data["guests"])
    sizes = [one.memory_mib or guest.memory_mib for one in (() if guests is None else guests.each)]
    smallest = guest.model_copy(update={"memory_mib": min(sizes, default=guest.memory_mib)})
    asked: list[tuple[KeyPath, int | None]] = [(("guest", "page_cache_mib"), guest.page_cache_mib)]
    entries = source.data.get("workloads")
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        choice = _part(WorkloadChoice, entry)
        if choice is not None:
            asked.append((("workloads", index, "page_cache_mib"), choice.page_cache_mib))
    for path, cache in asked:
        text = image_limits.refused_cache(smallest, cache)
        if text is not None:
            yield Problem(line=source.line(path), path=dotted(path), text=text)


def _unknown_workload(name: str, line: int, path: str, registry: Registry) -> Problem:
    return Problem(
        line=line,
        path=path,
        text=f"there is no workload {name!r}",
        allowed=", ".join(sorted(registry)) or "none is installed",
        hint=nearest(name, registry),
    )
