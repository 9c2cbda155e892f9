"""Whether two runs, or two variants of one, can be compared: what has to be alike, by checked metadata.

A difference of the machines or of what was asked explains any difference of the numbers, so that it is
refused until its key is accepted by name. What two variants are there to change is no obstacle between them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import IncomparableError, UsageError
from harness.evidence.folder import RunFolder, read_manifest
from harness.files import read_json

HOSTS = ("a", "b")
HOST_FACTS: Mapping[str, str] = {
    "cpu": "cpu_model",
    "cores": "cores",
    "kernel": "kernel",
    "qemu": "qemu_version",
    "libvirt": "libvirt_version",
}
"""Key and fact of each host."""
RUN_FACTS: Mapping[str, str] = {
    "rig": "rig",
    "accelerator": "accelerator",
    "image": "image_key",
    "link": "link_bit_s",
}
"""Key and entry of the manifest."""
ENCRYPTION = "encryption"
"""Key of whether migrations are encrypted, which plans of before there was a choice do not say."""
VARIED = ("guest", "migration", "attest")
"""Sections of a plan that a variant changes."""
FIXED = ("mode", "overlap", "heartbeat", "respond", "guests", "gate")
"""Sections of a plan that no variant changes."""
DRAWN = "plan.seed"
"""What a comparison leaves free, and a run and its baseline have in common: the order of the trials."""
OF_TRIAL = ("start", "baseline_s", "window_s", "migrations", "reference_points_s")
"""What the trials of a plan consist of, apart from their load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a comparison: a run's folder, and which of its variants; None for a run without any."""

    run: RunFolder
    variant: str | None

    @property
    def name(self) -> str:
        """Such as ``20261127T101112Z-ab12cd:post-copy``."""
        return self.run.root.name if self.variant is None else f"{self.run.root.name}:{self.variant}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a run is made with, known before its first trial.

    Attributes:
        name: What messages call the run.
        where: Where its plan is.
        manifest: The entries of its manifest that :data:`RUN_FACTS` and encryption need.
        hosts: What each host reported before the run.
        plan: Its plan, as it is stored.
    """

    name: str
    where: str
    manifest: Mapping[str, Any]
    hosts: Mapping[str, Mapping[str, Any]]
    plan: Mapping[str, Any]


def setup_of(run: RunFolder) -> Setup:
    """The setup of a stored run.

    Raises:
        RecordError: A file of the run cannot be read.
    """
    places = {host: run.environment(host, "before") for host in HOSTS}
    return Setup(
        name=run.root.name,
        where=str(run.root),
        manifest=read_manifest(run),
        hosts={host: _object(read_json(place)) for host, place in places.items() if place.is_file()},
        plan=_object(read_json(run.plan)),
    )


def facts(side: Side) -> dict[str, str]:
    """What has to be alike, by key, as text.

    Raises:
        RecordError: A file of the run cannot be read.
        UsageError: The run has no such variant, or has variants and none is named.
    """
    return facts_of(setup_of(side.run), side.variant)


def facts_of(setup: Setup, variant: str | None) -> dict[str, str]:
    """What has to be alike of a setup and one of its variants, by key, as text.

    Raises:
        UsageError: There is no such variant, or there are variants and none is named.
    """
    manifest, plan = setup.manifest, setup.plan
    found = {key: _text(manifest.get(entry)) for key, entry in RUN_FACTS.items()}
    found["played"] = _text(bool(manifest.get("played")))
    found[ENCRYPTION] = _text(_encrypted(variant, manifest))
    for host in HOSTS:
        known = setup.hosts.get(host, {})
        found |= {f"{key}.{host}": _text(known.get(fact)) for key, fact in HOST_FACTS.items()}
    section = _under(setup, variant)
    found |= {f"plan.{name}": _text(section.get(name)) for name in VARIED}
    found |= {f"plan.{name}": _text(plan.get(name)) for name in FIXED}
    found[DRAWN] = _text(plan.get("seed"))
    mine = [one for one in plan["trials"] if one.get("variant") == variant]
    shapes = {_text({name: one.get(name) for name in OF_TRIAL} | {"kind": one.get("kind")}) for one in mine}
    found["plan.trials"] = " ".join(sorted(shapes))
    loads = {_text({one["workload"]: one.get("options")}) for one in mine}
    found["plan.workloads"] = " ".join(sorted(loads))
    return found


def _encrypted(variant: str | None, manifest: Mapping[str, Any]) -> bool:
    """Whether one side's migrations are encrypted; those of runs from before there was a choice are not."""
    said = manifest.get("migration_tls")
    return (said.get(variant) if isinstance(said, Mapping) else said) is True


