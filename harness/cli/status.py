"""`sodbench status`: where a run stands, from its journal alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import Output


def status(
    run: Annotated[
        Path, typer.Argument(help="A run's folder, or a folder above it: then its newest run.")
    ] = Path("results"),
) -> None:
    """Show each trial of a run, its attempts and verdict. Touches no machine."""
    from harness import journal, state, store  # noqa: PLC0415
    from harness import plan as plans  # noqa: PLC0415

    folder = store.find(run)
    plan = plans.from_json(store.read_json(folder.plan), where=str(folder.plan))
    standing = state.fold(journal.read(folder.journal) if folder.journal.exists() else [], plan)
    output = Output()
    output.say(f"{folder.root}: {standing.status}{f' ({standing.reason})' if standing.reason else ''}")
    rows = []
    for one in standing.trials:
        counted = one.counted
        verdict = (counted.verdict or "") if counted else "pending"
        why = (*counted.reasons, "")[0] if counted else ""
        rows.append((one.trial.id, one.trial.kind, str(len(one.attempts)), verdict, why))
    output.table(("trial", "kind", "attempts", "verdict", "why"), rows)
    for one in standing.trials:
        if one.counted and len(one.counted.reasons) > 1:
            output.say(f"{one.trial.id}, besides:", *(f"  {reason}" for reason in one.counted.reasons[1:]))
    if standing.current is not None:
        output.say(f"Last heard of: {standing.current.trial}, {standing.current.phase}.")
    if standing.remaining:
        output.say(f"{len(standing.remaining)} trials remain: `sodbench resume {folder.root}`.")
