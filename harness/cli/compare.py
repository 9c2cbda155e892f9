"""`sodbench compare`: two configurations side by side, or why they cannot be compared."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from harness.analysis import comparability, comparison, stored
from harness.analysis.comparability import Side
from harness.analysis.comparison import Row
from harness.analysis.gate.declared import of_plan
from harness.analysis.stats.two_samples import Difference
from harness.cli.terminal import Output
from harness.evidence import folder as store
from harness.evidence import played, seal
from harness.files import read_json

_VARIANT = re.compile(r"^(?P<run>.+):(?P<variant>[a-z0-9][a-z0-9-]{0,31})$")
_SCALES = {"s": ("ms", 1e3), "bytes": ("MB", 1e-6), "bytes/s": ("MB/s", 1e-6)}
_HELP = "A run's folder, or one above it: then its newest run; with :VARIANT one of its variants."


def compare(
    first: Annotated[str, typer.Argument(help=_HELP, metavar="RUN[:VARIANT]")],
    second: Annotated[str, typer.Argument(help="What is compared with it.", metavar="RUN[:VARIANT]")],
    accept: Annotated[
        list[str] | None,
        typer.Option(help="A key that may differ, as the refusal names it; several times.", metavar="KEY"),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All metrics; by default the primary ones.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="All metrics as JSON.")] = False,
) -> None:
    """Compare two runs or two variants of one: ratios of medians with intervals of their trials.

    Each trial counts once. `~` is where no difference is shown. Machines and plans that differ are refused
    with 22. Evidence that was changed since a run ended is refused with 21. Touches no machine
    (docs/statistics.md).
    """
    sides = (_side(first), _side(second))
    for side in sides:
        seal.require(side.run)
    accepted = comparability.require(*sides, accept or [])
    tables = [comparison.values(side, stored.table(side.run)) for side in sides]
    declared = of_plan(read_json(sides[1].run.plan), str(sides[1].run.plan))
    primary = comparison.PRIMARY if declared is None else declared.names
    rows = comparison.rows(tables[0], tables[1], primary)
    if as_json:
        document = {
            "schema": 1,
            "first": sides[0].name,
            "second": sides[1].name,
            "accepted": accepted,
            "rows": [row.to_json() for row in rows],
        }
        typer.echo(json.dumps(document, indent=2, sort_keys=True))
        return
    _show(sides, accepted, [row for row in rows if every or row.primary])


def _side(text: str) -> Side:
    """The run and variant that `text` names; a folder whose name has a colon is taken as it stands."""
    found = _VARIANT.match(text)
    if found is None or Path(text).exists():
        return Side(run=store.find(Path(text)), variant=None)
    return Side(run=store.find(Path(found["run"])), variant=found["variant"])


def _show(sides: tuple[Side, Side], accepted: list[str], rows: list[Row]) -> None:
    output = Output()
    output.say(f"{sides[1].name} against {sides[0].name}")
    if any(played.is_played(side.run) for side in sides):
        output.say(f"{played.SAYS}.")
    output.say(*(f"accepted: {line}" for line in accepted))
    if not rows:
        output.say("No workload has a valid migration on both sides: there is nothing to compare.")
        return
    titles = ("workload", "metric", "first", "second", "shift", "change", "95 % interval", "p", "trials", "n")
    output.table(titles, [_cells(row) for row in rows], right=titles[2:])
    output.say(
        "",
        "Medians of trials' medians. shift: their difference; change: their ratio; ~ where no difference is "
        "shown. p: Welch's t on the trials, corrected for how many are looked at (primary metrics by Holm, "
        "the others by Benjamini and Hochberg); an interval is that of its row alone. Fewer than three "
        "trials on a side show nothing.",
    )


def _cells(row: Row) -> tuple[str, ...]:
    found, (unit, scale) = row.found, _SCALES.get(row.unit, (row.unit, 1.0))
    first, second = (f"{value * scale:.4g} {unit}".strip() for value in found.medians)
    p = "" if row.adjusted is None else f"{row.adjusted:.3f}" if row.adjusted >= 0.001 else "< 0.001"
    return (
        row.workload,
        row.metric,
        first,
        second,
        f"{found.shift * scale:+.4g} {unit}".strip() if row.shown else "",
        _change(found) if row.shown else "~",
        _interval(found, unit, scale),
        p,
        " / ".join(map(str, found.trials)),
        " / ".join(map(str, found.n)),
    )


def _change(found: Difference) -> str:
    return "" if found.ratio is None else f"{100 * (found.ratio - 1):+.1f} %"


def _interval(found: Difference, unit: str, scale: float) -> str:
    if found.ratio_low is not None and found.ratio_high is not None:
        return f"{100 * (found.ratio_low - 1):+.1f} to {100 * (found.ratio_high - 1):+.1f} %"
    if found.shift_low is not None and found.shift_high is not None:
        return f"{found.shift_low * scale:+.4g} to {found.shift_high * scale:+.4g} {unit}".strip()
    return "none"
