"""`sodbench selftest`: whether sodbench's own judgements hold on the runs of this rig."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from harness.analysis import stored
from harness.analysis.gate import selftest as selftests
from harness.analysis.gate import sides
from harness.analysis.gate.selftest import Tried
from harness.cli.terminal import Output, number_of
from harness.errors import RegressedError
from harness.evidence import folder as store
from harness.evidence import played

selftest = typer.Typer(
    help="Put sodbench's own judgements to the test on a run of yours.", no_args_is_help=True
)


@selftest.callback()
def _group() -> None:
    """A group, although it has one verb."""


@selftest.command()
def aa(
    run: Annotated[
        Path,
        typer.Argument(
            help="The run's folder, or a folder above it: then the newest run below.", metavar="RUN"
        ),
    ],
    trials: Annotated[
        int | None,
        typer.Option(min=3, help="Trials of each workload on either side; by default half of them."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The sets of trials are drawn from it.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Gate trials of RUN against other trials of RUN, where nothing differs.

    Each regression is a false alarm. Prints how many there are and the bound on their rate that so many
    trials allow. More of them than the 5 % that a gate promises, beyond chance, end with 23, and too few
    trials with 24 (docs/gate.md).
    """
    mine = store.find(run)
    sides.require_finished(mine, "run")
    gate, plan = sides.declared(mine), sides.plan_of(mine)["trials"]
    tried = selftests.against_itself(gate, stored.table(mine), plan, seed=seed, trials=trials)
    if as_json:
        typer.echo(json.dumps(_document(mine.root.name, seed, tried), indent=2, sort_keys=True))
    else:
        _show(mine.root.name, tried, is_played=played.is_played(mine))
    if tried.too_many:
        raise RegressedError(
            f"{number_of(tried.alarms, 'false alarm')} in {number_of(len(tried.outcomes), 'gate')}",
            where=str(mine.root),
            why=f"their rate is above {100 * tried.least:.0f} % (95 % confidence); a gate promises 5 %",
            remedy="look in the run's report for trials of two kinds, or that depend on each other",
        )


def _document(name: str, seed: int, tried: Tried) -> dict[str, object]:
    return {
        "schema": 1,
        "run": name,
        "seed": seed,
        "trials_a_side": tried.trials,
        "outcomes": list(tried.outcomes),
        "false_alarms": tried.alarms,
        "rate_at_most": round(tried.most, 4),
    }


def _show(name: str, tried: Tried, *, is_played: bool) -> None:
    output = Output()
    output.say(f"{name} against itself: {number_of(len(tried.outcomes), 'gate')} of disjoint sets of trials")
    if is_played:
        output.say(f"{played.SAYS}.")
    titles = ("trials a side", "passed", "inconclusive", "false alarms", "rate at most")
    counts = [str(tried.outcomes.count(outcome)) for outcome in ("passed", "inconclusive", "regressed")]
    output.table(titles, [(str(tried.trials), *counts, f"{100 * tried.most:.0f} %")], right=titles)
    output.say("rate at most: the rate of false alarms is below this with a confidence of 95 %.")
