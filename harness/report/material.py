"""What a report is made of: everything read from a run's folder once, before anything is written.

The only part of the report that reads results. It imports neither the rig nor libvirt, changes nothing in
the run's folder, and keeps what is absent absent: a missing file of facts is an empty mapping.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd

from harness import resources
from harness.analysis import series
from harness.analysis import table as results
from harness.errors import RecordError
from harness.evidence import folder as store
from harness.evidence import journal, played, seal, wall_time
from harness.evidence.account import Account, accounts
from harness.evidence.events import (
    AttestationContradicted,
    AttestationStopped,
    AttesterRestarted,
    ClockSampled,
    RunFinished,
)
from harness.evidence.folder import RunFolder
from harness.evidence.journal import Event
from harness.evidence.metric import Metric
from harness.evidence.wall_time import WallTime
from harness.files import read_json
from harness.json_types import Json
from harness.migration.measures import evacuation
from harness.migration.measures.evacuation import Evacuation
from harness.report import enclosed, naming, variants
from harness.report.enclosed import Adversary, Benchmarks, Periodic
from harness.report.naming import Names
from harness.report.variants import Compared

PAPER_COLUMNS: Mapping[str, tuple[str, float]] = {
    "total_time_s": ("total_time", 1.0),
    "downtime_ms": ("blackout", 1e-3),
    "data_sent_mb": ("data_sent", 1e6),
}
"""Columns of the paper's Table V: the metric each is compared with, and the factor to stored units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFact:
    """How well one machine's clock could be mapped to the controller's."""

    machine: str
    samples: int
    same_kernel: bool
    uncertainty_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a metric is, in words."""

    name: str
    unit: str
    better: str
    observer: str
    definition: str
    source: str
    signed: bool = False


@dataclass(frozen=True, kw_only=True)
class Material:
    """A run as the report sees it.

    Attributes:
        run: Its name: that of the folder it was made in.
        manifest: What was run.
        campaign_text: The user's campaign, or empty.
        attempts: What happened, from the journal.
        finished: Whether the run itself came to its end.
        wall_time: Where its time went; None for one that was resumed or is not finished.
        metrics: Tidy long table, one row a value; see results/README.md.
        gaps: Heartbeat gaps, as :func:`harness.analysis.series.gaps` gives them; so the next two.
        precopy: Curves of the bytes left to send.
        timelines: The workloads' reports.
        machines: Machine and moment to its facts, flattened to text.
        clocks: One entry a machine.
        paper: Workload to metric to the paper's value in stored units.
        definitions: The metrics the tool knows.
        attestations: The attestations, as :func:`harness.analysis.table.attestations` gives them; empty
            without any.
        attestations_missed: How many were due and passed over, because the ones before took too long; None
            where no count was made.
        attesters_restarted: How often the attester of a machine had to be started again; without those that
            never had to.
        contradictions: What the sightings of a guest, all together, showed that no single attestation did:
            the trial, the reason and why.
        benchmarks: What the steps of the verification cost elsewhere, where a file was given.
        adversary: Which attacks were tried on the verifier, where a file was given.
        responses: The responses, as :func:`harness.analysis.table.responses` gives them; empty without any.
        periodic: What attesting at intervals costs a workload, where a file was given.
        unsealed: Whether the run has ended and its evidence has no sums all the same.
        unchecked: Whether the run went on after an end that had left no sums, or whose sums were gone.
        evacuations: How several guests left their host; empty where there was one guest.
        played: Whether no machine of the run exists, so that nothing in it was measured.
        comparisons: Each further variant against the campaign's first; empty without variants.
    """

    run: str
    manifest: Mapping[str, Json]
    campaign_text: str
    attempts: Sequence[Account]
    finished: bool
    wall_time: WallTime | None
    metrics: pd.DataFrame
    gaps: pd.DataFrame
    precopy: pd.DataFrame
    timelines: pd.DataFrame
    machines: Mapping[tuple[str, str], Mapping[str, str]]
    clocks: Sequence[ClockFact]
    paper: Mapping[str, Mapping[str, float]]
    definitions: Sequence[Definition]
    attestations: pd.DataFrame = field(default_factory=pd.DataFrame)
    attestations_missed: int | None = None
    attesters_restarted: Mapping[str, int] = field(default_factory=dict)
    contradictions: Sequence[tuple[str, str, str]] = ()
    benchmarks: Benchmarks | None = None
    adversary: Adversary | None = None
    responses: pd.DataFrame = field(default_factory=pd.DataFrame)
    periodic: Periodic | None = None
    unsealed: bool = False
    unchecked: bool = False
    played: bool = False
    evacuations: Sequence[Evacuation] = ()
    comparisons: Sequence[Compared] = ()

    @property
    def campaign(self) -> str:
        """The campaign's name."""
        return str(self.manifest.get("campaign") or "without a name")

    @property
    def link_bit_s(self) -> float | None:
        """The speed that the inventory states for the migration link, bit/s."""
        stated = self.manifest.get("link_bit_s")
        return float(stated) if isinstance(stated, int | float) else None

    @cached_property
    def workloads(self) -> list[str]:
        """Workloads of the run, the paper's first and in its order; variants in the campaign's order."""
        mine = variants.in_order(self.attempts, self.comparisons)
        return [name for name in self.paper if name in mine] + [
            name for name in mine if name not in self.paper
        ]

    @cached_property
    def valid(self) -> pd.DataFrame:
        """The values that enter the tables: of migrations, measured, in valid trials."""
        table = results.valid(self.metrics)
        return table[table["migration"].notna() & table["value"].notna()]

    @cached_property
    def values(self) -> Mapping[tuple[str, str], pd.DataFrame]:
        """Workload and metric to the trials and values of its rows in `valid`."""
        few = self.valid[["workload", "metric", "trial", "value"]]
        return {
            (str(name), str(metric)): rows for (name, metric), rows in few.groupby(["workload", "metric"])
        }

    @cached_property
    def floor(self) -> pd.DataFrame:
        """What the same measures are without any migration: measured, over the slots of control trials."""
        table = results.floor(self.metrics)
        return table[table["value"].notna()]

    @cached_property
    def signed(self) -> frozenset[str]:
        """The metrics that can be negative."""
        return frozenset(one.name for one in self.definitions if one.signed)

    @cached_property
    def names(self) -> Names:
        """What the workloads are called."""
        return naming.of(self.attempts)

    def of_migration(self, attempt: Account, number: int) -> Mapping[str, float]:
        """The known metrics of one migration of an attempt, in stored units."""
        table = self.metrics
        mine = table[
            table["trial"].eq(attempt.trial)
            & table["attempt"].eq(attempt.attempt)
            & table["migration"].eq(number)
            & table["value"].notna()
        ]
        return {str(name): float(value) for name, value in zip(mine["metric"], mine["value"], strict=True)}

    def of_trials(self, metric: str, workload: str) -> pd.Series[float]:
        """The values of a trial's metric over the valid trials of a workload that migrate."""
        table = results.valid(self.metrics)
        mine = table["metric"].eq(metric) & table["workload"].eq(workload) & table["migration"].isna()
        return table.loc[mine, "value"].dropna()


