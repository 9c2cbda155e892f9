"""`sodbench status`: where a run stands, from its journal alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from harness.campaign import plan as plans
from harness.campaign import state
from harness.campaign.state import RunStatus
from harness.cli.terminal import Output, number_of
from harness.evidence import folder as store
from harness.evidence import journal, played, seal
from harness.evidence.folder import RunFolder
from harness.files import read_json


def status(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run's folder, or a folder above it: then its newest run.")
    ] = Path("results"),
) -> None:
    """Show each trial of a run, its attempts and verdict, and whether its evidence has its sums.

    Evidence that was changed since the run ended is refused with 21. Touches no machine.
    """
    folder = store.find(run)
    sealed = seal.require(folder)
    plan = plans.from_json(read_json(folder.plan), where=str(folder.plan))
    events = journal.read(folder.journal) if folder.journal.exists() else []
    standing = state.fold(events, plan)
    output = Output()
    output.say(f"{folder.root}: {standing.status}{f' ({standing.reason})' if standing.reason else ''}")
    if played.by_manifest(store.read_manifest(folder)) or played.by_journal(events):
        output.say(f"{played.SAYS}.")
    rows = []
    for one in standing.trials:
        counted = one.counted
        verdict = (counted.verdict or "") if counted else "pending"
        why = (*counted.reasons, "")[0] if counted else ""
        rows.append((one.trial.id, one.trial.kind, str(len(one.attempts)), verdict, why))
    output.table(("trial", "kind", "attempts", "verdict", "why"), rows)
    for one in standing.trials:
        if one.counted and len(one.counted.reasons) > 1:
            output.say(f"{one.trial.id}, also:", *(f"  {reason}" for reason in one.counted.reasons[1:]))
    if standing.current is not None:
        output.say(f"Last heard of: {standing.current.trial}, {standing.current.phase}.")
    for line in _evidence(folder, standing.status, sealed=sealed):
        output.say(line)
    if seal.went_on_unchecked(events):
        output.say(
            f"The run was resumed after it had ended, and had no {seal.EVIDENCE_SUMS} then: what was "
            "recorded before is not known to be what it was."
        )
    if standing.remaining:
        left = number_of(len(standing.remaining), "trial")
        output.say(f"{left} left: `sodbench resume {folder.root}` goes on.")


def _evidence(run: RunFolder, status: RunStatus, *, sealed: bool) -> Iterator[str]:
    """What is known of the run's files."""
    if sealed:
        yield f"Evidence: as it was when the run ended, by {seal.EVIDENCE_SUMS}."
        differs = seal.derived_differences(run)
        if differs:
            yield f"Tables: {differs}. `sodbench metrics` computes them again."
    elif status in {"finished", "aborted"}:
        yield (
            "Evidence: without sums, so that it is not known to be what was recorded: the controller died "
            "as the run ended, or they were removed. `sodbench resume` brings the run to its end."
        )
    else:
        yield "Evidence: no sums yet; they are written when the run ends."
