"""The runs of a campaign as nights: what was measured, where, and which runs cannot take part and why.

What is read of a run is checked against the run's sums: manifest, plan, facts of the machines and the table
of metrics. The rest of its evidence is only read, and then checked as a whole, where the table is missing or
was computed by another version.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import compute

from harness.analysis import comparability, comparison, stored
from harness.analysis import table as results
from harness.analysis.comparability import Side
from harness.analysis.gate.declared import of_plan
from harness.analysis.table import MetricSet
from harness.errors import RecordError, SodbenchError, UsageError
from harness.evidence import folder as store
from harness.evidence import played, seal
from harness.evidence.events import RunFinished
from harness.evidence.folder import RunFolder
from harness.files import read_json
from harness.legible import legible

_MANIFEST = "manifest.json"
_LAST_BYTES = 65_536
"""An event is shorter; the journal's last one lies within so many bytes of its end."""
_COLUMNS = ("trial", "workload", "variant", "metric", "value", "unit", "better", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """A run that has finished.

    Attributes:
        run: The name of its folder.
        root: Its folder.
        started: When it began, in UTC.
        played: Whether it measured nothing.
        facts: What a comparison needs to be alike, by key (:mod:`harness.analysis.comparability`).
        planned: How many trials its plan has.
        valid: How many of them are valid.
        primary: The metrics that its campaign declares; empty where it declares none.
        rows: Its migrations in valid trials: the columns of the table of metrics that a trend looks at.
    """

    run: str
    root: Path
    started: datetime
    played: bool
    facts: Mapping[str, str]
    planned: int
    valid: int
    primary: tuple[str, ...]
    rows: pyarrow.Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A run that does not take part, and why."""

    run: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Nights:
    """All runs of one campaign below a folder, those that take part in order of time."""

    campaign: str
    nights: tuple[Night, ...]
    skipped: tuple[Skipped, ...]


def read(folder: Path, metrics: Collection[str] | None = None) -> Nights:
    """The runs in `folder`, or one level below it.

    Args:
        folder: Such as ``results/paper``.
        metrics: Of which metrics the rows are kept; None for those the newest campaign declares, by default
            the primary ones of a comparison.

    Raises:
        RecordError: There is no run that takes part.
        UsageError: There are runs of several campaigns.
    """
    found: list[Night] = []
    skipped: list[Skipped] = []
    campaigns: set[str] = set()
    known = results.metric_set()
    for root in _roots(folder):
        try:
            campaign, night = _night(RunFolder(root), known)
        except SodbenchError as error:
            skipped.append(Skipped(run=legible(root.name), reason=legible(error.summary)))
            continue
        campaigns.add(campaign)
        found.append(night)
    if len(campaigns) > 1:
        raise UsageError(
            "runs of several campaigns",
            where=legible(str(folder)),
            why=legible(", ".join(sorted(campaigns))[:300]),
            remedy="name the folder of one campaign below it",
        )
    if not found:
        raise _nothing(folder, skipped)
    found.sort(key=lambda night: (night.started, night.run))
    wanted = metrics if metrics is not None else found[-1].primary or comparison.PRIMARY
    kept = tuple(_only(night, wanted) for night in found)
    return Nights(campaign=campaigns.pop(), nights=kept, skipped=tuple(skipped))


def _roots(folder: Path) -> list[Path]:
    """The folders of runs in `folder`, or one level below it; the files of a run are not walked."""
    if (folder / _MANIFEST).is_file():
        raise UsageError(
            "this is one run",
            where=legible(str(folder)),
            remedy="name the folder above it, which has all runs of the campaign",
        )
    places = {one.parent for pattern in ("*", "*/*") for one in folder.glob(f"{pattern}/{_MANIFEST}*")}
    return sorted(places)


def _nothing(folder: Path, skipped: list[Skipped]) -> RecordError:
    told = "".join(f"\n    {one.run}: {one.reason}" for one in skipped[:10])
    return RecordError(
        "no finished run here",
        where=legible(str(folder)),
        why=told or "neither this folder nor one below it holds a run",
        remedy="name the folder of a campaign's runs, such as results/CAMPAIGN; `sodbench status` says where "
        "a run stands",
    )


def _night(run: RunFolder, known: MetricSet) -> tuple[str, Night]:
    """The campaign's name, and the night.

    Raises:
        SodbenchError: The run cannot take part.
    """
    if store.is_packed(run.root):
        raise RecordError("it is packed", remedy="sodbench archive unpack")
    manifest = store.read_manifest(run)
    started = _instant(manifest.get("started_utc"))
    names = (_MANIFEST, "plan.json", *_environment(run))
    if not seal.require_named(run, names) or not _finished(run):
        raise RecordError("it has not finished")
    plan = read_json(run.plan)
    trials = plan.get("trials")
    if not isinstance(trials, list):
        raise RecordError("its plan has no trials")
    declared = of_plan(plan, str(run.plan))
    rows = stored.kept(run, known)
    if rows is None:
        seal.require(run)
        rows = pyarrow.Table.from_pandas(results.compute(run), preserve_index=False)
    valid = rows.filter(compute.equal(rows["verdict"], "valid"))
    moved = compute.and_(compute.not_equal(valid["kind"], "control"), compute.is_valid(valid["migration"]))
    return str(manifest.get("campaign")), Night(
        run=run.root.name,
        root=run.root,
        started=started,
        played=played.by_manifest(manifest),
        facts=_facts(run, plan),
        planned=len(trials),
        valid=len(valid["trial"].unique()),
        primary=() if declared is None else declared.names,
        rows=valid.filter(moved).select([name for name in _COLUMNS if name in valid.column_names]),
    )


def _only(night: Night, metrics: Collection[str]) -> Night:
    wanted = pyarrow.array(list(metrics), pyarrow.string())
    return replace(night, rows=night.rows.filter(compute.is_in(night.rows["metric"], wanted)))


def _instant(value: object) -> datetime:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise RecordError("its manifest does not say when it began") from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _environment(run: RunFolder) -> list[str]:
    places = (run.environment(host, "before") for host in comparability.HOSTS)
    return [place.relative_to(run.root).as_posix() for place in places if place.is_file()]


def _finished(run: RunFolder) -> bool:
    """Whether the journal's last event says that every trial was run."""
    try:
        with run.journal.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _LAST_BYTES))
            last = json.loads(file.read().rstrip(b"\n").rpartition(b"\n")[2])
    except (OSError, ValueError) as error:
        raise RecordError("its journal cannot be read", why=str(error)) from error
    return isinstance(last, dict) and last.get("kind") == RunFinished.KIND


def _facts(run: RunFolder, plan: Mapping[str, Any]) -> dict[str, str]:
    """The facts of the run; what a variant has for itself is called after it."""
    names = [str(one["name"]) for one in plan.get("variants") or ()]
    if not names:
        return comparability.facts(Side(run=run, variant=None))
    each = {name: comparability.facts(Side(run=run, variant=name)) for name in names}
    common = set.intersection(*(set(one.items()) for one in each.values()))
    found = dict(common)
    for name, facts in each.items():
        found |= {f"{key} of {name}": value for key, value in facts.items() if (key, value) not in common}
    return found