def read(
    run: RunFolder,
    reference: Path | None = None,
    *,
    benchmarks: Path | None = None,
    adversary: Path | None = None,
    periodic: Path | None = None,
) -> Material:
    """Everything the report needs of `run`.

    Args:
        run: The run's folder.
        reference: Folder of the papers' tables; the project's own by default.
        benchmarks: pytest-benchmark's JSON of the verification's steps.
        adversary: JSON of the attacks that were tried.
        periodic: JSON of what attesting at intervals cost.

    Raises:
        AlteredError: The evidence is not what it was when the run ended.
        RecordError: The folder, or one of the files, is damaged.
    """
    sealed = seal.require(run)
    events = journal.read(run.journal)
    evidence = list(results.read_attempts(run))
    manifest = store.read_manifest(run)
    told = accounts(events)
    measured = results.compute(run, evidence)
    under = partial(variants.relabelled, of_trial=variants.names(told))
    return Material(
        run=str(manifest.get("run") or run.root.resolve().name),
        manifest=manifest,
        campaign_text=store.read_text(run.campaign) if run.campaign.is_file() else "",
        attempts=variants.labelled(told),
        unsealed=not sealed and _ended(events),
        unchecked=seal.went_on_unchecked(events),
        played=played.by_manifest(manifest) or played.by_journal(events),
        finished=any(event.kind == RunFinished.KIND for event in events),
        wall_time=wall_time.of(events),
        metrics=under(measured),
        gaps=under(series.gaps(evidence)),
        precopy=under(series.precopy(evidence)),
        timelines=under(_known(series.timelines(evidence))),
        machines=_machines(run),
        clocks=_clocks(events),
        paper=paper(reference or resources.reference()),
        definitions=[_definition(metric) for metric in results.metric_set().all],
        attestations=under(results.attestations(run, evidence)),
        attestations_missed=_missed(events),
        attesters_restarted=_restarted(events),
        contradictions=_contradictions(events),
        benchmarks=None if benchmarks is None else enclosed.benchmarks(benchmarks),
        adversary=None if adversary is None else enclosed.adversary(adversary),
        responses=under(results.responses(run, evidence)),
        periodic=None if periodic is None else enclosed.periodic(periodic),
        comparisons=variants.compared(run, measured),
        evacuations=[found for one in evidence for found in evacuation.evacuations(one)],
    )