def _under(setup: Setup, variant: str | None) -> Mapping[str, Any]:
    variants = {one["name"]: one for one in setup.plan.get("variants", ())}
    names = ", ".join(variants)
    if variant is None and not variants:
        return setup.plan
    if variant is None:
        raise UsageError("the run has variants", where=setup.where, remedy=f"name one, RUN:VARIANT: {names}")
    if variant not in variants:
        raise UsageError(
            f"the run has no variant {variant!r}",
            where=setup.where,
            remedy=f"name one of {names}" if names else "leave the variant out: the run has none",
        )
    return _object(variants[variant])


def differences(one: Side, other: Side, *, same_plan: bool = False) -> dict[str, tuple[str, str]]:
    """Key to what it is on either side, for all that is not alike and that no variant is there to change.

    With `same_plan` nothing is free: variants of one name are alike, and so is the order of the trials.
    """
    first, second = facts(one), facts(other)
    by_variant = one.variant is not None or other.variant is not None
    varied = {ENCRYPTION, "plan.workloads", *(f"plan.{name}" for name in VARIED)}
    free = set() if same_plan else {DRAWN, *(varied if by_variant else ())}
    return {key: (first[key], second[key]) for key in first if first[key] != second[key] and key not in free}


def require(one: Side, other: Side, accepted: Collection[str], *, same_plan: bool = False) -> list[str]:
    """The accepted keys that do differ, in words; refuse what differs beyond them.

    Args:
        one: One side.
        other: The other.
        accepted: Keys that may differ.
        same_plan: Whether nothing of the plan is free (:func:`differences`).

    Raises:
        IncomparableError: Something differs that was not accepted.
        UsageError: An accepted key is unknown.
    """
    _require_known(accepted, facts(one))
    found = differences(one, other, same_plan=same_plan)
    refused = {key: both for key, both in found.items() if key not in accepted}
    if refused:
        raise IncomparableError(
            f"{one.name} and {other.name} cannot be compared",
            why=_told(refused),
            remedy=f"compare runs of one setup, or accept what differs: "
            f"{' '.join(f'--accept {key}' for key in refused)}",
        )
    return [f"{key}: {a} against {b}" for key, (a, b) in found.items()]


def require_repeatable(baseline: Setup, planned: Setup, accepted: Collection[str]) -> None:
    """Refuse a run that is still to begin and could not be put against `baseline` afterwards.

    Raises:
        IncomparableError: Something differs that was not accepted.
        UsageError: An accepted key is unknown, or the baseline lacks a variant of the run.
    """
    found: dict[str, tuple[str, str]] = {}
    names = tuple(str(one["name"]) for one in planned.plan.get("variants", ()))
    for variant in names or (None,):
        first, second = facts_of(baseline, variant), facts_of(planned, variant)
        _require_known(accepted, first)
        found |= {key: (first[key], second[key]) for key in first if first[key] != second[key]}
    refused = {key: both for key, both in found.items() if key not in accepted}
    if refused:
        raise IncomparableError(
            f"{baseline.name} and {planned.name} cannot be compared",
            where=planned.where,
            why=_told(refused),
            remedy=f"make a baseline of this setup, or accept what differs: `accept: [{', '.join(refused)}]`",
        )


def _require_known(accepted: Collection[str], known: Collection[str]) -> None:
    unknown = [key for key in accepted if key not in known]
    if unknown:
        raise UsageError(f"--accept {unknown[0]}: no such key", remedy=f"one of {', '.join(known)}")


def _told(refused: Mapping[str, tuple[str, str]]) -> str:
    lines = "".join(f"\n    {key}: {a} against {b}" for key, (a, b) in refused.items())
    return f"what differs would explain any difference of the numbers:{lines}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _object(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
