"""`sodbench pilot`: how many trials a campaign needs, from a small run of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from harness.analysis import comparison, pilot, stored
from harness.analysis import table as results
from harness.analysis.gate.declared import of_plan
from harness.analysis.gate.sides import plan_of
from harness.analysis.pilot import Cost
from harness.cli.terminal import Output
from harness.errors import InconclusiveError
from harness.evidence import folder as store
from harness.evidence import journal, played, seal


def run_pilot(
    run: Annotated[
        Path,
        typer.Argument(
            help="The run's folder, or a folder above it: then the newest run below.", metavar="RUN"
        ),
    ],
    effect_percent: Annotated[
        float, typer.Option("--effect-percent", min=0.1, max=1000, help="The worsening that is to be found.")
    ] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Say how many trials find an effect, from how trials and migrations of RUN vary.

    Looks at the metrics of the campaign's `gate`, by default at the primary ones. A run in which no workload
    has three valid trials ends with 24. Touches no machine (docs/gate.md).
    """
    mine = store.find(run)
    seal.require(mine)
    plan = plan_of(mine)
    gate = of_plan(plan, str(mine.plan))
    rows = _rows(
        results.valid(stored.table(mine)),
        comparison.PRIMARY if gate is None else gate.names,
        _costs(journal.read(mine.journal), plan),
        effect_percent / 100,
    )
    if not rows:
        raise InconclusiveError(
            "too few trials to say how they vary",
            where=str(mine.root),
            why="no workload has three valid trials with values above 0",
            remedy="run the campaign with at least `repetitions: 3`",
        )
    if as_json:
        document = {"schema": 1, "run": mine.root.name, "effect_percent": effect_percent, "rows": rows}
        typer.echo(json.dumps(document, indent=2, sort_keys=True))
    else:
        _show(mine.root.name, effect_percent, rows, is_played=played.is_played(mine))


def _costs(events: list[journal.Event], plan: Mapping[str, Any]) -> dict[str, Cost | None]:
    """What trials of each workload cost; variants have the same schedule."""
    found: dict[str, dict[str, int]] = {}
    for one in plan["trials"]:
        if one["kind"] == "migrations":
            found.setdefault(str(one["workload"]), {})[str(one["id"])] = len(one["migrations"])
    return {workload: pilot.costs(events, trials) for workload, trials in found.items()}


def _rows(
    table: pd.DataFrame, metrics: tuple[str, ...], costs: Mapping[str, Cost | None], effect: float
) -> list[dict[str, Any]]:
    there = table[table["metric"].isin(metrics) & table["value"].notna() & table["migration"].notna()]
    keys = ["workload", *(["variant"] if "variant" in there else []), "metric"]
    rows = []
    for key, mine in there.groupby(keys, sort=True):
        found = pilot.components([list(one) for _, one in mine.groupby("trial", sort=False)["value"]])
        if found is None:
            continue
        cost = costs.get(str(key[0]))
        best = None if cost is None else pilot.best(found, cost, effect)
        rows.append(
            {
                **dict(zip(keys, map(str, key), strict=True)),
                **asdict(found),
                "share": found.share,
                "needed": pilot.needed(found, effect, max(1, round(found.migrations))),
                "cost": None if cost is None else asdict(cost),
                "best": None if best is None else asdict(best),
            }
        )
    return rows


def _show(name: str, effect_percent: float, rows: list[dict[str, Any]], *, is_played: bool) -> None:
    output = Output()
    output.say(f"{name}: trials a side that find a worsening by {effect_percent:g} %")
    if is_played:
        output.say(f"{played.SAYS}.")
    titles = (
        "workload", "metric", "trials", "sd of trials", "sd within",
        "trial", "migration", "needed", "cheapest",
    )  # fmt: skip
    output.table(titles, [_cells(row) for row in rows], right=titles[2:])
    output.say(
        "",
        "sd: standard deviations of the logarithm, between trials and between migrations of one. trial, "
        "migration: what a trial without its migrations and each of these takes. needed: trials a side with "
        "as many migrations as here. cheapest: trials x migrations that take the least time for both sides. "
        "Both take the variance at its upper limit (80 %) and find the effect with a probability of 80 %.",
    )


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    cost, best = row["cost"], row["best"]
    variant = f"+{row['variant']}" if "variant" in row else ""
    return (
        f"{row['workload']}{variant}",
        row["metric"],
        str(row["trials"]),
        f"{100 * row['between'] ** 0.5:.1f} %",
        "" if row["within"] is None else f"{100 * row['within'] ** 0.5:.1f} %",
        "" if cost is None else f"{cost['trial_s']:.0f} s",
        "" if cost is None else f"{cost['migration_s']:.0f} s",
        f"over {pilot.MOST_TRIALS}" if row["needed"] is None else str(row["needed"]),
        "" if best is None else f"{best['trials']} x {best['migrations']}, {best['takes_s'] / 3600:.1f} h",
    )