def _ended(events: Sequence[Event]) -> bool:
    """Whether the run's last word is that it ended, finished or aborted."""
    told = [event.kind for event in events if event.kind.startswith("run.")]
    return bool(told) and told[-1] in seal.ENDS


def _known(timelines: pd.DataFrame) -> pd.DataFrame:
    """The reports whose rate is known, in order of time."""
    return timelines[timelines["rate"].notna()].sort_values(["trial", "attempt", "t_s"], kind="stable")


def _definition(metric: Metric[Any]) -> Definition:
    return Definition(
        name=metric.name,
        unit=metric.unit,
        better=metric.better,
        observer=metric.observer,
        definition=metric.definition,
        source=metric.source,
        signed=metric.signed,
    )


def paper(folder: Path) -> dict[str, dict[str, float]]:
    """The paper's Table V, workload to metric to value in stored units.

    Raises:
        RecordError: The table is missing or damaged.
    """
    path = folder / "table5_migration.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["workload"]: _paper_row(row) for row in csv.DictReader(file)}
    except (OSError, KeyError, ValueError) as error:
        raise RecordError("the paper's Table V cannot be read", where=str(path), why=repr(error)) from error


def _paper_row(row: Mapping[str, str]) -> dict[str, float]:
    return {metric: float(row[column]) * factor for column, (metric, factor) in PAPER_COLUMNS.items()}


def _missed(events: Sequence[Event]) -> int | None:
    counts = [said.missed for event in events if (said := event.says(AttestationStopped)) is not None]
    return sum(counts) if counts else None


def _restarted(events: Sequence[Event]) -> dict[str, int]:
    restarts = (said for event in events if (said := event.says(AttesterRestarted)) is not None)
    return dict(sorted(Counter(said.machine for said in restarts).items()))


def _contradictions(events: Sequence[Event]) -> list[tuple[str, str, str]]:
    return [
        (str(event.trial), said.reason, said.why)
        for event in events
        if (said := event.says(AttestationContradicted)) is not None
    ]


def _machines(run: RunFolder) -> dict[tuple[str, str], dict[str, str]]:
    found = {}
    for path in sorted((run.root / "environment").glob("*.*.json")):
        machine, when = path.name.removesuffix(".json").rsplit(".", 1)
        found[machine, when] = dict(_flat(read_json(path)))
    return found


def _flat(value: Json, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Facts as dotted names and text."""
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _flat(value[key], f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, (list, tuple)):
        yield prefix, ", ".join(str(item) for item in value)
    else:
        yield prefix, "" if value is None else str(value)


def _clocks(events: Sequence[Event]) -> list[ClockFact]:
    samples = [said for event in events if (said := event.says(ClockSampled)) is not None]
    return [
        _clock(machine, [said for said in samples if said.machine == machine])
        for machine in sorted({said.machine for said in samples})
    ]


def _clock(machine: str, samples: Sequence[ClockSampled]) -> ClockFact:
    return ClockFact(
        machine=machine,
        samples=len(samples),
        same_kernel=all(said.same_kernel for said in samples),
        uncertainty_s=max(said.uncertainty_ns for said in samples) / 1e9,
    )
