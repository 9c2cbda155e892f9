"""What is left to do of several campaigns, by the runs that are there: to run, to resume, or nothing.

It is answered from the runs' folders alone, so that the same question has the right answer after whatever
ended the one before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.campaign import plan as plans
from harness.campaign import state
from harness.campaign.plan import Plan
from harness.evidence import folder as store
from harness.evidence import journal, played, seal
from harness.evidence.folder import RunFolder
from harness.files import read_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is to be done of one campaign.

    Attributes:
        campaign: Its name.
        action: ``run`` it, ``resume`` the run that was begun, or ``keep`` the one that is finished.
        folder: The run's folder; None for one that is to begin.
    """

    campaign: str
    action: Literal["run", "resume", "keep"]
    folder: Path | None = None


def steps(results: Path, wanted: Mapping[str, Plan]) -> list[Step]:
    """What is left of `wanted`, campaigns by name with their plans, in that order.

    The newest run of a campaign below `results` counts. One of another plan than today's does not, nor does a
    played one.

    Raises:
        RecordError: A run's folder is damaged.
    """
    return [_step(results / name, name, plan) for name, plan in wanted.items()]


def _step(place: Path, name: str, plan: Plan) -> Step:
    for found in _runs(place):
        run = RunFolder(found)
        if store.read_manifest(run).get("plan_hash") != plan.hash or played.is_played(run):
            continue
        if store.is_packed(found) or (seal.is_sealed(run) and _over(run)):
            return Step(campaign=name, action="keep", folder=found)
        return Step(campaign=name, action="resume", folder=found)
    return Step(campaign=name, action="run")


def _runs(place: Path) -> Sequence[Path]:
    """The folders of the campaign's runs, the newest first: their names begin with the time."""
    return sorted((path.parent for path in place.glob("*/manifest.json")), reverse=True)


def _over(run: RunFolder) -> bool:
    """Whether the run came to its end; one that was interrupted has sums too."""
    plan = plans.from_json(read_json(run.plan), where=str(run.plan))
    return run.journal.exists() and state.fold(journal.read(run.journal), plan).status == "finished"
