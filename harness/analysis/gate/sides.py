"""The run and its baseline: what is refused before anything is judged, and what is looked at then."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from harness.analysis import comparability, stored
from harness.analysis.comparability import Side
from harness.analysis.gate.cells import Cell, cells
from harness.analysis.gate.declared import Gate, of_plan
from harness.errors import CampaignError, RecordError, UsageError
from harness.evidence import journal, seal
from harness.evidence.events import RunFinished
from harness.evidence.folder import RunFolder
from harness.files import read_json
from harness.legible import legible


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """A run against its baseline.

    Attributes:
        gate: What the run's campaign declares.
        accepted: What differs and was accepted, in words.
        cells: What there is to judge.
    """

    gate: Gate
    accepted: tuple[str, ...]
    cells: tuple[Cell, ...]


def pair(baseline: RunFolder, run: RunFolder, accept: Collection[str]) -> Pairing:
    """Put `run` against `baseline`.

    Raises:
        AlteredError: The evidence of either was changed since it ended.
        CampaignError: The run's campaign declares no gate, or a metric that is measured nowhere.
        IncomparableError: The two differ in something that was not accepted.
        RecordError: Either has not finished, or is damaged.
        UsageError: They are the same run, or an accepted key is unknown.
    """
    if baseline.root.resolve() == run.root.resolve():
        raise UsageError(
            "a run cannot be its own baseline",
            where=legible(str(run.root)),
            remedy="name another run; `sodbench selftest aa` puts the trials of one run against each other",
        )
    for one, what in ((run, "run"), (baseline, "baseline")):
        require_finished(one, what)
    gate = declared(run)
    plans = [plan_of(one) for one in (baseline, run)]
    accepted = _comparable(baseline, run, plans[1], accept)
    found = cells(gate, plans[1]["trials"], stored.table(baseline), stored.table(run), plans[0]["trials"])
    require_measured(gate, found, run)
    return Pairing(gate=gate, accepted=accepted, cells=tuple(found))


def require_finished(run: RunFolder, what: str) -> None:
    """Refuse a run that is under way, was interrupted, or whose evidence was changed; `what` names it.

    Raises:
        AlteredError: The evidence was changed since the run ended.
        RecordError: It has not finished, or is damaged.
    """
    if seal.require(run):
        ends = [event.kind for event in journal.read(run.journal) if event.kind.startswith("run.")]
        if ends and ends[-1] == RunFinished.KIND:
            return
    raise RecordError(
        f"the {what} has not finished",
        where=legible(str(run.root)),
        why="trials of its plan are still to be run, or its evidence has no sums",
        remedy="`sodbench resume` brings a run to its end; `sodbench status` says where it stands",
    )


def plan_of(run: RunFolder) -> Mapping[str, Any]:
    """The run's plan as it is stored."""
    return read_json(run.plan)


def declared(run: RunFolder) -> Gate:
    """The gate that the run's campaign declares.

    Raises:
        CampaignError: It declares none.
    """
    gate = of_plan(plan_of(run), str(run.plan))
    if gate is None:
        raise CampaignError(
            "the campaign declares no metrics for a gate",
            where=legible(str(run.campaign)),
            why="what decides, in which direction and from which effect on, is stated before a run",
            remedy="add a section `gate` to the campaign (docs/campaigns.md) and run it again",
        )
    return gate


def require_measured(gate: Gate, found: Collection[Cell], run: RunFolder) -> None:
    """Refuse a gate of whose metrics one has no value anywhere.

    Raises:
        CampaignError: There is such a metric.
    """
    measured = {cell.primary.metric for cell in found}
    absent = [name for name in gate.names if name not in measured]
    if absent:
        raise CampaignError(
            f"the primary metric {absent[0]} has no value in any workload, neither in the run nor before",
            where=legible(str(run.campaign)),
            remedy="`sodbench metrics` shows why; declare another metric and run the campaign again",
        )


def _comparable(
    baseline: RunFolder, run: RunFolder, plan: Mapping[str, Any], accept: Collection[str]
) -> tuple[str, ...]:
    """What differs and was accepted, over all variants of the run."""
    names = tuple(str(one["name"]) for one in plan.get("variants", ()))
    told: dict[str, None] = {}
    for name in names or (None,):
        sides = (Side(run=baseline, variant=name), Side(run=run, variant=name))
        told |= dict.fromkeys(comparability.require(*sides, accept, same_plan=True))
    return tuple(told)
