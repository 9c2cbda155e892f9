"""`sodbench report`: the stored results of a run as HTML, Markdown and LaTeX.

Reads a run's folder, and what else it is given to show, and writes documents; it never touches the rig and
never changes the results.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness import report as reports
from harness.cli.terminal import Output
from harness.errors import UsageError
from harness.evidence import folder as store


def report(
    run: Annotated[
        Path,
        typer.Argument(
            help="The run's folder, or a folder above it: then the newest run below.", metavar="RUN"
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where to write; by default reports/<campaign>/<run id>/."),
    ] = None,
    format: Annotated[
        list[str] | None,
        typer.Option("--format", "-f", help="html, md or tex; may be given several times. All by default."),
    ] = None,
    benchmarks: Annotated[
        Path | None,
        typer.Option("--benchmarks", help="pytest-benchmark's JSON of the verification's steps, to include."),
    ] = None,
    adversary: Annotated[
        Path | None,
        typer.Option("--adversary", help="JSON of the attacks tried on the verifier, to include."),
    ] = None,
    periodic: Annotated[
        Path | None,
        typer.Option("--periodic", help="JSON of what attesting at intervals costs, to include."),
    ] = None,
) -> None:
    """Make the report of RUN from its stored results alone.

    The hardware is not needed, and the same results give the same bytes. Evidence that was changed since the
    run ended is refused with 21.
    """
    folder = store.find(run)
    place = out if out is not None else Path("reports") / folder.root.parent.name / folder.root.name
    _require_outside(place, folder.root)
    made = reports.build(
        folder,
        place,
        tuple(format or reports.FORMATS),
        benchmarks=benchmarks,
        adversary=adversary,
        periodic=periodic,
    )
    output = Output()
    for path in made.documents:
        output.say(str(path))


def _require_outside(place: Path, run: Path) -> None:
    """Whatever lies in a run's folder and is not a table of it counts as evidence."""
    if place.resolve().is_relative_to(run.resolve()):
        raise UsageError(
            "a report inside the run's folder would count as evidence that was added",
            where=str(place),
            remedy="--out names a folder outside the run's",
        )
